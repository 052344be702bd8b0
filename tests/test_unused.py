"""What somebody asks for counts, or is refused with what would: before anything is written."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

import adapters.modular.cmae  # noqa: F401 (registers its grounder)
from harness.commands.show import main as show
from harness.commands.training_request import TrainingRequest
from harness.errors import InputError
from harness.evaluation.unused import EFFECTS, refuse_unused
from run_benchmark import command_line

LOOK = ('--dataset', 'mini-refcoco', '--split', 'val', '--limit', '1', '--proposals', 'greedy')
B = ('--dataset', 'mini-refcoco', '--split', 'val', '--limit', '1', '--proposals', 'ref-nms-b')


def refused(arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture) -> str:
    """The line that a command is refused with; nothing is written."""
    assert command_line([*arguments, '--out', str(folder / 'out')]) == 2
    assert not (folder / 'out').exists()
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith('error: ')] == lines[-1:]
    return lines[-1]


@pytest.mark.parametrize(('arguments', 'said'), [
    ((*LOOK, '--weights', 'cmea=/no/such/file'), '--weights cmea: nothing in this run takes weights of that name, did '
                                                 'you mean cmae?; it takes cmae, detector'),
    ((*B, '--weights', 'ref-nms=/no/such/file'), '--weights ref-nms: is a name for convert only; write --weights '
                                                 'ref-nms-b=FILE'),
    ((*LOOK, '--weights', 'mask-rcnn=/no/such/file'), 'write --weights detector=FILE'),
    ((*LOOK, '--weights', 'nmtree=/no/such/file'), '--weights nmtree: nothing in this run takes'),
    ((*LOOK, '--weights', 'cmae=a', '--weights', 'cmae=b'), '--weights cmae: given twice'),
    ((*LOOK, '--set', 'ref-nms-b.threshold=0.2'), '--set ref-nms-b.…: this run does not use ref-nms-b'),
    ((*LOOK, '--set', 'greedy-100.top=9'), 'did you mean greedy?'),
    ((*LOOK, '--set', 'chance.seed=1'), '--set chance.…: this run does not use chance'),
    ((*LOOK, '--set', 'greedy.step=0.1', '--set', 'greedy.step=0.2'), '--set greedy.step: given twice'),
    ((*LOOK, '--task', 'rec', '--set', 'critical-objects.gamma=0.3'), 'this run looks for no contextual objects'),
    ((*LOOK, '--task', 'rec', '--vectors', 'none.txt'), '--vectors: has no effect on this run'),
    ((*LOOK, '--task', 'recall', '--grounder', 'cmae'), '--grounder: --task recall uses no grounder'),
    ((*LOOK, '--grounder', 'none,cmae'), '--grounder none: means that only recall is measured'),
    (('--dataset', 'mini-refcoco,mini-refcocog', '--split', 'testB'), '--dataset mini-refcocog: has none of'),
    ((*LOOK, '--list'), '--dataset: --list runs nothing'),
    ((*LOOK[:4], '--predictions', 'p.json', '--set', 'greedy.step=0.2'), '--set: has no effect on judging'),
    ((*LOOK[:4], '--predictions', 'p.json', '--weights', 'cmae=a'), '--weights: has no effect on judging'),
    ((*LOOK[:4], '--predictions', 'p.json', '--seed', '7'), '--seed: has no effect on judging'),
    ((*LOOK, '--seed', '-1'), '--seed -1: must be from 0'),
])
def test_an_option_without_effect_is_refused(arguments: tuple[str, ...], said: str, small_benchmark: Path,
                                             tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert said in refused(arguments, tmp_path, capsys)


def test_options_of_images_without_effect_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    row = {'dataset': 'd', 'split': 'val', 'image_id': 7, 'height': 9, 'width': 9, 'bbox': [1, 1, 4, 4], 'sent': 'cup'}
    (tmp_path / 'e.jsonl').write_text(json.dumps(row))
    (tmp_path / 'c.json').write_text('{"7": [[1, 1, 4, 4]]}')
    boxes = ('--expressions', str(tmp_path / 'e.jsonl'), '--candidates', str(tmp_path / 'c.json'))
    for option in ('--features', '--data-root'):
        (tmp_path / 'h5').mkdir(exist_ok=True)
        (tmp_path / 'h5/7.h5').touch()
        assert f'{option}: has no effect' in refused((*boxes, option, str(tmp_path / 'h5')), tmp_path, capsys)
    assert '--weights detector: nothing in this run takes weights of that name; it takes none at all' in refused(
        (*boxes, '--weights', 'detector=none'), tmp_path, capsys)
    assert '--vectors: has no effect' in refused((*boxes, '--vectors', 'none'), tmp_path, capsys)


def test_a_root_of_real_datasets_is_not_for_embedded_ones(small_benchmark: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'refcoco').mkdir()
    assert '--data-root: has no effect on this run' in refused((*LOOK, '--data-root', str(tmp_path)), tmp_path, capsys)


@pytest.mark.parametrize('option', EFFECTS)
def test_what_was_not_given_or_counts_is_no_fault(option: str) -> None:
    for given, has_effect in ((None, False), (None, True), ('x', True)):
        refuse_unused((), (), (), (), {option: (given, has_effect)})
    with pytest.raises(InputError, match=f'{option}: has no effect on this run: .*; leave it out'):
        refuse_unused((), (), (), (), {option: ('x', False)})


@pytest.mark.parametrize(('options', 'said'), [
    (('--weights', 'cmea=x'), 'did you mean cmae'), (('--weights', 'ref-nms=x'), 'write --weights ref-nms-b=FILE'),
    (('--set', 'greedy.step=0.2'), 'this run does not use greedy')])
def test_show_refuses_it_too(options: tuple[str, ...], said: str, small_benchmark: Path, tmp_path: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = sorted((small_benchmark / 'images/train2014').iterdir())[0]
    with pytest.raises(InputError, match=said):
        show([str(picture), 'cup', *options])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('command', [
    (), ('show', 'a.png', 'cup'), ('study', 'number'), ('study', 'fair', '--proposals', 'ref-nms-b'),
    ('train', 'ref-nms')], ids=lambda command: ' '.join(command[:2]) or 'run')
def test_weights_of_one_name_are_given_once_whatever_the_command(command: tuple[str, ...], small_benchmark: Path,
                                                                 tmp_path: Path, capsys: pytest.CaptureFixture,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingRequest, 'datasets', lambda _: (None, None))
    two = ('--weights', 'detector=/no/such/a', '--weights', 'detector=/no/such/b')
    out = tmp_path / ('out.png' if 'show' in command else 'out')
    assert command_line([*command, *two, '--out', str(out)]) == 2
    assert '--weights detector: given twice; give one file' in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('options', 'said'), [
    (('--as', 'mask-rcnn', '--vocabulary', 'words.json'), '--vocabulary: a detector has no words'),
    (('--as', 'cmae', '--vocabulary', 'words.json', '--vectors', 'v.npy'), '--vectors: belongs to the words of'),
    (('--as', 'ref-nms', '--vectors', 'v.npy'), 'give --vocabulary too'),
])
def test_convert_refuses_words_that_have_no_place(options: tuple[str, ...], said: str,
                                                  capsys: pytest.CaptureFixture) -> None:
    assert command_line(['convert', 'none.pth', 'out.safetensors', *options]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(('options', 'said'), [
    (('ctxdb', '--proposals', 'greedy'), '--proposals: has no effect on --as ctxdb'),
    (('ctxdb', '--tid', '1'), '--tid: has no effect on --as ctxdb'),
    (('matt-dets', '--grounder', 'cmae'), '--grounder: has no effect on --as matt-dets'),
    (('results', '--json'), '--json: has no effect on --as results'),
    (('proposals', '--data-root', '.'), '--data-root: has no effect on --as proposals'),
])
def test_export_refuses_what_does_not_shape_its_files(options: tuple[str, ...], said: str,
                                                      capsys: pytest.CaptureFixture) -> None:
    assert command_line(['export', 'none', '--as', *options]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_show_refuses_whose_weights_where_none_are_taken(small_benchmark: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    picture = next((small_benchmark / 'images/train2014').iterdir())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match='--dataset-weights mini-refcocog: has no effect, since --weights'):
        show([str(picture), 'cup', '--grounder', 'chance', '--proposals', 'greedy', '--dataset-weights',
              'mini-refcocog'])
    assert not list(tmp_path.iterdir())
