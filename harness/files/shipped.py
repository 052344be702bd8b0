"""Where the weights are that the project ships."""
from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parents[1] / 'embedded' / 'weights'
