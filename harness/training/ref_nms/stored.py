"""What a training of Ref-NMS keeps of the images that it sees.

``--store crops`` keeps the crops of all candidates, and of jittered boxes where the loss ranks; ``maps`` keeps the C4
map to cut them from; ``none`` keeps candidates alone.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.jitter_pool import KEPT_POOL
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.pooled_regions import PooledRegions, boxes_to_jitter, crops
from harness.training.ref_nms.records import vectors_record
from harness.types import ImageFeatures


def jitters(training: RefNMSJob) -> bool:
    """Whether its levels are filled up with jittered boxes (the ranking loss)."""
    return training.options.loss == 'ranking'


def what_is_kept(training: RefNMSJob) -> dict[str, Any]:
    """What tells the store of a training from others, for its fingerprint."""
    if training.store != 'crops':
        return {'maps': training.store == 'maps'}
    jittered = {'pool': list(KEPT_POOL.numbers), **vectors_record(training.vectors)} if jitters(training) else {}
    return {'crops': True, **jittered}


def keeper(training: RefNMSJob) -> Callable[[ImageFeatures], Mapping[str, Any]]:
    """What is kept of an image, as a function of its features."""
    regions = ImageRegions.of(training.options.sampling)
    if training.store == 'crops':
        splits = [(training.train, 'train'), (training.val, 'val')]
        targets = boxes_to_jitter(splits, training.vectors) if jitters(training) else {}
        # The threshold is chosen on val, by the same digits as in a later run.
        exact = {e.image_id for e in training.val.split('val')}
        return PooledRegions(targets, regions=regions, look=crops, exact=exact).look_at
    return regions.look_at if training.store == 'maps' else regions.without_map
