"""Cups, bowls, vases and bottles: bodies of revolution seen slightly from above."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush, circle, smooth
from harness.embedded.drawing.colors import Color, pick, scaled, shade
from harness.embedded.drawing.look import Look

#: height of the rim of a bowl in its own units, where things lying in it show
BOWL_RIM = 0.16


def _body(brush: Brush, profile: list[tuple[float, float]], paint: Color, look: Look, step: float,
          curve: float = 0.22) -> None:
    """The outside: `profile` holds (half width, y) from the top down; the foot is a flat ellipse."""
    right = smooth([(x, y) for x, y in profile], closed=False)
    foot_x, foot_y = profile[-1]
    turn = np.linspace(0, np.pi, 12)[1:-1]
    foot = np.stack([foot_x * np.cos(turn), foot_y + foot_x * curve * np.sin(turn)], 1)
    outline = np.concatenate([right, foot, right[::-1] * (-1, 1)])
    brush.fill(outline, paint)
    if look.accessory:
        mark = scaled(paint, 0.45) if sum(paint) > 480 else scaled(paint, 1.75)
        inner = outline * (0.96, 1)
        brush.pattern(inner, mark, look.accessory, step)


def _opening(brush: Brush, half: float, y: float, paint: Color, inside: Color, flat: float = 0.22) -> None:
    brush.ellipse(0, y, half, half * flat, scaled(paint, 1.2))
    brush.ellipse(0, y, half * 0.9, half * flat * 0.8, inside, outline=False)


def cup(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A mug or cup: about as wide as high, with a handle."""
    paint = shade(look.color, rng)
    top = rng.uniform(0.38, 0.46)
    foot = top * rng.choice([0.95, 0.72])
    handle = smooth([(top * 0.9, 0.28), (top + 0.24, 0.26), (top + 0.28, 0.5), (top + 0.14, 0.72), (foot * 0.95, 0.74)],
                    closed=False)
    brush.line(handle, 0.1, paint, outline=True)
    _body(brush, [(top, 0.1), (top * 0.98, 0.45), (foot, 0.92)], paint, look, 0.24)
    _opening(brush, top, 0.1, paint, pick([(70, 40, 25), (240, 235, 225), (150, 90, 50)], rng))


def bowl(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A bowl: twice as wide as high, round underneath, a small foot, no handle."""
    paint = shade(look.color, rng)
    width = rng.uniform(0.95, 1.1)
    _body(brush, [(width, BOWL_RIM), (width * 0.9, 0.5), (width * 0.62, 0.8), (width * 0.42, 0.9)], paint, look, 0.26,
          0.14)
    _opening(brush, width, BOWL_RIM, paint, scaled(paint, 0.6) if rng.random() < 0.7 else (200, 220, 235), 0.14)


def vase(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A vase: belly, narrow neck and flared mouth, with flowers in it or without."""
    paint = shade(look.color, rng)
    belly = rng.uniform(0.2, 0.27)
    flowers = rng.random() < 0.55
    top = 0.42 if flowers else 0.03
    span = 0.96 - top
    if flowers:
        _flowers(brush, top, rng)
    levels = [(0.5, 0.0), (0.36, 0.14), (0.55, 0.3), (1.0, 0.58), (0.85, 0.82), (0.5, 1.0)]
    _body(brush, [(belly * x, top + span * y) for x, y in levels], paint, look, 0.12)
    if not flowers:
        _opening(brush, belly * 0.5, top, paint, scaled(paint, 0.4), 0.3)


def _flowers(brush: Brush, mouth: float, rng: np.random.Generator) -> None:
    petal = pick([(230, 60, 80), (250, 210, 70), (240, 150, 200), (250, 250, 250), (150, 90, 200)], rng)
    for angle in np.linspace(-0.32, 0.32, 5) + rng.uniform(-0.05, 0.05, 5):
        x, y = angle * 0.9, 0.1 + abs(angle) * 0.35 + rng.uniform(-0.03, 0.05)
        brush.line([(angle * 0.15, mouth + 0.02), (x, y)], 0.022, (60, 130, 60))
        brush.ellipse(x * 0.7, (y + mouth) / 2 + 0.04, 0.06, 0.025, (70, 150, 75), 40 if angle > 0 else -40)
        for turn in np.linspace(0, 2 * np.pi, 5, endpoint=False):
            brush.ellipse(x + 0.055 * np.cos(turn), y + 0.055 * np.sin(turn), 0.045, 0.045, petal)
        brush.ellipse(x, y, 0.035, 0.035, (60, 190, 240), outline=False)


def bottle(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A bottle: tall, shoulders, thin neck, cap and label."""
    glass = shade(look.color, rng)
    width = rng.uniform(0.13, 0.16)
    _body(brush, [(0.05, 0.06), (0.052, 0.26), (width * 0.85, 0.38), (width, 0.46), (width, 0.7), (width, 0.96)], glass,
          look, 0.1)
    brush.fill([(-0.056, 0.02), (0.056, 0.02), (0.06, 0.09), (-0.06, 0.09)],
               pick([(200, 40, 40), (235, 235, 235), (220, 180, 60)], rng))
    label = pick([(245, 240, 225), (240, 220, 140)], rng) if look.color != 'white' else pick([(60, 110, 190)], rng)
    brush.fill([(-width * 0.97, 0.57), (width * 0.97, 0.57), (width * 0.97, 0.8), (-width * 0.97, 0.8)], label)
    for y in (0.64, 0.71):
        brush.line([(-width * 0.6, y), (width * 0.6, y)], 0.018, scaled(label, 0.5))
    brush.line([(-width * 0.6, 0.44), (-width * 0.65, 0.54)], 0.03, scaled(glass, 1.6))
    brush.fill(circle(-width * 0.6, 0.88, 0.02, 0.04), scaled(glass, 1.4), outline=False)
