"""Boxes from another detector as the candidates of every rule, on the features of the detector of the run."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from harness.data.detection_results import DetectionResults
from harness.types import ImageFeatures

#: The confidence of a class that a box is not of: no threshold is as low, so it is no candidate.
NO_CANDIDATE = float('-inf')


@dataclass(frozen=True)
class OutsideCandidates:
    """Puts the detections of a file in the place of a detector's own.

    Attributes:
        results: the file's detections.
        classes: the names of the detector's classes, then those of the file that it does not know. A detection of such
            a class gets the mask of the detector's first one.
        unknown: the latter alone.
    """

    results: DetectionResults
    classes: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, results: DetectionResults, known: Sequence[str]) -> OutsideCandidates:
        """The candidates for a detector that knows some classes, matched by name."""
        unknown = tuple(name for name in results.classes if name not in known)
        return cls(results, (*known, *unknown), unknown)

    def put_into(self, image: ImageFeatures) -> ImageFeatures:
        """The image with these candidates: R = n boxes, each of one class."""
        found = self.results.of(image.info.image_id)
        column = [self.classes.index(name) for name in self.results.classes]
        labels = torch.tensor([column[label] for label in found.labels.tolist()], dtype=torch.int64)
        boxes = torch.from_numpy(found.xyxy).to(image.feature_map.device, torch.float32)
        scores = boxes.new_full((len(boxes), len(self.classes)), NO_CANDIDATE)
        scores[torch.arange(len(boxes)), labels] = torch.from_numpy(found.scores).to(scores)
        return replace(image, class_boxes=boxes[:, None].expand(-1, len(self.classes), -1), class_scores=scores,
                       classes=self.classes)
