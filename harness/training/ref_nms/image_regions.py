"""What Ref-NMS's training sees of each image, for every expression alike: candidates and a map to pool them from."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.proposals.candidates import find_candidates
from harness.proposals.greedy import Greedy
from harness.training.ref_nms.binary_loss import REGIONS_AN_EXPRESSION
from harness.training.ref_nms.options import SamplingOptions
from harness.types import ImageFeatures

Regions = Mapping[int, Mapping[str, Any]]


class ImageRegions:
    """Collects what Ref-NMS sees of each image.

    Args:
        dtype: of the stored C4 maps; float32 where scores must equal those of a later run to the last digit.
        delta: confidence that a candidate must exceed.
        step: by how much ``delta`` is lowered at a time while there are fewer than ``at_least`` candidates.
        at_least: least number of candidates of an image.
    """

    def __init__(self, dtype: torch.dtype = torch.float16, delta: float = 0.05, step: float = 0.005,
                 at_least: int = REGIONS_AN_EXPRESSION) -> None:
        self.dtype = dtype
        self.delta, self.step, self.at_least = delta, step, at_least
        self._images: dict[int, dict[str, Any]] = {}
        self._greedy = Greedy()

    @classmethod
    def of(cls, sampling: SamplingOptions, dtype: torch.dtype = torch.float16) -> ImageRegions:
        """A collector with the options of a training.

        Where ``delta`` is not lowered (``at_least=0``), as many candidates are collected as the binary loss needs: the
        training then leaves out those that do not exceed ``delta``, so both losses can share the collected regions.
        """
        return cls(dtype, sampling.delta, sampling.delta_step, sampling.at_least or REGIONS_AN_EXPRESSION)

    @property
    def record(self) -> dict[str, Any]:
        """The options that decide which boxes are candidates, for a fingerprint."""
        return {'delta': self.delta, 'delta_step': self.step, 'at_least': self.at_least}

    def add(self, image: ImageFeatures) -> None:
        """Find one image's candidates and count what greedy would propose."""
        self._images[image.info.image_id] = self.look_at(image)

    @torch.no_grad()
    def look_at(self, image: ImageFeatures) -> dict[str, Any]:
        """What :meth:`collected` has of one image."""
        return {'feature_map': image.feature_map[0].to(self.dtype).cpu(), **self.without_map(image)}

    def without_map(self, image: ImageFeatures) -> dict[str, Any]:
        """The record of one image without the map."""
        boxes, scores = image.class_boxes, image.class_scores
        in_evaluation = find_candidates(boxes, scores, self.delta, self.step)
        found = find_candidates(boxes, scores, self.delta, self.step, self.at_least)
        evaluated = len(in_evaluation)
        if len(found) < evaluated:
            found = in_evaluation
        least = found.det_scores.sort(descending=True).values[evaluated - 1] if evaluated else float('inf')
        return {'scale': image.scale, 'size': (image.info.width, image.info.height), 'boxes': found.bboxes.cpu(),
                'labels': found.labels.cpu(), 'det_scores': found.det_scores.cpu(),
                'evaluated': (found.det_scores >= least).cpu(), 'n_greedy': len(self._greedy.propose(image))}

    def collected(self) -> dict[int, dict[str, Any]]:
        """By image id, plain tensors and numbers.

        ``feature_map`` (C, h, w), ``scale``, ``size`` (width, height), ``n_greedy``, and for each of the n candidates
        of training: ``boxes`` (n, 4) xyxy image pixels, ``labels``, ``det_scores``, ``evaluated``, whether it is one in
        evaluation too.
        """
        return self._images
