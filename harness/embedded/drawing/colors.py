"""Colours by the names people use, with enough variation inside a name and enough room between names."""
from __future__ import annotations

import numpy as np

Color = tuple[float, float, float]

#: name -> centre of the name's shades, as RGB in 0..255
NAMED = {
    'red': (200, 30, 38), 'blue': (38, 82, 200), 'green': (48, 148, 58), 'yellow': (242, 208, 45),
    'orange': (240, 128, 25), 'purple': (122, 55, 160), 'pink': (244, 150, 188), 'white': (238, 238, 234),
    'black': (40, 40, 45), 'gray': (138, 140, 144), 'brown': (122, 76, 42),
}
#: how much darker and lighter a shade may be and still have its name
_RANGE = {'brown': (0.8, 1.2), 'blue': (0.75, 1.25), 'green': (0.75, 1.2), 'gray': (0.85, 1.15), 'red': (0.85, 1.1),
          'purple': (0.85, 1.2)}
SKIN = [(250, 215, 190), (236, 190, 158), (205, 150, 112), (160, 108, 74), (108, 70, 48)]
HAIR = [(30, 26, 26), (72, 46, 28), (120, 78, 42), (222, 188, 110), (168, 80, 36), (165, 165, 168)]


def shade(name: str, rng: np.random.Generator) -> Color:
    """A BGR colour (floats, 0..255) that a person would call `name`."""
    darkest, lightest = _RANGE.get(name, (1.0, 1.0))
    factor = rng.uniform(darkest, lightest)
    red, green, blue = NAMED[name]
    return vary((red * factor, green * factor, blue * factor), rng, 5 if name in ('white', 'black', 'gray') else 12)


def pick(shades: list[tuple[int, int, int]], rng: np.random.Generator) -> Color:
    """One of a list of RGB colours, slightly varied, as BGR."""
    return vary(shades[rng.integers(len(shades))], rng, 8)


def vary(rgb: Color, rng: np.random.Generator, amount: float) -> Color:
    """An RGB colour made slightly brighter or darker and warmer or colder; returns BGR."""
    varied = np.array(rgb[::-1]) * rng.uniform(0.93, 1.07) + rng.uniform(-amount, amount, 3)
    blue, green, red = np.clip(varied, 0, 255)
    return float(blue), float(green), float(red)


def scaled(color: Color, factor: float) -> Color:
    """The colour darker (factor < 1) or lighter towards white (factor > 1; 2 is white)."""
    if factor <= 1:
        return color[0] * factor, color[1] * factor, color[2] * factor
    part = min(factor - 1, 1.0)
    return tuple(c + (255 - c) * part for c in color)  # type: ignore[return-value]
