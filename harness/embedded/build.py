"""The embedded benchmark on disk, in REFER's layout: the same bytes every time on the same pinned dependencies.

It has two parts, because an evaluation must not wait for training data::

    CACHE/1/eval/   mini-refcoco/refs(unc).p, mini-refcoco/instances.json, mini-refcoco+/…,
                    mini-refcocog/refs(umd).p, …, images/train2014/COCO_train2014_%012d.png, manifest.json
    CACHE/1/train/  the same files with the split 'train': all three datasets share these images

Sentences have REFER's keys and ``context_ann_ids`` and ``logic`` (``language/logic.py``); annotations have COCO's keys
and ``attributes``. A part is written under another name and renamed when complete; ``manifest.json`` marks it as
complete.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness.data.embedded_names import SPLIT_BY
from harness.embedded.language.expressions import describe
from harness.embedded.world import CATEGORIES, make_scene
from harness.errors import InputError
from harness.names import OneLineParser, at_least
from harness.progress import track

EMBEDDED_VERSION = '1'
"""Must change whenever the bytes of the benchmark do."""

SEED = 20_140_000
EXPRESSIONS_AN_IMAGE = {'mini-refcoco': 7, 'mini-refcoco+': 7, 'mini-refcocog': 4}
IMAGES = Path('images/train2014')
#: How OpenCV writes a form of image files.
PICTURES = {'png': (cv2.IMWRITE_PNG_COMPRESSION, 1), 'jpg': (cv2.IMWRITE_JPEG_QUALITY, 95)}


@dataclass(frozen=True)
class Split:
    """Images ``first_image``, ``first_image`` + 1, … that are a split of some datasets.

    Attributes:
        scenes: kinds of scenes, taken in turns.
        referents: kind of objects that sentences refer to: ``'people'``, ``'objects'`` or ``'mixed'``.
        picture: the form of the image files, a key of ``PICTURES``.
    """

    name: str
    datasets: tuple[str, ...]
    first_image: int
    images: int
    scenes: tuple[str, ...]
    referents: str
    picture: str = 'png'


COCO_PAIR = ('mini-refcoco', 'mini-refcoco+')
PARTS: dict[str, tuple[Split, ...]] = {
    'eval': (
        Split('val', COCO_PAIR, 10_001, 160, ('mixed',), 'mixed'),
        Split('testA', COCO_PAIR, 20_001, 160, ('people',), 'people'),
        Split('testB', COCO_PAIR, 30_001, 160, ('objects',), 'objects'),
        Split('val', ('mini-refcocog',), 40_001, 280, ('mixed',), 'mixed'),
        Split('test', ('mini-refcocog',), 50_001, 280, ('mixed',), 'mixed'),
    ),
    'train': (Split('train', tuple(SPLIT_BY), 1, 2600, ('mixed', 'people', 'objects'), 'mixed'),),
}


def cache_root() -> Path:
    """Where built benchmarks are kept: ``$REFNMS_CACHE``, or ``~/.cache/refnms-bench``."""
    return Path(os.environ.get('REFNMS_CACHE') or Path.home() / '.cache' / 'refnms-bench').expanduser()


def build(root: Path | None = None, parts: Sequence[str] = tuple(PARTS), processes: int | None = None) -> list[Path]:
    """Build what is missing of the whole benchmark; returns the folder of each part."""
    return [part_folder(part, root, processes) for part in parts]


def part_folder(part: str, root: Path | None = None, processes: int | None = None) -> Path:
    """The folder of a finished part (``'eval'`` or ``'train'``), built first if it is missing.

    Args:
        part: a key of ``PARTS``.
        root: the cache, default ``cache_root()``.
        processes: workers, by default one per core.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = (root or cache_root()) / EMBEDDED_VERSION / part
    if finished(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.parent / f'.{part}.lock'):
            if not finished(folder):
                _announce(part, folder)
                build_part(folder, PARTS[part], processes)
    except OSError as error:
        raise InputError(f'{folder}: the embedded benchmark cannot be written there ({error.strerror or error}); '
                         'free some space or name another folder in REFNMS_CACHE') from error
    return folder


