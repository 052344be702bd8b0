"""JSON record by record: the same records as by the whole file, in the memory of one."""
from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.files.json_stream import Beginning, beginning, records

VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                      | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('json')


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), VALUES), max_size=4), before=VALUES, indent=st.none() | st.just(1))
def test_the_records_of_any_list_are_those_of_the_whole_file(folder, rows, before, indent):
    (folder / 'list.json').write_text(json.dumps(rows, indent=indent))
    assert [row for _, row in records(folder / 'list.json', 'list')] == rows
    (folder / 'lists.json').write_text(json.dumps({'info': before, 'images': [before], 'rows': rows}, indent=indent))
    assert [row for _, row in records(folder / 'lists.json', 'lists', 'rows')] == rows
    (folder / 'lines.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    assert [row for _, row in records(folder / 'lines.jsonl', 'lines')] == rows


def test_where_a_record_stands(tmp_path: Path) -> None:
    for name, text, layout, key, where in (('a', '[1, 2]', 'list', '', 'row 2'),
                                           ('b', '1\n\n2\n', 'lines', '', 'line 3'),
                                           ('c', '{"x": [1, 2]}', 'lists', 'x', 'x[1]')):
        (tmp_path / name).write_text(text)
        assert [place for place, _ in records(tmp_path / name, layout, key)][1] == f'{tmp_path / name}: {where}'


@pytest.mark.parametrize('text, found', [
    ('[{"a": 1}, {"b": 2}]', [Beginning('list', {'': {'a': 1}})]),
    (' []', [Beginning('list', {'': None})]),
    ('{"a": 1}\n{"a": 2}\n', [Beginning('lines', {'': {'a': 1}})]),
    ('{"info": {}, "images": [{"id": 1}, 2], "none": []}', [
        Beginning('lines', {'': {'info': {}, 'images': [{'id': 1}, 2], 'none': []}}),
        Beginning('lists', {'images': {'id': 1}})]),
    ('\ufeff[1]', [Beginning('list', {'': 1})]),
    ('a\tb\n', []), ('', []), ('[{"a": ', []), ('[NaN]', []),
])
def test_what_a_file_is_by_its_beginning(tmp_path: Path, text: str, found: list[Beginning]) -> None:
    (tmp_path / 'file').write_text(text)
    assert beginning(tmp_path / 'file') == found


def test_a_beginning_is_enough_of_a_long_file(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('{"images": [{"id": 1}' + ', {"id": 22222}' * 200_000 + '], "more": [3]}')
    assert beginning(tmp_path / 'file') == [Beginning('lists', {'images': {'id': 1}})]


@pytest.mark.parametrize('text, what', [
    ('[{"a": 1}', 'is missing'), ('[{"a": 1}] 2', 'more stands after its list'), ('[1, NaN]', 'NaN is no number'),
    ('[1, {"a": tru]', 'Expecting value'), ('[1 2]', 'is missing'), ('[' * 100_000, 'nested too deeply'),
    ('[1' + '0' * 5000 + ']', 'is not valid JSON'), ('["a', 'Unterminated string'),
])
def test_what_is_no_json_is_one_line(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / 'file').write_text(text)
    with pytest.raises(InputError, match=f'^{tmp_path}/file: .*{what}'):
        list(records(tmp_path / 'file', 'list'))


def test_other_bytes_than_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(b'["\xff\xff"]')
    with pytest.raises(InputError, match='is not UTF-8 text'):
        list(records(tmp_path / 'file', 'list'))


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('{"a": [1], "b": {}}')
    with pytest.raises(InputError, match="has no 'images'"):
        list(records(tmp_path / 'file', 'lists', 'images'))


def test_a_packed_file_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / 'file.gz').write_bytes(gzip.compress(b'[{"a": 1}]'))
    assert [row for _, row in records(tmp_path / 'file.gz', 'list')] == [{'a': 1}]


def test_a_long_file_takes_the_memory_of_one_record(tmp_path: Path) -> None:
    with (tmp_path / 'file').open('w') as file:
        file.write('[' + ', '.join(json.dumps({'picture': 'x' * 100_000}) for _ in range(300)) + ']')
    tracemalloc.start()
    assert sum(1 for _ in records(tmp_path / 'file', 'list')) == 300
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()
