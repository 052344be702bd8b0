"""What a data root holds: REFER's layout, or one or several of the originals' repositories with what they prepared.

Files are looked for where the originals keep them (:mod:`adapters.originals.layout`). Annotations are read and counted;
of other files the size is shown, and of HDF5 files the number of rows.
"""
from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from adapters.originals import layout
from harness.data.counts import PUBLISHED, SPLIT_BY, check_counts
from harness.data.known import datasets_in, split_maker, split_makers
from harness.data.recorded_images import look_at_first
from harness.data.refer import load_refer
from harness.data.rehearsal_mark import NOTE, is_rehearsal, rehearsed
from harness.detection.training_images import TrainedOn, seen_images
from harness.errors import InputError
from harness.program import program
from harness.types import Dataset

#: Where REFER's layout lies under a data root, MAttNet's, ref-nms's and NMTree's repository.
REFER_FOLDERS = ('.', 'data', 'data/refer', 'data/datasets')
_MOST = 200


class Row(NamedTuple):
    """One row of the table: the dataset (or ``-``), what it is, its state, and where it is or should be."""

    dataset: str
    what: str
    state: str
    where: str


@dataclass
class Found:
    """The findings: one line per dataset, the rows of the table, a line on images that a run refuses, and the commands
    that can be run."""

    datasets: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def add(self, dataset: str, what: str, state: str, where: Path | str) -> None:
        self.rows.append(Row(dataset, what, state, str(where)))

    def can(self, *words: str | Path) -> None:
        """Add a command line, unless it is there already."""
        line = f'{program()} {shlex.join(map(str, words))}'
        if line not in self.commands:
            self.commands.append(line)


def converted_detector(weights: Mapping[str, Path]) -> Path | None:
    """The file of ``--weights detector=FILE``.

    Raises:
        InputError: it is no converted detector, or there are weights of something else.
    """
    for name, path in weights.items():
        if name != 'detector':
            raise InputError(f'--weights {name}: nothing is said of it; give detector=FILE alone')
        if (kind := _kind(path)) is None or _CALLED.get(kind, kind) != 'detector':
            raise InputError(f'--weights {name}={path}: is no converted detector; give a file that '
                             '"convert … --as detector" wrote')
    return weights.get('detector')


def look(root: Path, split_by: str | None = None, detector: Path | None = None) -> Found:
    """Look through a folder.

    Args:
        root: the folder.
        split_by: who made the splits, if there are several.
        detector: a converted one, in the place of those in the folder.
    """
    found = Found()
    bases = [root, *_subfolders(root)]
    places = [place for base in bases for folder in REFER_FOLDERS
              if (place := Path(os.path.normpath(base / folder))).is_dir()]
    names = list(dict.fromkeys([*PUBLISHED, *(name for place in places for name in datasets_in(place))]))
    weights = _weights(found, bases)
    if detector is not None:
        weights = [*(w for w in weights if w.name != 'detector'), Weights('detector', detector, None)]
    for name in names:
        known = _annotations(found, name, root, places, split_by, weights)
        if name in PUBLISHED:
            _prepared(found, name, bases, known, weights)
    _shared(found, bases)
    found.rows.sort(key=lambda row: [*names, '-'].index(rehearsed(row.dataset)))
    return found


