"""The embedded world: one scene from a seed, with everything that is true of each of its objects.

To *cast* is to choose the looks that a scene shows, to *place* puts each on the ground, on the table, on a chair or in
a hand, and to *paint* draws from far to near. What is visible of an object is its silhouette less the silhouettes
nearer to the viewer, so masks, boxes and visible fractions are exact by construction and no two objects share a pixel.

Coordinates are image pixels, x to the right and y down; boxes are COCO's (x, y, width, height) of the visible mask.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from harness.embedded.casting import Viewpoint, cast, draw_viewpoint
from harness.embedded.drawing import draw
from harness.embedded.drawing.background import clutter
from harness.embedded.drawing.brush import Sprite
from harness.embedded.painting import paint, window_of
from harness.embedded.placing import UNDRAWN, Placed, place
from harness.errors import InputError

#: the categories of the embedded world with their ids in COCO 2014
CATEGORIES: dict[str, int] = {
    'person': 1, 'car': 3, 'bus': 6, 'truck': 8, 'cat': 17, 'dog': 18, 'sheep': 20, 'umbrella': 28, 'bottle': 44,
    'cup': 47, 'bowl': 51, 'banana': 52, 'apple': 53, 'orange': 55, 'chair': 62, 'potted plant': 64, 'vase': 86,
    'teddy bear': 88,
}
#: kinds of scenes: as testA (mostly people), as testB (other objects), as training
KINDS = ('people', 'objects', 'mixed')
MIN_OBJECTS = 4
MIN_VISIBLE, MIN_AREA = 0.3, 60


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


def make_scene(seed: int, kind: str) -> Scene:
    """The scene of a seed: 224 to 320 px a side, 4 to 15 objects; the same bytes for the same numpy and OpenCV.

    kind: 'people' (at least two people, as RefCOCO's testA), 'objects' (at most one person, as testB) or 'mixed'.
    Raises InputError for another kind.
    """
    if kind not in KINDS:
        raise InputError(f"scene kind {kind!r} is unknown: use one of {', '.join(KINDS)}")
    rng = np.random.Generator(np.random.PCG64([seed, KINDS.index(kind)]))
    while True:
        view = draw_viewpoint(kind, rng)
        placed = place(view, cast(view, kind, rng), rng)
        for item in placed:
            if item.sprite is UNDRAWN:
                item.sprite = _drawn(item, rng)
        placed, objects = _visible(placed, view)
        people = sum(o.category == 'person' for o in objects)
        if len(objects) >= MIN_OBJECTS and people >= 2 * (kind == 'people'):
            return Scene(paint(view, placed, rng), objects, kind, seed)


def _drawn(item: Placed, rng: np.random.Generator) -> Sprite:
    return draw(item.look, item.height, rng) if item.look else clutter(item.thing, item.height, rng)


def _visible(placed: list[Placed], view: Viewpoint) -> tuple[list[Placed], list[SceneObject]]:
    """The objects that stay in the picture, and their annotations.

    Objects that are too small or hidden too much are removed with what they carry, and the rest is judged again, so
    that every object that is painted is annotated.
    """
    while True:
        owner = np.full((view.height, view.width), -1, np.int16)
        order = sorted(range(len(placed)), key=lambda i: placed[i].depth)
        for i in order:
            window, part = window_of(placed[i], view, 1)
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


def _annotated(item: Placed, mask: np.ndarray, full: int, on: int | None) -> SceneObject:
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
