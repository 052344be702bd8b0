"""What README and docs print is run as it is printed; only the files that it names are provided, and they are small.

Python blocks are run, and the command lines beside them, in a working directory that is not the checkout. Every other
command line is read by its own parser, which accepts it.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner
from torch.distributed.run import get_args_parser
from torch.utils.data import DataLoader

import run_benchmark
from harness.registry import GROUNDERS
from reports.__main__ import main as reports

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text() for page in (
    ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')))}
#: What may stand before a program: variables of the environment, and Slurm's launcher.
BEFORE = re.compile(r'([A-Z_]+=\S+ |srun )+')
PROGRAM = re.compile(r'(\.venv/bin/)?(python|torchrun|ref-nms-benchmark|make|pip)( |$)')


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language; ``''`` for those of none."""
    fenced = re.findall(r'^```(\w*)\n(.*?)^```$', PAGES[page], flags=re.S | re.M)
    return [body for own, body in fenced if own == language]


def python_block(page: str, first_line: str) -> str:
    """The one Python block that begins so."""
    (found,) = [body for body in blocks(page, 'python') if body.startswith(first_line)]
    return found


def command_lines(page: str) -> list[str]:
    """Every command line, in a block or within a sentence."""
    lines = [line for body in blocks(page, '') for line in body.splitlines()]
    spans = re.findall(r'`([^`\n]+)`', re.sub(r'^```.*?^```$', '', PAGES[page], flags=re.S | re.M))
    commands = [BEFORE.sub('', line, count=1) if BEFORE.match(line) else line for line in [*lines, *spans]]
    return [re.split(r'\s#\s', line)[0].strip() for line in commands if PROGRAM.match(line)]


def printed(page: str, *parts: str) -> str:
    """The one command line that has all the parts."""
    (found,) = {line for line in command_lines(page) if all(part in line for part in parts)}
    return found


# ------------------------------------------------------------------------------------------ all of them

def test_every_python_block_is_among_those_that_are_run() -> None:
    first_lines = {(page, body.splitlines()[0]) for page in PAGES for body in blocks(page, 'python')}
    assert first_lines == {
        ('README.md', '# my_grounder.py'), ('docs/mmdet.md', '# grounding.py'),
        ('docs/mmdet.md', 'from mmdet.apis import inference_detector, init_detector'),
        ('docs/python.md', 'from harness import load_dataset, read_predictions, run'),
        ('docs/show.md', 'from pathlib import Path')}


class Accepted(Exception):
    """The parser took the command line."""


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(*arguments):
        parse(*arguments)
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)


@pytest.mark.parametrize(('page', 'line'), [(page, line) for page in PAGES for line in dict.fromkeys(
    command_lines(page))])
def test_every_command_line_is_one_that_its_program_takes(page: str, line: str, only_parsed: None) -> None:
    program, *words = shlex.split(line)
    if program.endswith('torchrun'):
        launched = get_args_parser().parse_known_args(words)[0]
        program, words = 'python', [launched.training_script, *launched.training_script_args]
    if program == 'make':
        subprocess.run(['make', '-n', *words], cwd=ROOT, check=True, capture_output=True)
    elif program.endswith('pip'):
        assert words[0] == 'install'
    elif words[:1] == ['-c']:
        compile(words[1], page, 'exec')
    elif words[:1] == ['-m'] and len(words) == 2:  # named, not called
        assert importlib.util.find_spec(words[1])
    else:
        if words[:1] == ['-m']:
            main, words = importlib.import_module(f'{words[1]}.__main__').main, words[2:]
        else:
            main, words = run_benchmark.main, words[1:] if program.endswith('python') else words
        with pytest.raises((Accepted, SystemExit)) as stopped:
            main(words)
        assert stopped.type is Accepted or stopped.value.code == 0


def test_a_command_line_with_a_misspelt_option_would_be_found(only_parsed: None) -> None:
    for words in (['--graunder', 'cmae'], ['study', 'fair', '--splitt', 'val'], ['show', 'IMAGE']):
        with pytest.raises(run_benchmark.InputError):
            run_benchmark.main(words)


# ------------------------------------------------------------------------------------------ a grounder, a picture

