"""What shaped something, kept beside it: what differs is told, and code counts by its meaning."""
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.files import fingerprint
from harness.files.fingerprint import FILE, check, code_of, differences, flat, keep, listed, read, short

values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                   st.text(max_size=5),
                   st.lists(st.integers(), max_size=3))
records = st.dictionaries(st.text('abc', min_size=1, max_size=2), values, max_size=5)


def test_a_difference_is_told_by_its_name_and_both_values() -> None:
    kept = {'lr': 5e-4, 'seed': 1, 'data': 'a' * 64, 'old': True}
    now = {'lr': 0.5, 'seed': 1, 'data': 'b' * 64, 'new': None}
    assert differences(kept, now) == ['lr was 0.0005, is 0.5', f'data was {"a" * 12}, is {"b" * 12}',
                                      'new was not there, is None', 'old was True, is not there']


def test_nested_options_have_dotted_names() -> None:
    assert flat({'a': {'b': {'c': 1}, 'd': (2, 3)}, 'e': Path('x')}) == {'a.b.c': 1, 'a.d': [2, 3], 'e': 'x'}


def test_the_first_three_are_told_and_the_others_counted() -> None:
    assert listed(['a', 'b', 'c']) == 'a; b; c'
    assert listed(['a', 'b', 'c', 'd', 'e']) == 'a; b; c and 2 more'


def test_what_is_told_of_a_strange_value_is_short_and_printable() -> None:
    line, = differences({'a': 'x' * 1000 + '\n'}, {'a': '\x1b[2J'})
    assert len(line) < 300 and line.isprintable()


@given(records, records)
def test_records_are_told_apart_if_and_only_if_they_differ(one: dict, other: dict) -> None:
    same = flat(one) == flat(other)
    assert (differences(one, other) == []) is same
    assert differences(one, one) == []
    if short(one) == short(other):
        assert same


@given(records)
def test_a_record_is_read_as_it_was_kept(tmp_path_factory: pytest.TempPathFactory, record: dict) -> None:
    folder = tmp_path_factory.mktemp('kept')
    keep(folder, record)
    assert differences(read(folder) or {}, record) == []
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_another_record_is_refused_with_what_differs_and_what_to_do(tmp_path: Path) -> None:
    keep(tmp_path, {'lr': 0.1, 'epochs': 3, 'steps': 9})
    check(tmp_path, {'lr': 0.1, 'epochs': 3}, 'go away')
    with pytest.raises(InputError) as refused:
        check(tmp_path, {'lr': 0.2, 'epochs': 3}, 'go away')
    assert str(refused.value) == (f'{tmp_path}: was made with other options, data or code: lr was 0.1, is 0.2; '
                                  'go away')


def test_a_folder_without_a_record_is_not_trusted(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    with pytest.raises(InputError, match='nothing in it says what shaped it, an older version .*; go away'):
        check(tmp_path, {'lr': 0.2}, 'go away')
    for content in ('[]', '{"lr": 0.2', '\0'):
        (tmp_path / FILE).write_text(content)
        with pytest.raises(InputError, match=FILE) as refused:
            check(tmp_path, {'lr': 0.2}, 'go away')
        assert '\n' not in str(refused.value)


# ------------------------------------------------------------------------------------------ code

SOURCE = '''"""What it is for."""
import os
from harness.other import helped

def double(x):
    """Twice."""
    return 2 * helped(x)  # a comment
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three modules, of which the first imports the second."""
    monkeypatch.setattr(fingerprint, '_ROOT', tmp_path)
    (tmp_path / 'harness').mkdir()
    (tmp_path / 'harness/errors.py').write_text('class InputError(Exception): ...\n')
    (tmp_path / 'harness/first.py').write_text(SOURCE)
    (tmp_path / 'harness/other.py').write_text('from harness import errors\nhelped = abs\n')
    (tmp_path / 'harness/third.py').write_text('a = 1\n')
    return tmp_path / 'harness'


def code(*modules: str) -> str:
    code_of.cache_clear()
    return code_of(*modules)


@pytest.mark.parametrize('file, before, after, changed', [
    ('first', '2 *', '3 *', True), ('first', '# a comment', '# another', False), ('first', 'Twice', 'Once', False),
    ('first', 'What it is for', 'Else', False), ('other', 'abs', 'min', True), ('third', '1', '2', False),
    ('errors', 'Exception', 'ValueError', False)])
def test_code_is_known_by_what_it_and_its_imports_do(project: Path, file: str, before: str, after: str,
                                                     changed: bool) -> None:
    first, path = code('harness.first'), project / f'{file}.py'
    path.write_text(path.read_text().replace(before, after))
    assert (code('harness.first') != first) is changed


def test_what_is_named_counts_even_where_it_only_reports(project: Path) -> None:
    first = code('harness.first', 'harness.errors')
    (project / 'errors.py').write_text('class InputError(ValueError): ...\n')
    assert code('harness.first', 'harness.errors') != first


def test_every_module_that_a_training_names_is_there() -> None:
    """A name that is misspelt, or of a module that has moved, would go unnoticed."""
    from harness.studies.seeds import CODE
    from harness.training.ref_nms.records import DETECTING
    named = [*CODE, *DETECTING, 'harness.training.ref_nms.training', 'harness.training.runner',
             'harness.training.resuming', 'harness.training.ref_nms.image_regions', 'harness.training.grounder',
             'harness.training.features']
    assert [name for name in named if fingerprint._file_of(name) is None] == []


def test_every_detector_s_config_is_part_of_the_code_of_detecting() -> None:
    from harness.detection.detector import CONFIGS
    from harness.training.ref_nms.records import DETECTING
    configs = {f'harness.detection.configs.{path.stem}' for path in CONFIGS.glob('*.py') if path.stem != '__init__'}
    assert configs == {name for name in DETECTING if '.configs.' in name}
