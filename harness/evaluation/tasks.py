"""The tasks of a run: those asked for that can be measured."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.data.answers import Answers
from harness.detection.source import FromNowhere
from harness.errors import InputError
from harness.types import Dataset, Expression

if TYPE_CHECKING:
    from harness.evaluation.request import Request

#: The tasks by which answers from outside can be judged.
JUDGED = ('rec', 'res')
#: The chosen expressions of each (dataset, split).
Chosen = Mapping[tuple[str, str], Sequence[Expression]]


def tasks_of(request: Request, tasks: Sequence[str], datasets: Mapping[str, Dataset], expressions: Chosen,
             source: object) -> tuple[list[str], list[str]]:
    """The tasks that can be measured, and notes; RES is left out with a note if there are no masks for it.

    Raises:
        InputError: RES was asked for by name and cannot be measured.
    """
    if 'res' not in tasks:
        return list(tasks), []
    if isinstance(source, FromNowhere) and request.masks is None:
        why = 'no detector makes masks, and --masks FILE is not given'
    elif request.masks is None and not getattr(getattr(source, 'detector', None), 'makes_masks', True):
        why = 'the detector makes no masks'
    elif not _have_masks(datasets, expressions):
        why = f'{", ".join(datasets)} has no masks of the referents'
    else:
        return list(tasks), []
    if _by_name(request, 'res'):
        raise InputError(f'--task res: {why}; leave res out')
    return [task for task in tasks if task != 'res'], [f'RES is not available: {why}']


def check_judged(request: Request, tasks: Sequence[str], sets: Sequence[Answers], datasets: Mapping[str, Dataset],
                 expressions: Chosen) -> None:
    """Refuse a task that was asked for by name if answers from outside cannot be judged by it.

    Raises:
        InputError: the answers or the expressions lack what the task needs.
    """
    why = cannot_judge(sets, _have_masks(datasets, expressions))
    for task in tasks:
        if task in why and _by_name(request, task):
            raise InputError(f'--task {task}: {why[task]}, or leave {task} out')


def cannot_judge(sets: Iterable[Answers], truth_has_masks: bool) -> dict[str, str]:
    """The tasks of :data:`JUDGED` by which answers from outside cannot be judged, with the reason and what to do."""
    answers = [answer for one in sets for given in one.given.values() for answer in given]
    why = {}
    if all(answer.xywh is None and answer.kind is None for answer in answers):
        why['rec'] = 'the answers have no boxes; add them as bbox'
    if all(answer.segmentation is None for answer in answers):
        why['res'] = 'the answers have no masks; add them as segmentation'
    elif not truth_has_masks:
        why['res'] = 'the expressions have no masks; give a dataset that has (--data-root DIR)'
    return why


def _by_name(request: Request, task: str) -> bool:
    return request.tasks is not None and task in [name.strip() for given in request.tasks for name in given.split(',')]


def _have_masks(datasets: Mapping[str, Dataset], expressions: Chosen) -> bool:
    """Whether the mask of any expression's referent is known."""
    return any(a.ann_id == e.ann_id and a.segmentation is not None for (name, _), mine in expressions.items()
               for e in mine for a in datasets[name].with_masks().get(e.image_id, ()))
