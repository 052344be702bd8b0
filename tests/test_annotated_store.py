"""The stored features of annotated boxes: what is in them, that filling goes on, and what is refused."""
from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.known import load_known
from harness.detection.pictures import read_recorded
from harness.errors import InputError
from harness.plugins import Detector
from harness.training import annotated_store
from harness.training.annotated_store import annotated_features_of, annotated_folder, layout_of
from harness.training.features import AnnotatedFeatures
from harness.types import Dataset, ImageInfo
from tests.small_rehearsal import TRAIN, SmallRehearsal, small_rehearsal

ARRAYS = ('pool5', 'fc7', 'image_pool5')


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> SmallRehearsal:
    return small_rehearsal(tmp_path_factory.mktemp('rehearsal'))


@pytest.fixture(scope='module')
def dataset(rehearsal: SmallRehearsal) -> Dataset:
    return load_known('refcoco', rehearsal.root)


@pytest.fixture(scope='module')
def detector(rehearsal: SmallRehearsal) -> Detector:
    return rehearsal.load_detector()


@pytest.fixture(scope='module')
def wanted(dataset: Dataset, detector: Detector) -> dict[str, Any]:
    """What the images of train come to, in memory."""
    found = AnnotatedFeatures()
    for info, _ in dataset.by_image(dataset.split('train')):
        found.add(detector.features(read_recorded(info).pixels, info, (dataset.annotations or {})[info.image_id]))
    return found.collected()


class Watched:
    """A detector that counts the images it sees, and fails at one of them."""

    def __init__(self, detector: Detector, fail_at: int | None = None) -> None:
        self.network, self._detector, self._fail_at = detector.network, detector, fail_at
        self.seen: list[int] = []

    def maps_of(self, pixels: np.ndarray, info: ImageInfo) -> Any:
        if len(self.seen) == self._fail_at:
            raise KeyboardInterrupt
        self.seen.append(info.image_id)
        return self._detector.maps_of(pixels, info)


def fill(dataset: Dataset, detector: Any, folder: Path) -> dict[str, Any]:
    return annotated_features_of(dataset, 'train', detector, folder)


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name], value) if isinstance(value, torch.Tensor) else found[name] == value
        for name, value in wanted.items())


def test_contents_are_those_of_a_collection_in_memory(dataset: Dataset, detector: Detector, wanted: dict[str, Any],
                                                      tmp_path: Path) -> None:
    found = fill(dataset, detector, tmp_path / 'store')
    assert all(found[name].dtype == torch.float16 for name in ARRAYS) and same(found, wanted)
    assert len(found['image_ids']) == TRAIN < len(found['ann_ids'])


