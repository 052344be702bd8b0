"""``--precision bf16``: what the detector computes in it, what stays in fp32, and which changes are counted."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch

from harness.detection.detector import Detector
from harness.detection.source import FromPictures
from harness.detection.store import DetectionStore
from harness.device import pick_device
from harness.evaluation.precision import changes, in_fp32
from harness.files.weights import load_weights, shipped_path
from harness.types import ImageInfo
from run_benchmark import command_line
from tests import gpu

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
INFO = ImageInfo(1, 60, 80)


@pytest.fixture(scope='module')
def detector() -> Detector:
    found = Detector(load_weights(shipped_path('detector')))
    found.prepare_to_run()
    found.precision = 'bf16'
    return found


def row(iou: float | None, box: list[float] | None) -> dict[str, Any]:
    return {'grounder': 'cmae', 'iou': iou, 'box': box}


def lines(*rows: dict[str, Any]) -> bytes:
    return b''.join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in rows)


def test_other_boxes_and_answers_that_become_right_or_wrong_are_counted() -> None:
    exact = lines(row(0.8, [0, 0, 100, 10]), row(0.5, [0, 0, 100, 10]), row(0.2, [0, 0, 9, 9]), row(0., None),
                  row(None, None))
    lower = lines(row(0.8, [0, 0, 99, 10]), row(0.4, [50, 0, 100, 10]), row(0.2, [0, 0, 9, 9]), row(0., None),
                  row(None, None))
    assert changes(lower, exact)['cmae'].counts('cmae', 'bf16') == {
        'choices of cmae compared with fp32 (on every 20th image)': 4,
        'choices of cmae that bf16 changes': 1,
        'answers of cmae that are right in only one of fp32 and bf16': 1}


def test_a_choice_where_there_was_none_is_a_change() -> None:
    assert changes(lines(row(0.1, [0, 0, 9, 9])), lines(row(0., None)))['cmae'].other_box == 1


def test_networks_compute_in_bf16_and_everything_they_give_is_float32(detector: Detector) -> None:
    lower = detector.features(PIXELS, INFO)
    with in_fp32(detector):
        exact = detector.features(PIXELS, INFO)
    assert detector.precision == 'bf16'
    tensors = [(getattr(lower, name), getattr(exact, name)) for name in ('feature_map', 'class_scores', 'class_boxes')]
    crops = exact.pool(exact.class_boxes[:3, 0])
    with in_fp32(detector):
        features = exact.head(crops)
    tensors.append((lower.head(crops), features))
    assert all(a.dtype == b.dtype == torch.float32 for a, b in tensors)
    for a, b in (tensors[0], tensors[-1]):
        assert not torch.equal(a, b), 'bf16 has 8 bits'
        assert (a - b).abs().max() < 0.05 * b.abs().max()


def test_detections_of_another_precision_are_kept_apart(detector: Detector, tmp_path: Path) -> None:
    source = FromPictures(detector, store=DetectionStore(tmp_path))
    lower = source.features(PIXELS, INFO)
    with in_fp32(detector):
        exact = source.features(PIXELS, INFO)
    assert not torch.equal(lower.class_scores, exact.class_scores)
    assert len(list(source.store.entries())) == 2


def test_a_run_in_bf16_counts_what_it_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ['--dataset', 'mini-refcoco', '--split', 'testB', '--limit', '4', '--proposals', 'greedy', '--task', 'rec']
    assert command_line([*run, '--precision', 'bf16', '--out', str(tmp_path / 'bf16')]) == 0
    assert 'counted: 4 choices of cmae compared with fp32 (on every 20th image)' in capsys.readouterr().out
    assert json.loads((tmp_path / 'bf16' / 'results.json').read_text())['run']['options']['precision'] == 'bf16'
    assert command_line([*run, '--out', str(tmp_path / 'bf16')]) == 2
    assert 'precision was bf16, is fp32' in capsys.readouterr().err


PLUGIN = """
from harness.plugins import Detector
from harness.registry import DETECTORS

@DETECTORS.register_module(name='plain')
class Plain(Detector):
    weights = None
    def __init__(self, device): pass
    def features(self, image, info, annotations=None): raise NotImplementedError
"""


@pytest.mark.parametrize(('options', 'message'), [
    (['--candidates', 'boxes.json', '--task', 'recall'], '--precision'),
    (['--import', 'plain.py', '--detector', 'plain', '--task', 'recall', '--proposals', 'greedy'],
     '--precision bf16: --detector plain computes in fp32; choose that')])
def test_where_it_has_no_effect_it_is_refused(options: list[str], message: str, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path('plain.py').write_text(PLUGIN)
    Path('boxes.json').write_text(json.dumps({'10001': [[0, 0, 9, 9]]}))
    assert command_line(['--dataset', 'mini-refcoco', '--split', 'val', '--precision', 'bf16', *options]) == 2
    assert message in capsys.readouterr().err


def test_the_comparison_with_a_gpu_says_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    if pick_device() == 'cpu':
        assert gpu.main([]) == 0
        assert capsys.readouterr().out.startswith('skipped: there is no GPU')


def test_the_comparison_of_the_cpu_with_itself_finds_no_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(['--device', 'cpu', '--limit', '2', '--grounder', 'cmae']) == 0
    assert 'CPU: 0 of 6 choices differ from those on the CPU' in capsys.readouterr().out
