"""Umbrellas and teddy bears."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush
from harness.embedded.drawing.colors import scaled, shade
from harness.embedded.drawing.look import Look


def umbrella(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """An open umbrella: scalloped canopy in panels, shaft, crook."""
    cloth = shade(look.color, rng)
    brush.line([(0, 0.05), (0, 0.95)], 0.035, (70, 70, 80), outline=True)
    brush.line([(0, 0.92), (0.03, 0.99), (0.09, 0.98), (0.1, 0.92)], 0.04, (50, 80, 120))
    edges = np.linspace(-0.72, 0.72, 6)
    turn = np.linspace(np.pi, 0, 20)
    top = np.stack([0.72 * np.cos(turn), 0.46 - 0.42 * np.sin(turn)], 1)
    hem = np.concatenate([np.stack([np.linspace(b, a, 6), 0.46 - 0.06 * np.sin(np.linspace(0, np.pi, 6))], 1)
                          for a, b in zip(edges[:-1], edges[1:], strict=True)][::-1])
    canopy = np.concatenate([top, hem])
    brush.fill(canopy, cloth)
    if look.accessory:
        brush.pattern(canopy, scaled(cloth, 0.45) if sum(cloth) > 480 else scaled(cloth, 1.75), look.accessory, 0.2)
    for x in edges[1:-1]:
        brush.line([(0, 0.05), (x * 0.62, 0.2), (x, 0.45)], 0.014, scaled(cloth, 0.55))
    brush.line([(0, 0.05), (0, -0.02)], 0.03, (60, 60, 60))


def teddy_bear(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A sitting teddy bear: round ears, light muzzle and soles, stretched legs."""
    plush = _plush(look.color, rng)
    light = scaled(plush, 1.4) if look.color != 'white' else (190, 215, 235)
    for side in (-1, 1):
        brush.ellipse(side * 0.23, 0.08, 0.11, 0.1, plush)
        brush.ellipse(side * 0.23, 0.09, 0.06, 0.055, light, outline=False)
        brush.ellipse(side * 0.36, 0.6, 0.1, 0.19, plush, side * -38)
    brush.ellipse(0, 0.68, 0.29, 0.29, plush)
    brush.ellipse(0, 0.7, 0.17, 0.19, light, outline=False)
    for side in (-1, 1):
        brush.ellipse(side * 0.29, 0.87, 0.16, 0.13, plush)
        brush.ellipse(side * 0.32, 0.88, 0.09, 0.085, light, outline=False)
    brush.ellipse(0, 0.27, 0.29, 0.25, plush)
    brush.ellipse(0, 0.35, 0.14, 0.11, light)
    brush.ellipse(0, 0.31, 0.05, 0.035, (30, 30, 35), outline=False)
    brush.line([(0, 0.33), (0, 0.38)], 0.018, (40, 40, 50))
    brush.line([(-0.07, 0.37), (-0.035, 0.405), (0, 0.38), (0.035, 0.405), (0.07, 0.37)], 0.018, (40, 40, 50))
    for side in (-1, 1):
        brush.ellipse(side * 0.12, 0.22, 0.032, 0.036, (25, 25, 30), outline=False)
    ribbon = shade(str(rng.choice(['red', 'blue', 'green', 'purple'])), rng)
    for side in (-1, 1):
        brush.fill([(0, 0.5), (side * 0.16, 0.43), (side * 0.16, 0.58)], ribbon)
    brush.ellipse(0, 0.5, 0.035, 0.035, ribbon)


def _plush(name: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """A brown bear is lighter than brown paint, so that its face shows."""
    return scaled(shade(name, rng), 1.2) if name == 'brown' else shade(name, rng)
