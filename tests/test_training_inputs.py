"""``train`` on data of one's own: what is wrong is one line, before anything is written."""
from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.files.weights import shipped_path
from run_benchmark import command_line
from tests.small_rehearsal import SmallRehearsal, small_rehearsal

PARSED_ELSEWHERE = json.dumps([{'sent_id': 10 ** 7, 'atts': {'r1': ['cup'], 'r2': ['red'], 'r7': ['none']}}])
Build = Callable[[SmallRehearsal, Path], list[str]]


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> SmallRehearsal:
    return small_rehearsal(tmp_path_factory.mktemp('rehearsal'))


def train(part: str, *more: str) -> Build:
    """A training of the recipe as it stands, with more options."""
    return lambda rehearsal, folder: rehearsal.training(part, folder / 'refused', *more)


def of_several(*more: str) -> Build:
    def build(rehearsal: SmallRehearsal, folder: Path) -> list[str]:
        command = [word for word in rehearsal.training('mattnet', folder / 'refused')
                   if not word.startswith('--set=')]
        return ['train', 'mattnet', 'cmae', *command[2:], *more]
    return build


def without_data(*more: str) -> Build:
    return lambda _, folder: ['train', 'mattnet', '--out', str(folder / 'refused'), *more]


def without_split(split: str) -> Build:
    def build(rehearsal: SmallRehearsal, folder: Path) -> list[str]:
        shutil.copytree(rehearsal.root / 'refcoco', folder / 'data/refcoco')
        (folder / 'data/images').symlink_to(rehearsal.root / 'images')
        refs = folder / 'data/refcoco/refs(unc).p'
        left = [ref for ref in pickle.loads(refs.read_bytes()) if ref['split'] != split]
        refs.write_bytes(pickle.dumps(left, protocol=2))
        return rehearsal.training('mattnet', folder / 'refused', '--data-root', str(folder / 'data'))
    return build


def with_sentences(text: str) -> Build:
    def build(rehearsal: SmallRehearsal, folder: Path) -> list[str]:
        (folder / 'sents.json').write_text(text)
        return rehearsal.training('mattnet', folder / 'refused', '--attributes', str(folder / 'sents.json'))
    return build


def with_weights(content: bytes) -> Build:
    def build(rehearsal: SmallRehearsal, folder: Path) -> list[str]:
        (folder / 'x.safetensors').write_bytes(content)
        return rehearsal.training('ref-nms-b', folder / 'refused', '--weights',
                                  f'detector={folder / "x.safetensors"}')
    return build


def without_images(rehearsal: SmallRehearsal, folder: Path) -> list[str]:
    shutil.copytree(rehearsal.root / 'refcoco', folder / 'data/refcoco')
    return rehearsal.training('mattnet', folder / 'refused', '--data-root', str(folder / 'data'))


