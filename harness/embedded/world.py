"""The embedded world: one scene from a seed, with everything that is true of each of its objects.

The words: *cast* the looks that a scene shows, *place* each on the ground, on the table, on a chair, in a hand, *paint*
from far to near. What is visible of an object is its silhouette less the silhouettes nearer to the viewer, so masks,
boxes and visible fractions are exact by construction and no two objects share a pixel.

Coordinates are image pixels, x to the right and y down; boxes are COCO's (x, y, width, height) of the visible mask.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from harness.embedded.drawing import draw
from harness.embedded.drawing.background import CLUTTER, SETTINGS, backdrop, clutter, table_top
from harness.embedded.drawing.brush import SUPERSAMPLING, Sprite, lit, stretched
from harness.embedded.drawing.furniture import CHAIR_SEAT
from harness.embedded.drawing.look import Look
from harness.embedded.drawing.people import GRIP, SEAT_HEIGHT
from harness.embedded.drawing.tableware import BOWL_RIM
from harness.errors import InputError

#: the categories of the embedded world with their ids in COCO 2014
CATEGORIES: dict[str, int] = {
    'person': 1, 'car': 3, 'bus': 6, 'truck': 8, 'cat': 17, 'dog': 18, 'sheep': 20, 'umbrella': 28, 'bottle': 44,
    'cup': 47, 'bowl': 51, 'banana': 52, 'apple': 53, 'orange': 55, 'chair': 62, 'potted plant': 64, 'vase': 86,
    'teddy bear': 88,
}
#: kinds of scenes: as testA (mostly people), as testB (other objects), as training
KINDS = ('people', 'objects', 'mixed')
MIN_OBJECTS, MAX_OBJECTS = 4, 15
MIN_VISIBLE, MIN_AREA = 0.3, 60

_BRIGHT = ('red', 'blue', 'green', 'yellow', 'orange', 'purple', 'pink', 'white')
_COLORS = {
    'person': (*_BRIGHT, 'black', 'gray', 'brown', 'red', 'blue', 'white'),
    'car': ('red', 'blue', 'green', 'yellow', 'orange', 'white', 'black', 'gray'),
    'bus': ('red', 'blue', 'green', 'yellow', 'orange', 'white'),
    'truck': ('red', 'blue', 'green', 'yellow', 'orange', 'white'),
    'cat': ('orange', 'black', 'white', 'gray', 'brown'), 'dog': ('brown', 'black', 'white', 'gray', 'brown'),
    'sheep': ('white', 'white', 'black', 'brown', 'gray'), 'umbrella': (*_BRIGHT, 'black'),
    'bottle': ('green', 'brown', 'blue', 'white', 'red'), 'cup': (*_BRIGHT, 'black'), 'bowl': (*_BRIGHT, 'black'),
    'banana': ('yellow', 'yellow', 'yellow', 'green'), 'apple': ('red', 'red', 'green', 'yellow'),
    'orange': ('orange',), 'chair': ('brown', 'white', 'black', 'red', 'blue', 'green', 'yellow', 'gray'),
    'potted plant': ('brown', 'white', 'red', 'blue', 'black', 'yellow'),
    'vase': (*_BRIGHT, 'black'), 'teddy bear': ('brown', 'brown', 'white', 'pink', 'gray', 'blue'),
}
_TROUSERS = ('blue', 'black', 'gray', 'brown', 'white', 'green', 'red')
_YOUNG = {'dog': 'puppy', 'cat': 'kitten', 'sheep': 'lamb'}
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
#: groups of look-alikes or companions that share a setting, with how often each leads
_GROUPS: dict[str, list[tuple[str, ...]]] = {
    'meadow': [('dog', 'sheep', 'cat'), ('sheep', 'dog'), ('sheep', 'cat'), ('umbrella', 'chair'), ('cat', 'dog'),
               ('chair', 'potted plant'), ('chair', 'cat', 'teddy bear'), ('teddy bear', 'dog'), ('car', 'truck')],
    'street': [('car', 'truck', 'bus'), ('car', 'bus'), ('truck', 'car'), ('bus', 'truck'), ('dog', 'cat'),
               ('potted plant', 'chair')],
    'beach': [('umbrella', 'chair'), ('dog', 'cat'), ('chair', 'umbrella'), ('bottle', 'teddy bear')],
    'room': [('cat', 'dog'), ('chair', 'potted plant'), ('teddy bear', 'cat'), ('vase', 'potted plant', 'bottle'),
             ('chair', 'cat', 'teddy bear'), ('dog', 'cat', 'teddy bear')],
    'table': [('cup', 'bowl', 'vase'), ('apple', 'orange'), ('orange', 'apple', 'banana'), ('vase', 'bottle'),
              ('bowl', 'cup'), ('bowl', 'apple', 'orange'), ('bottle', 'cup'), ('banana', 'orange'),
              ('potted plant', 'vase'), ('teddy bear', 'cat')],
}
#: what may lie in or on what
_HOSTS = {'apple': 'bowl', 'orange': 'bowl', 'cat': 'chair', 'teddy bear': 'chair', 'cup': 'chair', 'bottle': 'chair'}
_SETTING_WEIGHTS = {'people': (0.28, 0.2, 0.22, 0.18, 0.12), 'objects': (0.19, 0.19, 0.06, 0.18, 0.38),
                    'mixed': (0.22, 0.2, 0.12, 0.2, 0.26)}


@dataclass
class SceneObject:
    """One visible object and what is true of it.

    kind        man, woman, boy, girl; dog, puppy; cat, kitten; sheep, lamb; otherwise the category
    color       the colour that a person would name: a person's shirt, an animal's fur, a plant's pot, else the body
    pose        person: standing, sitting, walking, arms up; dog, cat, sheep: standing, lying, sitting; else ''
    facing      left, right or ''
    accessory   person: hat, glasses, backpack or ''; cup, bowl, vase, umbrella: striped, dotted or ''
    lower_color a person's trousers or skirt, else ''
    depth       the larger, the nearer to the viewer
    on          index of the object that this one stands, lies or sits on or in, or is held by
    xywh, area  tight box and pixels of the visible mask; visible: these pixels over those of the full silhouette,
                which counts what lies outside the frame as well
    rle         the visible mask, COCO's compressed RLE with `counts` as str
    """
    category: str
    kind: str
    color: str
    pose: str
    facing: str
    accessory: str
    lower_color: str
    depth: float
    on: int | None
    xywh: tuple[float, float, float, float]
    area: int
    visible: float
    rle: dict


@dataclass
class Scene:
    """image (H, W, 3) uint8 BGR and its objects, in the order in which they were placed."""
    image: np.ndarray
    objects: list[SceneObject]
    kind: str
    seed: int


_UNDRAWN = Sprite(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), np.zeros((0, 0), bool), (0, 0))


@dataclass(eq=False)
class _Placed:
    """A look with its place: base point (x, y) and height of its unit in pixels; `on` is the supporting `_Placed`.

    look is None for clutter, which hides objects and is not annotated.
    """
    look: Look | None
    x: int
    y: int
    height: float
    depth: float
    half_width: float = 0.0
    on: _Placed | None = None
    thing: str = ''
    sprite: Sprite = field(default_factory=lambda: _UNDRAWN, repr=False)


@dataclass
class _Stage:
    """Where a scene plays. zoom: pixels of a metre (a tenth of one on a table) at the lower edge of the picture."""
    setting: str
    width: int
    height: int
    horizon: float
    zoom: float

    def size_at(self, y: float) -> float:
        """Pixels of a metre (a tenth of one) for what stands at y."""
        t = (y - self.horizon) / (self.height - self.horizon)
        return self.zoom * (0.5 + 0.5 * t if self.setting == 'table' else max(t, 0.15))


def make_scene(seed: int, kind: str) -> Scene:
    """The scene of a seed: 224 to 320 px a side, 4 to 15 objects; the same bytes for the same numpy and OpenCV.

    kind: 'people' (at least two people, as RefCOCO's testA), 'objects' (at most one person, as testB) or 'mixed'.
    Raises InputError for another kind.
    """
    if kind not in KINDS:
        raise InputError(f"scene kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    rng = np.random.Generator(np.random.PCG64([seed, KINDS.index(kind)]))
    while True:
        stage = _stage(kind, rng)
        placed = _place(stage, _cast(stage, kind, rng), rng)
        for item in placed:
            if item.sprite is _UNDRAWN:
                item.sprite = _drawn(item, rng)
        placed, objects = _visible(placed, stage)
        people = sum(o.category == 'person' for o in objects)
        if len(objects) >= MIN_OBJECTS and people >= 2 * (kind == 'people'):
            return Scene(_paint(stage, placed, rng), objects, kind, seed)


def _stage(kind: str, rng: np.random.Generator) -> _Stage:
    setting = SETTINGS[rng.choice(len(SETTINGS), p=_SETTING_WEIGHTS[kind])]
    width, height = int(rng.integers(256, 321)), int(rng.integers(224, 289))
    if rng.random() < 0.25:
        width, height = height, width
    horizon, zoom = {'meadow': ((0.2, 0.42), (75, 150)), 'street': ((0.25, 0.42), (45, 85)),
                     'beach': ((0.25, 0.42), (70, 140)), 'room': ((0.3, 0.5), (80, 150)),
                     'table': ((0.25, 0.5), (30, 62))}[setting]
    near = 1.4 if rng.random() < 0.15 else 1.0
    return _Stage(setting, width, height, round(rng.uniform(*horizon) * height), near * rng.uniform(*zoom))


def _cast(stage: _Stage, kind: str, rng: np.random.Generator) -> list[Look]:
    """Who and what shall be shown: a few people, a few groups of several of a category beside look-alikes."""
    people = {'people': int(rng.integers(3, 8)), 'mixed': int(rng.integers(0, 5)),
              'objects': int(rng.random() < 0.3)}[kind]
    wanted = int(rng.integers(2, 6)) if kind == 'people' else int(rng.integers(5, 13)) - people // 2
    groups = _GROUPS[stage.setting]
    names: list[str] = []
    while len(names) < wanted:
        group = groups[rng.integers(len(groups))]
        for rank, name in enumerate(group):
            names += [name] * int(rng.integers(2, 6) if rank == 0 else rng.integers(0, 4))
    looks = [_person(stage, rng) for _ in range(people)] + [_thing(name, rng) for name in names[:wanted]]
    mixed = [looks[i] for i in rng.permutation(len(looks))]
    return sorted(mixed, key=lambda look: look.category not in _HOSTS.values())


def _person(stage: _Stage, rng: np.random.Generator) -> Look:
    kind = ('man', 'woman', 'boy', 'girl')[rng.choice(4, p=(0.34, 0.32, 0.17, 0.17))]
    pose = ('standing', 'walking', 'sitting', 'arms up')[rng.choice(4, p=(0.45, 0.22, 0.2, 0.13))]
    if stage.setting == 'table' or (stage.setting == 'street' and pose == 'sitting'):
        pose = 'standing'
    color = _COLORS['person'][rng.integers(len(_COLORS['person']))]
    lower = [c for c in _TROUSERS if c != color]
    look = Look('person', kind, color, pose, lower_color=lower[rng.integers(len(lower))])
    if rng.random() < 0.4:
        look.accessory = ('hat', 'glasses', 'backpack')[rng.choice(3, p=(0.45, 0.3, 0.25))]
    if pose == 'walking' or rng.random() < 0.4:
        look.facing = ('left', 'right')[rng.integers(2)]
    if pose == 'standing' and rng.random() < 0.2 and stage.setting != 'table':
        look.holding, look.facing = 'umbrella', look.facing or ('left', 'right')[rng.integers(2)]
    return look


def _thing(category: str, rng: np.random.Generator) -> Look:
    color = _COLORS[category][rng.integers(len(_COLORS[category]))]
    look = Look(category, category, color)
    if category in _YOUNG:
        if rng.random() < 0.3:
            look.kind = _YOUNG[category]
        sitting = 0.0 if category == 'sheep' else 0.3
        look.pose = ('standing', 'lying', 'sitting')[rng.choice(3, p=(0.72 - sitting, 0.28, sitting))]
    if category in _YOUNG or category in ('car', 'bus', 'truck', 'chair'):
        look.facing = ('left', 'right')[rng.integers(2)]
    if category in ('cup', 'bowl', 'vase', 'umbrella') and rng.random() < 0.3:
        look.accessory = ('striped', 'dotted')[rng.integers(2)]
    return look


def _place(stage: _Stage, looks: list[Look], rng: np.random.Generator) -> list[_Placed]:
    """A place for each look: with its chair or umbrella, on or in something that stands already, or on the ground."""
    placed: list[_Placed] = []
    if stage.setting == 'table':
        top = table_top(stage.width, stage.height, stage.horizon, rng)
        placed.append(_Placed(None, 0, 0, 0, stage.horizon, sprite=top))
    for look in looks:
        if sum(item.look is not None for item in placed) >= MAX_OBJECTS:
            break
        item = _supported(look, placed, rng) or _grounded(stage, look, placed, rng)
        placed.append(item)
        if look.holding:
            placed.append(_held_umbrella(item, rng))
        if look.category == 'person' and look.pose == 'sitting':
            placed.insert(-1, _seat(item, rng))
    annotated = [item for item in placed if item.look is not None]
    for extra in annotated[MAX_OBJECTS:]:
        placed = [item for item in placed if item is not extra and item.on is not extra]
    for _ in range(int(rng.integers(0, 4))):
        name = CLUTTER[stage.setting][rng.integers(len(CLUTTER[stage.setting]))]
        y = _ground_y(stage, rng)
        height = stage.size_at(y) * rng.uniform(0.25, 0.7) * (1.6 if stage.setting == 'table' else 1)
        placed.append(_Placed(None, int(rng.integers(0, stage.width)), y, height, y, thing=name))
    return placed


def _ground_y(stage: _Stage, rng: np.random.Generator) -> int:
    low, high = (0.1, 0.97) if stage.setting == 'table' else (0.16, 0.97)
    return round(stage.horizon + rng.uniform(low, high) * (stage.height - stage.horizon))


def _grounded(stage: _Stage, look: Look, placed: list[_Placed], rng: np.random.Generator) -> _Placed:
    """On the ground (on the table; people behind it), of a few tries the first that hides no more than it may."""
    sizes = _TABLE if stage.setting == 'table' else _METRES
    unit, half = sizes.get(look.kind) or sizes[look.category]
    may_hide = rng.uniform(0.0, 0.55)
    best: tuple[float, _Placed] | None = None
    for _ in range(8):
        y = _ground_y(stage, rng)
        scale = stage.size_at(y)
        if stage.setting == 'table' and look.category == 'person':
            scale = min(0.55 * stage.zoom, 1.45 * stage.horizon / unit)
            item_y = round(stage.horizon + scale * unit * rng.uniform(0.42, 0.5))
            depth = stage.horizon - 5 + rng.uniform(0, 4)
        else:
            item_y, depth = y, y + rng.uniform(0, 0.4)
        scale = min(scale, 0.4 * stage.width / half, 0.8 * stage.height / unit) * rng.uniform(0.88, 1.12)
        margin = min(0.6 * half * scale, stage.width / 4)
        x = round(rng.uniform(margin, stage.width - margin))
        item = _Placed(look, x, item_y, unit * scale, depth, half * scale)
        hidden = max((_overlap(item, other) for other in placed if other.look), default=0.0)
        if hidden <= may_hide:
            return item
        if best is None or hidden < best[0]:
            best = hidden, item
    assert best is not None
    return best[1]


def _overlap(a: _Placed, b: _Placed) -> float:
    """Intersection of the rough boxes over the smaller of them."""
    width = min(a.x + a.half_width, b.x + b.half_width) - max(a.x - a.half_width, b.x - b.half_width)
    height = min(a.y, b.y) - max(a.y - a.height, b.y - b.height)
    smaller = min(2 * a.half_width * a.height, 2 * b.half_width * b.height)
    return max(width, 0) * max(height, 0) / max(smaller, 1e-6)


def _supported(look: Look, placed: list[_Placed], rng: np.random.Generator) -> _Placed | None:
    """Fruit in a bowl, a cat, a teddy bear or a cup on a free chair: now and then, where possible."""
    if look.category not in _HOSTS or rng.random() > 0.55:
        return None
    crowd = 3 if look.category in ('apple', 'orange') else 1
    free = [item for item in placed if item.look and item.look.category == _HOSTS[look.category]
            and sum(other.on is item for other in placed) < crowd]
    if not free:
        return None
    host = free[rng.integers(len(free))]
    if look.category in ('apple', 'orange'):
        height = host.height * rng.uniform(0.62, 0.75)
        count = sum(other.on is host for other in placed)
        x = host.x + round(host.height * (-0.42, 0.42, 0.02)[count] * rng.uniform(0.85, 1.15))
        y = host.y - round(host.height * (1 - BOWL_RIM) - height * rng.uniform(0.25, 0.4))
        return _Placed(look, x, y, height, host.depth - 0.3 - 0.01 * count, height * 0.45, host)
    facing = 1 if host.look and host.look.facing == 'right' else -1
    height = host.height * rng.uniform(0.42, 0.55) * (0.6 if look.category == 'cup' else 1)
    if look.category == 'cat':
        look.pose = 'sitting'
    y = host.y - round(host.height * (CHAIR_SEAT - 0.07))
    return _Placed(look, host.x + round(0.06 * host.height * facing), y, height, host.depth + 0.3, height * 0.4, host)


def _held_umbrella(holder: _Placed, rng: np.random.Generator) -> _Placed:
    look = _thing('umbrella', rng)
    side = 1 if holder.look and holder.look.facing == 'right' else -1
    height = 0.66 * holder.height
    x = holder.x + side * round(GRIP[0] * holder.height)
    y = holder.y - round((1 - GRIP[1] - 0.08) * holder.height)
    return _Placed(look, x, y, height, holder.depth - 0.2, 0.7 * height, holder)


def _seat(sitter: _Placed, rng: np.random.Generator) -> _Placed:
    """The chair under a sitting person; the person becomes the thing on it."""
    look = _thing('chair', rng)
    assert sitter.look is not None
    look.facing = sitter.look.facing or look.facing
    side = 1 if look.facing == 'right' else -1
    height = sitter.height * SEAT_HEIGHT / CHAIR_SEAT * 1.2
    chair = _Placed(look, sitter.x - side * round(0.02 * sitter.height), sitter.y, height, sitter.depth - 0.25,
                    0.4 * height)
    sitter.on = chair
    return chair


def _drawn(item: _Placed, rng: np.random.Generator) -> Sprite:
    return draw(item.look, item.height, rng) if item.look else clutter(item.thing, item.height, rng)


def _visible(placed: list[_Placed], stage: _Stage) -> tuple[list[_Placed], list[SceneObject]]:
    """What stays in the picture, and the annotations.

    Objects hidden too much or too small are taken out, with what they carry, and the rest is looked at again: an
    object that is painted is annotated.
    """
    while True:
        owner = np.full((stage.height, stage.width), -1, np.int16)
        order = sorted(range(len(placed)), key=lambda i: placed[i].depth)
        for i in order:
            window, part = _window(placed[i], stage, 1)
            owner[window][placed[i].sprite.silhouette[part]] = i
        full = np.array([item.sprite.silhouette.sum() for item in placed])
        area = np.bincount(owner[owner >= 0], minlength=len(placed))
        shown = area / np.maximum(full, 1)
        weak = [i for i, item in enumerate(placed)
                if item.look and (area[i] < MIN_AREA or shown[i] < MIN_VISIBLE)]
        if not weak:
            break
        # The one that is hidden worst goes alone: without it others may show enough.
        worst = placed[min(weak, key=lambda i: float(shown[i]))]
        placed = [item for item in placed if item is not worst and item.on is not worst]
    index = {id(item): k for k, item in enumerate(item for item in placed if item.look)}
    objects = []
    for i, item in enumerate(placed):
        if item.look:
            mask = owner == i
            objects.append(_annotated(item, mask, int(full[i]), index.get(id(item.on))))
    return placed, objects


def _annotated(item: _Placed, mask: np.ndarray, full: int, on: int | None) -> SceneObject:
    look = item.look
    assert look is not None
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    x, y = float(columns[0]), float(rows[0])
    box = (x, y, float(columns[-1]) - x + 1, float(rows[-1]) - y + 1)
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    area = int(mask.sum())
    return SceneObject(look.category, look.kind, look.color, look.pose, look.facing, look.accessory, look.lower_color,
                       float(item.depth), on, box, area, area / full,
                       {'size': [int(v) for v in rle['size']], 'counts': rle['counts'].decode('ascii')})


def _window(item: _Placed, stage: _Stage, factor: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a sprite lies in the picture and which part of it that is, both cut to the frame and times `factor`."""
    h, w = item.sprite.silhouette.shape
    left, top = item.x + item.sprite.offset[0], item.y + item.sprite.offset[1]
    x0, x1 = (int(np.clip(v, 0, stage.width)) for v in (left, left + w))
    y0, y1 = (int(np.clip(v, 0, stage.height)) for v in (top, top + h))
    window = slice(y0 * factor, y1 * factor), slice(x0 * factor, x1 * factor)
    part = (slice((y0 - top) * factor, (y1 - top) * factor), slice((x0 - left) * factor, (x1 - left) * factor))
    return window, part


def _paint(stage: _Stage, placed: list[_Placed], rng: np.random.Generator) -> np.ndarray:
    """The picture (H, W, 3) uint8 BGR: far to near with shadows, then what a camera adds."""
    canvas = backdrop(stage.setting, stage.width, stage.height, stage.horizon, rng)
    for item in sorted(placed, key=lambda item: item.depth):
        if item.on is None and item.height:
            _shadow(canvas, item)
        window, part = _window(item, stage, SUPERSAMPLING)
        region = canvas[window]
        if region.size:
            cv2.copyTo(item.sprite.bgr[part], item.sprite.alpha[part], region)
    image = cv2.resize(canvas, (stage.width, stage.height), interpolation=cv2.INTER_AREA)
    return _photographed(image, rng)


def _shadow(canvas: np.ndarray, item: _Placed) -> None:
    """A soft dark ellipse on the ground around the base."""
    half = item.sprite.silhouette.shape[1] * SUPERSAMPLING * 0.52
    x, y = item.x * SUPERSAMPLING + 0.12 * half, item.y * SUPERSAMPLING
    rx, ry = max(int(half * 1.15), 4), max(int(half * 0.26), 3)
    small = np.linspace(-1, 1, 24)
    soft = np.clip(1.2 * (1 - small[:, None] * small[:, None] - small * small), 0, 1)
    patch = stretched(np.rint(128 - 52 * soft).astype(np.uint8), 2 * rx, 2 * ry)
    left, top = int(x) - rx, int(y) - ry
    x0, y0 = max(left, 0), max(top, 0)
    region = canvas[y0:max(top + 2 * ry, 0), x0:max(left + 2 * rx, 0)]
    if region.size:
        cut = patch[y0 - top:, x0 - left:][:region.shape[0], :region.shape[1]]
        region[:] = lit(region, cut)


def _photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, a slight cast of colour, blur and sensor noise."""
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    gain = rng.uniform(0.9, 1.12) * rng.uniform(0.97, 1.03, 3)
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 7))
    noise += image * gain.astype(np.float32) + np.float32(rng.uniform(-6, 8))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)