def _subfolders(root: Path) -> list[Path]:
    """The folders in a data root, each of which can be one of the originals' repositories."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith('.'))[:_MOST]


# Annotations and images.

def _annotations(found: Found, name: str, root: Path, places: Sequence[Path], split_by: str | None,
                 weights: Sequence[Weights]) -> list[str | Path] | None:
    """Read, count and compare the first copy of a dataset; returns the options by which a run finds it."""
    there = next((place for place in places if split_by in (makers := split_makers(place / name))
                  or (makers and split_by is None)), None)
    if there is None:
        found.add(name, f'refs({split_by or SPLIT_BY.get(name, "…")}).p', 'missing', root / name)
        found.add(name, 'instances.json', 'missing', root / name)
        return None
    try:
        maker = split_maker(name, there, split_by)
        dataset = load_refer(there, name, maker)
    except InputError as error:
        found.add(name, 'annotations', f'cannot be read: {error}', there / name)
        return None
    for split in dataset.splits:
        members = dataset.split(split)
        found.add(dataset.name, f'{split} expressions', f'{len(members):,}', there / name)
    if is_rehearsal(dataset.name):
        found.add(dataset.name, 'counts', NOTE, there / name)
    elif maker == SPLIT_BY.get(name):
        for state in [f'differ: {line}' for line in check_counts(dataset)] or ['as published']:
            found.add(name, 'counts', state, there / name)
    images = _images(found, dataset)
    for path in (w.path for w in weights if w.name == 'detector'):
        _seen(found, dataset, path)
    found.datasets.append(f'{dataset.name} by {maker}: {len(dataset.expressions):,} expressions, {images:,} of '
                          f'{len(dataset.images):,} images')
    options: list[str | Path] = ['--data-root', there, '--dataset', name]
    if split_by is not None:
        options += ['--split-by', split_by]
    if images:
        found.can(*options, *_grounding(weights, name))
    return options


def _images(found: Found, dataset: Dataset) -> int:
    """The number of a dataset's images that a run finds, none where it refuses them; a row says where."""
    paths = [info.path for info in dataset.images.values() if info.path is not None]
    there = [path for path in paths if os.path.isfile(path)]
    folders = ', '.join(dict.fromkeys(str(path.parent) for path in there or paths[:1]))
    first = look_at_first(dataset.images.values())
    if first.resized:
        found.add(dataset.name, 'image sizes', f'{first.resized} of the first {first.images - first.missing} are not '
                  'as recorded', folders)
    found.add(dataset.name, 'images', f'{len(there):,} of {len(paths):,}' if there else 'missing', folders)
    if first.are_others:
        found.refused.append(f'{dataset.name}: a run refuses the images in {first.folders}: {first}')
    return 0 if first.are_others else len(there)


def _seen(found: Found, dataset: Dataset, detector: Path) -> None:
    """A row for each split that is evaluated: how many of its images the detector was trained on."""
    splits = {(dataset.name, split): dataset.split(split) for split in dataset.splits if split != 'train'}
    for split, images in seen_images(_trained_on(detector), splits).get(dataset.name, {}).items():
        told = ('unknown, convert it with --trained-on' if images['seen'] is None else
                f'{images["seen"]:,} of {images["images"]:,}')
        found.add(dataset.name, f'{split} images seen in training', told, detector)


def _grounding(weights: Sequence[Weights], name: str, needed: Sequence[str] = ()) -> list[str | Path]:
    """The options of a grounder and of the converted weights for a dataset; none if one of ``needed`` is missing."""
    mine = {w.name: w.path for w in weights if w.dataset in (None, name)}
    if not mine.keys() >= set(needed):
        return []
    grounder = next((g for g in _GROUNDERS if g in mine), 'cmae')
    used = [kind for kind in ('detector', 'ref-nms-b', grounder) if kind in mine]
    return ['--grounder', grounder, *(word for kind in used for word in ('--weights', f'{kind}={mine[kind]}'))]


# What the originals prepared.

class _File(NamedTuple):
    """A kind of file: its name in the table, and its path in a repository, with ``{ds}``, ``{name}`` and ``*``."""

    what: str
    path: str


