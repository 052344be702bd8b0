"""``train ref-nms``: a dataset in the real layout is checked, measured and trained on; what is wrong is one line."""
from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.training.command import FROZEN
from harness.training.options import EMBEDDED, PAPER, RELEASED, with_settings
from harness.weights import load_weights, shipped_path
from run_benchmark import command_line

SMALL = 'epochs=1 batch_size=3 hidden=4 mlp=8 validate_every=2'
TINY = [part for setting in SMALL.split() for part in ('--set', setting)]
RANKING = ('--loss', 'ranking', '--set', 'others=2', '--set', 'lowest=5')
DETECTOR = ['--weights', f'detector={shipped_path("detector")}']


@pytest.fixture
def root(small_benchmark: Path, tmp_path: Path) -> Path:
    """The embedded files under a real name; what was testA is to be trained on."""
    shutil.copytree(small_benchmark / 'mini-refcoco', tmp_path / 'root/refcoco')
    (tmp_path / 'root/images').mkdir()
    shutil.copytree(small_benchmark / 'images/train2014', tmp_path / 'root/images/train2014')
    path = tmp_path / 'root/refcoco/refs(unc).p'
    refs = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps([{**ref, 'split': 'train' if ref['split'] == 'testA' else ref['split']}
                                   for ref in refs], protocol=2))
    return tmp_path / 'root'


def command(root: Path, *more: str) -> list[str]:
    return ['train', 'ref-nms', '--config', 'refcoco', '--data-root', str(root), '--work', str(root.parent / 'work'),
            *DETECTOR, *TINY, *more]


@pytest.mark.parametrize('more', [(), ('--set', 'head=frozen'), (*RANKING, '--maps', 'kept')])
def test_a_dry_run_says_what_it_would_take_and_writes_nothing(root: Path, more: tuple[str, ...],
                                                              capsys: pytest.CaptureFixture) -> None:
    assert command_line(command(root, '--dry-run', *more)) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line[:10].strip(): line[10:].strip() for line in lines}
    assert 'expressions of 2 images to train on' in said['data']
    assert said['detector'].startswith('embedded, 18 classes')
    assert 'h on one process (cpu)' in said['altogether']
    assert said['memory'].endswith('GiB in one step of 3 expressions')
    assert any('published are 120,624' in line for line in lines)
    assert not (root.parent / 'work').exists()


@pytest.mark.parametrize('maps, more', [('kept', (*RANKING, '--workers', '1')), ('anew', ())])
def test_a_training_in_the_real_layout(root: Path, maps: str, more: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / 'out.safetensors'
    assert command_line(command(root, '--maps', maps, '--out', str(out), '--checkpoint-every', '2', *more)) == 0
    meta = load_weights(out).meta
    assert meta['options']['hidden'] == 4 and meta['options']['head_lr'] == 2e-4 and meta['options']['keep'] == 'best'
    assert meta['loss'] == ('ranking' if maps == 'kept' else 'binary cross-entropy')
    stored, = (tmp_path / 'work').glob('regions-refcoco-*')
    assert len(list(stored.glob('*.safetensors'))) == 5, 'images of train and val'


@pytest.mark.parametrize('more, said', [
    (('--set', 'hiden=4'), 'did you mean hidden'),
    (('--set', 'schedule=steep'), "'plateau', 'cosine' or 'constant'"),
    (('--set', 'batch_size=0'), 'greater than or equal to 1'),
    (('--set', 'batch_size=500'), 'take a smaller batch'),
    (('--set', 'relu=perhaps'), 'True or False'),
    (('--set', 'loss=ranking'), '--loss'),
    (('--workers', '2'), '--maps kept'),
    (('--checkpoint-every', '0'), 'from 1 to'),
    (('--weights', 'cmae=x'), 'a detector alone'),
    (('--weights', 'detector=nowhere.safetensors'), 'no such weight file'),
    (('--config', 'refcoc'), 'did you mean refcoco'),
    (('--vectors', 'nowhere.txt'), 'nowhere.txt'),
])
def test_bad_input_is_one_line(root: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture) -> None:
    assert command_line(command(root, '--dry-run', *more)) == 2
    line = capsys.readouterr().err
    assert said in line and line.count('\n') == 1


def test_a_real_dataset_needs_its_folder_images_and_detector(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert command_line(['train', 'ref-nms', '--config', 'refcoco', '--dry-run']) == 2
    assert '--data-root' in capsys.readouterr().err
    assert command_line(['train', 'ref-nms', '--config', 'refcoco', '--data-root', str(root), '--dry-run']) == 2
    assert '--weights detector=FILE' in capsys.readouterr().err
    next((root / 'images/train2014').glob('COCO_train2014_000000010*')).unlink()
    assert command_line(command(root, '--dry-run')) == 2
    assert 'are not there' in capsys.readouterr().err


def test_options_come_from_the_released_code() -> None:
    """``CONFIG`` of ``tools/train_att_vanilla.py`` and ``tools/train_att_rank.py``."""
    binary, ranking = RELEASED['binary'].flat, RELEASED['ranking'].flat
    assert (binary['regions'], binary['batch_size'], binary['epochs']) == (32, 32, 5)
    assert (ranking['lowest'], ranking['others'], ranking['batch_size'], ranking['epochs']) == (150, 10, 8, 4)
    assert (ranking['margin'], ranking['top_h']) == (0.1, 100)
    for options in (binary, ranking):
        assert [options[name] for name in ('head_lr', 'rnn_lr', 'lr', 'weight_decay')] == [2e-4, 5e-4, 5e-4, 1e-3]
    assert (binary['factor'], binary['patience']) == (0.5, 1) and (ranking['factor'], ranking['patience']) == (0.6, 3)


def test_the_paper_s_options_are_the_paper_s() -> None:
    paper = PAPER['binary'].flat
    assert [paper[name] for name in ('head_lr', 'rnn_lr', 'lr', 'batch_size')] == [4e-4, 5e-3, 5e-3, 8]
    assert paper['relu'] is False and paper['positive'] == '>' and paper['regions'] == 0


def test_every_option_is_in_the_docs() -> None:
    page = (Path(__file__).parents[1] / 'docs/ref-nms-options.md').read_text()
    assert not [name for name in RELEASED['binary'].flat if f'`{name}`' not in page and f'`{name}=' not in page]


def test_settings_reach_the_part_that_they_belong_to() -> None:
    options = with_settings(EMBEDDED['ranking'], ['margin=0.2', 'relu=false', 'delta=0.1', 'text=blind'])
    assert (options.steps.margin, options.network.relu, options.sampling.delta) == (0.2, False, 0.1)
    assert options.weights == 'ref-nms-blind' and options.steps.epochs == 8
    with pytest.raises(InputError, match='number'):
        with_settings(EMBEDDED['ranking'], ['margin=nan'])


def test_all_that_is_not_shipped_has_a_frozen_head() -> None:
    assert {name: options.weights for name, options in FROZEN.items()} == {name: name for name in FROZEN}
    assert all(options.head == 'frozen' for options in FROZEN.values())
