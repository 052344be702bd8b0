"""Dogs, cats and sheep, alike in size and build as the real ones are: standing, sitting and lying."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush, circle
from harness.embedded.drawing.colors import Color, pick, scaled, shade, vary
from harness.embedded.drawing.look import Look

INK: Color = (28.0, 24.0, 24.0)


def dog(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A dog from the side: long snout, hanging (or, of some, pricked) ears, tail up."""
    fur = shade(look.color, rng)
    dark, ear = scaled(fur, 0.8), scaled(fur, 0.6) if look.color != 'black' else scaled(fur, 1.25)
    head = 1.25 if look.kind == 'puppy' else 1.0
    pricked = rng.random() < 0.25
    if look.pose == 'lying':
        brush.limb([(-0.6, 0.85), (-0.85, 0.9), (-0.95, 0.78)], 0.09, dark)
        brush.blob([(-0.7, 0.98), (-0.68, 0.62), (-0.3, 0.52), (0.2, 0.55), (0.4, 0.7), (0.35, 0.98)], fur)
        brush.limb([(-0.45, 0.8), (-0.35, 0.94), (-0.15, 0.95)], 0.13, fur)
        brush.limb([(0.2, 0.85), (0.45, 0.95), (0.68, 0.95)], 0.12, fur)
        _dog_head(brush, 0.45, 0.5, head, fur, ear, pricked)
    elif look.pose == 'sitting':
        brush.limb([(-0.35, 0.92), (-0.6, 0.88), (-0.72, 0.7)], 0.08, dark)
        brush.blob([(-0.42, 0.97), (-0.4, 0.68), (-0.1, 0.42), (0.2, 0.36), (0.28, 0.6), (0.1, 0.97)], fur)
        brush.limb([(0.14, 0.55), (0.2, 0.8), (0.24, 0.95)], 0.11, fur)
        brush.ellipse(0.28, 0.96, 0.09, 0.04, fur)
        brush.blob([(-0.4, 0.8), (-0.2, 0.68), (0.0, 0.82), (0.05, 0.97), (-0.35, 0.98)], fur)
        _dog_head(brush, 0.2, 0.22, head, fur, ear, pricked)
    else:
        brush.limb([(-0.48, 0.42), (-0.66, 0.3), (-0.7, 0.1)], 0.08, fur)
        for x, tone in ((-0.28, 0.75), (0.36, 0.75), (-0.44, 1.0), (0.22, 1.0)):
            brush.limb([(x, 0.6), (x - 0.03, 0.8), (x, 0.95)], 0.11, scaled(fur, tone))
            brush.ellipse(x + 0.04, 0.965, 0.08, 0.035, scaled(fur, tone))
        brush.blob([(-0.55, 0.5), (-0.4, 0.36), (0.1, 0.36), (0.36, 0.3), (0.46, 0.5), (0.3, 0.7), (-0.1, 0.66),
                    (-0.45, 0.68)], fur)
        brush.limb([(0.34, 0.48), (0.46, 0.3)], 0.2, fur)
        _dog_head(brush, 0.5, 0.2, head, fur, ear, pricked)
    if look.color in ('white', 'brown') and rng.random() < 0.4 and look.pose == 'standing':
        brush.ellipse(-0.15, 0.48, 0.14, 0.09, ear, outline=False)


def _dog_head(brush: Brush, x: float, y: float, size: float, fur: Color, ear: Color, pricked: bool) -> None:
    s = size
    brush.line([(x - 0.07, y + 0.16 * s), (x + 0.08, y + 0.19 * s)], 0.05, (50, 50, 190))
    brush.ellipse(x, y, 0.18 * s, 0.17 * s, fur)
    brush.blob([(x + 0.06 * s, y - 0.04 * s), (x + 0.27 * s, y - 0.01 * s), (x + 0.34 * s, y + 0.06 * s),
                (x + 0.28 * s, y + 0.14 * s), (x + 0.06 * s, y + 0.15 * s)], scaled(fur, 1.15))
    brush.ellipse(x + 0.33 * s, y + 0.025 * s, 0.05 * s, 0.042 * s, INK, outline=False)
    brush.line([(x + 0.3 * s, y + 0.1 * s), (x + 0.16 * s, y + 0.11 * s)], 0.018, INK)
    brush.ellipse(x + 0.085 * s, y - 0.06 * s, 0.034 * s, 0.036 * s, (230, 230, 230), outline=False)
    brush.ellipse(x + 0.095 * s, y - 0.06 * s, 0.025 * s, 0.028 * s, INK, outline=False)
    if pricked:
        brush.fill([(x - 0.16 * s, y - 0.06 * s), (x - 0.15 * s, y - 0.32 * s), (x + 0.02 * s, y - 0.14 * s)], ear)
    else:
        brush.blob([(x - 0.08 * s, y - 0.16 * s), (x + 0.0 * s, y - 0.1 * s), (x - 0.03 * s, y + 0.12 * s),
                    (x - 0.12 * s, y + 0.2 * s), (x - 0.2 * s, y + 0.08 * s)], ear)


