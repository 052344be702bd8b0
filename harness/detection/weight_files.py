"""Which detector a weight file holds."""
from __future__ import annotations

from harness.files.weights import Weights
from harness.plugins import Detector
from harness.registry import DETECTORS


def detector_in(weights: Weights) -> str:
    """The name of the detector that reads this file: ``mmdet`` if it describes its own network, else ``mmdet-c4``."""
    return 'mmdet' if 'model' in weights.meta and weights.meta.get('kind') == 'detector' else 'mmdet-c4'


def detector_of(weights: Weights, device: str = 'cpu') -> Detector:
    """The detector of a weight file, on a device.

    Raises:
        InputError: the file holds no detector, or one that does not fit its description.
    """
    return DETECTORS.get(detector_in(weights))(weights=weights, device=device)
