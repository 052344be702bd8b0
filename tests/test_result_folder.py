"""A folder for results: taken when it is empty, and gone again where nothing comes of the work in it."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.detection.source import FromPictures
from harness.errors import InputError
from harness.evaluation import prepare
from harness.evaluation.result_folder import new_folder, result_folder
from harness.studies import main
from harness.studies.seeds import Entrant, Study


def test_what_fails_before_anything_is_written_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / 'a/b') as out:
        (out / 'rows.jsonl').touch()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_and_what_was_written_stay(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    for name, text in (('empty', ''), ('rows', 'a row')):
        with pytest.raises(InputError, match='later'), new_folder(tmp_path / name) as out:
            (out / 'rows.jsonl').write_text(text)
            raise InputError('later')
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')) == ['empty', 'rows',
                                                                                      'rows/rows.jsonl']
    with pytest.raises(InputError, match='holds other files'), new_folder(tmp_path / 'rows'):
        pytest.fail('it was taken')


def test_an_earlier_run_is_back_where_the_new_folder_cannot_be_made(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/predictions.jsonl').write_text('a row')

    def full(*_: object, **__: object) -> None:
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(Path, 'mkdir', full)
    with pytest.raises(InputError, match='No space left'), result_folder(tmp_path / 'run', print):
        pytest.fail('it was made')
    assert [path.name for path in tmp_path.iterdir()] == ['run']


@pytest.fixture
def blind(small_benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image fails, once it was found to be there."""
    def fails(*_: object) -> None:
        raise InputError('no picture')
    monkeypatch.setattr(prepare, 'check_images', lambda *_: None)
    monkeypatch.setattr(FromPictures, 'read', fails)


@pytest.mark.parametrize('study', ['number', 'fair'])
@pytest.mark.usefixtures('blind')
def test_a_study_whose_every_image_fails_leaves_nothing(study: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match='none of the images could be read'):
        main([study, '--proposals', 'greedy', '--out', str(tmp_path / 'new/out')])
    assert not list(tmp_path.iterdir())


def test_a_study_whose_run_alone_fails_leaves_nothing(small_benchmark: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.studies import fair

    def fails(*_: object) -> None:
        raise InputError('none of the images could be read')
    monkeypatch.setattr(fair, 'run', fails)
    with pytest.raises(InputError, match='none of the images'):
        main(['fair', '--proposals', 'greedy', '--split', 'val', '--out', str(tmp_path / 'new/out')])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('small_benchmark')
def test_a_study_of_what_is_not_known_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.studies import gamma

    def fails(*_: object) -> None:
        raise InputError('needs the truth of generated scenes')
    monkeypatch.setattr(gamma, 'choose_gamma', fails)
    with pytest.raises(InputError, match='generated scenes'):
        main(['gamma', '--out', str(tmp_path / 'new/out')])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('blind')
def test_the_seeds_runs_whose_every_image_fails_leave_nothing(tmp_path: Path) -> None:
    study = Study('mini-refcoco', [1], ['ref-nms-b'], [], [], None, tmp_path / 'out', tmp_path / 'work')
    with pytest.raises(InputError, match='none of the images could be read'):
        study.evaluated(Entrant('greedy', 'greedy', 'greedy', None))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_taken_is_refused_before_a_study_begins(tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('years of work')
    with pytest.raises(InputError, match='holds other files'):
        main(['number', 'no/such/run', '--out', str(tmp_path)])