def test_space_is_taken_before_the_first_image_is_seen(dataset: Dataset, detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fill(dataset, Watched(detector, fail_at=0), tmp_path)
    files = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert files.keys() == {*(f'{name}.f16' for name in ARRAYS), 'filled.u1', 'shapes.json'}
    sizes = [stat.st_size for name, stat in files.items() if name != 'shapes.json']
    assert sum(sizes) == layout_of(dataset, 'train', detector).size
    assert all(stat.st_blocks * 512 >= stat.st_size for stat in files.values()), 'no holes'


def test_a_killed_filling_goes_on_with_the_images_that_are_missing(
        dataset: Dataset, detector: Detector, wanted: dict[str, Any], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotated_store, '_AT_ONCE', 2)
    with pytest.raises(KeyboardInterrupt):
        fill(dataset, Watched(detector, fail_at=5), tmp_path)
    assert (tmp_path / 'filled.u1').read_bytes() == bytes([1, 1, 1, 1, 0, 0]), 'the fifth was not made to last'
    again = Watched(detector)
    assert same(fill(dataset, again, tmp_path), wanted)
    assert again.seen == wanted['image_ids'][4:]
    assert same(fill(dataset, Watched(detector, fail_at=0), tmp_path), wanted), 'nothing is left to see'


def test_processes_fill_disjoint_shares(dataset: Dataset, detector: Detector, wanted: dict[str, Any], tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the other here: the second runs while the first, which has counted what is missing, waits for it."""
    first, second = Watched(detector), Watched(detector)
    layout = layout_of(dataset, 'train', detector)
    annotated_store._make(tmp_path, layout)
    arrays = annotated_store._open(tmp_path, layout)

    def as_process(rank: int) -> None:
        monkeypatch.setattr(annotated_store, 'get_dist_info', lambda: (rank, 2))

    def second_counts() -> None:
        monkeypatch.setattr(annotated_store, 'barrier', first_fills)
        as_process(1)
        annotated_store._fill(tmp_path, layout, arrays, dataset, second)  # type: ignore[arg-type]

    def first_fills() -> None:
        """Nothing: the first goes on when the second is through."""
    as_process(0)
    monkeypatch.setattr(annotated_store, 'barrier', second_counts)
    annotated_store._fill(tmp_path, layout, arrays, dataset, first)  # type: ignore[arg-type]
    assert (first.seen, second.seen) == (wanted['image_ids'][::2], wanted['image_ids'][1::2])
    monkeypatch.undo()
    assert same(fill(dataset, Watched(detector, fail_at=0), tmp_path), wanted)


def test_another_detector_split_or_data_has_another_folder(dataset: Dataset) -> None:
    folders = {annotated_folder(Path('work'), data, split, detector) for data, split, detector in (
        (dataset, 'train', 'a'), (dataset, 'train', 'b'), (dataset, 'val', 'a'),
        (replace(dataset, data_hash='other'), 'train', 'a'))}
    assert len(folders) == 4 and {folder.parent for folder in folders} == {Path('work')}


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


DAMAGES = {
    'cut short': lambda folder: cut(folder / 'fc7.f16'),
    'missing': lambda folder: (folder / 'pool5.f16').unlink(),
    'no marks': lambda folder: cut(folder / 'filled.u1'),
    'no JSON': lambda folder: (folder / 'shapes.json').write_text('{"pool5": [1,'),
    'other shapes': lambda folder: (folder / 'shapes.json').write_text('{"pool5": [1, 2, 7, 7]}'),
    'a list': lambda folder: (folder / 'shapes.json').write_text('[]'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_store_is_one_line(damage: str, dataset: Dataset, detector: Detector, tmp_path: Path) -> None:
    fill(dataset, detector, tmp_path)
    DAMAGES[damage](tmp_path)
    with pytest.raises(InputError, match='stored features are damaged') as refused:
        fill(dataset, Watched(detector, fail_at=0), tmp_path)
    line = str(refused.value)
    assert str(tmp_path) in line and line.endswith('delete the folder') and '\n' not in line


def test_too_little_disk_is_refused_before_anything_is_written(dataset: Dataset, detector: Detector, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotated_store.shutil, 'disk_usage', lambda _: SimpleNamespace(free=10))
    with pytest.raises(InputError, match=r'are needed for stored features, 0\.00 GB are free; make room') as refused:
        fill(dataset, Watched(detector, fail_at=0), tmp_path / 'store')
    assert '\n' not in str(refused.value) and not list(tmp_path.iterdir())


def test_a_disk_that_refuses_leaves_nothing_behind(dataset: Dataset, detector: Detector, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def full(_: int, start: int, size: int) -> None:
        calls.append(size)
        if len(calls) == 2:
            raise OSError(28, 'No space left on device')
    monkeypatch.setattr(annotated_store.os, 'posix_fallocate', full)
    with pytest.raises(InputError, match=r'there is no space .*No space left on device.*--work DIR'):
        fill(dataset, Watched(detector, fail_at=0), tmp_path / 'store')
    assert len(calls) == 2 and not list(tmp_path.iterdir())


def test_a_missing_image_is_one_line(dataset: Dataset, detector: Detector, tmp_path: Path) -> None:
    first = next(iter(dataset.by_image(dataset.split('train'))))[0]
    gone = replace(first, path=tmp_path / 'gone.jpg')
    with pytest.raises(InputError, match=r'gone\.jpg') as refused:
        fill(replace(dataset, images={**dataset.images, first.image_id: gone}), detector, tmp_path / 'store')
    assert '\n' not in str(refused.value)


def test_without_annotations_there_is_nothing_to_store(dataset: Dataset, detector: Detector) -> None:
    with pytest.raises(InputError, match=r'needs annotated boxes; give a dataset with instances\.json'):
        layout_of(replace(dataset, annotations=None), 'train', detector)