def finished(folder: Path) -> bool:
    """Whether a folder holds a complete part of this version."""
    return read_manifest(folder).get('version') == EMBEDDED_VERSION


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a part (version, counts, ``sha256``); empty if none can be read."""
    try:
        manifest = json.loads((folder / 'manifest.json').read_text())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def build_part(folder: Path, splits: Sequence[Split], processes: int | None = None) -> dict[str, Any]:
    """Make the images and annotations of some splits in ``folder``, which appears once complete.

    An existing ``folder`` is replaced. The caller ensures that no other process builds the same folder.
    """
    for left_behind in folder.parent.glob(f'.{folder.name}.part-*'):
        shutil.rmtree(left_behind, ignore_errors=True)
    beside = folder.with_name(f'.{folder.name}.part-{os.getpid()}')
    (beside / IMAGES).mkdir(parents=True)
    jobs = [(beside / IMAGES, split, number) for split in splits for number in range(split.images)]
    pictures = make_pictures(jobs, processes or os.cpu_count() or 1)
    counts: dict[str, Any] = {}
    for dataset in dict.fromkeys(name for split in splits for name in split.datasets):
        mine = [picture for picture in pictures if dataset in picture['refs']]
        _write_dataset(beside, dataset, mine)
        counts[dataset] = _counts(dataset, mine)
    manifest = {'version': EMBEDDED_VERSION, 'seed': SEED, 'numpy': np.__version__, 'opencv': cv2.__version__,
                'counts': counts, 'sha256': _digest(beside, pictures)}
    (beside / 'manifest.json').write_text(json.dumps(manifest, indent=1) + '\n')
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return manifest


def make_picture(job: tuple[Path, Split, int]) -> dict[str, Any]:
    """Draw one image, write its file and return its records: image, annotations, refs by dataset, sha256 of it."""
    folder, split, number = job
    image_id = split.first_image + number
    scene = make_scene(SEED + image_id, split.scenes[number % len(split.scenes)])
    height, width = scene.image.shape[:2]
    name = f'COCO_train2014_{image_id:012d}.{split.picture}'
    content = cv2.imencode(f'.{split.picture}', scene.image, PICTURES[split.picture])[1].tobytes()
    (folder / name).write_bytes(content)
    refs = {dataset: _refs(scene.objects, width, height, dataset, split, image_id, name) for dataset in split.datasets}
    return {
        'image': {'id': image_id, 'file_name': name, 'height': int(height), 'width': int(width)},
        'annotations': [_annotation(o, image_id, i, (height, width)) for i, o in enumerate(scene.objects)],
        'refs': refs, 'split': split.name, 'sha256': hashlib.sha256(content).hexdigest(),
    }


def make_pictures(jobs: Sequence[tuple[Path, Split, int]], processes: int) -> list[dict[str, Any]]:
    """:func:`make_picture` of each job, by some processes, in the order of the jobs."""
    if processes == 1 or len(jobs) < 16:
        return [make_picture(job) for job in track(jobs, 'images drawn')]
    with multiprocessing.get_context('spawn').Pool(processes, initializer=_start_worker) as pool:
        return list(track(pool.imap(make_picture, jobs, chunksize=8), 'images drawn', total=len(jobs)))


def _start_worker() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends its workers


def _ann_id(image_id: int, index: int) -> int:
    return image_id * 100 + index + 1


def _annotation(o: Any, image_id: int, index: int, size: tuple[int, int]) -> dict[str, Any]:
    counts = o.rle['counts'] if isinstance(o.rle, dict) else o.rle
    return {
        'id': _ann_id(image_id, index), 'image_id': image_id, 'category_id': CATEGORIES[o.category],
        'bbox': [float(v) for v in o.xywh], 'area': int(o.area), 'iscrowd': 0,
        'segmentation': {'size': [int(v) for v in size], 'counts': counts},
        'attributes': {
            'kind': o.kind, 'color': o.color, 'pose': o.pose, 'facing': o.facing, 'accessory': o.accessory,
            'lower_color': o.lower_color, 'depth': round(float(o.depth), 4),
            'on': None if o.on is None else _ann_id(image_id, int(o.on)), 'visible': round(float(o.visible), 4)},
    }


def _refs(objects: Sequence[Any], width: int, height: int, dataset: str, split: Split, image_id: int,
          file_name: str) -> list[dict[str, Any]]:
    """One record per referent, in the order of choice, with its sentences."""
    style = dataset.removeprefix('mini-')
    # The same start for refcoco and refcoco+: as in the real ones, the two speak of the same referents.
    rng = np.random.Generator(np.random.PCG64([SEED, image_id, style == 'refcocog']))
    refs: dict[int, dict[str, Any]] = {}
    sentences = describe(objects, width, height, style, rng, EXPRESSIONS_AN_IMAGE[dataset], split.referents)
    for sentence in sentences:
        ann_id = _ann_id(image_id, sentence.target)
        ref = refs.setdefault(ann_id, {
            'ref_id': ann_id, 'ann_id': ann_id, 'category_id': CATEGORIES[objects[sentence.target].category],
            'image_id': image_id, 'file_name': file_name, 'split': split.name, 'sent_ids': [], 'sentences': []})
        sent_id = ann_id * 10 + len(ref['sentences'])
        ref['sent_ids'].append(sent_id)
        ref['sentences'].append({
            'sent_id': sent_id, 'sent': sentence.sent, 'raw': sentence.sent, 'tokens': sentence.tokens,
            'context_ann_ids': [_ann_id(image_id, i) for i in sentence.context], 'logic': sentence.logic})
    return list(refs.values())


def _write_dataset(folder: Path, dataset: str, pictures: Sequence[dict[str, Any]]) -> None:
    (folder / dataset).mkdir()
    refs = [ref for picture in pictures for ref in picture['refs'][dataset]]
    with (folder / dataset / f'refs({SPLIT_BY[dataset]}).p').open('wb') as file:
        pickler = pickle.Pickler(file, protocol=2)
        pickler.fast = True  # no references to equal objects: the bytes depend on the values alone
        pickler.dump(refs)
    instances = {
        'info': {'description': f'{dataset} {EMBEDDED_VERSION}: a generated world, not RefCOCO'},
        'images': [picture['image'] for picture in pictures],
        'annotations': [annotation for picture in pictures for annotation in picture['annotations']],
        'categories': [{'id': number, 'name': name} for name, number in CATEGORIES.items()],
    }
    (folder / dataset / 'instances.json').write_text(json.dumps(instances, separators=(',', ':')))


def _counts(dataset: str, pictures: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for picture in pictures:
        split = counts.setdefault(picture['split'], dict.fromkeys(('images', 'referents', 'expressions'), 0))
        split['images'] += 1
        split['referents'] += len(picture['refs'][dataset])
        split['expressions'] += sum(len(ref['sentences']) for ref in picture['refs'][dataset])
    return counts


def _digest(folder: Path, pictures: Sequence[dict[str, Any]]) -> str:
    """sha256 over the names and contents of all annotation files and images."""
    lines = [f'{picture["image"]["file_name"]} {picture["sha256"]}' for picture in pictures]
    for file in sorted([*folder.glob('*/refs(*).p'), *folder.glob('*/instances.json')]):
        lines.append(f'{file.relative_to(folder).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}')
    return hashlib.sha256('\n'.join(sorted(lines)).encode()).hexdigest()


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Let one process in at a time; the lock is released when its process ends, even by a kill."""
    with lock.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _announce(part: str, folder: Path) -> None:
    images = sum(split.images for split in PARTS[part])
    print(f'{time.strftime("%H:%M:%S")} drawing the embedded benchmark, part {part!r}: {images} images into {folder}, '
          f'once (about {max(1, round(images * 0.04 / 60))} min on 2 cores)', file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> None:
    """``python -m harness.embedded build``."""
    parser = OneLineParser(prog='python -m harness.embedded build',
                           description='Draw the embedded benchmark into the cache, where it is missing.')
    parser.add_argument('--part', choices=list(PARTS), action='append', help='only this part (default: both)')
    parser.add_argument('--cache', type=Path, help='default: $REFNMS_CACHE or ~/.cache/refnms-bench')
    parser.add_argument('--processes', type=at_least(1), help='worker processes (default: one per core)')
    options = parser.parse_args(arguments)
    for folder in build(options.cache, options.part or tuple(PARTS), options.processes):
        print(folder, json.dumps(read_manifest(folder)['counts']))
