"""A file is there whole or not at all, and what a disk refuses is told in one line or passed on."""
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.files.writing import replacing, write_text


def test_a_file_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / 'a.json'
    path.write_text('old')
    with replacing(path) as beside:
        beside.write_text('new')
        assert path.read_text() == 'old' and beside == tmp_path / 'a.json.part'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError, OSError])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(error), replacing(path, ending='.part7') as beside:
        beside.write_text('ne')
        raise error
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('advice, where, told', [
    ('ask', None, '{}: cannot be written (No such file or directory); ask'),
    ('', '-o there', '-o there: cannot be written (No such file or directory)'),
])
def test_a_refusal_is_told_in_one_line(tmp_path: Path, advice: str, where: str | None, told: str) -> None:
    path = tmp_path / 'nowhere' / 'a.json'
    with pytest.raises(InputError) as error:
        write_text(path, 'text', advice, where)
    assert str(error.value) == told.format(path)


def test_without_advice_the_error_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / 'nowhere' / 'a.json', 'text', advice=None)


def test_a_folder_in_the_way_of_the_file_beside_is_told_and_stays(tmp_path: Path) -> None:
    (tmp_path / 'a.json.part').mkdir()
    with pytest.raises(InputError, match='a.json: cannot be written'):
        write_text(tmp_path / 'a.json', 'text')
    assert (tmp_path / 'a.json.part').is_dir()
