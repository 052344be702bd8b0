"""Judging answers from outside by the metrics, rows and tables of a run."""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.structures import InstanceData

from harness.data.answers import Answer, Answers, Key, first_few
from harness.data.box_forms import check_form
from harness.data.masks import as_text, to_rle
from harness.data.needed_masks import Referents, referent_masks
from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.figures import Figures
from harness.evaluation.outcome import Outcome
from harness.evaluation.predictions import Choice, RowWriter, Truth, prediction_rows
from harness.evaluation.result_folder import ROWS
from harness.evaluation.tasks import cannot_judge
from harness.evaluation.timing import Timing
from harness.proposals.given import OutsideBoxes
from harness.types import Dataset, Expression, ImageInfo

#: The fields that only a run with proposals can fill.
UNKNOWN = {'n_proposals': None, 'best_proposal_iou': None, 'best_proposal_label': None, 'context_hits': None}
#: What is counted of answers in a model's own words.
KINDS = {'read': 'answers are a box', 'several': 'answers are several boxes, of which the first counts',
         'empty': 'answers are empty: the model declined or said nothing, counted as wrong',
         'unreadable': 'answers are not readable, counted as wrong'}
NO_PROPOSALS = InstanceData(bboxes=np.empty((0, 4)))


Chosen = Mapping[tuple[str, str], list[Expression]]


@dataclass
class Judgement:
    """Everything that judging needs, checked; nothing has been written yet.

    Attributes:
        sets: one set of answers per rule and grounder, with masks as run lengths of the size of their image.
        tasks: the tasks of each set: ``rec`` if it has boxes, ``res`` if it and the expressions have masks.
        referents: run lengths of the referents' masks, by dataset and ``ann_id``.
        allow_missing: leave out expressions that have no answer or several, instead of counting them as wrong.
        notes: one line per oddity.
        candidates: boxes that a two-stage method could have chosen from, beside the answers.
    """

    sets: list[Answers]
    tasks: list[list[str]]
    referents: Referents
    allow_missing: bool
    notes: list[str]
    candidates: OutsideBoxes | None = None


def check_answers(sets: Sequence[Answers], datasets: Mapping[str, Dataset], expressions: Chosen, tasks: Sequence[str],
                  allow_missing: bool = False) -> Judgement:
    """Check answers against the expressions that they answer.

    Args:
        sets: one set of answers per rule and grounder.
        datasets: by name.
        expressions: the chosen expressions of each (dataset, split).
        tasks: some of ``rec`` and ``res``.
        allow_missing: see :class:`Judgement`.

    Raises:
        InputError: no expression is answered, or it is not clear whose answers they are; boxes are not xywh in pixels;
            a mask is damaged or has another size than its image; nothing can be measured.
    """
    _one_dataset_each(sets, expressions)
    judgement = Judgement([], [], {}, allow_missing, [])
    if 'res' in tasks and any(map(_has_masks, sets)):
        judgement.referents, judgement.notes = referent_masks(datasets, expressions)
    for answers in sets:
        judgement.notes += faults(answers, expressions, allow_missing)
        who = f'--predictions: {answers.grounder} on {answers.proposals}'
        why = cannot_judge([answers], any(judgement.referents.values()))
        measured = [task for task in tasks if task not in why]
        if not measured:
            raise InputError(f'{who}: {"; ".join(why[task] for task in tasks)}')
        if _has_masks(answers) and 'res' in tasks and 'res' not in measured:
            judgement.notes.append(f'{who}: the masks are not judged, because the expressions have none')
        if note := _check_boxes(answers, datasets, expressions, who):
            judgement.notes.append(note)
        judgement.sets.append(_encoded(answers, datasets, expressions) if 'res' in measured else answers)
        judgement.tasks.append(measured)
    return judgement