@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    GROUNDERS.module_dict.pop('mine', None)


def typed(line: str) -> int:
    """The exit code of a printed line."""
    words = shlex.split(line)
    return run_benchmark.command_line(words[words.index('run_benchmark.py') + 1:])


def test_the_grounder_and_its_reports(elsewhere: Path, small_benchmark: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / 'my_grounder.py').write_text(python_block('README.md', '# my_grounder.py'))
    assert typed(printed('README.md', '--import my_grounder.py')) == 0
    (run,) = (elsewhere / 'results').iterdir()
    records = json.loads((run / 'results.json').read_text())['records']
    assert {r['dataset'] for r in records if (r['grounder'], r['metric']) == ('mine', 'accuracy')} == {
        'mini-refcoco', 'mini-refcoco+', 'mini-refcocog'}

    (elsewhere / 'RESULTS').symlink_to(run)
    (elsewhere / 'results/benchmark').symlink_to(run)
    (elsewhere / 'reports').symlink_to(ROOT / 'reports')
    assert typed(printed('docs/originals.md', 'export --as').replace('results/<time>', 'RESULTS')) == 0
    lines = dict.fromkeys(line for page in ('README.md', 'docs/reports.md') for line in command_lines(page)
                          if ' -m reports ' in line)
    assert len(lines) >= 6
    for line in lines:
        passed = reports(shlex.split(line)[3:])
        assert passed == (1 if ' check ' in line else 0), line  # twelve images are not the baseline's
        assert capsys.readouterr().out
    assert (elsewhere / 'report.html').stat().st_size > 10_000


def test_one_picture_and_one_sentence(elsewhere: Path, small_benchmark: Path) -> None:
    picture = next((small_benchmark / 'images/train2014').iterdir()).read_bytes()
    (elsewhere / 'IMAGE').write_bytes(picture)
    (elsewhere / 'photo.jpg').write_bytes(picture)
    assert typed(printed('docs/show.md', 'show IMAGE')) == 0
    assert cv2.imread('shown.png') is not None
    (elsewhere / 'shown.png').unlink()
    exec(python_block('docs/show.md', 'from pathlib import Path'), {'__name__': '__main__'})
    assert cv2.imread('shown.png') is not None


def test_a_notebook_s_run(elsewhere: Path, small_benchmark: Path) -> None:
    names: dict = {}
    exec(python_block('docs/python.md', 'from harness import load_dataset'), names)
    assert set(names['recall'].index) == {'greedy', 'ref-nms-b'} and names['recall'].between(0, 100).all()
    assert len(names['answers']) == 2 * 8 and set(names['missed'].columns) >= {'sent', 'iou'}


# ------------------------------------------------------------------------------------------ in mmdet

SENTENCES = ('left cup', 'the red dog')


def tiny_refcoco(folder: Path) -> None:
    """RefCOCO as mmdet's own ``data/coco`` has it: an image a split, two sentences each.

    The images are wide and low, so that scaled to mmdet's 1333 × 800 they have few pixels.
    """
    (folder / 'refcoco').mkdir(parents=True)
    (folder / 'train2014').mkdir()
    images, annotations, refs = [], [], []
    for number, split in enumerate(('train', 'val', 'testA'), 1):
        file = f'COCO_train2014_{number:012d}.jpg'
        pixels = np.random.default_rng(number).integers(0, 256, (12, 640, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / 'train2014' / file), pixels)
        images.append(dict(id=number, file_name=file, height=12, width=640))
        annotations.append(dict(id=number, image_id=number, category_id=1, iscrowd=0, area=640, bbox=[100, 2, 80, 8],
                                segmentation=[[100, 2, 180, 2, 180, 10, 100, 10]]))
        sentences = [dict(sent_id=2 * number + i, sent=sent, raw=sent, tokens=sent.split())
                     for i, sent in enumerate(SENTENCES)]
        refs.append(dict(ref_id=number, ann_id=number, image_id=number, category_id=1, split=split, file_name=file,
                         sentences=sentences, sent_ids=[s['sent_id'] for s in sentences]))
    (folder / 'refcoco/instances.json').write_text(json.dumps(
        dict(images=images, annotations=annotations, categories=[dict(id=1, name='cup')])))
    (folder / 'refcoco/refs(unc).p').write_bytes(pickle.dumps(refs))


