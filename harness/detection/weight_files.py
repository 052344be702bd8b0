"""Which detector a weight file holds."""
from __future__ import annotations

from harness.files.weights import Weights


def detector_in(weights: Weights) -> str:
    """The name of the detector that reads this file: ``mmdet`` if it describes its own network, else ``mmdet-c4``."""
    return 'mmdet' if 'model' in weights.meta and weights.meta.get('kind') == 'detector' else 'mmdet-c4'
