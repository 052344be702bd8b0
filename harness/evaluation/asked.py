"""What a request asks for by name and by number, resolved or refused before anything large is imported or read."""
from __future__ import annotations

from collections.abc import Sequence

from harness.data.embedded_names import EMBEDDED, SPLITS
from harness.errors import InputError
from harness.evaluation.datasets import dataset_names
from harness.evaluation.request import TASKS, Request
from harness.evaluation.settings import check_names
from harness.files import fields
from harness.names import pick
from harness.registry import DETECTORS, GROUNDERS, PROPOSAL_RULES, names

#: The rules of the paper's Table 1.
TABLE_1 = ('greedy-100', 'ref-nms-b-100', 'greedy', 'ref-nms-b')
#: Who grounds where nobody says who.
DEFAULT_GROUNDER = 'cmae'
#: Endings of the pictures that ``show`` draws.
PICTURES = ('.png', '.jpg', '.jpeg', '.svg', '.pdf')


def check_asked(request: Request) -> None:
    """Refuse what names and numbers alone show to be wrong.

    Datasets are not loaded, so that splits are checked only where all datasets are embedded ones.

    Raises:
        InputError: the first of them, in one line.
    """
    check_numbers(request)
    tasks = pick('--task', request.tasks, TASKS, TASKS)
    rules_of(request)
    grounders_of(request, tasks)
    check_names(request.settings)
    detector_of(request)
    check_image_folder(request)
    if request.expressions is None:
        datasets, _ = dataset_names(request.datasets, request.data_root, request.split_by)
        if request.data_root is None and set(datasets) <= set(EMBEDDED):
            splits_of(request, list(dict.fromkeys(split for name in datasets for split in SPLITS[name])))


def check_numbers(request: Request) -> None:
    """
    Raises:
        InputError: a number is out of range.
    """
    if request.limit is not None and request.limit < 1:
        raise InputError(f'--limit {request.limit}: must be at least 1')
    if request.max_pixels is not None and not 1 <= request.max_pixels <= fields.MAX_PIXELS:
        raise InputError(f'--max-pixels {request.max_pixels}: must be 1 to {fields.MAX_PIXELS}')


def check_image_folder(request: Request) -> None:
    """
    Raises:
        InputError: ``--images`` goes with nothing else, or is no folder.
    """
    if request.images is not None and request.expressions is None and request.data_root is None:
        raise InputError('--images: says where the images of a dataset are; add --expressions FILE or --data-root DIR')
    if request.images is not None and not request.images.is_dir():
        raise InputError(f'--images {request.images}: there is no such folder')


def rules_of(request: Request) -> list[str]:
    """The rules asked for; ``given`` goes with boxes from outside and with nothing else.

    Raises:
        InputError: a name is unknown, or the rules and boxes from outside contradict each other.
    """
    if request.candidates is not None or request.detections is not None:
        rules = pick('--proposals', request.rules, names(PROPOSAL_RULES), ('given',))
        if rules != ['given']:
            raise InputError('--proposals: boxes from outside (--candidates, --detections) are the proposals; '
                             'leave --proposals out')
        return rules
    known = [name for name in names(PROPOSAL_RULES) if not PROPOSAL_RULES.attribute(name, 'needs_candidates')]
    if request.rules is not None and 'given' in request.rules:
        raise InputError('--proposals given: needs boxes from outside; add --candidates FILE or --detections FILE')
    return pick('--proposals', request.rules, known, TABLE_1)


def grounders_of(request: Request, tasks: Sequence[str]) -> list[str]:
    """The grounders asked for, CM-A-E where nobody says who; ``all`` leaves out what is there for comparison alone.

    Boxes from outside are for recall, unless a grounder or another task is asked for.

    Raises:
        InputError: a name is unknown, or grounders and tasks contradict each other.
    """
    known = names(GROUNDERS)
    outside = request.candidates is not None or request.detections is not None
    for_recall = list(tasks) == ['recall'] or (outside and request.tasks is None)
    asked = pick('--grounder', request.grounders, [*known, 'all', 'none'], [] if for_recall else [DEFAULT_GROUNDER])
    if 'all' in asked:
        asked = [name for name in known if not GROUNDERS.attribute(name, 'control')]
    elif 'none' in asked and len(asked) > 1:
        raise InputError('--grounder none: means recall alone; leave it or the other grounders out')
    elif asked == ['none']:
        asked = []
    if asked and list(tasks) == ['recall']:
        raise InputError('--grounder: recall of proposals needs none; leave it out, or --task recall')
    if not asked and request.tasks is not None and list(tasks) != ['recall']:
        raise InputError('--task rec or res needs a grounder: add --grounder, for instance --grounder cmae')
    return asked


def detector_of(request: Request) -> str:
    """The detector asked for.

    Raises:
        InputError: there is none of that name.
    """
    name, = pick('--detector', [request.detector], names(DETECTORS), ())
    return name


def splits_of(request: Request, known: Sequence[str]) -> list[str]:
    """The splits asked for among those of the datasets, by default all but the training splits.

    Raises:
        InputError: a name is unknown.
    """
    evaluation = [split for split in known if split != 'train']
    return pick('--split', request.splits, evaluation if request.splits == ['all'] else known, evaluation)