CASES: dict[str, tuple[Build, str]] = {
    'no train': (without_split('train'), 'rehearsal-refcoco has no split train; training needs train and val'),
    'no val': (without_split('val'), 'rehearsal-refcoco has no split val; training needs train and val'),
    'no images': (without_images, '.jpg: this image and 5 more of 6 are missing; fetch'),
    'no detector named': (lambda rehearsal, folder: [
        word for word in rehearsal.training('cmae', folder / 'refused') if not word.startswith('--weights')],
        '--weights detector=FILE: refcoco'),
    'a detector of nothing': (train('mattnet', '--weights', 'detector=nowhere.safetensors'), 'nowhere.safetensors'),
    'no weights': (with_weights(b'no weights at all'), 'x.safetensors'),
    'weights of a grounder': (train('ref-nms-b', '--weights', f'detector={shipped_path("cmae", "mini-refcoco")}'),
                              'cmae-mini-refcoco.safetensors'),
    'weights of what nothing needs': (train('mattnet', '--weights', 'mattnet=x.safetensors'), '--weights mattnet=…'),
    'no MAttNet for NMTree': (train('nmtree'), 'train mattnet first, or give --weights mattnet=FILE'),
    'an unknown recipe': (train('mattnet', '--recipe', 'relased'), '--recipe relased: mattnet has no such recipe, did '
                                                                   'you mean released?'),
    'a recipe of Ref-NMS alone': (train('mattnet', '--recipe', 'paper'), '--recipe paper: mattnet has no such recipe'),
    'an unknown dataset': (train('mattnet', '--dataset', 'refcocoo'), 'refcocoo'),
    'no data root': (train('mattnet', '--data-root', 'nowhere'), '--data-root nowhere: there is no such folder'),
    'attributes of NMTree': (train('nmtree', '--attributes', 'sents.json'), '--attributes: only MAttNet and CM-A-E'),
    'attributes of Ref-NMS': (train('ref-nms-b', '--attributes', 'sents.json'), '--attributes: only MAttNet'),
    'no such sentences': (train('cmae', '--attributes', 'nowhere.json'), 'nowhere.json'),
    'cut sentences': (with_sentences('[{"sent_id": 0,'), 'sents.json: is not valid JSON'),
    'other sentences': (with_sentences('{"sents": []}'), 'sents.json: must be a list of parsed sentences'),
    'sentences of another dataset': (with_sentences(PARSED_ELSEWHERE), 'sents.json: has no training sentence of '
                                                                       'rehearsal-refcoco; give the sents.json'),
    'an unnamed setting of several': (of_several('--set', 'lr=0.1'), '--set lr=0.1: several parts are trained; write '
                                                                    'NAME.OPTION=VALUE with one of mattnet, cmae'),
    'a setting of another part': (of_several('--set', 'nmtree.lr=0.1'), '--set nmtree.lr=0.1: several parts'),
    'an unknown setting': (train('mattnet', '--set', 'lrr=0.1'), '--set lrr=0.1: write OPTION=VALUE, did you mean lr?'),
    'a setting without effect': (train('mattnet', '--set', 'epochs=3'), '--set epochs: has no effect'),
    'another loss': (train('ref-nms-b', '--set', 'loss=ranking'), '--set: ref-nms-b is trained by the binary loss'),
    'images without data': (without_data('--images', 'x'), '--images: belongs to --data-root DIR'),
    'split makers without data': (without_data('--split-by', 'unc'), '--split-by: belongs to --data-root DIR'),
    'a store of grounders': (train('mattnet', '--store', 'crops'), '--store: is for Ref-NMS'),
    'workers that load nothing': (train('ref-nms-b', '--workers', '2'), '--workers: load what is stored'),
    'half precision of Ref-NMS': (train('ref-nms-b', '--precision', 'bf16'), '--precision bf16: Ref-NMS is trained in'),
    'no checkpoints': (train('mattnet', '--checkpoint-every', '0'), '--checkpoint-every 0: must be from 1'),
    'no device': (train('mattnet', '--device', 'cuda:99'), '--device cuda:99'),
}


@pytest.mark.parametrize('case', CASES)
def test_what_is_wrong_is_one_line_and_nothing_is_written(case: str, rehearsal: SmallRehearsal, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    build, said = CASES[case]
    command = build(rehearsal, tmp_path)
    before = sorted(tmp_path.rglob('*'))
    assert command_line(command) == 2
    captured = capsys.readouterr()
    error, = (line for line in captured.err.splitlines() if not line.startswith('loading'))
    assert error.startswith('error: ') and said in error and captured.out == ''
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('part', ['mattnet', 'ref-nms-b'])
def test_a_batch_larger_than_the_data_is_one_line(part: str, rehearsal: SmallRehearsal, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture) -> None:
    """How many items there are is known once images have been looked at."""
    assert command_line(rehearsal.training(part, tmp_path, '--set', 'batch_size=500')) == 2
    assert 'take a smaller batch' in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'weights').exists()


@pytest.mark.parametrize('part', ['mattnet', 'nmtree', 'ref-nms-b'])
def test_an_image_that_is_missing_is_said_before_the_first_is_looked_at(
        part: str, rehearsal: SmallRehearsal, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pictures = tmp_path / 'images/train2014'
    shutil.copytree(rehearsal.root / 'images/train2014', pictures)
    gone = next(pictures.glob('*10002.jpg'))
    gone.unlink()
    needed = ['--weights', f'mattnet={shipped_path("mattnet", "mini-refcoco")}'] if part == 'nmtree' else []
    assert command_line(rehearsal.training(part, tmp_path, '--images', str(pictures), *needed)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f'error: {gone}: this image and 0 more of ')
    assert not (tmp_path / 'work').exists() and not (tmp_path / 'weights').exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU computes in it')
@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_half_precision_needs_a_gpu(precision: str, rehearsal: SmallRehearsal, tmp_path: Path,
                                    capsys: pytest.CaptureFixture) -> None:
    assert command_line(rehearsal.training('mattnet', tmp_path, '--precision', precision)) == 2
    assert f'--precision {precision}: training computes in it on a GPU alone' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
