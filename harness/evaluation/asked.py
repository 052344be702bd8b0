"""The names and numbers of a request, resolved or refused before anything large is imported or read."""
from __future__ import annotations

from collections.abc import Sequence

from harness.arguments import check_boxes
from harness.data.candidate_forms import is_detection_results
from harness.data.embedded_names import EMBEDDED, SPLITS
from harness.errors import InputError
from harness.evaluation.datasets import dataset_names
from harness.evaluation.request import TASKS, Request
from harness.evaluation.settings import check_names, check_values
from harness.files import fields
from harness.names import pick
from harness.registry import DETECTORS, GROUNDERS, PROPOSAL_RULES, names

#: The rules of the paper's Table 1.
TABLE_1 = ('greedy-100', 'ref-nms-b-100', 'ref-nms-r-100', 'greedy', 'ref-nms-b', 'ref-nms-r')
#: The grounder of a request that names none.
DEFAULT_GROUNDER = 'cmae'
#: Endings of the pictures that ``show`` draws.
PICTURES = ('.png', '.jpg', '.jpeg', '.svg', '.pdf')


def check_asked(request: Request) -> None:
    """Refuse a request whose names or numbers are wrong.

    No dataset is loaded, so splits are checked only if all datasets are embedded ones.

    Raises:
        InputError: the first mistake, in one line.
    """
    check_numbers(request)
    tasks = pick('--task', request.tasks, TASKS, TASKS)
    rules_of(request)
    grounders_of(request, tasks)
    check_names(request.settings)
    check_values(request.settings)
    detector_of(request)
    check_image_folder(request)
    check_data(request)
    if request.expressions is None and not request.data:
        datasets, _ = dataset_names(request.datasets, request.data_root, request.split_by)
        if request.data_root is None and set(datasets) <= set(EMBEDDED):
            splits_of(request, list(dict.fromkeys(split for name in datasets for split in SPLITS[name])))


def check_numbers(request: Request) -> None:
    """Refuse numbers out of range.

    Raises:
        InputError: a number is out of range.
    """
    if request.limit is not None and request.limit < 1:
        raise InputError(f'--limit {request.limit}: must be at least 1')
    if request.max_pixels is not None and not 1 <= request.max_pixels <= fields.MAX_PIXELS:
        raise InputError(f'--max-pixels {request.max_pixels}: must be 1 to {fields.MAX_PIXELS}')


def check_data(request: Request) -> None:
    """Refuse data from two places, and options for data that are not given.

    Raises:
        InputError: as said.
    """
    places = {'--data': request.data, '--data-root': request.data_root, '--expressions': request.expressions}
    given = [option for option, value in places.items() if value]
    if request.data and len(given) > 1:
        raise InputError(f'{given[1]}: --data says already what is evaluated; leave one of the two out')
    check_boxes(request.boxes, request.data)


def check_image_folder(request: Request) -> None:
    """Refuse an ``--images`` that cannot be used.

    Raises:
        InputError: no data of one's own are given, or there is no such folder.
    """
    if request.images is not None and not (request.expressions or request.data_root or request.data):
        raise InputError('--images: names the image folder of a dataset; add --expressions FILE, --data FILE or '
                         '--data-root DIR')
    if request.images is not None and not request.images.is_dir():
        raise InputError(f'--images {request.images}: there is no such folder')


def has_candidates(request: Request) -> bool:
    """Whether ``--candidates`` holds boxes with categories and scores, which rules can suppress.

    Raises:
        InputError: the file cannot be read.
    """
    return request.candidates is not None and is_detection_results(request.candidates)


def has_proposals(request: Request) -> bool:
    """Whether boxes from outside are the proposals themselves, whatever rules are asked for."""
    return request.detections is not None or (request.candidates is not None and not has_candidates(request))


def rules_of(request: Request) -> list[str]:
    """The rules asked for; with boxes from outside there is only ``given``, and without them it is refused.

    Raises:
        InputError: a name is unknown, or a rule and boxes from outside exclude each other.
    """
    if has_proposals(request):
        rules = pick('--proposals', request.rules, names(PROPOSAL_RULES), ('given',))
        if rules != ['given']:
            raise InputError('--proposals: the boxes of --candidates or --detections are the proposals; leave '
                             '--proposals out')
        return rules
    known = [name for name in names(PROPOSAL_RULES) if not PROPOSAL_RULES.attribute(name, 'needs_candidates')]
    if request.candidates is not None and request.rules == ['given']:
        return ['given']
    if request.rules is not None and 'given' in request.rules:
        raise InputError('--proposals given: needs boxes from outside; add --candidates FILE or --detections FILE')
    return pick('--proposals', request.rules, known, default_rules(request))


def default_rules(request: Request) -> tuple[str, ...]:
    """The rules of Table 1. Where weights of Ref-NMS are given, those whose weights are not are left out: the shipped
    ones were trained on the shipped detector."""
    needed = {rule: PROPOSAL_RULES.attribute(rule, 'weights') for rule in TABLE_1}
    if not any(name in request.weights for name in needed.values()):
        return TABLE_1
    return tuple(rule for rule, name in needed.items() if name is None or name in request.weights)


def grounders_of(request: Request, tasks: Sequence[str]) -> list[str]:
    """The grounders asked for, by default CM-A-E; ``all`` leaves out the controls, and those whose weights are neither
    shipped nor given.

    With boxes from outside, only recall is measured unless a grounder or another task is asked for.

    Raises:
        InputError: a name is unknown, or grounders and tasks exclude each other.
    """
    known = names(GROUNDERS)
    for_recall = list(tasks) == ['recall'] or (has_proposals(request) and request.tasks is None)
    asked = pick('--grounder', request.grounders, [*known, 'all', 'none'], [] if for_recall else [DEFAULT_GROUNDER])
    if 'all' in asked:
        asked = [name for name in known if not GROUNDERS.attribute(name, 'control') and _has_weights(name, request)]
    elif 'none' in asked and len(asked) > 1:
        raise InputError('--grounder none: means that only recall is measured; leave out "none" or the other '
                         'grounders')
    elif asked == ['none']:
        asked = []
    if asked and list(tasks) == ['recall']:
        raise InputError('--grounder: --task recall uses no grounder; leave one of the two out')
    if not asked and request.tasks is not None and list(tasks) != ['recall']:
        raise InputError('--task: rec and res need a grounder; add --grounder, for instance --grounder cmae')
    return asked


def _has_weights(grounder: str, request: Request) -> bool:
    return (GROUNDERS.attribute(grounder, 'not_shipped') is None
            or GROUNDERS.attribute(grounder, 'weights') in request.weights)


def detector_of(request: Request) -> str:
    """The name of the detector asked for.

    Raises:
        InputError: there is no such detector.
    """
    name, = pick('--detector', [request.detector], names(DETECTORS), ())
    return name


def splits_of(request: Request, known: Sequence[str]) -> list[str]:
    """The splits asked for, by default all but ``train``.

    Args:
        request: what is asked for.
        known: the splits of its datasets.

    Raises:
        InputError: a name is unknown.
    """
    evaluation = [split for split in known if split != 'train']
    return pick('--split', request.splits, evaluation if request.splits == ['all'] else known, evaluation)
