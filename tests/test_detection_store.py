"""Detections that are kept: the same to the last bit, damaged ones made anew, the oldest evicted."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.detection.detector import Detector
from harness.detection.source import FromPictures
from harness.detection.store import DetectionStore
from harness.files.weights import load_weights, shipped_path
from harness.types import ImageInfo
from run_benchmark import command_line

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
INFO = ImageInfo(1, 60, 80)
TENSORS = {'class_boxes': torch.arange(8.).reshape(1, 2, 4), 'class_scores': torch.tensor([[0.1, 0.7]])}


@pytest.fixture
def store(tmp_path: Path) -> DetectionStore:
    return DetectionStore(tmp_path / 'store')


@pytest.fixture(scope='module')
def detector() -> Detector:
    found = Detector(load_weights(shipped_path('detector')))
    found.prepare_to_run()
    return found


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_what_is_kept_comes_back_to_the_last_bit(store: DetectionStore) -> None:
    key = store.key(PIXELS, 'a detector')
    assert store.get(key) is None
    store.put(key, TENSORS)
    found = store.get(key)
    assert found is not None and equal(found, TENSORS)


def test_other_pixels_another_shape_and_another_detector_are_other_entries(store: DetectionStore) -> None:
    other = PIXELS.copy()
    other[0, 0, 0] ^= 1
    keys = {store.key(PIXELS, 'a'), store.key(other, 'a'), store.key(PIXELS.reshape(80, 60, 3), 'a'),
            store.key(PIXELS, 'b')}
    assert len(keys) == 4


@pytest.mark.parametrize('maps', [False, True])
def test_a_detector_continues_from_what_is_kept_as_if_it_had_detected(store: DetectionStore, detector: Detector,
                                                                     maps: bool) -> None:
    source = FromPictures(detector, store=store, maps=maps)
    first, again, alone = (one.features(PIXELS, INFO) for one in (source, source, FromPictures(detector)))
    assert len(list(store.entries())) == 1
    for name in ('class_boxes', 'class_scores', 'feature_map'):
        assert torch.equal(getattr(first, name), getattr(alone, name))
        assert torch.equal(getattr(again, name), getattr(alone, name))
    boxes = torch.tensor([[3., 4, 40, 50]])
    assert again.feature_map.stride() == alone.feature_map.stride() and again.scale == alone.scale
    assert torch.equal(again.head(again.pool(boxes)), alone.head(alone.pool(boxes)))


@pytest.mark.parametrize('at', [0, 9, 40, -1])
def test_a_damaged_entry_counts_as_missing_and_is_made_anew(store: DetectionStore, at: int) -> None:
    key = store.key(PIXELS, 'a')
    store.put(key, TENSORS)
    entry, = store.entries()
    content = bytearray(entry.path.read_bytes())
    content[at] ^= 1
    entry.path.write_bytes(content)
    assert store.get(key) is None and (store.take_damaged(), store.take_damaged()) == (1, 0)
    assert store.verify() == [entry.path] and not entry.path.exists() and store.verify() == []
    store.put(key, TENSORS)
    assert store.get(key) is not None


def test_over_the_limit_the_entries_go_that_were_used_longest_ago(tmp_path: Path) -> None:
    size = 0
    store = DetectionStore(tmp_path)
    for number in range(4):
        store.put(store.key(PIXELS, str(number)), TENSORS)
        size = size or next(store.entries()).size
        os.utime(store._path(store.key(PIXELS, str(number))), (number, number))
    assert store.get(store.key(PIXELS, '0')) is not None, 'now it is the one used last'
    full = DetectionStore(tmp_path, limit=4 * size)
    full.put(full.key(PIXELS, 'new'), TENSORS)
    left = [str(n) for n in (0, 1, 2, 3, 'new') if full.get(full.key(PIXELS, str(n))) is not None]
    assert left == ['0', '3', 'new']


def test_a_store_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('not a folder')
    store = DetectionStore(tmp_path / 'file')
    store.put(store.key(PIXELS, 'a'), TENSORS)
    assert store.get(store.key(PIXELS, 'a')) is None and (tmp_path / 'file').read_text() == 'not a folder'


def test_info_verify_and_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv('REFNMS_STORE', str(tmp_path / 'store'))
    store = DetectionStore()
    store.put(store.key(PIXELS, 'a'), TENSORS)
    (tmp_path / 'store/mine.txt').write_text('not an entry')
    assert command_line(['store', 'info']) == 0 and '1 entries' in capsys.readouterr().out
    assert command_line(['store', 'verify']) == 0
    next(store.entries()).path.write_bytes(b'damaged')
    assert command_line(['store', 'verify']) == 1 and 'was damaged and is removed' in capsys.readouterr().out
    store.put(store.key(PIXELS, 'a'), TENSORS)
    assert command_line(['store', 'clear']) == 0
    assert [path.name for path in (tmp_path / 'store').iterdir()] == ['mine.txt']


def test_runs_with_and_without_a_store_write_the_same_bytes(small_benchmark: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('REFNMS_STORE', str(tmp_path / 'store'))
    look = ['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '4', '--workers', '1']
    runs = {'none': 'none', 'cold': 'boxes', 'warm': 'boxes', 'maps': 'maps', 'from-maps': 'maps'}
    for name, kept in runs.items():
        assert command_line([*look, '--store', kept, '--out', str(tmp_path / name)]) == 0
    for file in ('predictions.jsonl', 'proposals.jsonl'):
        assert len({(tmp_path / name / file).read_bytes() for name in runs}) == 1