_PREPARED = (
    _File('MAttNet data.json', 'cache/prepro/{ds}/data.json'),
    _File('MAttNet data.h5', 'cache/prepro/{ds}/data.h5'),
    _File('MAttNet detections', f'cache/detections/{{ds}}/{layout.DETECTOR}_dets.json'),
    _File('MAttNet masks', f'cache/detections/{{ds}}/{layout.DETECTOR}_masks.json'),
    _File('MAttNet head features', f'cache/feats/{{ds}}/mrcn/{layout.DETECTOR}'),
    _File('MAttNet annotation features', f'cache/feats/{{ds}}/mrcn/{layout.DETECTOR}_ann_feats.h5'),
    _File('MAttNet detection features', f'cache/feats/{{ds}}/mrcn/{layout.DETECTOR}_det_feats.h5'),
    _File('Ref-NMS detections', 'cache/detections/{ds}/matt_dets_*_{ds}_*.json'),
    _File('Ref-NMS detections', 'output/matt_dets_*_{ds}_*.json'),
    _File('Ref-NMS masks', 'cache/detections/{ds}/matt_mask_*_{ds}_*.json'),
    _File('Ref-NMS detection features', 'cache/feats/{ds}/mrcn/matt_feats_*_{ds}_*.h5'),
    _File('results', 'cache/results/{ds}/*/*.json'),
    _File('Ref-NMS head features', 'data/head_feats/{ds}'),
    _File('Ref-NMS words', 'cache/std_vocab_{ds}.txt'),
    _File('Ref-NMS word vectors', 'cache/std_glove_{ds}.npy'),
    _File('Ref-NMS expressions', 'cache/std_refdb_{ds}.json'),
    _File('Ref-NMS contextual objects', 'cache/std_ctxdb_{ds}.json'),
    _File('Ref-NMS proposals', 'cache/proposals_*_{name}_*.pkl'),
    _File('NMTree data', 'data/feats/{ds}/data_dep.json'),
    _File('NMTree trees', 'data/feats/{ds}/data_dep.pth'),
    _File('NMTree annotation features', 'data/feats/{ds}/matt_res_gt_feats.pth'),
    _File('NMTree detection features', 'data/feats/{ds}/matt_res_det_feats.pth'),
    _File('NMTree results', 'log/{ds}_*/*_det_res.json'),
)
_SHARED = (
    _File('Ref-NMS regions', 'data/rpn_boxes.pkl'),
    _File('Ref-NMS region scores', 'data/rpn_box_scores.pkl'),
    _File('word vectors', 'data/glove.840B.300d.txt'),
    _File('word vectors', 'data/feats/glove.840B.300d.txt'),
)
_CHECKPOINTS = (
    _File('mask-rcnn', 'data/res101_mask_rcnn_iter_1250000_cpu.pth'),
    _File('mask-rcnn', 'pyutils/mask-faster-rcnn/output/res101/*/notime/res101_mask_rcnn_iter_1250000.pth'),
    _File('mask-rcnn', 'res101_mask_rcnn_iter_1250000*.pth'),
    _File('ref-nms', 'output/att_vanilla_*_b.pth'),
    _File('mattnet', 'output/*_*/mrcn_cmr_with_st.pth'),
    _File('cmae', 'output/*_*/*_erase.pth'),
    _File('nmtree', 'log/*/model-best.pth'),
)
#: Where the words of a checkpoint are, by kind.
_VOCABULARY = {kind: _File('words', path) for kind, path in (
    ('mattnet', 'cache/prepro/{ds}/data.json'), ('cmae', 'cache/prepro/{ds}/data.json'),
    ('nmtree', 'data/feats/{ds}/data_dep.json'), ('ref-nms', 'cache/std_vocab_{ds}.txt'))}
#: What ``--weights`` calls a kind, where it is called otherwise.
_CALLED = {'ref-nms': 'ref-nms-b', 'mask-rcnn': 'detector'}
_GROUNDERS = ('mattnet', 'cmae', 'nmtree')
#: What is asked for by options of a run.
_DETECTIONS = ('MAttNet detections', 'Ref-NMS detections')
_HEADS = ('MAttNet head features', 'Ref-NMS head features')
_RESULTS = ('results', 'NMTree results')


def _prepared(found: Found, name: str, bases: Sequence[Path], known: list[str | Path] | None,
              weights: Sequence[Weights]) -> None:
    paths: dict[str, list[Path]] = {}
    for kind in _PREPARED:
        mine = list(_paths(kind, bases, name))
        paths.setdefault(kind.what, []).extend(mine)
    for what, mine in paths.items():
        for path in mine:
            found.add(name, what, _state(path), path)
        if not mine:
            first = next(kind for kind in _PREPARED if kind.what == what)
            found.add(name, what, 'missing', _filled(first, name))
    if known is None:
        if not (told := [*paths['MAttNet data.json'], *paths['Ref-NMS expressions']]):
            return
        known = ['--expressions', told[0]]
    heads = [path for what in _HEADS for path in paths[what]]
    for path in (path for what in _DETECTIONS for path in paths[what]):
        found.can(*known, '--detections', path, '--task', 'recall')
        if heads and (grounding := _grounding(weights, name, needed=['detector'])):
            found.can(*known, '--detections', path, '--features', heads[0], *grounding)
    for path in (path for what in _RESULTS for path in paths[what]):
        if path.parent.name != 'easy':
            found.can(*known, '--predictions', path)


