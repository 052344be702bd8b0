"""The declared rows of a run's files: a reader takes some fields, and these alone are checked."""
from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from harness.data.rows import PredictionRow, read_rows
from harness.errors import InputError
from tests.prediction_files import ROW, row, write


def test_the_declaration_has_every_field_of_a_row() -> None:
    of_answers = {'answer', 'answer_why', 'answer_boxes'}
    assert set(PredictionRow.__annotations__) == {*ROW, 'context_ann_ids', *of_answers}


def test_a_reader_gets_the_fields_that_it_names_with_the_number_of_the_line(tmp_path: Path) -> None:
    file = write(tmp_path / 'p.jsonl', [row(sent_id=1, iou='no number'), row(sent_id=2)])
    file.write_text('\n' + file.read_text())
    assert list(read_rows(file, PredictionRow, 'sent_id', 'box')) == [
        (2, {'sent_id': 1, 'box': [10, 10, 20, 20]}), (3, {'sent_id': 2, 'box': [10, 10, 20, 20]})]


@pytest.mark.parametrize(('line', 'said'), [
    (json.dumps(row(iou='1')), "is no row of a run: 'iou' must be a number, not text"),
    (json.dumps(row(iou=1.5)), "'iou' must be"), ('{"sent_id": 1}', "has no 'iou'"), ('[]', 'is no record'),
    ('{"sent_id": 1, "iou": NaN}', 'is not valid JSON (NaN is no number)'), ('{', 'is not valid JSON')])
def test_another_row_is_refused_in_one_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / 'p.jsonl').write_text(json.dumps(ROW) + '\n' + line)
    with pytest.raises(InputError) as error:
        list(read_rows(tmp_path / 'p.jsonl', PredictionRow, 'sent_id', 'iou'))
    assert str(error.value).startswith(f'{tmp_path / "p.jsonl"}: line 2: ') and said in str(error.value)
    assert '\n' not in str(error.value)


def test_a_file_is_read_a_line_at_a_time(tmp_path: Path) -> None:
    file = write(tmp_path / 'p.jsonl', [row(sent_id=n, sent='a' * 10_000) for n in range(300)])
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(file, PredictionRow, 'sent_id')) == 300
        assert tracemalloc.get_traced_memory()[1] < file.stat().st_size / 3
    finally:
        tracemalloc.stop()


def test_a_packed_file_has_the_same_rows(tmp_path: Path) -> None:
    file = write(tmp_path / 'p.jsonl', [row(sent_id=n) for n in range(3)])
    packed = tmp_path / 'p.jsonl.gz'
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert list(read_rows(packed, PredictionRow, 'sent_id')) == list(read_rows(file, PredictionRow, 'sent_id'))


def test_an_archive_and_a_file_that_is_not_there_are_said_so(tmp_path: Path) -> None:
    (tmp_path / 'p.xz').write_bytes(b'\xfd7zXZ\x00')
    for name, said in (('p.xz', 'is packed by xz'), ('none.jsonl', 'there is no such file')):
        with pytest.raises(InputError, match=said):
            list(read_rows(tmp_path / name, PredictionRow, 'sent_id'))
