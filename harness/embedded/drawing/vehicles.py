"""Cars, buses and trucks from the side."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush, smooth
from harness.embedded.drawing.colors import Color, scaled, shade
from harness.embedded.drawing.look import Look

GLASS: Color = (205.0, 180.0, 150.0)


def car(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A saloon, hatchback or estate car, about 2.4 long."""
    paint = shade(look.color, rng)
    tail = rng.choice([-0.62, -0.95, -1.02])
    roof = rng.choice([0.0, 0.06])
    brush.fill(smooth([(-1.18, 0.8), (-1.2, 0.52), (-1.05, 0.42), (tail, 0.38), (-0.45 + tail * 0.3, 0.05 + roof),
                       (0.0, 0.0 + roof), (0.3, 0.06 + roof), (0.62, 0.38), (1.08, 0.47), (1.2, 0.62), (1.2, 0.8),
                       (0.0, 0.86)]), paint)
    left = -0.42 + tail * 0.28
    brush.fill([(tail + 0.16, 0.38), (left, 0.12 + roof), (-0.12, 0.09 + roof), (-0.12, 0.38)], GLASS)
    brush.fill([(-0.04, 0.38), (-0.04, 0.09 + roof), (0.24, 0.13 + roof), (0.48, 0.38)], GLASS)
    brush.line([(0.05, 0.35), (0.15, 0.15 + roof)], 0.025, scaled(GLASS, 1.6))
    for x in (-0.08, 0.5):
        brush.line([(x, 0.42), (x - 0.02, 0.8)], 0.012, scaled(paint, 0.55))
    brush.line([(-0.3, 0.5), (-0.18, 0.5)], 0.03, scaled(paint, 0.5))
    brush.line([(-1.14, 0.72), (1.16, 0.72)], 0.02, scaled(paint, 0.6))
    brush.ellipse(1.12, 0.55, 0.07, 0.06, (190, 245, 250))
    brush.ellipse(-1.15, 0.54, 0.05, 0.07, (40, 40, 200))
    for x in (-0.7, 0.72):
        _wheel(brush, x, 0.8, 0.2)


def bus(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A long box with a row of windows and a door, about 2.4 long."""
    paint = shade(look.color, rng)
    brush.fill(smooth([(-1.15, 0.87), (-1.17, 0.45), (-1.15, 0.06), (-0.6, 0.03), (0.6, 0.03), (1.13, 0.06),
                       (1.19, 0.45), (1.19, 0.87), (0.6, 0.89), (-0.6, 0.89)], steps=8), paint)
    brush.line([(-1.1, 0.63), (1.14, 0.63)], 0.06, scaled(paint, 1.7) if look.color != 'white' else (170, 90, 50))
    count = int(rng.integers(5, 7))
    edges = np.linspace(-1.06, 0.72, count + 1)
    for left, right in zip(edges[:-1], edges[1:], strict=True):
        brush.fill([(left + 0.02, 0.17), (right - 0.03, 0.17), (right - 0.03, 0.48), (left + 0.02, 0.48)], GLASS)
    brush.fill([(0.78, 0.17), (0.92, 0.17), (0.92, 0.84), (0.78, 0.84)], scaled(GLASS, 0.85))
    brush.fill([(0.97, 0.15), (1.13, 0.16), (1.17, 0.5), (0.97, 0.5)], scaled(GLASS, 1.2))
    brush.ellipse(1.14, 0.72, 0.04, 0.04, (190, 245, 250))
    brush.ellipse(-1.13, 0.7, 0.03, 0.05, (40, 40, 200))
    for x in (-0.68, 0.52):
        _wheel(brush, x, 0.87, 0.125)


def truck(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A cab in front of a tall cargo box, about 2.3 long."""
    paint = shade(look.color, rng)
    cargo = scaled(paint, rng.choice([0.85, 1.0, 1.15]))
    stripe = scaled(cargo, 1.6) if look.color != 'white' else (150, 140, 130)
    brush.fill([(-1.1, 0.74), (1.05, 0.74), (1.05, 0.86), (-1.1, 0.86)], (60, 60, 64))
    brush.fill([(-1.15, 0.03), (0.42, 0.03), (0.42, 0.76), (-1.15, 0.76)], cargo)
    if rng.random() < 0.4:
        brush.line([(-1.1, 0.4), (0.38, 0.4)], 0.09, stripe)
    for x in np.linspace(-0.9, 0.2, 6):
        brush.line([(x, 0.07), (x, 0.72)], 0.015, scaled(cargo, 0.8))
    brush.fill(smooth([(0.47, 0.84), (0.46, 0.5), (0.48, 0.24), (0.8, 0.22), (0.92, 0.28), (1.05, 0.52), (1.13, 0.58),
                       (1.14, 0.84)], steps=6), paint)
    brush.fill([(0.6, 0.5), (0.6, 0.3), (0.84, 0.3), (0.97, 0.5)], GLASS)
    brush.line([(0.57, 0.54), (0.58, 0.8)], 0.015, scaled(paint, 0.5))
    brush.line([(0.66, 0.6), (0.74, 0.6)], 0.025, scaled(paint, 0.45))
    brush.ellipse(1.1, 0.68, 0.045, 0.04, (190, 245, 250))
    for x in (-0.82, -0.5, 0.78):
        _wheel(brush, x, 0.86, 0.14)


def _wheel(brush: Brush, x: float, y: float, radius: float) -> None:
    brush.ellipse(x, y, radius, radius, (34, 32, 32))
    brush.ellipse(x, y, radius * 0.55, radius * 0.55, (175, 175, 178))
    brush.ellipse(x, y, radius * 0.18, radius * 0.18, (80, 80, 84), outline=False)
