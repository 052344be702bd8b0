"""``run_benchmark.py export``: writes the proposals and choices of a run in the originals' formats and file names.

Boxes come from ``proposals.jsonl``, where they are rounded to a thousandth of a pixel and scores to five digits; a
chosen box is exact. Widths are x2 − x1, as in Ref-NMS's files (``tools/save_matt_dets.py`` of ChopinSharp/ref-nms).
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adapters.originals import layout
from adapters.originals.detections import Detections, write_detections
from adapters.originals.ref_nms_data import ContextDB, CriticalBox, CriticalBoxes, write_ctxdb
from adapters.originals.ref_nms_proposals import ProposalDB, Proposals, write_proposals
from adapters.originals.results import Prediction, write_original_predictions
from adapters.originals.run_rows import PredictionRow, ProposalsRow, prediction_rows, proposals_rows
from harness.boxes import corners, xywh_to_xyxy
from harness.data.answers import NO_GROUNDER
from harness.data.coco_categories import COCO_CLASSES, COCO_IDS
from harness.data.results import RunRecord, data_options, read_results_file
from harness.errors import InputError
from harness.evaluation.datasets import load_dataset
from harness.names import OneLineParser, pick
from harness.registry import DATASETS, names
from harness.types import Dataset

LAYOUTS = ('matt-dets', 'proposals', 'ctxdb', 'results')
#: The layouts that an option has an effect on; the other options have an effect on all.
SHAPED = {'proposals': ('matt-dets', 'proposals', 'results'), 'grounder': ('results',), 'json': ('proposals',),
          'tid': ('matt-dets', 'proposals', 'results'), 'data_root': ('ctxdb',)}
#: Ref-NMS's own name of its binary-loss model; other rules keep theirs.
MODEL = {'ref-nms-b': 'att_vanilla'}
#: The least IoU of an answer that the originals count as right (``lib/models/eval_dets_utils.py`` of MAttNet).
RIGHT = 0.5
_MASK_PARTS: tuple[Literal['mask_intersection', 'mask_union'], ...] = ('mask_intersection', 'mask_union')
_CLASS_INDEX = {name: i for i, name in enumerate(COCO_CLASSES, start=1)}
_TID = re.compile(r'[A-Za-z0-9.-]{1,40}')


@dataclass(frozen=True)
class Run:
    """A run's folder; its rows are read when first needed."""

    folder: Path

    @cached_property
    def proposals(self) -> list[ProposalsRow]:
        """The rows of ``proposals.jsonl``."""
        return proposals_rows(self.folder / 'proposals.jsonl')

    @cached_property
    def predictions(self) -> list[PredictionRow]:
        """The rows of ``predictions.jsonl``."""
        return prediction_rows(self.folder / 'predictions.jsonl')

    @cached_property
    def record(self) -> RunRecord:
        """The ``run`` part of ``results.json``."""
        return read_results_file(self.folder).run


@dataclass(frozen=True)
class Chosen:
    """The part of a run that is exported: the rows of one dataset, rule and grounder."""

    folder: Path
    name: str
    rule: str
    proposals: list[ProposalsRow]
    predictions: list[PredictionRow]

    @cached_property
    def splits(self) -> list[str]:
        """The splits, in the originals' order."""
        found = dict.fromkeys(row['split'] for row in self.predictions)
        return [s for s in layout.SPLITS if s in found] + [s for s in found if s not in layout.SPLITS]

    @cached_property
    def ordered(self) -> list[ProposalsRow]:
        """The rows of proposals, split by split."""
        return [row for split in self.splits for row in self.proposals if row['split'] == split]

    @cached_property
    def first_det(self) -> dict[int, int]:
        """The ``det_id`` in ``matt_dets`` of the first proposal of each sentence."""
        counts = [len(row['boxes']) for row in self.ordered]
        return dict(zip((row['sent_id'] for row in self.ordered), (np.cumsum(counts) - counts).tolist(), strict=True))


