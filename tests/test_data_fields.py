"""What is taken from a stranger's record is printable where it is a name, and finite where it is a number."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.originals.detections import read_detections
from adapters.originals.outside import read_expressions
from harness.data.plain import load_expressions
from harness.data.refer import load_refer
from harness.errors import InputError
from harness.files import fields

CONTROL = ['a\nb', 'a\x00', '\x1b[31ma', 'a\rb', 'a\tb', 'a\x85', 'a\u2028b', '\u202ea', ' ', '', 'a' * 256]


def refused(record: Any, key: str, take: Any, *complaints: str) -> None:
    with pytest.raises(InputError) as error:
        take(record, key, 'f.json: row 1')
    assert str(error.value).startswith(f'f.json: row 1: {key!r} ') and str(error.value).isprintable()
    assert any(complaint in str(error.value) for complaint in complaints)


@given(st.text(max_size=300))
def test_a_name_is_one_printable_line(text: str) -> None:
    try:
        name = fields.name({'x': text}, 'x', 'f')
    except InputError:
        assert not text.isprintable() or not text.strip() or len(text) > 255
    else:
        assert name == text and name.isprintable() and name.strip()


@pytest.mark.parametrize('text', CONTROL)
def test_names_that_are_none(text: str) -> None:
    refused({'x': text}, 'x', fields.name, 'cannot be printed', 'is empty', 'is 256 characters long')


@pytest.mark.parametrize('text', ['../a', 'a/b', '..', '.', 'a\\b', '/etc/passwd', 'a\x00b'])
def test_a_file_s_name_leads_nowhere_else(text: str) -> None:
    refused({'x': text}, 'x', fields.file_name, 'must be a bare name', 'cannot be printed')
    assert fields.file_name({'x': 'COCO_train2014_1.jpg'}, 'x', 'f') == 'COCO_train2014_1.jpg'


@pytest.mark.parametrize('value', [10**400, -10**400, float('inf'), float('nan'), np.float32('inf'), '1', None, True])
def test_numbers_that_are_none(value: Any) -> None:
    refused({'x': value}, 'x', fields.number, 'must be a finite number')


@given(st.integers(-10**15, 10**15) | st.floats(-1e299, 1e299))
def test_a_number_is_itself(value: float) -> None:
    assert fields.number({'x': value}, 'x', 'f') == value


class TestEveryFileOfNames:
    @pytest.mark.parametrize('field', ['dataset', 'split'])
    def test_expressions(self, field: str, tmp_path: Path) -> None:
        row = {'dataset': 'mine', 'split': 'val', 'image_id': 7, 'height': 9, 'width': 9, 'bbox': [1, 1, 2, 2],
               'sent': 'cup', field: 'a\nb'}
        (tmp_path / 'e.jsonl').write_text(json.dumps(row))
        with pytest.raises(InputError, match=rf"e\.jsonl: line 1: '{field}' holds a line feed"):
            load_expressions(tmp_path / 'e.jsonl')

    def test_refs(self, tmp_path: Path) -> None:
        (tmp_path / 'mine').mkdir()
        (tmp_path / 'mine/refs(me).json').write_text(json.dumps([
            {'ref_id': 1, 'ann_id': 1, 'image_id': 7, 'split': 'val\n', 'sentences': []}]))
        (tmp_path / 'mine/instances.json').write_text(json.dumps({
            'images': [{'id': 7, 'height': 9, 'width': 9, 'file_name': '7.jpg'}], 'annotations': [
                {'id': 1, 'image_id': 7, 'category_id': 1, 'bbox': [1, 1, 2, 2]}],
            'categories': [{'id': 1, 'name': 'cup'}]}))
        with pytest.raises(InputError, match=r"refs\(me\)\.json: refs\[0\]: 'split' holds a line feed"):
            load_refer(tmp_path, 'mine', 'me')

    @pytest.mark.parametrize('field', ['category_name', 'split'])
    def test_detections(self, field: str, tmp_path: Path) -> None:
        row = {'det_id': 1, 'h5_id': 1, 'ref_id': 1, 'sent_id': 1, 'image_id': 7, 'box': [1, 1, 2, 2],
               'category_id': 1, 'category_name': 'dog', 'split': 'val', field: 'a\x1b'}
        (tmp_path / 'd.json').write_text(json.dumps([row]))
        with pytest.raises(InputError, match=rf"d\.json: detection 0: '{field}' holds a line feed"):
            read_detections(tmp_path / 'd.json')

    @pytest.mark.parametrize('name', ['../../a_unc', 'a\x00_unc', '/a_unc'])
    def test_a_refdb_whose_vocabulary_is_elsewhere(self, name: str, tmp_path: Path) -> None:
        (tmp_path / 'std_refdb_a_unc.json').write_text(json.dumps({'dataset_splitby': name, 'val': []}))
        with pytest.raises(InputError, match=r"std_refdb_a_unc\.json: 'dataset_splitby' "):
            read_expressions(tmp_path / 'std_refdb_a_unc.json', None)
