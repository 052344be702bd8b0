"""The rows of a run, one per expression, rule and grounder, from which all figures and reports are made.

``predictions.jsonl`` and ``proposals.jsonl`` are written image by image; ``harness/data/rows.py`` declares their
fields. Boxes are ``xywh`` with ``w = x2 - x1`` (``tools/save_matt_dets.py`` of ChopinSharp/ref-nms); what is not
available is ``null``.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import orjson
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from harness.boxes import best_iou, plain_iou, rec_iou, xywh_to_xyxy, xyxy_to_xywh
from harness.data.answers import NO_GROUNDER
from harness.data.rows import PredictionRow, ProposalsRow
from harness.files.writing import append_whole
from harness.metrics.mask_overlap import mask_overlap
from harness.metrics.recall import HIT_IOU
from harness.types import Annotation, Expression, ImageInfo


@dataclass(frozen=True)
class Truth:
    """The truth about an expression, independent of rule and grounder.

    ``context`` holds the boxes ``(c, 4)`` xyxy of its contextual objects and ``context_ids`` their annotations; both
    are ``None`` if not available. ``objects`` holds the annotated objects of the image, the referent first, with their
    boxes ``(n, 4)`` xyxy; both are empty if there are none.
    """

    expression: Expression
    gt_xyxy: np.ndarray
    context: np.ndarray | None
    mask: dict | None
    n_same_category: int | None
    best_candidate_iou: float | None
    objects: tuple[Sequence[Annotation], np.ndarray]
    context_ids: list[int] | None = None

    @classmethod
    def of(cls, expression: Expression, annotations: Sequence[Annotation] | None, context: Sequence[Annotation] | None,
           mask: dict | None, candidates: np.ndarray | None) -> Truth:
        """The truth about an expression.

        Args:
            expression: the expression.
            annotations: the annotated objects of its image; ``None`` if not available.
            context: its contextual objects among them.
            mask: run lengths of the referent's mask.
            candidates: ``(n, 4)`` all boxes of the detector before NMS, xyxy in image pixels.
        """
        gt = xywh_to_xyxy(np.array([expression.gt_xywh]))
        same = None
        if annotations is not None and expression.category is not None:
            same = sum(a.category == expression.category for a in annotations)
        best = None
        if candidates is not None:
            best = float(best_iou(gt, candidates)[0])
        objects = sorted(annotations or (), key=lambda a: a.ann_id != expression.ann_id)
        boxes = xywh_to_xyxy(np.reshape([a.xywh for a in objects], (-1, 4)))
        return cls(expression, gt, None, mask, same, best, (objects, boxes)).said_of(expression, context)

    def said_of(self, expression: Expression, context: Sequence[Annotation] | None) -> Truth:
        """The truth about another expression of the same referent, which has contextual objects of its own."""
        boxes = None if context is None else xywh_to_xyxy(np.reshape([a.xywh for a in context], (-1, 4)))
        ids = None if context is None else [a.ann_id for a in context]
        return replace(self, expression=expression, context=boxes, context_ids=ids)


@dataclass(frozen=True)
class Choice:
    """A grounder's choice: a box ``(4,)`` xywh with its score and label, and its mask if RES is measured."""

    xywh: np.ndarray | None
    score: float | None
    label: str | None
    rle: dict | None


@dataclass(frozen=True)
class ProposalFacts:
    """How one expression's proposals fit what it speaks of, whoever chooses among them.

    Attributes:
        n: number of proposals.
        best_iou: plain IoU of the referent with the best of them, 0 without any.
        best_label: category name of that one.
        context_hits: how many contextual objects are hit, ``None`` where they are not available.
        hits: of each proposal whether it hits the ``'referent'``, else a ``'context'`` object, or nothing.
    """

    n: int
    best_iou: float
    best_label: str | None
    context_hits: int | None
    hits: list[str | None]


def proposal_facts(truths: Sequence[Truth], proposals: Sequence[InstanceData],
                   names: Sequence[str]) -> list[ProposalFacts]:
    """The facts of each expression of an image with one rule's proposals."""
    return [_facts(t, p, names) for t, p in zip(truths, proposals, strict=True)]


def _facts(truth: Truth, proposals: InstanceData, names: Sequence[str]) -> ProposalFacts:
    boxes = np.asarray(proposals.bboxes, dtype=np.float64).reshape(-1, 4)
    objects = truth.gt_xyxy if truth.context is None else np.concatenate((truth.gt_xyxy, truth.context))
    overlaps = plain_iou(objects, boxes)
    hit = overlaps > HIT_IOU
    best = int(overlaps[0].argmax()) if len(boxes) else None
    found = np.where(hit[0], 'referent', np.where(hit[1:].any(0), 'context', ''))
    return ProposalFacts(len(boxes), 0.0 if best is None else float(overlaps[0, best]), _name(proposals, best, names),
                         None if truth.context is None else int(hit[1:].any(1).sum()),
                         [name or None for name in found.tolist()])


def prediction_rows(truths: Sequence[Truth], proposals: Sequence[InstanceData], names: Sequence[str], rule: str,
                    grounder: str, choices: Sequence[Choice | None], info: ImageInfo | None = None,
                    facts: Sequence[ProposalFacts] | None = None) -> list[PredictionRow]:
    """The rows of one image, rule and grounder; a choice is ``None`` if there was nothing to choose from.

    With ``info``, the rows also name the image's file and its recorded size (``None`` if unknown), in whose pixels all
    boxes are. ``facts`` are the :func:`proposal_facts`, if they are known.
    """
    facts = proposal_facts(truths, proposals, names) if facts is None else facts
    rows = [_prediction_row(t, f, rule, grounder, c) for t, f, c in zip(truths, facts, choices, strict=True)]
    if info is not None:
        for row in rows:
            row['image_size'] = [info.width, info.height] if info.width and info.height else None
            row['image_file'] = info.path.name if info.path else None
    return rows