def main(argv: Sequence[str]) -> int:
    """Write one file per dataset (``results``: per dataset and split), and print where each belongs."""
    parser = OneLineParser(prog='run_benchmark.py export', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('run', type=Path, metavar='RESULTS', help='the folder of a run')
    parser.add_argument('--as', dest='layout', choices=LAYOUTS, required=True, help='which of the originals\' files')
    parser.add_argument('--proposals', metavar='RULE', help='which rule (default: the only one of the run)')
    parser.add_argument('--grounder', metavar='NAME', help='whose choices, for results (default: the only one)')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets (default: all of the run)')
    parser.add_argument('--tid', metavar='ID', help='the run\'s name in file names (default: the folder\'s)')
    parser.add_argument('--json', action='store_true', help='proposals as JSON, not as the original\'s pickle')
    parser.add_argument('--data-root', type=Path, metavar='DIR', help='of the dataset, for ctxdb (default: the run\'s)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='where files go (default: RESULTS/originals)')
    args = parser.parse_args(argv)
    kind, run = args.layout, Run(args.run)
    for option, layouts in SHAPED.items():
        if getattr(args, option) not in (None, False) and kind not in layouts:
            raise InputError(f'--{option.replace("_", "-")}: has no effect on --as {kind}; leave it out')
    out = args.out or args.run / 'originals'
    tid = args.tid or re.sub(r'[^A-Za-z0-9.-]+', '-', args.run.resolve().name).strip('-')[:40] or 'run'
    if not _TID.fullmatch(tid):
        raise InputError(f'--tid {tid[:60]!r}: must be up to 40 letters, digits, dots and dashes')
    datasets = _present(run.predictions, 'dataset')
    for name in pick('--dataset', args.dataset, datasets, datasets):
        if kind == 'ctxdb':
            path = out / layout.ctxdb(name)
            write_ctxdb(path, context_db(run, name, args.data_root))
            print(f'{path}: for cache/ of ref-nms')
            continue
        chosen = choose(run, name, args.proposals, args.grounder, with_grounder=kind == 'results')
        m = MODEL.get(chosen.rule, chosen.rule.replace('-', '_'))
        _WRITE[kind](chosen, m, tid, out, 'json' if args.json else 'pkl')
    return 0


def choose(run: Run, name: str, rule: str | None, grounder: str | None, with_grounder: bool = False) -> Chosen:
    """The rows of one dataset and rule, and of one grounder if choices are needed.

    Raises:
        InputError: the run has no such rows, or has several rules or grounders and none was named.
    """
    mine = [row for row in run.predictions if row['dataset'] == name]
    rule = _one('--proposals', rule, _present(mine, 'proposals'))
    mine = [row for row in mine if row['proposals'] == rule]
    known = [g for g in _present(mine, 'grounder') if g != NO_GROUNDER]
    if with_grounder and not known:
        raise InputError(f'{run.folder}: no grounder ran on {rule} on {name}; run it again with --grounder')
    who = _one('--grounder', grounder, known) if with_grounder else mine[0]['grounder']
    mine = [row for row in mine if row['grounder'] == who]
    proposed = [row for row in run.proposals if row['dataset'] == name and row['proposals'] == rule]
    if {(row['sent_id'], row['split']) for row in mine} != {(row['sent_id'], row['split']) for row in proposed}:
        raise InputError(f'{run.folder}: predictions.jsonl and proposals.jsonl do not have the same expressions; '
                         'give the folder that a run wrote')
    return Chosen(run.folder, name, rule, proposed, mine)


def detections(chosen: Chosen) -> Detections:
    """The proposals of each sentence, best first, as ``matt_dets``.

    Raises:
        InputError: proposals without a category of COCO, or expressions without a ``ref_id``.
    """
    rows = chosen.ordered
    labels = _categories(rows)
    ref_ids = {row['sent_id']: row['ref_id'] for row in chosen.predictions}
    if None in ref_ids.values():
        raise InputError(f'{chosen.name}: its expressions have no ref_id, which matt-dets needs; add it to the file of '
                         '--expressions and run again')
    counts = [len(row['boxes']) for row in rows]
    ids = np.arange(sum(counts))
    return Detections(
        'ref-nms', ids, ids,
        image_ids=np.repeat(np.array([row['image_id'] for row in rows], np.int64), counts),
        category_ids=np.array([COCO_IDS[label] for label in labels], np.int64),
        names=tuple(labels),
        xywh=np.array([box for row in rows for box in row['boxes']], np.float64).reshape(-1, 4),
        sent_ids=np.repeat(np.array([row['sent_id'] for row in rows], np.int64), counts),
        ref_ids=np.repeat(np.array([ref_ids[row['sent_id']] for row in rows], np.int64), counts),
        splits=tuple(row['split'] for row, n in zip(rows, counts, strict=True) for _ in range(n)))


def proposal_db(chosen: Chosen) -> ProposalDB:
    """Proposals by split and sentence; the score is relatedness × confidence, or the confidence alone.

    Raises:
        InputError: proposals without a category of COCO.
    """
    _categories(chosen.ordered)
    return {split: {row['sent_id']: _proposals(row) for row in chosen.ordered if row['split'] == split}
            for split in chosen.splits}


def _proposals(row: ProposalsRow) -> Proposals:
    boxes = np.array(row['boxes'], np.float64).reshape(-1, 4)
    if row['confidence'] is None:
        raise InputError(f'the proposals of sent_id {row["sent_id"]} have no confidence, which this layout needs; '
                         'export a run of our own detector')
    scores = np.array(row['confidence'], np.float64)
    if row['relatedness'] is not None:
        scores = scores * np.array(row['relatedness'], np.float64)
    return Proposals(xywh_to_xyxy(boxes), scores,
                     np.array([_CLASS_INDEX[str(label)] for label in row['labels']], np.int64))


def context_db(run: Run, name: str, data_root: Path | None = None) -> ContextDB:
    """The referent and contextual objects of each expression, with the annotated boxes.

    Raises:
        InputError: the run did not look for contextual objects, or the dataset is not the one it ran on.
    """
    rows = {row['sent_id']: row for row in run.predictions if row['dataset'] == name}
    spoken_of = {sent_id: row.get('context_ann_ids') for sent_id, row in rows.items()}
    if None in spoken_of.values():
        raise InputError(f'{run.folder}: the run looked for no contextual objects in {name}; run --task recall on a '
                         'dataset with annotations')
    dataset = _dataset(run, name, data_root)
    annotations = {a.ann_id: a for members in (dataset.annotations or {}).values() for a in members}
    boxes = {i: CriticalBox(corners(a.xywh), _category_id(a.category)) for i, a in annotations.items()}
    splits: dict[str, dict[int, CriticalBoxes]] = {
        split: {} for split in layout.SPLITS if split in _present(list(rows.values()), 'split')}
    for sent_id, row in rows.items():
        critical = [None if i is None else boxes.get(i) for i in (row['ann_id'], *(spoken_of[sent_id] or ()))]
        if None in critical:
            raise InputError(f'{run.folder}: sent_id {sent_id} refers to objects that {name} does not have; give the '
                             '--data-root of the run')
        referent, *context = [box for box in critical if box is not None]
        splits.setdefault(row['split'], {})[sent_id] = CriticalBoxes(referent, tuple(context))
    return splits


def predictions(chosen: Chosen, split: str) -> tuple[list[Prediction], float, float | None]:
    """The answers of one split, the share of right ones, and overall IoU if there are masks.

    An expression without a proposal counts as wrong and has no record, since the originals have no format for one.
    """
    rows = [row for row in chosen.predictions if row['split'] == split]
    proposals = {row['sent_id']: row['boxes'] for row in chosen.proposals}
    answers = [_prediction(row, box, chosen.first_det[row['sent_id']], proposals[row['sent_id']], chosen.folder)
               for row in rows if (box := row['box']) is not None]
    right = sum((row['iou'] or 0) >= RIGHT for row in rows) / len(rows)
    if any(row['mask_union'] is None for row in rows):
        return answers, right, None
    intersection, union = (sum(row[part] or 0 for row in rows) for part in _MASK_PARTS)
    return answers, right, intersection / max(union, 1)


def _prediction(row: PredictionRow, box: Sequence[float], first: int, boxes: Sequence[Sequence[float]],
                where: Path) -> Prediction:
    """The chosen proposal is the one nearest to the box, since stored proposals are rounded."""
    if not boxes or row['score'] is None:
        raise InputError(f'{where}: sent_id {row["sent_id"]} has a box without {"a score" if boxes else "proposals"}; '
                         'give the folder that a run wrote')
    nearest = int(np.abs(np.array(boxes, np.float64) - np.array(box)).sum(axis=1).argmin())
    (x, y, width, height), gold = box, row['gt_box']
    return Prediction(row['image_id'], row['sent_id'], row['sent'], (gold[0], gold[1], gold[2], gold[3]),
                      first + nearest, (x, y, width, height), row['score'], row['rle'])


def _write_detections(chosen: Chosen, m: str, tid: str, out: Path, ending: str) -> None:
    path, found = out / layout.matt_dets(m, tid, chosen.name), detections(chosen)
    write_detections(path, found)
    where = layout.dataset_splitby(chosen.name)
    print(f'{path}: {len(found)} detections of {len(chosen.ordered)} expressions; for cache/detections/{where}/ of '
          f'MAttNet or CM-Erase-REG, then python tools/eval_ref.py --dataset {chosen.name} '
          f'--splitBy {where.rpartition("_")[2]} --m {m} --tid {tid} --top-N 0')
    if without := sum(not row['boxes'] for row in chosen.ordered):
        print(f'note: {without} expressions have no proposal; eval_ref.py stops at the first of them')


def _write_proposals(chosen: Chosen, m: str, tid: str, out: Path, ending: str) -> None:
    path = out / layout.proposals(m, tid, chosen.name, ending)
    write_proposals(path, proposal_db(chosen))
    print(f'{path}: proposals of {len(chosen.ordered)} expressions; for cache/ of ref-nms, then python '
          f'tools/eval_proposal_hit_rate.py --dataset {chosen.name} --m {m} --tid {tid} --conf 0')


def _write_results(chosen: Chosen, m: str, tid: str, out: Path, ending: str) -> None:
    for split in chosen.splits:
        answers, right, overall = predictions(chosen, split)
        where = layout.dataset_splitby(chosen.name)
        path = out / where / layout.results(m, tid, split)
        write_original_predictions(path, answers, right, overall)
        print(f'{path}: {len(answers)} answers; for cache/results/{where}/ref/ of MAttNet or CM-Erase-REG')


_WRITE = {'matt-dets': _write_detections, 'proposals': _write_proposals, 'results': _write_results}


def _categories(rows: Sequence[ProposalsRow]) -> list[str]:
    """The categories of all proposals; only COCO's are accepted."""
    labels = [str(label) for row in rows for label in row['labels']]
    if unknown := {label for label in labels if label not in COCO_IDS}:
        some = ', '.join(sorted(map(str, unknown))[:5])
        raise InputError('--as: the originals know only COCO\'s categories, and some proposals have none of these: '
                         f'{some}')
    return labels


def _category_id(category: str) -> int:
    if category not in COCO_IDS:
        raise InputError(f'--as: the originals know only COCO\'s categories, and {category!r} is none of them')
    return COCO_IDS[category]


def _dataset(run: Run, name: str, data_root: Path | None) -> Dataset:
    known, options = names(DATASETS), data_options(run.folder / 'results.json', run.record)
    root = data_root or options.data_root
    if name not in known and root is None:
        raise InputError(f'{name}: ctxdb needs its annotations; add --data-root DIR, or give a run on one of '
                         f'{", ".join(known)}')
    dataset = load_dataset(name, None if root is None else Path(root), options.split_by)
    ran_on = run.record.data.get(name)
    if ran_on not in (None, dataset.data_hash):
        raise InputError(f'{name}: differs from the data of the run in {run.folder}; give the same --data-root')
    return dataset


def _one(option: str, given: str | None, known: Sequence[str]) -> str:
    if given is None and len(known) > 1:
        raise InputError(f'{option}: the run has several; name one of {", ".join(known)}')
    found = pick(option, None if given is None else [given], known, known[:1])
    if len(found) != 1:
        raise InputError(f'{option}: name one of {", ".join(known)}')
    return found[0]


def _present(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))
