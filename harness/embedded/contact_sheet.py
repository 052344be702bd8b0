"""A sheet of scenes to look at: ``python -m harness.embedded sheet --kind mixed --count 24 -o sheet.png``."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from harness.embedded.world import KINDS, Scene, make_scene
from harness.names import OneLineParser, at_least

CELL = 480
GAP = 8


def labelled(scene: Scene, zoom: float, boxes: bool) -> np.ndarray:
    """The scene's picture enlarged, optionally with the box, number and words of each object."""
    image = cv2.resize(scene.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    for number, item in enumerate(scene.objects if boxes else []):
        x, y, w, h = (round(v * zoom) for v in item.xywh)
        color = tuple(int(v) for v in np.random.Generator(np.random.PCG64(number)).integers(60, 255, 3))
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), color, 2)
        words = ' '.join(filter(None, (str(number), item.color, item.accessory, item.kind, item.pose, item.facing,
                                       '' if item.on is None else f'on {item.on}')))
        for thickness, ink in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            cv2.putText(image, words, (x + 2, max(y + 12, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.38, ink, thickness,
                        cv2.LINE_AA)
    return image


def sheet(scenes: list[Scene], columns: int, boxes: bool) -> np.ndarray:
    """The scenes in a grid, each fitted into a square of `CELL` pixels."""
    rows = -(-len(scenes) // columns)
    page = np.full((rows * (CELL + GAP) + GAP, columns * (CELL + GAP) + GAP, 3), 255, np.uint8)
    for k, scene in enumerate(scenes):
        picture = labelled(scene, CELL / max(scene.image.shape[:2]), boxes)
        y, x = (GAP + v * (CELL + GAP) for v in divmod(k, columns))
        page[y:y + picture.shape[0], x:x + picture.shape[1]] = picture
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m harness.embedded sheet``: write one sheet."""
    parser = OneLineParser(prog='python -m harness.embedded sheet',
                           description='A contact sheet of the embedded world.')
    parser.add_argument('--kind', choices=KINDS, default='mixed')
    parser.add_argument('--seed', type=at_least(0), default=0, help='seed of the first scene; the others follow')
    parser.add_argument('--count', type=at_least(1), default=24)
    parser.add_argument('--columns', type=at_least(1), default=4)
    parser.add_argument('--boxes', action='store_true', help="draw each object's box and words")
    parser.add_argument('-o', '--output', required=True, help='PNG or JPEG file')
    options = parser.parse_args(arguments)
    scenes = [make_scene(seed, options.kind) for seed in range(options.seed, options.seed + options.count)]
    try:
        written = cv2.imwrite(options.output, sheet(scenes, options.columns, options.boxes))
    except cv2.error:  # the ending is of no known picture format
        written = False
    if not written:
        parser.error(f'cannot write {options.output}; choose another file, PNG or JPEG')
