"""Men, women, boys and girls: standing, walking, sitting, with their arms up."""
from __future__ import annotations

import numpy as np

from harness.embedded.drawing.brush import Brush, smooth
from harness.embedded.drawing.colors import HAIR, NAMED, SKIN, Color, pick, scaled, shade
from harness.embedded.drawing.look import Look

#: where a standing person's raised hand holds an umbrella, in the person's units
GRIP = (0.2, 0.33)
#: height of the seat under a sitting person, in the person's units above the ground
SEAT_HEIGHT = 0.27


def person(brush: Brush, look: Look, rng: np.random.Generator) -> None:
    """One whole person of height 1 (a sitting one starts at y = 0.2)."""
    child = look.kind in ('boy', 'girl')
    female = look.kind in ('woman', 'girl')
    skin, hair = pick(SKIN, rng), pick(HAIR[:5] if child else HAIR, rng)
    shirt, lower = shade(look.color, rng), shade(look.lower_color, rng)
    radius = 0.105 if child else 0.078
    sitting = look.pose == 'sitting'
    drop = 0.2 if sitting else 0.0
    shoulder, hip = drop + 2 * radius + 0.035, drop + 0.53
    half = {'man': 0.125, 'woman': 0.1, 'boy': 0.105, 'girl': 0.095}[look.kind]
    turn = 0.0 if not look.facing else 1.0
    if look.accessory == 'backpack':
        _backpack(brush, half, shoulder, turn, shade('green' if look.color != 'green' else 'red', rng))
    if female:
        _long_hair(brush, radius, drop, hair, turn, look.kind == 'girl')
    far_arm, near_arm = _arms(look, half, shoulder, hip, rng)
    brush.limb(far_arm, 0.05, scaled(shirt, 0.8))
    _hand(brush, far_arm, skin)
    _legs(brush, look, hip, half, lower, skin, rng)
    _torso(brush, half, shoulder, hip, shirt, female)
    if look.accessory == 'backpack' and not turn:
        for side in (-0.6, 0.6):
            brush.line([(side * half, shoulder), (side * half, shoulder + 0.2)], 0.025, (70, 60, 50))
    brush.line([(0, shoulder - 0.04), (0, shoulder + 0.01)], 0.05, scaled(skin, 0.85))
    if look.lower_color and female and not sitting:
        _skirt(brush, half, hip, lower, child)
    _head(brush, look, radius, drop, skin, hair, turn, rng)
    brush.limb(near_arm, 0.055, shirt)
    _hand(brush, near_arm, skin)


def _torso(brush: Brush, half: float, shoulder: float, hip: float, shirt: Color, female: bool) -> None:
    waist = half * (0.72 if female else 0.85)
    middle = (shoulder + hip) / 2 + 0.03
    brush.fill(smooth([(-half * 0.55, shoulder - 0.012), (half * 0.55, shoulder - 0.012), (half, shoulder + 0.03),
                       (waist, middle), (half * 0.88, hip + 0.02), (-half * 0.88, hip + 0.02), (-waist, middle),
                       (-half, shoulder + 0.03)]), shirt)
    brush.line([(-half * 0.25, shoulder), (0, shoulder + 0.025), (half * 0.25, shoulder)], 0.012, scaled(shirt, 0.6))


