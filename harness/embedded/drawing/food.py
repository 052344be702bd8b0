"""Apples, oranges and bananas."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush
from harness.embedded.drawing.colors import scaled, shade, vary
from harness.embedded.drawing.look import Look


def apple(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """An apple: heart-shaped, with a dimple, a stem and a leaf."""
    skin = vary((132, 184, 56), rng, 8) if look.color == 'green' else shade(look.color, rng)
    brush.blob([(0, 0.24), (0.22, 0.15), (0.45, 0.28), (0.48, 0.56), (0.3, 0.92), (0.1, 0.98), (0, 0.95), (-0.1, 0.98),
                (-0.3, 0.92), (-0.48, 0.56), (-0.45, 0.28), (-0.22, 0.15)], skin)
    brush.ellipse(0, 0.26, 0.15, 0.045, scaled(skin, 0.6), outline=False)
    brush.ellipse(-0.24, 0.42, 0.08, 0.13, scaled(skin, 1.5), 25, outline=False)
    brush.line([(0, 0.27), (0.03, 0.1), (0.08, 0.02)], 0.05, (40, 66, 92))
    brush.blob([(0.06, 0.14), (0.2, 0.02), (0.42, 0.04), (0.26, 0.17)], (60, 140, 55))


def orange(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """An orange: round, pitted skin, a small green navel on top."""
    peel = vary((246, 140, 28), rng, 9)
    brush.ellipse(0, 0.53, 0.46, 0.45, peel)
    for x, y in rng.uniform((-0.3, 0.25), (0.32, 0.85), (16, 2)):
        brush.ellipse(x, y, 0.018, 0.018, scaled(peel, 0.8), outline=False)
    brush.ellipse(-0.17, 0.34, 0.09, 0.07, scaled(peel, 1.5), -25, outline=False)
    brush.ellipse(0.05, 0.17, 0.06, 0.03, (60, 120, 70), outline=False)
    brush.line([(0.0, 0.15), (0.1, 0.19)], 0.02, (40, 80, 50))


def banana(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """One banana or a hand of two or three, lying on its back, dark at the ends."""
    skin = vary((158, 190, 66), rng, 8) if look.color == 'green' else vary((246, 214, 60), rng, 9)
    for number in range(int(rng.integers(1, 4)))[::-1]:
        tone, up = scaled(skin, 1 - 0.08 * number), -0.13 * number
        brush.blob(np.array([(-1.15, 0.42), (-0.98, 0.36), (-0.55, 0.58), (0.0, 0.66), (0.55, 0.56), (0.98, 0.22),
                             (1.14, 0.2), (1.1, 0.36), (0.68, 0.82), (0.05, 0.99), (-0.6, 0.9), (-1.02, 0.6)])
                   * (1 - 0.05 * number, 1) + (0, up), tone)
        brush.line([(-0.9, 0.5 + up), (-0.4, 0.74 + up), (0.1, 0.8 + up), (0.6, 0.68 + up)], 0.035, scaled(tone, 0.8))
        brush.line([(-1.12, 0.44 + up), (-1.06, 0.5 + up)], 0.1, (40, 60, 70))
    brush.line([(1.04, 0.24), (1.2, 0.08)], 0.13, (60, 110, 110), outline=True)
