"""Answers from outside, judged by the same metrics, rows and tables as a run's own."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.structures import InstanceData

from harness.data.answers import Answer, Answers, named
from harness.data.masks import as_text, to_rle
from harness.errors import InputError
from harness.predictions import Choice, RowWriter, Truth, prediction_rows
from harness.registry import METRICS
from harness.run import Outcome, annotated_masks
from harness.types import Dataset, Expression, ImageInfo

#: What only proposals can tell.
UNKNOWN = {'n_proposals': None, 'best_proposal_iou': None, 'best_proposal_label': None, 'context_hits': None}
NO_PROPOSALS = InstanceData(bboxes=np.empty((0, 4)))


def judge(sets: Sequence[Answers], datasets: Mapping[str, Dataset],
          expressions: Mapping[tuple[str, str], list[Expression]], out: Path, tasks: Sequence[str],
          allow_missing: bool = False) -> Outcome:
    """Write ``predictions.jsonl`` into ``out``, and count.

    An expression without an answer, or with several, is wrong, unless ``allow_missing`` leaves it out.

    Args:
        sets: answers, a set for each rule and grounder.
        datasets: by name.
        expressions: the chosen expressions of each (dataset, split).
        out: an existing folder.
        tasks: ``rec`` counts where a set has boxes, ``res`` where it has masks.
        allow_missing: see above.

    Raises:
        InputError: a mask is damaged, or not of its image's size.
    """
    METRICS.import_from_location()
    outcome = Outcome()
    seen: set[tuple[str, int]] = set()
    with RowWriter(out / 'predictions.jsonl') as writer:
        for answers in sets:
            everything = [answer for given in answers.given.values() for answer in given]
            wanted = [task for task, has in (('rec', any(a.xywh is not None for a in everything)),
                                             ('res', any(a.segmentation is not None for a in everything)))
                      if has and task in tasks]
            for (name, _), members in expressions.items():
                for info, mine in datasets[name].by_image(members):
                    rows = _judged(answers, datasets[name], info, mine, wanted, allow_missing)
                    writer.write(rows)
                    if rows:
                        outcome.count(rows, wanted)
                    seen.update((name, row['sent_id']) for row in rows)
    outcome.expressions = len(seen)
    outcome.images = len({(e.dataset, e.image_id) for es in expressions.values() for e in es
                          if (e.dataset, e.sent_id) in seen})
    return outcome


def _judged(answers: Answers, dataset: Dataset, info: ImageInfo, expressions: Sequence[Expression],
            tasks: Sequence[str], allow_missing: bool) -> list[dict[str, Any]]:
    """Rows of one image."""
    given = [answers.of(e.dataset, e.sent_id) for e in expressions]
    if allow_missing:
        expressions = [e for e, one in zip(expressions, given, strict=True) if len(one) == 1]
        given = [one for one in given if len(one) == 1]
    annotations = None if dataset.annotations is None else dataset.annotations.get(info.image_id, [])
    masks = annotated_masks(annotations, info, expressions) if 'res' in tasks else {}
    truths = [Truth.of(e, annotations, None, masks.get(e.ann_id), None) for e in expressions]
    choices = [_choice(one[0], info, 'res' in tasks, e.sent_id) if len(one) == 1 else None
               for e, one in zip(expressions, given, strict=True)]
    rows = prediction_rows(truths, [NO_PROPOSALS] * len(truths), (), answers.proposals, answers.grounder, choices)
    return [{**row, **UNKNOWN} for row in rows]


def _choice(answer: Answer, info: ImageInfo, with_mask: bool, sent_id: int) -> Choice | None:
    """An answer as a grounder's choice; one without a mask, where others have one, has an empty mask."""
    if answer.xywh is None and answer.segmentation is None:
        return None
    rle = None
    if with_mask:
        empty = {'size': [info.height, info.width], 'counts': [info.height * info.width]}
        segmentation = empty if answer.segmentation is None else answer.segmentation
        where = f'--predictions: mask of sent_id {sent_id}'
        rle = as_text(to_rle(segmentation, info.height, info.width, where))
    return Choice(None if answer.xywh is None else np.array(answer.xywh), answer.score, answer.label, rle)


def faults(answers: Answers, expressions: Mapping[tuple[str, str], list[Expression]],
           allow_missing: bool = False) -> list[str]:
    """A line each about expressions without an answer or with several, and about answers to other expressions.

    Raises:
        InputError: none of the expressions is answered.
    """
    asked = {(e.dataset, e.sent_id): len(answers.of(e.dataset, e.sent_id)) for es in expressions.values() for e in es}
    who = f'{answers.grounder} on {answers.proposals}'
    missing = [sent_id for (_, sent_id), n in asked.items() if n == 0]
    double = [sent_id for (_, sent_id), n in asked.items() if n > 1]
    if len(missing) == len(asked):
        raise InputError(f'--predictions: {who} answers none of the {len(asked)} expressions; check --dataset and '
                         '--split')
    fate = 'left out' if allow_missing else 'counted as wrong'
    lines = [f'{who}: {len(ids)} of {len(asked)} expressions {what}, {fate}: sent_id {named(ids)}'
             for ids, what in ((missing, 'have no answer'), (double, 'have more than one answer')) if ids]
    names = {sent_id for _, sent_id in asked}
    strange = [sent_id for dataset, sent_id in answers.given
               if (dataset, sent_id) not in asked and (dataset is not None or sent_id not in names)]
    if strange:
        lines.append(f'{who}: {len(strange)} answers are for other expressions, ignored: sent_id {named(strange)}')
    return lines