def cat(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A cat: round face turned to the viewer, pointed ears, whiskers, a long curled tail."""
    fur = shade(look.color, rng) if look.color != 'orange' else vary((226, 140, 58), rng, 8)
    stripe = scaled(fur, 0.62)
    tabby = look.color in ('orange', 'gray', 'brown') and rng.random() < 0.75
    head = 1.2 if look.kind == 'kitten' else 1.0
    if look.pose == 'lying':
        brush.blob([(-0.75, 0.97), (-0.72, 0.7), (-0.35, 0.52), (0.15, 0.56), (0.42, 0.75), (0.4, 0.98)], fur)
        if tabby:
            for x in (-0.5, -0.3, -0.1):
                brush.line([(x, 0.6), (x - 0.05, 0.78)], 0.05, stripe)
        brush.limb([(-0.7, 0.85), (-0.9, 0.93), (-0.6, 0.96), (-0.2, 0.94)], 0.09, fur)
        brush.limb([(0.2, 0.9), (0.5, 0.95)], 0.11, fur)
        _cat_head(brush, 0.42, 0.6, head, fur, stripe, tabby)
    elif look.pose == 'sitting':
        brush.limb([(-0.2, 0.92), (-0.5, 0.93), (-0.6, 0.75), (-0.5, 0.62)], 0.08, fur)
        brush.blob([(-0.32, 0.95), (-0.3, 0.7), (-0.16, 0.42), (0.16, 0.42), (0.28, 0.7), (0.3, 0.95), (0, 0.99)], fur)
        if tabby:
            for y in (0.6, 0.7, 0.8):
                brush.line([(-0.27, y), (-0.14, y + 0.03)], 0.04, stripe)
                brush.line([(0.26, y), (0.14, y + 0.03)], 0.04, stripe)
        for x in (-0.08, 0.08):
            brush.limb([(x, 0.65), (x, 0.93)], 0.1, fur)
            brush.ellipse(x, 0.955, 0.075, 0.04, scaled(fur, 1.2))
        _cat_head(brush, 0.0, 0.26, head, fur, stripe, tabby)
    else:
        brush.limb([(-0.5, 0.52), (-0.74, 0.44), (-0.8, 0.2), (-0.66, 0.04), (-0.55, 0.12)], 0.075, fur)
        for x, tone in ((-0.3, 0.75), (0.32, 0.75), (-0.44, 1.0), (0.2, 1.0)):
            brush.limb([(x, 0.65), (x, 0.94)], 0.095, scaled(fur, tone))
            brush.ellipse(x + 0.03, 0.965, 0.07, 0.034, scaled(fur, tone))
        brush.blob([(-0.54, 0.55), (-0.4, 0.45), (0.0, 0.48), (0.34, 0.42), (0.42, 0.58), (0.28, 0.75), (-0.1, 0.72),
                    (-0.46, 0.74)], fur)
        if tabby:
            for x in (-0.38, -0.2, -0.02, 0.14):
                brush.line([(x, 0.48), (x - 0.03, 0.62)], 0.045, stripe)
        _cat_head(brush, 0.42, 0.32, head, fur, stripe, tabby)


def _cat_head(brush: Brush, x: float, y: float, size: float, fur: Color, stripe: Color, tabby: bool) -> None:
    s = size
    for side in (-1, 1):
        brush.fill([(x + side * 0.19 * s, y - 0.02 * s), (x + side * 0.185 * s, y - 0.3 * s),
                    (x + side * 0.03 * s, y - 0.15 * s)], fur)
        brush.fill([(x + side * 0.16 * s, y - 0.1 * s), (x + side * 0.165 * s, y - 0.23 * s),
                    (x + side * 0.08 * s, y - 0.14 * s)], (160, 150, 235), outline=False)
    brush.ellipse(x, y, 0.215 * s, 0.175 * s, fur)
    if tabby:
        for dx in (-0.06, 0.0, 0.06):
            brush.line([(x + dx * s, y - 0.16 * s), (x + dx * s * 0.8, y - 0.08 * s)], 0.025 * s, stripe)
    brush.ellipse(x, y + 0.075 * s, 0.1 * s, 0.065 * s, scaled(fur, 1.45), outline=False)
    for side in (-1, 1):
        brush.ellipse(x + side * 0.085 * s, y - 0.02 * s, 0.042 * s, 0.045 * s, (90, 215, 190), outline=False)
        brush.ellipse(x + side * 0.085 * s, y - 0.02 * s, 0.018 * s, 0.04 * s, INK, outline=False)
        for dy in (-0.02, 0.04):
            brush.line([(x + side * 0.1 * s, y + 0.06 * s), (x + side * 0.3 * s, y + (0.06 + dy * 2) * s)], 0.008,
                       (215, 215, 215) if sum(fur) < 300 else (70, 70, 70))
    brush.fill([(x - 0.03 * s, y + 0.035 * s), (x + 0.03 * s, y + 0.035 * s), (x, y + 0.07 * s)], (130, 110, 225),
               outline=False)
    smile = np.array([(-0.055, 0.085), (-0.03, 0.115), (0, 0.085), (0.03, 0.115), (0.055, 0.085)])
    brush.line(smile * s + (x, y), 0.014 * s, INK)


def sheep(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """A woolly sheep: a cloud of curls on thin legs, a bare face with ears to the sides."""
    wool = shade(look.color, rng)
    faces = {'white': [(45, 40, 40), (215, 180, 150)], 'gray': [(45, 40, 40), (215, 180, 150)], 'black': [(92, 82, 76)]}
    face = pick(faces.get(look.color, [(60, 50, 46)]), rng)
    curl = scaled(wool, 0.78 if look.color != 'black' else 1.25)
    lying = look.pose == 'lying'
    low = 0.2 if lying else 0.0
    if not lying:
        for x, tone in ((-0.24, 0.75), (0.3, 0.75), (-0.36, 1.0), (0.18, 1.0)):
            brush.line([(x, 0.6), (x, 0.96)], 0.075, scaled(face, tone), outline=True)
    ripple = rng.uniform(0, 1)
    angles = np.linspace(0, 2 * np.pi, 15, endpoint=False) + ripple
    width, height = 0.5, 0.25
    curls = [(-0.08 + width * np.cos(a), 0.5 + low + height * np.sin(a)) for a in angles]
    for x, y in curls:
        brush.ellipse(x, y, 0.13, 0.12, wool)
    brush.ellipse(-0.08, 0.5 + low, width + 0.02, height + 0.03, wool, outline=False)
    for x, y in rng.uniform((-0.5, 0.33 + low), (0.32, 0.68 + low), (16, 2)):
        brush.line(circle(x, y, 0.06, 0.05)[8:22], 0.018, curl)
    if lying:
        brush.limb([(0.2, 0.93), (0.45, 0.95)], 0.07, face)
    brush.ellipse(-0.6, 0.45 + low, 0.07, 0.09, wool)
    size = 1.2 if look.kind == 'lamb' else 1.0
    x, y = 0.52, 0.28 + low
    brush.blob([(x - 0.34 * size, y - 0.02), (x - 0.2 * size, y - 0.12 * size), (x - 0.1 * size, y - 0.02)], face)
    brush.ellipse(x, y, 0.12 * size, 0.2 * size, face, -28)
    brush.ellipse(x - 0.06 * size, y - 0.16 * size, 0.13 * size, 0.09 * size, wool)
    brush.ellipse(x + 0.03 * size, y - 0.05 * size, 0.032, 0.036, (235, 235, 235), outline=False)
    brush.ellipse(x + 0.035 * size, y - 0.05 * size, 0.02, 0.026, INK, outline=False)
    brush.line([(x + 0.1 * size, y + 0.15 * size), (x + 0.15 * size, y + 0.11 * size)], 0.02, (110, 110, 160))
