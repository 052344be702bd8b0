"""``train ref-nms``: a dataset in the real layout is checked, measured and trained on; what is wrong is one line."""
from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from harness.commands import ref_nms_training
from harness.commands.shipped_weights import REF_NMS
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.files.weights import load_weights, shipped_path
from harness.training.ref_nms import training as ref_nms
from harness.training.ref_nms.options import EMBEDDED, PAPER, RELEASED, with_settings
from run_benchmark import command_line

SMALL = 'epochs=1 batch_size=3 hidden=4 mlp=8 validate_every=2'
TINY = [part for setting in SMALL.split() for part in ('--set', setting)]
RANKING = ('--loss', 'ranking', '--set', 'others=2', '--set', 'lowest=5')
DETECTOR = ['--weights', f'detector={shipped_path("detector")}']


@pytest.fixture
def root(small_benchmark: Path, tmp_path: Path) -> Path:
    """The embedded files under a real name; what was testA is to be trained on, and an image of val to validate on."""
    shutil.copytree(small_benchmark / 'mini-refcoco', tmp_path / 'root/refcoco')
    (tmp_path / 'root/images').mkdir()
    shutil.copytree(small_benchmark / 'images/train2014', tmp_path / 'root/images/train2014')
    path = tmp_path / 'root/refcoco/refs(unc).p'
    refs = pickle.loads(path.read_bytes())
    validated = min(ref['image_id'] for ref in refs if ref['split'] == 'val')
    now = {'testA': 'train', 'val': 'testB'}
    path.write_bytes(pickle.dumps([
        {**ref, 'split': now.get(ref['split'], ref['split'])} if ref['image_id'] != validated else ref
        for ref in refs], protocol=2))
    return tmp_path / 'root'


def command(root: Path, *more: str) -> list[str]:
    """A small training; what ``more`` sets takes the place of what is set here."""
    named = {text.partition('=')[0] for text in more}
    here = [part for part in zip(TINY[::2], TINY[1::2], strict=True) if part[1].partition('=')[0] not in named]
    detector = [] if 'detector' in named else DETECTOR
    return ['train', 'ref-nms', '--config', 'refcoco', '--data-root', str(root), '--work', str(root.parent / 'work'),
            *detector, *(word for part in here for word in part), *more]


@pytest.mark.parametrize('more', [(), ('--set', 'head=frozen'), (*RANKING, '--maps', 'kept')])
def test_a_dry_run_says_what_it_would_take_and_writes_nothing(root: Path, more: tuple[str, ...],
                                                              capsys: pytest.CaptureFixture) -> None:
    assert command_line(command(root, '--dry-run', *more)) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line[:10].strip(): line[10:].strip() for line in lines}
    assert 'expressions of 2 images to train on' in said['data']
    assert '18 classes, crops of 96 channels' in said['detector']
    assert 'h on one process (cpu)' in said['altogether']
    assert said['memory'].endswith('GiB in one step of 3 expressions')
    assert any('published are 120,624' in line for line in lines)
    assert not (root.parent / 'work').exists()


def check_trained(out: Path, loss: str, work: Path) -> str:
    """What a training in the real layout leaves; gives the SHA-256 of its weights."""
    weights = load_weights(out)
    options = weights.meta['options']
    assert options['hidden'] == 4 and options['head_lr'] == 2e-4 and options['keep'] == 'best'
    assert weights.meta['loss'] == loss
    stored, = work.glob('regions-refcoco-*')
    assert len(list(stored.glob('*.safetensors'))) == 3, 'images of train and val'
    return weights.sha256