def judge(judgement: Judgement, datasets: Mapping[str, Dataset], expressions: Chosen, out: Path) -> Outcome:
    """Write ``predictions.jsonl`` into ``out``, an existing folder, and compute the figures."""
    figures = []
    seen: set[tuple[str, int]] = set()
    kinds: Counter[str] = Counter(dict.fromkeys(KINDS.values(), 0))
    with RowWriter(out / ROWS) as writer:
        for answers, tasks in zip(judgement.sets, judgement.tasks, strict=True):
            figures.append(Figures(tasks))
            for (name, _), members in expressions.items():
                for info, mine in datasets[name].by_image(members):
                    rows = _judged(judgement, answers, tasks, datasets[name], info, mine)
                    writer.write(rows)
                    figures[-1].count(rows)
                    kinds.update(KINDS[row['answer']] for row in rows if row.get('answer') is not None)
                    seen.update((name, row['sent_id']) for row in rows)
    images = {(e.dataset, e.image_id) for es in expressions.values() for e in es if (e.dataset, e.sent_id) in seen}
    records = [record for mine in figures for record in mine.records()]
    return Outcome(Timing(), Counters(len(images), len(seen), kinds), records)


def counted(judgement: Judgement, expressions: Chosen) -> dict[tuple[str, str], list[Expression]]:
    """The expressions that are counted: all, or those that any set has one answer to."""
    if not judgement.allow_missing:
        return dict(expressions)
    return {key: [e for e in es if any(len(answers.of(e.dataset, e.sent_id)) == 1 for answers in judgement.sets)]
            for key, es in expressions.items()}


def _has_masks(answers: Answers) -> bool:
    return any(one.segmentation is not None for given in answers.given.values() for one in given)


def _one_dataset_each(sets: Iterable[Answers], expressions: Chosen) -> None:
    """Refuse an answer that names no dataset if its ``sent_id`` is in several."""
    homes: dict[int, list[str]] = defaultdict(list)
    for e in {(e.dataset, e.sent_id): e for es in expressions.values() for e in es}.values():
        homes[e.sent_id].append(e.dataset)
    for answers in sets:
        for dataset, sent_id in answers.given:
            if dataset is None and len(homes.get(sent_id, ())) > 1:
                raise InputError(f'--predictions: does not say to which dataset sent_id {sent_id} belongs, and '
                                 f'{" and ".join(homes[sent_id])} have it; add --dataset with one of them')


def _check_boxes(answers: Answers, datasets: Mapping[str, Dataset], expressions: Chosen, who: str) -> str | None:
    """A note on boxes that reach outside their image; boxes that are not xywh in pixels are refused."""
    boxes, sizes = [], []
    for e in (e for es in expressions.values() for e in es):
        info = datasets[e.dataset].images[e.image_id]
        for answer in answers.of(e.dataset, e.sent_id):
            if answer.xywh is not None:
                boxes.append(answer.xywh)
                sizes.append((info.width, info.height))
    try:
        return check_form(boxes, sizes, who)
    except InputError as error:
        if answers.in_words:
            raise InputError(f'{error}; say what the numbers of --answers are by --coordinates') from None
        raise


def _encoded(answers: Answers, datasets: Mapping[str, Dataset], expressions: Chosen) -> Answers:
    """The same answers with each mask as run lengths; an answer without a mask gets an empty one."""
    given: dict[Key, list[Answer]] = defaultdict(list)
    for e in (e for es in expressions.values() for e in es):
        info = datasets[e.dataset].images[e.image_id]
        found = answers.of(e.dataset, e.sent_id)
        given[e.dataset, e.sent_id] = [_with_mask(found[0], info, e.sent_id)] if len(found) == 1 else found
    return Answers(answers.proposals, answers.grounder, given)


def _with_mask(answer: Answer, info: ImageInfo, sent_id: int) -> Answer:
    segmentation = answer.segmentation
    if segmentation is None or segmentation == []:
        segmentation = {'size': [info.height, info.width], 'counts': [info.height * info.width]}
    where = f'--predictions: mask of sent_id {sent_id} (image {info.image_id})'
    return replace(answer, segmentation=as_text(to_rle(segmentation, info.height, info.width, where)))


