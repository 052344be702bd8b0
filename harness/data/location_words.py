"""Words that say where in the image a referent is, by which expressions are grouped and counted."""
from __future__ import annotations

_LOCATIONS = (
    'left right top bottom middle center centre front back behind above below under underneath beneath near nearest '
    'nearer far farther farthest further furthest close closer closest first second third fourth fifth last 1st 2nd '
    '3rd 4th leftmost rightmost topmost bottommost upper lower corner side edge foreground background between')
LOCATION_WORDS = frozenset(_LOCATIONS.split())
