"""Chairs and potted plants."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush
from harness.embedded.drawing.colors import scaled, shade
from harness.embedded.drawing.look import Look

#: height of the seat above the ground, in the chair's units
CHAIR_SEAT = 0.45


def chair(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A four-legged chair, seat to the front and slightly turned; its back stands on the side it faces away from."""
    wood = shade(look.color, rng)
    dark = scaled(wood, 0.72)
    seat = 1 - CHAIR_SEAT
    for x, y in ((-0.24, 0.93), (0.33, 0.93)):
        brush.line([(x, seat), (x, y)], 0.05, dark, outline=True)
    slats = rng.random() < 0.5
    back = np.array([(-0.34, 0.05), (0.16, 0.02), (0.18, seat), (-0.32, seat + 0.02)])
    if slats:
        for x in (-0.3, 0.15):
            brush.line([(x, 0.04), (x, seat)], 0.06, wood, outline=True)
        for y in (0.1, 0.25, 0.4):
            brush.line([(-0.28, y), (0.13, y - 0.02)], 0.06, wood, outline=True)
    else:
        brush.blob(back, wood)
        brush.blob(back * 0.7 + (-0.03, 0.08), scaled(wood, 1.18), outline=False)
    brush.fill([(-0.34, seat - 0.02), (0.2, seat - 0.05), (0.4, seat + 0.06), (-0.2, seat + 0.1)], scaled(wood, 1.1))
    brush.fill([(-0.2, seat + 0.1), (0.4, seat + 0.06), (0.4, seat + 0.12), (-0.2, seat + 0.16)], wood)
    for x in (-0.17, 0.36):
        brush.line([(x, seat + 0.12), (x, 0.97)], 0.055, wood, outline=True)


def potted_plant(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """Leaves in a pot; the colour that people name is the pot's."""
    pot = shade(look.color, rng)
    leaf = np.array((60.0, 140.0, 58.0)) * rng.uniform(0.75, 1.2)
    broad = rng.random() < 0.5
    count = 9 if broad else 15
    for angle in rng.permutation(np.linspace(-1.25, 1.25, count)):
        length = rng.uniform(0.42, 0.6)
        tip = np.array([np.sin(angle) * length * 0.85, 0.62 - np.cos(angle) * length])
        root = np.array([angle * 0.06, 0.66])
        side = np.array([np.cos(angle), np.sin(angle)]) * (0.1 if broad else 0.045)
        middle = root * 0.4 + tip * 0.6
        tone = tuple(leaf * rng.uniform(0.75, 1.2))
        brush.blob([root, middle - side, tip, middle + side], tone)
        brush.line([root, tip * 0.85 + root * 0.15], 0.012, scaled(tone, 0.7))
    brush.fill([(-0.23, 0.64), (0.23, 0.64), (0.17, 0.98), (-0.17, 0.98)], pot)
    brush.fill([(-0.26, 0.6), (0.26, 0.6), (0.26, 0.69), (-0.26, 0.69)], scaled(pot, 1.12))
