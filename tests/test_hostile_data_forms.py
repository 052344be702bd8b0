"""Hostile files given as data: each is refused in one line, nothing in it runs, and none takes the memory."""
from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.assembly.datasets import load_data
from harness.data.assembly.samples import samples
from harness.errors import InputError
from harness.files.parquet import columns, rows
from harness.files.parquet_pages import extent
from tests.hostile import SYSTEM, zipped
from tests.parquet_files import IMAGE, jxu124, kangheng, lmms_lab, refcoco_m, written

pytestmark = pytest.mark.usefixtures('nothing_runs')


def refused(path: Path, **how: Any) -> str:
    """The one line that a file given as data is refused with."""
    with pytest.raises(InputError) as error:
        load_data([path], **how)
    message = str(error.value)
    assert str(path) in message and len(message.splitlines()) == 1 and len(message) < 600
    return message


class TestDamagedParquet:
    """Bytes that are lost or turned: a line, or rows; never a traceback, never the end of the process."""

    def test_cut_short_anywhere(self, tmp_path: Path) -> None:
        whole, path = lmms_lab(tmp_path / 'whole.parquet').read_bytes(), tmp_path / 'cut.parquet'
        for length in (4, 5, 8, 11, 12, 100, len(whole) // 2, len(whole) - 8, len(whole) - 1):
            path.write_bytes(whole[:length])
            assert 'is a damaged parquet file' in refused(path)

    @pytest.mark.parametrize('write', [lmms_lab, jxu124, kangheng, refcoco_m])
    @pytest.mark.parametrize('seed', range(4))
    def test_bytes_that_are_turned(self, tmp_path: Path, write: Any, seed: int) -> None:
        whole, draw = write(tmp_path / 'whole.parquet').read_bytes(), random.Random(seed)
        footer = len(whole) - 8 - struct.unpack('<I', whole[-8:-4])[0]
        for _ in range(25):
            turned = bytearray(whole)
            for _ in range(draw.choice((1, 1, 3, 8))):
                at = draw.randrange(4, footer) if draw.random() < 0.5 else draw.randrange(footer, len(whole))
                turned[at] = draw.randrange(256)
            (tmp_path / 'turned.parquet').write_bytes(turned)
            try:
                for dataset in load_data([tmp_path / 'turned.parquet'], boxes='xywh').values():
                    assert dataset.expressions
            except InputError as error:
                assert len(str(error).splitlines()) == 1

    def test_zeros(self, tmp_path: Path) -> None:
        (tmp_path / 'a').write_bytes(b'PAR1' + bytes(1000))
        assert 'is a damaged parquet file' in refused(tmp_path / 'a')
        (tmp_path / 'a').write_bytes(b'PAR1' + bytes(1000) + b'\xff\xff\xff\x7fPAR1')
        assert 'is a damaged parquet file' in refused(tmp_path / 'a')

    def test_encrypted(self, tmp_path: Path) -> None:
        (tmp_path / 'a').write_bytes(b'PARE' + bytes(1000) + b'PARE')
        assert refused(tmp_path / 'a') == f'{tmp_path}/a: is an encrypted parquet file; decrypt it first'


class TestParquetThatUnpacksToMore:
    """Files of some kilobytes that would take gigabytes."""

    def test_values_without_end_in_a_row(self, tmp_path: Path) -> None:
        endless = pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), pa.array(np.zeros(20_000_000, 'f4')))
        pq.write_table(pa.table({'bbox': endless}), tmp_path / 'a', compression='zstd')
        with pytest.raises(InputError, match=r"column 'bbox.list.element' unpacks to more than any data do \(.*"
                                             r'20,000,001 values in one group of rows\); if you trust it, write it'):
            list(rows(tmp_path / 'a', {'bbox': ['number']}))

    def test_one_word_named_without_end(self, tmp_path: Path) -> None:
        words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, 'i4')), ['x' * 1_000_000])
        named = pa.ListArray.from_arrays(pa.array([0, 100_000], pa.int32()), words)
        pq.write_table(pa.table({'answer': named}), tmp_path / 'a', store_schema=False)
        with pytest.raises(InputError, match='a row of it has 95,.* MiB, no data have'):
            list(rows(tmp_path / 'a', {'answer': ['text']}))

    def test_one_word_in_every_row(self, tmp_path: Path) -> None:
        words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, 'i4')), ['x' * 1_000_000])
        pq.write_table(pa.table({'answer': words}), tmp_path / 'a', store_schema=False)
        with pytest.raises(InputError, match='its columns answer unpack to more than 768 MiB, no data have'):
            for _ in rows(tmp_path / 'a', {'answer': 'text'}):
                pass

    def test_a_page_of_gigabytes(self, tmp_path: Path) -> None:
        path = written(tmp_path / 'a', [{'question': 'man'}], compression='zstd', use_dictionary=False)
        data = bytearray(path.read_bytes())
        # the head of the page: 2-byte type, then the unpacked size, a varint of one byte for 7 bytes
        assert data[4:6] == b'\x15\x00' and data[6] == 0x15
        data[6:8] = b'\x15' + bytes([0x80 | data[7] & 0x7f]) + b'\xff\xff\xff\x0f'
        path.write_bytes(data)
        with pytest.raises(InputError):
            list(rows(path, {'question': 'text'}))

    def test_what_is_not_wanted_is_not_unpacked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('harness.files.parquet._PAGE', 1 << 20)
        path = written(tmp_path / 'a', [{'question': 'man', 'more': 'x' * 3_000_000}], compression='zstd')
        assert [row for _, row in rows(path, {'question': 'text'})] == [{'question': 'man'}]
        with pytest.raises(InputError, match="column 'more' unpacks to more"):
            list(rows(path, {'more': 'text'}))

    @given(data=st.binary(max_size=40), length=st.integers(0, 60))
    def test_heads_of_pages_that_are_none(self, data: bytes, length: int) -> None:
        with suppress(ValueError):
            assert extent(io.BytesIO(data), 0, length).largest >= 0