def _prediction_row(truth: Truth, facts: ProposalFacts, rule: str, grounder: str,
                    choice: Choice | None) -> PredictionRow:
    e = truth.expression
    grounded = grounder != NO_GROUNDER
    box = choice.xywh if choice is not None else None
    rle = choice.rle if choice is not None else None
    overlap, union = _mask_overlap(truth, choice) if grounded else (None, None)
    chosen, chosen_iou = _chosen_object(truth, box)
    return {
        'dataset': e.dataset, 'split': e.split, 'image_id': e.image_id, 'ref_id': e.ref_id, 'ann_id': e.ann_id,
        'sent_id': e.sent_id, 'sent': e.sent, 'proposals': rule, 'grounder': grounder,
        'box': None if box is None else box.tolist(),
        'score': None if choice is None else choice.score,
        'label': None if choice is None else choice.label,
        'rle': rle,
        'n_proposals': facts.n,
        'iou': None if not grounded else 0.0 if box is None else float(rec_iou(box[None], np.asarray([e.gt_xywh]))[0]),
        'mask_intersection': overlap, 'mask_union': union,
        'chosen_ann_id': chosen.ann_id if chosen else None,
        'chosen_gt_label': chosen.category if chosen else None,
        'chosen_gt_iou': chosen_iou,
        'best_candidate_iou': truth.best_candidate_iou,
        'best_proposal_iou': facts.best_iou,
        'best_proposal_label': facts.best_label,
        'context_hits': facts.context_hits, 'n_context': None if truth.context is None else len(truth.context),
        'context_ann_ids': truth.context_ids,
        'gt_box': list(e.gt_xywh), 'gt_label': e.category, 'n_same_category': truth.n_same_category,
    }


def _chosen_object(truth: Truth, box: np.ndarray | None) -> tuple[Annotation | None, float | None]:
    """The annotated object that a chosen box xywh overlaps most, and its plain IoU; the referent wins a tie, then the
    first. ``None`` if it overlaps none, or none is known."""
    objects, boxes = truth.objects
    if box is None or not len(objects):
        return None, None
    overlaps = plain_iou(xywh_to_xyxy(box[None]), boxes)[0]
    best = int(overlaps.argmax())
    return (objects[best], float(overlaps[best])) if overlaps[best] > 0 else (None, None)


def _mask_overlap(truth: Truth, choice: Choice | None) -> tuple[int | None, int | None]:
    """Intersection and union with the referent's mask; an answer without a box counts as an empty mask."""
    if truth.mask is None:
        return None, None
    if choice is None:
        return 0, int(coco_mask.area(truth.mask))
    return mask_overlap(choice.rle, truth.mask) if choice.rle is not None else (None, None)


def category_name(label: int, names: Sequence[str]) -> str | None:
    """The name of a class index; ``None`` for -1, a class that the detector does not know."""
    return names[label] if 0 <= label < len(names) else None


def _name(proposals: InstanceData, index: int | None, names: Sequence[str]) -> str | None:
    return None if index is None or 'labels' not in proposals else category_name(int(proposals.labels[index]), names)


def proposals_rows(truths: Sequence[Truth], proposals: Sequence[InstanceData], names: Sequence[str],
                   rule: str, facts: Sequence[ProposalFacts] | None = None) -> list[ProposalsRow]:
    """One row per expression with its proposals, best first, and the attention over its words if the rule has one.

    ``hits`` says what each proposal hits: the ``'referent'``, else a ``'context'`` object, else nothing (``null``).
    Boxes are rounded to a thousandth of a pixel and scores to five digits; exact figures come from
    :func:`prediction_rows`.
    """
    facts = proposal_facts(truths, proposals, names) if facts is None else facts
    rows: list[ProposalsRow] = []
    for truth, p, own in zip(truths, proposals, facts, strict=True):
        e = truth.expression
        rows.append({
            'dataset': e.dataset, 'split': e.split, 'image_id': e.image_id, 'sent_id': e.sent_id, 'proposals': rule,
            'boxes': xyxy_to_xywh(np.asarray(p.bboxes)).round(3).tolist(),
            'labels': [category_name(label, names) for label in p.labels.tolist()] if 'labels' in p else [None] * own.n,
            'hits': own.hits,
            'confidence': _column(p, 'det_scores'), 'relatedness': _column(p, 'relatedness'),
            'word_attention': _rounded(p.get('word_attention')),
        })
    return rows


def _rounded(numbers: Sequence[float] | None) -> list[float] | None:
    return None if numbers is None else [round(x, 5) for x in numbers]


def _column(proposals: InstanceData, name: str) -> list[float] | None:
    return np.asarray(proposals.get(name), np.float64).round(5).tolist() if name in proposals else None


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as lines of a ``.jsonl`` file."""
    return b''.join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


class RowWriter:
    """Appends JSON lines to a file, one image at a time and unbuffered, so that a killed run keeps its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open('wb', buffering=0)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append all ``rows``, or none.

        Raises:
            InputError: the file cannot be written, for instance because the disk is full.
        """
        append_whole(self._file, lines(rows), self.path,
                     'free some space or choose another --out; earlier rows are kept')

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()