def loaded_here(config: dict, *others: Any, build: Callable = Runner.build_dataloader, **more: Any) -> DataLoader:
    """A printed loader of images, without processes of its own."""
    return build({**config, 'num_workers': 0, 'persistent_workers': False}, *others, **more)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with the printed config, its data and mmdet's checkpoint with random weights, after the
    printed training with its own five epochs.

    What is torch's and mmengine's alone and takes longer than the epochs is left out: processes that load an image each
    and are waited for in vain, a config that is written down prettily, and a look for the same base configs again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, '_get_cfg_path', staticmethod(cache(Config._get_cfg_path)))
        patch.setattr(Config, 'pretty_text', property(lambda config: str(config.to_dict())))
        patch.setattr(Runner, 'build_dataloader', staticmethod(loaded_here))
        patch.chdir(tmp_path_factory.mktemp('in_mmdet'))
        Path('grounding.py').write_text(python_block('docs/mmdet.md', '# grounding.py'))
        tiny_refcoco(Path('data/coco'))
        init_default_scope('mmdet')
        model = Config.fromfile(Path(mmdet.__file__).parent / '.mim/configs/_base_/models/mask-rcnn_r50_fpn.py').model
        torch.manual_seed(0)
        torch.save(MODELS.build(dict(model, backbone=dict(model.backbone, init_cfg=None))).state_dict(),
                   Config.fromfile('grounding.py').load_from)
        exec(python_command('.train()'))
        yield Path.cwd()


def python_command(method: str) -> str:
    """The code of the printed ``python -c``, with the method that the page puts in the place of ``.train()``."""
    assert '`.val()` and `.test()` in the place of `.train()`' in PAGES['docs/mmdet.md']
    return shlex.split(printed('docs/mmdet.md', 'python -c', '.train()'))[2].replace('.train()', method)


def scalars(folder: Path) -> list[dict]:
    """What mmengine has written down, a record an epoch."""
    (log,) = folder.glob('work_dirs/grounding/*/vis_data/scalars.json')
    return list(map(json.loads, log.read_text().splitlines()))


def test_the_config_is_short() -> None:
    assert len(python_block('docs/mmdet.md', '# grounding.py').splitlines()) <= 30


def test_the_config_trains_as_printed(trained: Path) -> None:
    losses = [record['loss_ref_nms'] for record in scalars(trained) if 'loss_ref_nms' in record]
    judged = [record for record in scalars(trained) if 'reg/accuracy' in record]
    assert len(losses) == len(judged) == 5 and losses[-1] < losses[0]
    for record in judged:
        assert record['reg/expressions'] == len(SENTENCES)
        assert record['reg/overall_iou'] == pytest.approx(record['cIoU'], rel=1e-6)
        assert record['reg/greedy_mean_proposals'] <= record['reg/mean_proposals']
    first, last = (CheckpointLoader.load_checkpoint(f'work_dirs/grounding/epoch_{n}.pth')['state_dict']
                   for n in (1, 5))
    moved = {name for name in first if not torch.equal(first[name], last[name])}
    assert 'ref_nms.rank_fc.weight' in moved and all(name.startswith('ref_nms.') for name in moved)


def test_its_test_as_printed(trained: Path) -> None:
    exec(python_command('.test()'))
    logs = [json.loads(log.read_text()) for log in trained.glob('work_dirs/grounding/*/*.json')]
    assert [log['reg/expressions'] for log in logs if 'reg/expressions' in log] == [len(SENTENCES)]


def test_its_use_on_one_image_as_printed(trained: Path) -> None:
    (trained / 'photo.jpg').write_bytes(next((trained / 'data/coco/train2014').iterdir()).read_bytes())
    names: dict = {}
    exec(python_block('docs/mmdet.md', 'from mmdet.apis import'), names)
    seen = names['seen']
    assert seen.pred_instances.scores[0] == seen.expressions[0].scores.max()
    assert seen.pred_instances.masks.shape[1:] == (12, 640)