class TestOtherShapes:
    def test_types_within_types(self, tmp_path: Path) -> None:
        deep: Any = 'x'
        for _ in range(30):
            deep = {'a': [deep]}
        path = written(tmp_path / 'a', [{'question': deep, 'bbox': '[]', 'image_size': [1], 'image': {'bytes': b'x'}}],
                       {'image': IMAGE})
        assert 'must have text, and is of type struct<a: list' in refused(path)

    def test_no_rows(self, tmp_path: Path) -> None:
        pq.write_table(pq.read_table(lmms_lab(tmp_path / 'a')).slice(0, 0), tmp_path / 'b')
        assert 'has no row with one referent' in refused(tmp_path / 'b')

    def test_columns_of_one_name(self, tmp_path: Path) -> None:
        table = pq.read_table(lmms_lab(tmp_path / 'a'))
        pq.write_table(pa.table([table['bbox'], *table.columns], ['bbox', *table.column_names]), tmp_path / 'b')
        assert 'several columns are called' in refused(tmp_path / 'b')

    def test_names_that_cannot_be_printed(self, tmp_path: Path) -> None:
        path = written(tmp_path / 'a', [{'a\x1b[2Jb\nc': 'x', 'question': 'y'}])
        assert 'a\\x1b[2Jb\\nc' in refused(path)

    def test_missing_values(self, tmp_path: Path) -> None:
        table = pq.read_table(lmms_lab(tmp_path / 'a')).to_pylist()
        for key, said in (('question_id', 'text, not null'), ('bbox', 'four numbers'), ('answer', 'a list, not null'),
                          ('file_name', 'text, not null')):
            path = written(tmp_path / 'b', [row | {key: None} if i == 1 else row for i, row in enumerate(table)],
                           {'image': IMAGE})
            assert 'row 2' in (line := refused(path)) and said in line

    def test_numbers_that_are_none(self, tmp_path: Path) -> None:
        table = pq.read_table(lmms_lab(tmp_path / 'a')).to_pylist()
        for number in (float('nan'), float('inf'), 1e30):
            path = written(tmp_path / 'b', [row | {'bbox': [1., 2., number, 4.]} for row in table])
            assert "row 1: 'bbox' holds a number that is not finite" in refused(path)


