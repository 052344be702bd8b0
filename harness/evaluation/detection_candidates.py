"""The detections of ``--candidates`` that take the place of a detector's own, held against what is evaluated."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.data.answers import first_few
from harness.data.candidates import load_candidates
from harness.data.detection_results import DetectionResults, load_detection_results
from harness.detection.outside import OutsideCandidates
from harness.errors import InputError
from harness.evaluation.asked import has_candidates
from harness.evaluation.request import Request
from harness.proposals.given import OutsideBoxes
from harness.types import Dataset, Expression

#: How many names a note gives.
_NAMED = 8


def detection_candidates(request: Request, datasets: Mapping[str, Dataset],
                         expressions: Mapping[tuple[str, str], Sequence[Expression]]
                         ) -> tuple[DetectionResults | None, list[str]]:
    """The detections of ``--candidates`` if the file holds COCO's detection results, and notes on what does not fit.

    Raises:
        InputError: the file is wrong or has boxes on none of the images, or other boxes from outside are given too.
    """
    if request.candidates is None:
        return None, []
    if request.detections is not None:
        raise InputError('--detections: --candidates gives boxes as well; leave one of the two out')
    if not has_candidates(request):
        return None, []
    names = {number: name for dataset in datasets.values() for number, name in dataset.category_ids.items()}
    results = load_detection_results(request.candidates, names)
    asked = {e.image_id for es in expressions.values() for e in es}
    if not asked & results.by_image.keys():
        raise InputError(f'--candidates {request.candidates}: has boxes on none of the {len(asked)} images; check '
                         '--dataset and --split')
    notes = []
    if others := results.by_image.keys() - asked:
        notes.append(f'--candidates: {len(others)} of its {len(results.by_image)} images have no expression here')
    if without := asked - results.by_image.keys():
        notes.append(f'--candidates: has no box on {len(without)} of {len(asked)} images; nothing is proposed there')
    if reaching := results.count_outside({k: info for d in datasets.values() for k, info in d.images.items()}):
        notes.append(f'{reaching} candidates reach outside their image; they count as they are')
    return results, notes


def candidates_beside(request: Request, datasets: Mapping[str, Dataset],
                      expressions: Mapping[tuple[str, str], Sequence[Expression]]
                      ) -> tuple[OutsideBoxes | None, list[str]]:
    """The boxes of ``--candidates`` beside answers from outside, in either form, and notes on what does not fit.

    Raises:
        InputError: the file is wrong or has boxes on none of the images.
    """
    results, notes = detection_candidates(request, datasets, expressions)
    if request.candidates is None or results is not None:
        return results, notes
    found = load_candidates(request.candidates)
    everyone = [e for es in expressions.values() for e in es]
    without = sum(found.for_expression(e) is None for e in everyone)
    if without == len(everyone):
        raise InputError(f'--candidates {request.candidates}: has boxes for none of the {without} expressions; check '
                         '--dataset and --split')
    if without:
        notes.append(f'--candidates: has no boxes for {without} of {len(everyone)} expressions; of these it is not '
                     'known what a candidate reaches')
    return found, notes


def unknown_categories(candidates: OutsideCandidates) -> list[str]:
    """A note on the categories that the detector does not know, if there are any."""
    unknown, everything = candidates.unknown, len(candidates.results.classes)
    if not unknown:
        return []
    return [f'--candidates: {len(unknown)} of {everything} categories are unknown to the detector, which masks them as '
            f'its first class: {first_few(unknown, _NAMED)}']