def test_a_training_in_the_real_layout_with_its_maps_kept(root: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.safetensors'
    assert command_line(command(root, '--maps', 'kept', *RANKING, '--workers', '1', '--checkpoint-every', '2',
                                '--out', str(out))) == 0
    check_trained(out, 'ranking', tmp_path / 'work')


@pytest.mark.parametrize('more', [('--set', 'head=frozen'), ('--set', 'head=frozen', *RANKING)])
def test_what_passes_its_dry_run_trains(root: Path, more: tuple[str, ...], tmp_path: Path) -> None:
    assert command_line(command(root, '--dry-run', *more)) == 0
    assert command_line(command(root, '--out', str(tmp_path / 'out.safetensors'), *more)) == 0
    assert load_weights(tmp_path / 'out.safetensors').meta['head'] == 'frozen'


@pytest.mark.parametrize('part', ['schedule', 'optim_wrapper', 'network_of', 'loss_of', 'sampler_of', 'calibrated',
                                  'save_weights'])
def test_a_dry_run_fails_where_the_training_would(root: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(f'{part} is broken')
    monkeypatch.setattr(ref_nms, part, broken)
    with pytest.raises(ValueError, match=f'{part} is broken'):
        command_line(command(root, '--dry-run'))


def test_a_schedule_that_does_not_fit_the_optimiser_fails_in_the_dry_run(root: Path,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ref_nms, 'schedule', lambda *_: [dict(type='ReduceOnPlateauLR', monitor='loss', rule='less',
                                                              factor=0.5, min_value=[0.1])])
    with pytest.raises(ValueError, match='min_lrs'):
        command_line(command(root, '--dry-run'))


def test_a_training_with_its_maps_anew_and_another_recipe_is_refused_before_any_image_is_looked_at(
        root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    training = command(root, '--maps', 'anew', '--checkpoint-every', '2')
    assert command_line(training) == 0
    out = tmp_path / 'work/ref-nms-b-refcoco-seed1/ref-nms-b-refcoco.safetensors'
    before = check_trained(out, 'binary cross-entropy', tmp_path / 'work')
    monkeypatch.setattr(ref_nms_training, 'fill_store', lambda *_: pytest.fail('it began'))
    capsys.readouterr()
    for more in ((), ('--dry-run',)):
        assert command_line([*training, '--set', 'lr=0.5', *more]) == 2
        line = capsys.readouterr().err
        assert 'lr was 0.0005, is 0.5' in line and '--work' in line and line.count('\n') == 1
    assert load_weights(out).sha256 == before


@pytest.mark.parametrize('arguments, said', [
    (['--data-root', 'DIR'], '--data-root DIR: does not say which of its datasets to train on; add --config refcoco'),
    (['--data-root', 'DIR', '--config', 'mini-refcoco'], 'mini-refcoco is not read from there'),
    (['--out', '.'], '--out .: is a folder'), (['--weights', 'detecter=x'], 'did you mean detector?'),
    (['--set', 'top_h=3'], '--set top_h: has no effect'), (['--set', 'factor=0.5'], '--set factor: has no effect'),
    (['--loss', 'ranking', '--set', 'regions=3'], '--set regions: has no effect'),
    (['--set', 'head=frozen', '--set', 'head_lr=1'], '--set head_lr: has no effect'),
    (['--set', 'head=frozen', '--maps', 'kept'], '--maps kept'), (['--seed', '-1'], '--seed -1: must be from 0'),
    (['--workers', '9999'], '--workers 9999: must be'), (['--device', 'cuda:99'], '--device cuda:99'),
])
def test_what_has_no_effect_or_cannot_be_is_one_line(arguments: list[str], said: str, tmp_path: Path,
                                                     small_benchmark: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr('harness.embedded.known.load_embedded', lambda name, part: load_embedded(name))
    monkeypatch.chdir(tmp_path)
    assert command_line(['train', 'ref-nms', *arguments]) == 2
    line = capsys.readouterr().err
    assert said in line and line.count('\n') == 1
    assert not list(tmp_path.glob('results'))


BAD = ['', 'abc', 'nan', '-inf', '1e308', '[1]', '{}', '-1', '1' * 401, '9' * 5000, 'None', '\0', 'a\nb', '\x1b[2J',
       '²']


@pytest.mark.parametrize('name', RELEASED['binary'].flat)
def test_every_option_has_a_type_and_a_range(name: str) -> None:
    for value in BAD:
        with pytest.raises(InputError) as refused:
            with_settings(RELEASED['binary'], [f'{name}={value}'])
        message = str(refused.value)
        assert message.startswith(f'--set {name}=') and 'must be' in message
        assert message.isprintable() and len(message) < 300


@pytest.mark.parametrize('name, default', RELEASED['ranking'].flat.items())
def test_every_option_takes_its_own_default(name: str, default: object) -> None:
    assert with_settings(RELEASED['ranking'], [f'{name}={default}']) == RELEASED['ranking']


@pytest.mark.parametrize('setting', ['delta_step=0', 'delta_step=1e-9', 'hidden=1000000000', 'lr=0', 'factor=1',
                                     'delta=1.5', 'att_dropout=2'])
def test_what_would_never_end_or_not_fit_is_out_of_range(setting: str) -> None:
    with pytest.raises(InputError, match='must be'):
        with_settings(RELEASED['binary'], [setting])


def test_a_name_that_is_no_option_is_no_change() -> None:
    with pytest.raises(TypeError, match='no option is called epohcs'):
        RELEASED['binary'].changed(epohcs=3)


@pytest.mark.parametrize('more, said', [
    (('--set', 'hiden=4'), 'did you mean hidden'),
    (('--set', 'schedule=steep'), "'plateau', 'cosine' or 'constant'"),
    (('--set', 'batch_size=0'), 'greater than or equal to 1'),
    (('--set', 'batch_size=500'), 'take a smaller batch'),
    (('--set', 'relu=perhaps'), 'True or False'),
    (('--set', 'loss=ranking'), '--loss'),
    (('--workers', '2'), '--maps kept'),
    (('--checkpoint-every', '0'), 'from 1 to'),
    (('--weights', 'cmae=x'), 'takes only a detector'),
    (('--weights', 'detector=nowhere.safetensors'), 'no such weight file'),
    (('--weights', 'detector=a', '--weights', 'detector=b'), '--weights detector: given twice; give one file'),
    (('--set', 'hidden=4', '--set', 'hidden=8'), '--set hidden: given twice'),
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
    assert 'of 3 are missing' in capsys.readouterr().err


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


def test_the_shipped_weights_are_named_after_their_options() -> None:
    assert {name: options.weights for name, options in REF_NMS.items()} == {name: name for name in REF_NMS}
    assert [name for name, options in REF_NMS.items() if options.head == 'frozen'] == ['ref-nms-blind']