def _legs(brush: Brush, look: Look, hip: float, half: float, lower: Color, skin: Color,
          rng: np.random.Generator) -> None:
    width = 0.085 if look.kind == 'man' else 0.072
    side = half * 0.48
    shoe = pick([(40, 36, 40), (90, 60, 40), (225, 225, 225), (60, 60, 120)], rng)
    if look.pose == 'walking':
        paths = [[(-0.02, hip), (-0.07, 0.76), (-0.16, 0.95)], [(0.02, hip), (0.1, 0.74), (0.13, 0.96)]]
    elif look.pose == 'sitting' and look.facing:
        seat = 1 - SEAT_HEIGHT
        paths = [[(0.0, seat - 0.03), (0.24, seat - 0.03), (0.25, 0.96)],
                 [(-0.02, seat - 0.01), (0.2, seat - 0.01), (0.2, 0.97)]]
    elif look.pose == 'sitting':
        seat = 1 - SEAT_HEIGHT
        paths = [[(s * side, seat - 0.02), (s * (side + 0.04), seat + 0.03), (s * (side + 0.02), 0.96)]
                 for s in (-1, 1)]
    else:
        paths = [[(-side, hip), (-side * 1.05, 0.75), (-side * 1.15, 0.965)],
                 [(side, hip), (side * 1.05, 0.75), (side * 1.15, 0.965)]]
    bare = look.kind != 'man'
    for path, tone in zip(paths, (0.86, 1.0), strict=True):
        trousers = scaled(lower, tone)
        if bare:
            brush.line(path, width * 0.78, scaled(skin, tone), outline=True)
            if look.kind == 'boy' or look.pose == 'sitting':
                brush.line([path[0], path[1]], width * 1.1, trousers, outline=True)
        else:
            brush.line(path, width, trousers, outline=True)
        x, y = path[-1]
        toe = 0.05 if look.facing else 0.012 * np.sign(x)
        brush.ellipse(x + toe * 0.6, y + 0.012, 0.052 if look.facing else 0.04, 0.023, shoe)
    if look.pose == 'sitting' and not look.facing and look.kind in ('woman', 'girl'):
        brush.blob([(-half * 0.9, hip - 0.02), (half * 0.9, hip - 0.02), (half * 1.25, hip + 0.1),
                    (-half * 1.25, hip + 0.1)], lower)


def _skirt(brush: Brush, half: float, hip: float, lower: Color, child: bool) -> None:
    hem = hip + (0.17 if child else 0.2)
    brush.fill([(-half * 0.78, hip - 0.03), (half * 0.78, hip - 0.03), (half * 1.4, hem), (half * 0.5, hem + 0.015),
                (-half * 0.5, hem + 0.015), (-half * 1.4, hem)], lower)
    for x in (-0.4, 0.2):
        brush.line([(half * x, hip + 0.02), (half * x * 1.7, hem - 0.01)], 0.008, scaled(lower, 0.7))


def _arms(look: Look, half: float, shoulder: float, hip: float, rng: np.random.Generator) -> list[list]:
    """Far and near arm as paths from shoulder to hand."""
    top = shoulder + 0.035
    if look.pose == 'arms up':
        lift = 0.1 + shoulder
        return [[(-half, top), (-half - 0.08, top - 0.1), (-half - 0.1, shoulder - lift)],
                [(half, top), (half + 0.08, top - 0.1), (half + 0.1, shoulder - lift)]]
    if look.holding == 'umbrella':
        return [[(-half, top), (-half - 0.03, (top + hip) / 2), (-half - 0.02, hip + 0.02)],
                [(half, top), (half + 0.05, 0.42), GRIP]]
    if look.pose == 'walking':
        return [[(-0.01, top), (0.1, top + 0.15), (0.17, hip - 0.06)],
                [(-0.01, top), (-0.11, top + 0.15), (-0.15, hip - 0.02)]]
    if look.pose == 'sitting':
        reach = 0.14 if look.facing else half * 0.7
        return [[(-half if not look.facing else 0.02, top), (-half - 0.02, (top + hip) / 2) if not look.facing
                 else (0.08, (top + hip) / 2 + 0.05), (-reach if not look.facing else reach, hip)],
                [(half if not look.facing else -0.02, top), (half + 0.02 if not look.facing else 0.02,
                                                            (top + hip) / 2 + 0.03), (reach, hip + 0.02)]]
    bend = rng.uniform(0.01, 0.06)
    if rng.random() < 0.25:
        return [[(-half, top), (-half - 0.03, (top + hip) / 2), (-half - 0.02, hip + 0.02)],
                [(half, top), (half + 0.1, (top + hip) / 2), (half * 0.8, hip - 0.04)]]
    return [[(-half, top), (-half - bend, (top + hip) / 2), (-half - bend, hip + 0.03)],
            [(half, top), (half + bend, (top + hip) / 2), (half + bend, hip + 0.03)]]


def _hand(brush: Brush, arm: list, skin: Color) -> None:
    x, y = arm[-1]
    brush.ellipse(x, y, 0.028, 0.028, skin)