def _shared(found: Found, bases: Sequence[Path]) -> None:
    for kind in _SHARED:
        for path in _paths(kind, bases):
            found.add('-', kind.what, _state(path), path)


# Weights.

class Weights(NamedTuple):
    """A converted weight file: its name for ``--weights``, its path, and the dataset that the path names."""

    name: str
    path: Path
    dataset: str | None


def _weights(found: Found, bases: Sequence[Path]) -> list[Weights]:
    """The converted weights; checkpoints that are still to be converted are only listed."""
    converted = []
    for base in bases:
        for kind in _CHECKPOINTS:
            for path in sorted(base.glob(kind.path))[:_MOST]:
                name, out = _dataset_of(path, base), path.with_suffix('.safetensors')
                if not out.is_file():
                    found.add(name or '-', f'weights, {kind.what}', f'{_state(path)}, to be converted', path)
                    found.can('convert', path, out, '--as', kind.what, *_words(kind.what, base, name))
        for path in _safetensors(base):
            kind_name = _kind(path)
            if kind_name is not None:
                name = _dataset_of(path, base)
                converted.append(Weights(_CALLED.get(kind_name, kind_name), path, name))
                found.add(name or '-', f'weights, {kind_name}', f'{_state(path)}, converted', path)
    return converted


def _safetensors(base: Path) -> list[Path]:
    places = {str(Path(kind.path).with_suffix('.safetensors')) for kind in _CHECKPOINTS} | {
        '*.safetensors', 'weights/*.safetensors'}
    return sorted({path for place in places for path in base.glob(place)})[:_MOST]


def _meta(path: Path) -> dict[str, Any]:
    """What a weight file says of itself, from its header; nothing of one that can't be read."""
    try:
        with safe_open(str(path), framework='np') as file:
            meta = json.loads((file.metadata() or {})['meta'])
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _kind(path: Path) -> str | None:
    """The kind of a weight file."""
    kind = _meta(path).get('kind')
    return kind if isinstance(kind, str) and kind.isprintable() else None


def _trained_on(path: Path) -> TrainedOn:
    """What a detector was trained on, as far as its file says."""
    said = _meta(path).get('trained_on')
    whole = isinstance(said, list) and all(type(number) is int for number in said)
    return said if isinstance(said, str) or whole else None


def _dataset_of(path: Path, base: Path) -> str | None:
    """The dataset of a file, by its name and folders: ``refcoco_unc``, or ``_refcoco_`` for Ref-NMS."""
    place = str(path.relative_to(base))
    return next((name for name in PUBLISHED if layout.dataset_splitby(name) in place or f'_{name}_' in place), None)


def _words(kind: str, base: Path, name: str | None) -> list[str | Path]:
    """The option that names the file of words that a checkpoint was trained with, if there is one."""
    if name is None or kind not in _VOCABULARY:
        return []
    path = base / _filled(_VOCABULARY[kind], name)
    return ['--vocabulary', path] if path.is_file() else []


# Places.

def _paths(kind: _File, bases: Sequence[Path], name: str = '') -> Iterator[Path]:
    """The files of a kind, the first in each base first; at most a few hundred."""
    for base in bases:
        pattern = _filled(kind, name)
        yield from sorted(base.glob(pattern))[:_MOST]


def _filled(kind: _File, name: str) -> str:
    return kind.path.format(ds=layout.dataset_splitby(name) if name else '', name=name)


def _state(path: Path) -> str:
    """The size of a file or the number of files in a folder; of features the number of rows, or why there is none."""
    if path.is_dir():
        return f'{sum(1 for entry in os.scandir(path) if entry.name.endswith(".h5")):,} images'
    size = path.stat().st_size
    told = f'{size / 1e6:,.1f} MB' if size >= 1e5 else f'{size:,} bytes'
    if not path.name.endswith('_feats.h5') and not path.name.startswith('matt_feats_'):
        return told
    from adapters.originals.hdf5 import numbers
    try:
        return f'{len(numbers(path, "fc7", (None, None))):,} rows, {told}'
    except InputError as error:
        return f'cannot be read: {error}'
