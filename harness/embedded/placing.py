"""Where each look of a scene stands: on the ground, on the table, on a chair, in a bowl or in a hand."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.embedded.casting import HOSTS, Viewpoint, thing_look
from harness.embedded.drawing.background import CLUTTER, table_top
from harness.embedded.drawing.brush import Sprite
from harness.embedded.drawing.furniture import CHAIR_SEAT
from harness.embedded.drawing.look import Look
from harness.embedded.drawing.people import GRIP, SEAT_HEIGHT
from harness.embedded.drawing.tableware import BOWL_RIM

#: objects that are annotated, at most
MAX_OBJECTS = 15
#: height of an object's unit and its half width, in metres outdoors and in rooms
_METRES = {
    'person': (1.75, 0.3), 'man': (1.78, 0.3), 'woman': (1.66, 0.28), 'boy': (1.2, 0.2), 'girl': (1.15, 0.2),
    'car': (1.45, 1.75), 'bus': (2.9, 3.4), 'truck': (2.7, 3.1), 'dog': (0.75, 0.65), 'puppy': (0.5, 0.42),
    'cat': (0.52, 0.4), 'kitten': (0.36, 0.28), 'sheep': (0.95, 0.65), 'lamb': (0.6, 0.4), 'umbrella': (1.25, 0.8),
    'chair': (1.0, 0.36), 'potted plant': (0.8, 0.4), 'vase': (0.6, 0.16), 'teddy bear': (0.6, 0.3),
    'bottle': (0.55, 0.09), 'bowl': (0.3, 0.3), 'cup': (0.3, 0.22),
}
#: the same on a table, in tenths of a metre
_TABLE = {
    'cup': (1.0, 0.6), 'bowl': (0.95, 1.0), 'vase': (2.6, 0.7), 'bottle': (2.7, 0.4), 'apple': (0.85, 0.42),
    'orange': (0.85, 0.4), 'banana': (0.75, 0.85), 'potted plant': (2.6, 1.3), 'teddy bear': (2.3, 1.1),
    'cat': (2.6, 2.0), 'kitten': (1.9, 1.4), 'man': (7.6, 1.3), 'woman': (7.2, 1.2), 'boy': (5.6, 1.0),
    'girl': (5.5, 1.0),
}
UNDRAWN = Sprite(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), np.zeros((0, 0), bool), (0, 0))


@dataclass(eq=False)
class Placed:
    """A look with its place: base point (x, y) and height of its unit in pixels; `on` is the supporting `Placed`.

    look is None for clutter, which hides objects and is not annotated.
    """
    look: Look | None
    x: int
    y: int
    height: float
    depth: float
    half_width: float = 0.0
    on: Placed | None = None
    thing: str = ''
    sprite: Sprite = field(default_factory=lambda: UNDRAWN, repr=False)


def place(view: Viewpoint, looks: list[Look], rng: np.random.Generator) -> list[Placed]:
    """A place for each look: with its chair or umbrella, on or in something that stands already, or on the ground."""
    placed: list[Placed] = []
    if view.setting == 'table':
        top = table_top(view.width, view.height, view.horizon, rng)
        placed.append(Placed(None, 0, 0, 0, view.horizon, sprite=top))
    for look in looks:
        if sum(item.look is not None for item in placed) >= MAX_OBJECTS:
            break
        item = _supported(look, placed, rng) or _grounded(view, look, placed, rng)
        placed.append(item)
        if look.holding:
            placed.append(_held_umbrella(item, rng))
        if look.category == 'person' and look.pose == 'sitting':
            placed.insert(-1, _seat(item, rng))
    annotated = [item for item in placed if item.look is not None]
    for extra in annotated[MAX_OBJECTS:]:
        placed = [item for item in placed if item is not extra and item.on is not extra]
    for _ in range(int(rng.integers(0, 4))):
        name = CLUTTER[view.setting][rng.integers(len(CLUTTER[view.setting]))]
        y = _ground_y(view, rng)
        height = view.size_at(y) * rng.uniform(0.25, 0.7) * (1.6 if view.setting == 'table' else 1)
        placed.append(Placed(None, int(rng.integers(0, view.width)), y, height, y, thing=name))
    return placed


def _ground_y(view: Viewpoint, rng: np.random.Generator) -> int:
    low, high = (0.1, 0.97) if view.setting == 'table' else (0.16, 0.97)
    return round(view.horizon + rng.uniform(low, high) * (view.height - view.horizon))


def _grounded(view: Viewpoint, look: Look, placed: list[Placed], rng: np.random.Generator) -> Placed:
    """On the ground (on the table; people behind it), the first of a few tries that hides no more than allowed."""
    sizes = _TABLE if view.setting == 'table' else _METRES
    unit, half = sizes.get(look.kind) or sizes[look.category]
    may_hide = rng.uniform(0.0, 0.55)
    best: tuple[float, Placed] | None = None
    for _ in range(8):
        y = _ground_y(view, rng)
        scale = view.size_at(y)
        if view.setting == 'table' and look.category == 'person':
            scale = min(0.55 * view.zoom, 1.45 * view.horizon / unit)
            item_y = round(view.horizon + scale * unit * rng.uniform(0.42, 0.5))
            depth = view.horizon - 5 + rng.uniform(0, 4)
        else:
            item_y, depth = y, y + rng.uniform(0, 0.4)
        scale = min(scale, 0.4 * view.width / half, 0.8 * view.height / unit) * rng.uniform(0.88, 1.12)
        margin = min(0.6 * half * scale, view.width / 4)
        x = round(rng.uniform(margin, view.width - margin))
        item = Placed(look, x, item_y, unit * scale, depth, half * scale)
        hidden = max((_overlap(item, other) for other in placed if other.look), default=0.0)
        if hidden <= may_hide:
            return item
        if best is None or hidden < best[0]:
            best = hidden, item
    assert best is not None
    return best[1]


def _overlap(a: Placed, b: Placed) -> float:
    """Intersection of the rough boxes over the smaller of them."""
    width = min(a.x + a.half_width, b.x + b.half_width) - max(a.x - a.half_width, b.x - b.half_width)
    height = min(a.y, b.y) - max(a.y - a.height, b.y - b.height)
    smaller = min(2 * a.half_width * a.height, 2 * b.half_width * b.height)
    return max(width, 0) * max(height, 0) / max(smaller, 1e-6)


def _supported(look: Look, placed: list[Placed], rng: np.random.Generator) -> Placed | None:
    """Fruit in a bowl, a cat, a teddy bear or a cup on a free chair: now and then, where possible."""
    if look.category not in HOSTS or rng.random() > 0.55:
        return None
    crowd = 3 if look.category in ('apple', 'orange') else 1
    free = [item for item in placed if item.look and item.look.category == HOSTS[look.category]
            and sum(other.on is item for other in placed) < crowd]
    if not free:
        return None
    host = free[rng.integers(len(free))]
    if look.category in ('apple', 'orange'):
        height = host.height * rng.uniform(0.62, 0.75)
        count = sum(other.on is host for other in placed)
        x = host.x + round(host.height * (-0.42, 0.42, 0.02)[count] * rng.uniform(0.85, 1.15))
        y = host.y - round(host.height * (1 - BOWL_RIM) - height * rng.uniform(0.25, 0.4))
        return Placed(look, x, y, height, host.depth - 0.3 - 0.01 * count, height * 0.45, host)
    facing = 1 if host.look and host.look.facing == 'right' else -1
    height = host.height * rng.uniform(0.42, 0.55) * (0.6 if look.category == 'cup' else 1)
    if look.category == 'cat':
        look.pose = 'sitting'
    y = host.y - round(host.height * (CHAIR_SEAT - 0.07))
    return Placed(look, host.x + round(0.06 * host.height * facing), y, height, host.depth + 0.3, height * 0.4, host)


def _held_umbrella(holder: Placed, rng: np.random.Generator) -> Placed:
    look = thing_look('umbrella', rng)
    side = 1 if holder.look and holder.look.facing == 'right' else -1
    height = 0.66 * holder.height
    x = holder.x + side * round(GRIP[0] * holder.height)
    y = holder.y - round((1 - GRIP[1] - 0.08) * holder.height)
    return Placed(look, x, y, height, holder.depth - 0.2, 0.7 * height, holder)


def _seat(sitter: Placed, rng: np.random.Generator) -> Placed:
    """The chair under a sitting person; the person becomes the thing on it."""
    look = thing_look('chair', rng)
    assert sitter.look is not None
    look.facing = sitter.look.facing or look.facing
    side = 1 if look.facing == 'right' else -1
    height = sitter.height * SEAT_HEIGHT / CHAIR_SEAT * 1.2
    chair = Placed(look, sitter.x - side * round(0.02 * sitter.height), sitter.y, height, sitter.depth - 0.25,
                    0.4 * height)
    sitter.on = chair
    return chair