class TestSamples:
    """The function that tells what a file is opens it first."""

    def test_pickles_that_call(self, tmp_path: Path) -> None:
        (tmp_path / 'refs(unc).p').write_bytes(b'\x80\x02' + SYSTEM + b'.')
        assert 'os.system' in refused(tmp_path / 'refs(unc).p')
        (tmp_path / 'a.pth').write_bytes(zipped(SYSTEM))
        assert refused(tmp_path / 'a.pth')
        (tmp_path / 'b').write_bytes(b'(' + b'cos\nsystem\n(X\x0b\x00\x00\x00touch firedtR.')
        assert refused(tmp_path / 'b')

    def test_bombs(self, tmp_path: Path) -> None:
        (tmp_path / 'a.json').write_bytes(gzip.compress(b'[' + b' ' * (1 << 25)))
        assert refused(tmp_path / 'a.json')
        with zipfile.ZipFile(tmp_path / 'b.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('val.json', b' ' * (1 << 22))
        assert 'is a zip archive of val.json; unzip it first' in refused(tmp_path / 'b.zip')
        (tmp_path / 'c.json').write_bytes(b'[' * 1_000_000)
        assert refused(tmp_path / 'c.json')

    @pytest.mark.parametrize('content', [b'', b'\0' * 100, b'\xff\xfe', b'a\tb\0\n', b'\x89PNG\r\n', b'{', b'\n',
                                         b'{"a": 1' + b'0' * 5000 + b'}', b'null', b'"text"', b'7'])
    def test_what_is_nothing(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / 'a').write_bytes(content)
        assert 'is of no form that is known here' in refused(tmp_path / 'a')

    @pytest.mark.parametrize('content', [b'[', b'[NaN]', b'[{"a": 1' + b'0' * 5000 + b'}]'])
    def test_a_list_that_is_no_json(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / 'a').write_bytes(content)
        assert 'is not valid JSON' in refused(tmp_path / 'a')

    def test_a_table_without_an_end(self, tmp_path: Path) -> None:
        (tmp_path / 'a.tsv').write_bytes(b'a\t' * 1_000_000)
        [sample] = samples(tmp_path / 'a.tsv')
        assert sample.layout == 'table' and len(sample.first['']) <= 1 << 16

    def test_no_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / 'pipe')
        assert 'is not a regular file' in refused(tmp_path / 'pipe')
        assert 'is not a regular file' in refused(Path('/dev/zero'))
        with pytest.raises(InputError, match='is a folder, a file is needed'):
            samples(tmp_path)
        assert 'there is no such file' in refused(tmp_path / 'none')
        with pytest.raises(InputError, match='is not a path'):
            samples(Path('a\0b'))
        assert 'is not a regular file' in str(pytest.raises(InputError, load_data, [tmp_path]).value)

    @pytest.mark.parametrize('box, said', [
        ('[1, 2, 3, "4"]', 'four numbers'), ('[1, 2, 3, 1' + '0' * 400 + ']', 'beyond a million'),
        ('[1, 2, 3, 1e999]', 'not finite'), ('[1, 2, 3, NaN]', 'NaN is no number'), ('"1, 2, 3, 4"', 'four numbers'),
        ('[1, 2, -3, 4]', 'negative'), ('[true, 2, 3, 4]', 'four numbers'), ('null', ''),
    ])
    def test_numbers_in_json(self, tmp_path: Path, box: str, said: str) -> None:
        good = '{"img_id": "COCO_train2014_000000000309", "sents": "man", "bbox": %s, "height": 40, "width": 60}'
        (tmp_path / 'a.json').write_text(f'[{good % "[1, 2, 3, 4]"}, {good % box}]')
        assert said in refused(tmp_path / 'a.json')


class TestFolders:
    def test_a_link_to_a_file_is_that_file_and_one_to_a_folder_is_not_followed(self, tmp_path: Path) -> None:
        real = lmms_lab(tmp_path / 'blobs/0a1b')
        lmms_lab(tmp_path / 'elsewhere/more.parquet')
        (tmp_path / 'data').mkdir()
        (tmp_path / 'data/val.parquet').symlink_to(real)
        (tmp_path / 'data/out').symlink_to(tmp_path / 'elsewhere')
        (tmp_path / 'data/loop').symlink_to(tmp_path / 'data')
        [dataset] = load_data([tmp_path / 'data']).values()
        assert len(dataset.expressions) == 5 and dataset.splits == ('val',)

    def test_a_link_to_a_device_or_to_nothing(self, tmp_path: Path) -> None:
        for name, target in (('a', '/dev/zero'), ('b', tmp_path / 'none')):
            (tmp_path / name).mkdir()
            (tmp_path / name / 'val.json').symlink_to(target)
            with pytest.raises(InputError, match=r'val\.json: (is not a regular file|there is no such file)'):
                load_data([tmp_path / name])

    def test_more_files_than_any_data_have(self, tmp_path: Path) -> None:
        for i in range(2001):
            (tmp_path / f'{i}.json').touch()
        assert 'holds 2,001 files; give the files that are meant' in refused(tmp_path)

    def test_images_that_lead_elsewhere_are_written_in_their_folder(self, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('REFNMS_IMAGES', str(tmp_path / 'kept'))
        table = pq.read_table(lmms_lab(tmp_path / 'a')).to_pylist()
        for i, name in enumerate(('../../../out.jpg', '..', '/etc/out.jpg')):
            path = written(tmp_path / f'{i}.parquet', [row | {'file_name': name} for row in table])
            [dataset] = load_data([path]).values()
            assert dataset.unpack is not None
            dataset.unpack()
        assert {path.parent.parent for path in tmp_path.rglob('out.jpg')} == {tmp_path / 'kept'}

    def test_what_is_no_picture_has_no_size(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('REFNMS_IMAGES', str(tmp_path / 'kept'))
        huge = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR' + struct.pack('>II', 1 << 30, 1 << 30) + b'\x08\x02\0\0\0\0\0\0\0'
        table = pq.read_table(lmms_lab(tmp_path / 'a')).to_pylist()
        for data in (b'no picture', huge, pickle.dumps(os.system)):
            path = written(tmp_path / 'b', [row | {'image': {'bytes': data, 'path': None}} for row in table],
                           {'image': IMAGE})
            [dataset] = load_data([path]).values()
            assert {(info.height, info.width) for info in dataset.images.values()} == {(0, 0)}


def test_columns_of_what_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text(json.dumps([1]))
    with pytest.raises(InputError, match='is a damaged parquet file'):
        columns(tmp_path / 'a')