def _judged(judgement: Judgement, answers: Answers, tasks: Sequence[str], dataset: Dataset, info: ImageInfo,
            expressions: Sequence[Expression]) -> list[dict[str, Any]]:
    """The rows of one image."""
    given = [answers.of(e.dataset, e.sent_id) for e in expressions]
    if judgement.allow_missing:
        expressions = [e for e, one in zip(expressions, given, strict=True) if len(one) == 1]
        given = [one for one in given if len(one) == 1]
    annotations = None if dataset.annotations is None else dataset.annotations.get(info.image_id, [])
    masks = judgement.referents.get(dataset.name, {}) if 'res' in tasks else {}
    truths = [Truth.of(e, annotations, None, masks.get(e.ann_id), _candidates(judgement, e)) for e in expressions]
    choices = [_choice(one[0], 'res' in tasks) if len(one) == 1 else None for one in given]
    rows = prediction_rows(truths, [NO_PROPOSALS] * len(truths), (), answers.proposals, answers.grounder, choices, info)
    if not answers.in_words:
        return [{**row, **UNKNOWN} for row in rows]
    return [{**row, **UNKNOWN, **_told(one)} for row, one in zip(rows, given, strict=True)]


def _candidates(judgement: Judgement, expression: Expression) -> np.ndarray | None:
    """``(n, 4)`` xyxy of the boxes beside the answers; ``None`` where the file lacks the image."""
    found = None if judgement.candidates is None else judgement.candidates.for_expression(expression)
    return None if found is None else found.bboxes.numpy()


def _told(given: Sequence[Answer]) -> dict[str, Any]:
    """What a row says of an answer in a model's own words; nothing where there is none."""
    answer = given[0] if len(given) == 1 else Answer()
    boxes = [list(box) for box in answer.boxes] if len(answer.boxes) > 1 else None
    return {'answer': answer.kind, 'answer_why': answer.why, 'answer_boxes': boxes}


def _choice(answer: Answer, with_mask: bool) -> Choice | None:
    """An answer as a grounder's choice."""
    if answer.xywh is None and answer.segmentation is None:
        return None
    box = None if answer.xywh is None else np.array(answer.xywh)
    return Choice(box, answer.score, answer.label, answer.segmentation if with_mask else None)


def faults(answers: Answers, expressions: Mapping[tuple[str, str], list[Expression]],
           allow_missing: bool = False) -> list[str]:
    """Notes on expressions that have no answer or several, and on answers to other expressions, a line each.

    Raises:
        InputError: no expression is answered.
    """
    asked = {(e.dataset, e.sent_id): len(answers.of(e.dataset, e.sent_id)) for es in expressions.values() for e in es}
    who = f'{answers.grounder} on {answers.proposals}'
    missing = [sent_id for (_, sent_id), n in asked.items() if n == 0]
    double = [sent_id for (_, sent_id), n in asked.items() if n > 1]
    if len(missing) == len(asked):
        raise InputError(f'--predictions: {who} answers none of the {len(asked)} expressions; check --dataset and '
                         '--split')
    fate = 'left out' if allow_missing else 'counted as wrong'
    lines = [f'{who}: {len(ids)} of {len(asked)} expressions {what}, {fate}: sent_id {first_few(ids)}'
             for ids, what in ((missing, 'have no answer'), (double, 'have more than one answer')) if ids]
    names = {sent_id for _, sent_id in asked}
    strange = [sent_id for dataset, sent_id in answers.given
               if (dataset, sent_id) not in asked and (dataset is not None or sent_id not in names)]
    if strange:
        lines.append(f'{who}: {len(strange)} answers are ignored, they are for other expressions: sent_id '
                     f'{first_few(strange)}')
    return lines
