"""What a check holds a run against, unless the options or the baseline say otherwise."""
from __future__ import annotations

from pathlib import Path

#: The baseline of the project's own runs; an installed package has it too.
SHIPPED = Path(__file__).with_name('baseline.json')
#: How many points a metric may fall.
DEFAULT_TOLERANCE = 0.5
#: Under which p a fall is significant.
SIGNIFICANT = 0.01
