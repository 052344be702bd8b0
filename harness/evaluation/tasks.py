"""What is measured: from what was asked for to what can be met."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.data.answers import Answers
from harness.detection.source import FromNowhere
from harness.errors import InputError
from harness.types import Dataset, Expression

if TYPE_CHECKING:
    from harness.evaluation.request import Request

#: What answers from outside can be judged by.
JUDGED = ('rec', 'res')
#: The chosen expressions of each (dataset, split).
Chosen = Mapping[tuple[str, str], Sequence[Expression]]


def tasks_of(request: Request, tasks: Sequence[str], datasets: Mapping[str, Dataset], expressions: Chosen,
             source: object) -> tuple[list[str], list[str]]:
    """The tasks, and notes: RES where masks can be made and compared, else a note says why not.

    Raises:
        InputError: RES was asked for by name.
    """
    if 'res' not in tasks:
        return list(tasks), []
    if isinstance(source, FromNowhere) and request.masks is None:
        why = 'there is neither a detector to make masks nor --masks FILE'
    elif not _have_masks(datasets, expressions):
        why = f'{", ".join(datasets)} has no masks of the referents'
    else:
        return list(tasks), []
    if _by_name(request, 'res'):
        raise InputError(f'--task res: {why}; leave res out')
    return [task for task in tasks if task != 'res'], [f'RES is not available: {why}']


def check_judged(request: Request, tasks: Sequence[str], sets: Sequence[Answers], datasets: Mapping[str, Dataset],
                 expressions: Chosen) -> None:
    """Refuse a task that was asked for by name and by which answers from outside cannot be judged.

    Raises:
        InputError: with what is missing.
    """
    why = cannot_judge(sets, _have_masks(datasets, expressions))
    for task in tasks:
        if task in why and _by_name(request, task):
            raise InputError(f'--task {task}: {why[task]}, or leave {task} out')


def cannot_judge(sets: Iterable[Answers], truth_has_masks: bool) -> dict[str, str]:
    """By which of :data:`JUDGED` answers from outside cannot be judged: for each the reason and what to do."""
    answers = [answer for one in sets for given in one.given.values() for answer in given]
    why = {}
    if all(answer.xywh is None for answer in answers):
        why['rec'] = 'the answers have no boxes; give boxes as well'
    if all(answer.segmentation is None for answer in answers):
        why['res'] = 'the answers have no masks; give them as segmentation'
    elif not truth_has_masks:
        why['res'] = 'the expressions have no masks; take expressions with masks (--data-root DIR)'
    return why


def _by_name(request: Request, task: str) -> bool:
    return request.tasks is not None and task in [name.strip() for given in request.tasks for name in given.split(',')]


def _have_masks(datasets: Mapping[str, Dataset], expressions: Chosen) -> bool:
    """Whether the mask of any expression's referent is known."""
    return any(a.ann_id == e.ann_id and a.segmentation is not None for (name, _), mine in expressions.items()
               for e in mine for a in (datasets[name].annotations or {}).get(e.image_id, ()))