def _long_hair(brush: Brush, radius: float, drop: float, hair: Color, turn: float, pigtails: bool) -> None:
    y, back = drop + radius, -0.35 * radius * turn
    if pigtails:
        for side in (-1, 1):
            brush.ellipse(side * radius * 1.25 + back, y + radius * 0.55, radius * 0.42, radius * 0.8, hair, -side * 15)
        return
    brush.blob([(back - radius * 1.05, y - 0.3 * radius), (back, y - radius * 1.12), (radius * 1.05 + back, y),
                (radius * 1.12 + back, y + radius * 2.0), (back, y + radius * 2.3),
                (back - radius * 1.2, y + radius * 2.0)], hair)


def _head(brush: Brush, look: Look, radius: float, drop: float, skin: Color, hair: Color, turn: float,
          rng: np.random.Generator) -> None:
    x, y = 0.0, drop + radius * 1.02
    brush.ellipse(x, y, radius * 0.88, radius, skin)
    look_x = radius * 0.3 * turn
    if turn:
        brush.ellipse(radius * 0.88, y + radius * 0.15, radius * 0.16, radius * 0.13, skin)
    else:
        brush.line([(0, y + radius * 0.05), (radius * 0.05, y + radius * 0.25)], radius * 0.08, scaled(skin, 0.7))
    cap = -0.15 if look.kind in ('man', 'boy') else -0.05
    brush.fill(smooth([(-radius * 0.95, y + radius * (0.25 if turn else 0.0)), (-radius * 0.95, y - radius * 0.5),
                       (0, y - radius * 1.12), (radius * 0.92, y - radius * 0.5),
                       (radius * 0.88, y + radius * (cap - 0.1)), (radius * 0.35, y - radius * 0.5),
                       (-radius * 0.35, y - radius * (0.5 if not turn else 0.3))]), hair)
    for side in (-1, 1):
        if turn and side < 0:
            eye = look_x - radius * 0.05
        else:
            eye = look_x + side * radius * 0.36 if not turn else radius * 0.6
        brush.ellipse(eye, y - radius * 0.08, radius * 0.1, radius * 0.12, (30, 25, 25), outline=False)
    mouth = y + radius * 0.5
    brush.line([(look_x - radius * 0.25, mouth), (look_x, mouth + radius * 0.08), (look_x + radius * 0.25, mouth)],
               radius * 0.1, (70, 60, 170))
    if look.kind == 'man' and rng.random() < 0.35:
        brush.blob([(look_x - radius * 0.6, y + radius * 0.4), (look_x, y + radius * 0.72),
                    (look_x + radius * 0.6, y + radius * 0.4), (look_x, y + radius * 1.15)], hair, outline=False)
    if look.accessory == 'glasses':
        dark = (30.0, 30.0, 30.0)
        for side in (-1, 1):
            brush.ellipse(look_x + side * radius * 0.38, y - radius * 0.06, radius * 0.3, radius * 0.26, dark)
        brush.line([(-radius * 0.85, y - radius * 0.15), (radius * 0.85, y - radius * 0.15)], radius * 0.12, dark)
    if look.accessory == 'hat':
        _hat(brush, radius, y, shade(look.lower_color if look.lower_color in NAMED else 'red', rng), turn)


def _hat(brush: Brush, radius: float, y: float, color: Color, turn: float) -> None:
    brim = radius * 0.35 * turn
    brush.blob([(-radius * 0.95, y - radius * 0.5), (-radius * 0.75, y - radius * 1.3), (0, y - radius * 1.5),
                (radius * 0.75, y - radius * 1.3), (radius * 0.95, y - radius * 0.5)], color)
    brush.ellipse(brim, y - radius * 0.5, radius * 1.45, radius * 0.2, scaled(color, 0.8))


def _backpack(brush: Brush, half: float, shoulder: float, turn: float, color: Color) -> None:
    if turn:
        brush.blob([(-half * 0.5, shoulder + 0.01), (-half - 0.09, shoulder + 0.05), (-half - 0.1, shoulder + 0.22),
                    (-half * 0.5, shoulder + 0.25)], color)
    else:
        brush.blob([(-half - 0.035, shoulder - 0.02), (half + 0.035, shoulder - 0.02), (half + 0.05, shoulder + 0.24),
                    (-half - 0.05, shoulder + 0.24)], color)
