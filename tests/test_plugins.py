"""A plug-in is one file that registers itself; what its class gets wrong is named, with what was probably meant."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.registry import DETECTORS, GROUNDERS, METRICS, PROPOSAL_RULES
from run_benchmark import command_line

RULE = '''
from harness.plugins import Rule
from harness.registry import PROPOSAL_RULES

@PROPOSAL_RULES.register_module(name='all-of-them')
class AllOfThem(Rule):
    """The best box of each region."""
    recall_only = False

    def __call__(self, image, expressions):
        from mmengine.structures import InstanceData
        scores, labels = image.class_scores.max(1)
        order = scores.argsort(descending=True, stable=True)[:30]
        boxes = image.class_boxes[order, labels[order]]
        return [InstanceData(bboxes=boxes, scores=scores[order], labels=labels[order],
                             det_scores=scores[order])] * len(expressions)
'''
GROUNDER = '''
from harness.plugins import Grounder
from harness.registry import GROUNDERS

@GROUNDERS.register_module(name='first')
class First(Grounder):
    """The most confident proposal."""
    longest = 10

    def __call__(self, image, expressions, proposals):
        return [p.det_scores for p in proposals]
'''
METRIC = '''
from harness.plugins import Metric
from harness.registry import METRICS

@METRICS.register_module(name='rows')
class Rows(Metric):
    """Number of rows."""
    names, task = ('rows',), 'rec'

    def reset(self):
        self.n = 0

    def process(self, rows):
        self.n += len(rows)

    def compute(self):
        return {'rows': (float(self.n), self.n)}
'''
DETECTOR = '''
import torch
from harness.plugins import Detector
from harness.registry import DETECTORS
from harness.types import ImageFeatures

@DETECTORS.register_module(name='four')
class Four(Detector):
    """The four quarters of the image."""
    weights = None
    classes = ('thing',)

    def __init__(self, device='cpu'):
        pass

    def features(self, image, info, annotations=None):
        w, h = info.width / 2, info.height / 2
        boxes = torch.tensor([[x, y, x + w, y + h] for x in (0, w) for y in (0, h)])[:, None]
        return ImageFeatures(info, 1., torch.zeros(1, 1, 1, 1), boxes, torch.full((4, 1), .9), self.classes, self,
                             annotations)
'''
REGISTRIES = {'all-of-them': PROPOSAL_RULES, 'first': GROUNDERS, 'rows': METRICS, 'four': DETECTORS}


@pytest.fixture(autouse=True)
def forget_them() -> Iterator[None]:
    yield
    for name, registry in REGISTRIES.items():
        registry.module_dict.pop(name, None)


def run(folder: Path, text: str, *options: str) -> int:
    file = folder / 'mine.py'
    file.write_text(text)
    return command_line(['--import', str(file), '--out', str(folder / 'out'), '--dataset', 'mini-refcoco', '--split',
                         'testB', *options])


@pytest.mark.parametrize(('text', 'options', 'metric', 'key', 'name'), [
    (RULE, ('--proposals', 'all-of-them', '--task', 'recall'), 'referent_recall', 'proposals', 'all-of-them'),
    (GROUNDER, ('--grounder', 'first', '--proposals', 'greedy', '--task', 'rec'), 'accuracy', 'grounder', 'first'),
    (METRIC, ('--grounder', 'chance', '--proposals', 'greedy', '--task', 'rec'), 'rows', 'grounder', 'chance'),
    (DETECTOR, ('--detector', 'four', '--proposals', 'greedy', '--task', 'recall'), 'mean_proposals', 'proposals',
     'greedy'),
], ids=['rule', 'grounder', 'metric', 'detector'])
def test_each_kind_is_one_file(text: str, options: tuple[str, ...], metric: str, key: str, name: str,
                               small_benchmark: Path, tmp_path: Path) -> None:
    assert run(tmp_path, text, *options) == 0
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    (found,) = [r for r in records if r['metric'] == metric and r[key] == name]
    assert found['value'] > 0
    if metric == 'mean_proposals':
        assert found['value'] == 4


@pytest.mark.parametrize(('text', 'right', 'wrong', 'line'), [
    (RULE, 'recall_only = False', 'recal_only = False',
     "all-of-them: nothing asks for 'recal_only' of its class AllOfThem, did you mean 'recall_only'?"),
    (GROUNDER, 'longest = 10', 'longst = 10', "did you mean 'longest'?"),
    (METRIC, 'names, task', 'name, task', "nothing asks for 'name' of its class Rows, did you mean 'names'?"),
    (METRIC, 'def process', 'def proces', "did you mean 'process'?"),
    (DETECTOR, "classes = ('thing',)", "clases = ('thing',)", "did you mean 'classes'?"),
    (RULE, 'recall_only = False', "recall_only = 'no'", "'recall_only' of its class AllOfThem must be True or False"),
    (GROUNDER, 'longest = 10', "needs = 'mattnet'", "'needs' of its class First must be a valid tuple, not 'mattnet'"),
    (METRIC, "names, task = ('rows',), 'rec'", "names = ('rows',)",
     'its class Rows has no task; see harness.plugins.Metric'),
    (GROUNDER, 'def __call__', 'def call', 'its class First has no __call__; see harness.plugins.Grounder'),
    (DETECTOR, 'def features', 'def detect', 'its class Four has no features; see harness.plugins.Detector'),
])
def test_what_is_misspelt_is_named(text: str, right: str, wrong: str, line: str, tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert right in text
    assert run(tmp_path, text.replace(right, wrong)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert line in error
    assert 'mine.py:' in error


def test_a_class_that_derives_from_nothing_has_the_defaults(tmp_path: Path, small_benchmark: Path) -> None:
    assert run(tmp_path, GROUNDER.replace('First(Grounder)', 'First').replace('    longest = 10\n', ''),
               '--grounder', 'first', '--proposals', 'greedy', '--task', 'rec') == 0


def test_a_detector_without_features_says_what_needs_them(tmp_path: Path, small_benchmark: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, DETECTOR, '--detector', 'four', '--proposals', 'ref-nms-b', '--task', 'recall') == 2
    assert '--detector four: gives no features' in capsys.readouterr().err


def test_a_misspelt_detector(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(['--detector', 'mmdet-c5']) == 2
    assert '--detector mmdet-c5: unknown, did you mean mmdet-c4?' in capsys.readouterr().err
