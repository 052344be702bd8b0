"""An archive in the place of the file in it is named as what it is, whichever reader meets it."""
from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.originals.detections import read_detections
from adapters.originals.hdf5 import numbers
from adapters.originals.numpy_file import read_npy
from adapters.originals.ref_nms_data import read_words
from harness.data.answers import read_answers
from harness.data.candidates import load_candidates
from harness.data.plain import load_expressions
from harness.errors import InputError
from harness.files import safe_pickle
from harness.files.reading import read_bytes
from harness.files.weights import load_weights
from harness.mmdet_plugin.reg_metric import read_mdetr_boxes
from reports.rows.prediction_rows import json_lines
from reports.rows.results_files import read_results

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    'expressions': ('e.jsonl', load_expressions), 'candidates': ('c.json', load_candidates),
    'answers': ('p.json', read_answers), 'detections': ('d.json', read_detections), 'words': ('v.txt', read_words),
    'arrays': ('a.npy', lambda path: read_npy(path, (None,))), 'pickles': ('refs(unc).p', safe_pickle.load),
    'HDF5': ('f.h5', lambda path: numbers(path, 'fc7', (None, None))), 'weights': ('w.safetensors', load_weights),
    'annotations of mmdet': ('m.json', read_mdetr_boxes), 'results': ('results.json', read_results),
    'rows': ('predictions.jsonl', lambda path: list(json_lines(path)))}


def zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('inside.json', data)
    return stream.getvalue()


def tarred(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        member = tarfile.TarInfo('inside.json')
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


ARCHIVES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    'a zip': (zipped, 'is a zip archive of inside.json; unzip it first and give the file in it'),
    'half a zip': (lambda data: zipped(data)[:-9], 'is a zip archive, damaged or cut short'),
    'bzip2': (bz2.compress, 'is packed by bzip2; unpack it first'), 'a tar': (tarred, 'is packed by tar; unpack it')}


def refusal(path: Path, read: Callable[[Path], object]) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert str(path) in message and message.isprintable()
    return message


@pytest.mark.parametrize('archive', ARCHIVES)
@pytest.mark.parametrize('reader', READERS)
def test_an_archive_is_named_with_what_to_do(reader: str, archive: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    pack, said = ARCHIVES[archive]
    (tmp_path / name).write_bytes(pack(b'[]'))
    assert said in refusal(tmp_path / name, read)


@pytest.mark.parametrize('reader', ['HDF5', 'weights'])
def test_what_is_mapped_cannot_be_packed_by_gzip(reader: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(gzip.compress(b'x'))
    assert 'is packed by gzip; unpack it first' in refusal(tmp_path / name, read)


@pytest.mark.parametrize('pack', [zipped, tarred, gzip.compress], ids=['a zip', 'a tar', 'gzip'])
def test_an_archive_that_was_packed_again(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / 'e.jsonl.gz').write_bytes(gzip.compress(pack(b'{}')))
    assert 'unpacks to what is packed by ' in refusal(tmp_path / 'e.jsonl.gz', read_bytes)


def test_gzip_of_the_file_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / 'e.jsonl.gz').write_bytes(gzip.compress(json.dumps([]).encode()))
    assert read_bytes(tmp_path / 'e.jsonl.gz') == b'[]'
