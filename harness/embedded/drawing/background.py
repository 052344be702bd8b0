"""The settings: meadow, street, beach, room and table, with their texture, and the clutter that nobody annotates."""
from __future__ import annotations

import cv2
import numpy as np

from harness.embedded.drawing.brush import SUPERSAMPLING, Brush, Sprite, circle, lit, smooth, stretched
from harness.embedded.drawing.colors import Color, pick, scaled

SETTINGS = ('meadow', 'street', 'beach', 'room', 'table')
#: clutter that may stand in each setting, nearer to the viewer than what it hides
CLUTTER = {'meadow': ('bush', 'stone', 'ball', 'tuft', 'tuft', 'post'), 'street': ('cone', 'post', 'box', 'cone'),
           'beach': ('stone', 'tuft', 'ball', 'bucket'), 'room': ('box', 'cushion', 'ball', 'lamp'),
           'table': ('book', 'book', 'loaf', 'candle')}

WALLS = [(226, 214, 190), (190, 210, 222), (214, 196, 200), (196, 214, 188), (222, 222, 218), (176, 160, 140),
         (150, 170, 186)]
WOODS = [(176, 128, 82), (140, 96, 60), (204, 168, 122), (112, 80, 58), (216, 200, 176)]


def backdrop(setting: str, width: int, height: int, horizon: float, rng: np.random.Generator) -> np.ndarray:
    """The empty scene, supersampled: (2 * height, 2 * width, 3) uint8 BGR; the ground begins at y = `horizon` px."""
    size = (height * SUPERSAMPLING, width * SUPERSAMPLING, 3)
    canvas = np.zeros(size, np.uint8)
    light = np.ones(size[:2], np.float32)
    _PAINTERS[setting](canvas, light, round(horizon * SUPERSAMPLING), rng)
    return lit(canvas, _bytes(light))


def table_top(width: int, height: int, edge: float, rng: np.random.Generator) -> Sprite:
    """A table that fills the picture below y = `edge`, with cloth, napkins and plates; hides who sits behind it."""
    w, h, y = width * SUPERSAMPLING, height * SUPERSAMPLING, round(edge * SUPERSAMPLING)
    canvas = np.zeros((h, w, 3), np.uint8)
    light = np.ones((h, w), np.float32)
    color = pick(WOODS, rng) if rng.random() < 0.6 else pick(WALLS, rng)
    inset = rng.uniform(-0.15, 0.01, 2) * w
    outline = np.array([(inset[0], y), (w - inset[1], y), (w * 1.25, h + 4), (-w * 0.25, h + 4)])
    canvas[y:] = scaled(color, 0.5)
    cv2.fillPoly(canvas, [_ints(outline)], color)
    style = rng.random()
    centre = np.array([w / 2, y - (h - y) * 1.6])
    if style < 0.45:
        for x in np.linspace(-w * 0.3, w * 1.3, int(rng.integers(6, 11))):
            cv2.line(canvas, *_segment(centre + ((x, h) - centre) * 0.3, (x, h)), scaled(color, 0.72), 3)
        light[y:] *= _clouds(h - y, w, (10, 160), 0.13, rng)
    elif style < 0.75:
        other = scaled(color, 0.8)
        for k, t in enumerate(np.linspace(0, 1, 9) ** 1.4):
            if k % 2:
                row = y + t * (h - y)
                cv2.line(canvas, *_segment((0, row), (w, row)), other, max(3, round(0.05 * (h - y))))
        for x in np.linspace(-w * 0.3, w * 1.3, 12):
            cv2.line(canvas, *_segment(centre + ((x, h) - centre) * 0.3, (x, h)), scaled(color, 1.35), 7)
    else:
        light[y:] *= _clouds(h - y, w, (30, 50), 0.12, rng)
    for _ in range(int(rng.integers(0, 4))):
        t = rng.uniform(0.1, 0.95)
        spot, size = (rng.uniform(0, w), y + t * (h - y)), w * rng.uniform(0.07, 0.13) * (0.5 + 0.5 * t)
        tone = pick(WALLS, rng)
        if rng.random() < 0.5:
            cv2.fillPoly(canvas, [_ints(circle(*spot, size, size * 0.42))], scaled(tone, 0.75))
            cv2.fillPoly(canvas, [_ints(circle(spot[0], spot[1] - 2, size, size * 0.4))], tone)
            cv2.fillPoly(canvas, [_ints(circle(spot[0], spot[1], size * 0.7, size * 0.27))], scaled(tone, 0.9))
        else:
            corners = np.array([(-1, 0), (0.1, -0.5), (1, 0.05), (-0.1, 0.55)]) * size + spot
            cv2.fillPoly(canvas, [_ints(corners)], tone)
            cv2.polylines(canvas, [_ints(corners)], True, scaled(tone, 0.7), 2)
    light[y:] *= np.linspace(0.88, 1.08, h - y, dtype=np.float32)[:, None]
    canvas = lit(canvas, _bytes(light))
    alpha = np.zeros((h, w), np.uint8)
    cv2.fillPoly(alpha, [_ints(outline)], 255)
    half = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
    return Sprite(canvas, alpha, half >= 128, (0, 0))


def clutter(name: str, height: float, rng: np.random.Generator) -> Sprite:
    """One thing of `CLUTTER`, `height` image pixels high."""
    brush = Brush(height, bool(rng.random() < 0.5), 1.6)
    if name == 'bush':
        leaf = pick([(62, 104, 46), (84, 122, 60), (50, 84, 52)], rng)
        for x, y, r in rng.uniform((-0.6, 0.35, 0.25), (0.6, 0.75, 0.4), (9, 3)):
            brush.ellipse(x, y, r, r * 0.9, scaled(leaf, rng.uniform(0.8, 1.1)))
    elif name == 'stone':
        angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        reach = rng.uniform(0.75, 1.1, 8)
        brush.blob(np.stack([0.7 * reach * np.cos(angles), 0.6 + 0.4 * reach * np.sin(angles)], 1),
                   pick([(120, 116, 110), (150, 142, 130), (96, 94, 98)], rng))
    elif name == 'tuft':
        for x in rng.uniform(-0.5, 0.5, 9):
            brush.line([(x * 0.5, 1), (x, rng.uniform(0, 0.4))], 0.07, pick([(92, 128, 52), (120, 140, 70)], rng))
    elif name == 'post':
        brush.fill([(-0.08, 0), (0.08, 0), (0.08, 1), (-0.08, 1)], pick(WOODS, rng))
    elif name == 'cone':
        brush.fill([(-0.4, 0.9), (0.4, 0.9), (0.4, 1), (-0.4, 1)], (40, 60, 200))
        brush.fill([(-0.06, 0), (0.06, 0), (0.28, 0.92), (-0.28, 0.92)], (40, 90, 235))
        brush.fill([(-0.13, 0.35), (0.13, 0.35), (0.19, 0.58), (-0.19, 0.58)], (235, 235, 235), False)
    elif name == 'cushion':
        cloth = pick([(150, 90, 90), (96, 120, 150), (190, 170, 120)], rng)
        brush.blob([(-0.75, 0.42), (0, 0.3), (0.75, 0.42), (0.78, 0.92), (0, 1.0), (-0.78, 0.92)], cloth)
        brush.line([(-0.6, 0.5), (0, 0.66), (0.6, 0.5)], 0.03, scaled(cloth, 0.7))
        brush.ellipse(0, 0.66, 0.06, 0.05, scaled(cloth, 0.6))
    elif name == 'ball':
        skin = pick([(60, 130, 190), (225, 225, 225), (180, 60, 120)], rng)
        brush.ellipse(0, 0.55, 0.45, 0.45, skin)
        for turn in (-50, 10, 70):
            brush.ellipse(0, 0.55, 0.43, 0.13, scaled(skin, 0.7 if turn != 10 else 1.4), turn, outline=False)
    elif name == 'bucket':
        brush.line(smooth([(-0.4, 0.35), (0, -0.1), (0.4, 0.35)], closed=False), 0.05, (90, 90, 96))
        brush.fill([(-0.45, 0.3), (0.45, 0.3), (0.32, 1), (-0.32, 1)], pick([(70, 150, 140), (200, 80, 120)], rng))
        brush.ellipse(0, 0.3, 0.45, 0.1, (80, 80, 84))
    elif name == 'lamp':
        brush.line([(0, -0.3), (0, 0.95)], 0.06, (60, 60, 64), outline=True)
        brush.ellipse(0, 0.97, 0.25, 0.06, (60, 60, 64))
        brush.fill([(-0.18, -0.4), (0.18, -0.4), (0.34, 0.1), (-0.34, 0.1)], (170, 226, 244))
    elif name == 'loaf':
        brush.blob([(-0.9, 0.75), (-0.6, 0.45), (0.0, 0.38), (0.6, 0.45), (0.9, 0.75), (0.7, 0.98), (-0.7, 0.98)],
                   pick([(190, 130, 70), (160, 104, 60)], rng))
        for x in (-0.45, 0.0, 0.45):
            brush.line([(x - 0.1, 0.72), (x + 0.12, 0.5)], 0.06, (150, 195, 228))
    elif name == 'candle':
        brush.fill([(-0.12, 0.25), (0.12, 0.25), (0.12, 0.9), (-0.12, 0.9)], (205, 232, 240))
        brush.ellipse(0, 0.93, 0.3, 0.07, (120, 124, 128))
        brush.blob([(0, -0.05), (0.07, 0.12), (0, 0.22), (-0.07, 0.12)], (70, 190, 250), outline=False)
    elif name == 'book':
        brush.fill([(-0.9, 0.75), (0.9, 0.75), (0.9, 1), (-0.9, 1)], pick([(120, 40, 50), (40, 70, 90)], rng))
        brush.fill([(-0.7, 0.5), (0.8, 0.5), (0.8, 0.75), (-0.7, 0.75)], pick([(60, 100, 80), (190, 180, 150)], rng))
    else:
        paint = pick(WOODS[:3], rng)
        brush.fill([(-0.7, 0.25), (0.7, 0.25), (0.7, 1), (-0.7, 1)], paint)
        brush.fill([(-0.7, 0.25), (-0.45, 0.0), (0.9, 0.0), (0.7, 0.25)], scaled(paint, 1.25))
        brush.line([(0, 0.25), (0, 1)], 0.1, scaled(paint, 0.8))
    return brush.sprite(rng, grain=0.05)


def _ints(points: np.ndarray) -> np.ndarray:
    return np.round(points).astype(np.int32)


def _segment(start: np.ndarray | tuple, end: np.ndarray | tuple) -> tuple[tuple[int, int], tuple[int, int]]:
    return (round(float(start[0])), round(float(start[1]))), (round(float(end[0])), round(float(end[1])))


def _clouds(height: int, width: int, cell: tuple[int, int], amount: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (height, width) around 1 with structures of `cell` = (rows, columns) pixels."""
    small = rng.normal(128, 128 * amount, (height // cell[0] + 2, width // cell[1] + 2))
    small = np.clip(np.rint(small), 0, 255).astype(np.uint8)
    return stretched(small, width, height).astype(np.float32) / np.float32(128)


def _bytes(light: np.ndarray) -> np.ndarray:
    """Light around 1 as the bytes that `lit` takes."""
    return np.clip(np.rint(light * np.float32(128)), 0, 255).astype(np.uint8)


def _gradient(part: np.ndarray, top: Color, bottom: Color) -> None:
    t = np.linspace(0, 1, part.shape[0])[:, None]
    part[:] = (np.array(top) * (1 - t) + np.array(bottom) * t).astype(np.uint8)[:, None]


def _sky(part: np.ndarray, rng: np.random.Generator) -> None:
    low = pick([(226, 236, 244), (244, 222, 200), (212, 216, 220)], rng)
    _gradient(part, pick([(110, 165, 224), (150, 185, 220), (170, 180, 192)], rng), low)
    h, w = part.shape[:2]
    for _ in range(int(rng.integers(0, 4))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h * 0.7), rng.uniform(0.04, 0.1) * w
        for dx in (-1, 0, 1.1):
            cv2.fillPoly(part, [_ints(circle(x + dx * r, y, r * 1.1, r * (0.3 if dx else 0.45)))], scaled(low, 1.5))


def _trees(part: np.ndarray, rng: np.random.Generator, count: int) -> None:
    """A far row of trees that stands on the lower edge of `part`."""
    h, w = part.shape[:2]
    tone = pick([(66, 100, 62), (90, 122, 70), (74, 96, 84)], rng)
    for x in rng.uniform(0, w, count):
        size, color = rng.uniform(0.06, 0.15) * w, scaled(tone, rng.uniform(0.75, 1.15))
        cv2.line(part, *_segment((x, h), (x, h - size)), (50, 66, 84), max(2, int(size * 0.12)))
        for dx, dy in ((-0.35, 0.75), (0.35, 0.8), (0, 1.15)):
            crown = circle(x + dx * size, h - dy * size, size * 0.5, size * 0.48)
            cv2.fillPoly(part, [_ints(crown)], scaled(color, 1 - 0.12 * (dx > 0)))


def _strokes(part: np.ndarray, color: Color, count: int, rng: np.random.Generator, lean: float) -> None:
    """Many short strokes, longer towards the viewer: grass blades, ripples."""
    h, w = part.shape[:2]
    t = rng.uniform(0.02, 1, count)
    start = np.stack([rng.uniform(0, w, count), t * h], 1)
    length = (t * 0.022 + 0.004)[:, None] * w
    end = start + length * np.stack([rng.uniform(-lean, lean, count), -np.full(count, 1 - min(lean, 1))], 1)
    segments = _ints(np.stack([start, end], 1))
    cv2.polylines(part, list(segments), False, color, 2)


def _meadow(canvas: np.ndarray, light: np.ndarray, y: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    _sky(canvas[:y], rng)
    if rng.random() < 0.5:
        hills = smooth([(0, y - rng.uniform(0, 0.2) * y), (w * 0.3, y - rng.uniform(0.05, 0.3) * y),
                        (w * 0.7, y - rng.uniform(0, 0.25) * y), (w, y - rng.uniform(0, 0.2) * y)], closed=False)
        hills = np.concatenate([hills, [(w, y), (0, y)]])
        cv2.fillPoly(canvas, [_ints(hills)], pick([(120, 150, 110), (140, 160, 150)], rng))
    _trees(canvas[:y], rng, int(rng.integers(0, 9)))
    grass = pick([(112, 150, 64), (132, 152, 78), (92, 138, 70), (160, 156, 92)], rng)
    _gradient(canvas[y:], scaled(grass, 1.12), scaled(grass, 0.86))
    if rng.random() < 0.3:
        x = rng.uniform(0.2, 0.8) * w
        path = np.array([(x - 6, y), (x + 6, y), (x + 0.25 * w, h), (x - 0.25 * w, h)])
        cv2.fillPoly(canvas, [_ints(path)], pick([(190, 170, 130), (170, 150, 120)], rng))
    _strokes(canvas[y:], scaled(grass, 0.75), 160, rng, 0.5)
    _strokes(canvas[y:], scaled(grass, 1.25), 120, rng, 0.5)
    if rng.random() < 0.4:
        petal = pick([(245, 240, 240), (240, 210, 90), (210, 140, 190)], rng)
        for px, py in rng.uniform((0, y + 4), (w, h), (30, 2)):
            cv2.circle(canvas, (int(px), int(py)), 2, petal, -1)
    light[y:] *= _clouds(h - y, w, (14, 40), 0.09, rng)


def _street(canvas: np.ndarray, light: np.ndarray, y: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    _sky(canvas[:y], rng)
    x = -rng.uniform(0, 40)
    while x < w:
        width, top = rng.uniform(0.18, 0.38) * w, y * rng.uniform(0.0, 0.45)
        wall = pick([(178, 120, 96), (200, 184, 156), (150, 150, 156), (188, 170, 170), (128, 112, 104)], rng)
        _box(canvas, x, top, x + width, y, wall)
        step = width / int(rng.integers(3, 6))
        for row in np.arange(top + step * 0.4, y - step * 0.9, step * 1.15):
            for column in np.arange(x + step * 0.25, x + width - step * 0.5, step):
                _box(canvas, column, row, column + step * 0.5, row + step * 0.65,
                     (120, 100, 84) if rng.random() < 0.8 else (150, 215, 235))
        x += width
    curb = y + round((h - y) * 0.12)
    _gradient(canvas[y:curb], (168, 172, 176), (182, 186, 190))
    asphalt = pick([(104, 104, 108), (92, 94, 100), (122, 120, 118)], rng)
    _gradient(canvas[curb:], scaled(asphalt, 1.1), scaled(asphalt, 0.9))
    cv2.line(canvas, (0, curb), (w, curb), (196, 198, 200), 4)
    for t in rng.choice([0.35, 0.5, 0.62, 0.78], int(rng.integers(1, 3)), replace=False):
        row, thick = round(curb + t * (h - curb)), max(2, round(5 * t + 2))
        for start in np.arange(-rng.uniform(0, 60), w, 110):
            cv2.line(canvas, *_segment((start, row), (start + 62, row)), (214, 216, 214), thick)
    if rng.random() < 0.25:
        for start in np.arange(0.35, 0.65, 0.06):
            stripe = np.array([(start * w, curb), (start * w + 0.03 * w, curb), (w * (start * 2 - 0.5) + 0.06 * w, h),
                               (w * (start * 2 - 0.5), h)])
            cv2.fillPoly(canvas, [_ints(stripe)], (206, 208, 206))
    light[y:] *= _clouds(h - y, w, (8, 24), 0.05, rng) * _clouds(h - y, w, (50, 120), 0.06, rng)


def _beach(canvas: np.ndarray, light: np.ndarray, y: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    top = round(y * rng.uniform(0.45, 0.7))
    _sky(canvas[:top], rng)
    sea = pick([(70, 140, 180), (84, 160, 170), (60, 110, 160)], rng)
    _gradient(canvas[top:y], scaled(sea, 0.85), scaled(sea, 1.25))
    _strokes(canvas[top:y], scaled(sea, 1.5), 50, rng, 2.5)
    sand = pick([(226, 202, 156), (214, 190, 150), (236, 220, 184)], rng)
    _gradient(canvas[y:], scaled(sand, 0.9), sand)
    shore = np.stack([np.linspace(0, w, 9), y + rng.uniform(-6, 10, 9)], 1)
    cv2.polylines(canvas, [_ints(smooth(shore, closed=False))], False, (244, 246, 246), 9)
    for px, py in rng.uniform((0, y + 12), (w, h), (40, 2)):
        cv2.circle(canvas, (int(px), int(py)), int(1 + 2 * (py - y) / (h - y)), scaled(sand, rng.uniform(0.7, 1.0)), -1)
    light[y:] *= _clouds(h - y, w, (12, 34), 0.06, rng)


def _room(canvas: np.ndarray, light: np.ndarray, y: int, rng: np.random.Generator) -> None:
    h, w = canvas.shape[:2]
    _wall(canvas[:y], rng)
    _box(canvas, 0, y - 10, w, y, scaled(pick(WALLS[4:5], rng), 0.95))
    wood = pick(WOODS, rng)
    canvas[y:] = scaled(wood, 0.95)
    if rng.random() < 0.65:
        middle = rng.uniform(0.3, 0.7) * w
        for k in np.arange(-14, 15):
            cv2.line(canvas, *_segment((middle + k * 0.08 * w, y), (middle + k * 0.2 * w, h)), scaled(wood, 0.75), 2)
        for t in rng.uniform(0.05, 1, 8):
            row, x = y + t * (h - y), rng.uniform(0, w)
            cv2.line(canvas, *_segment((x, row), (x + 0.15 * w, row)), scaled(wood, 0.75), 2)
    if rng.random() < 0.5:
        rug = pick([(150, 70, 66), (80, 100, 140), (196, 184, 160), (90, 120, 104)], rng)
        x, row = rng.uniform(0.3, 0.7) * w, y + rng.uniform(0.4, 0.7) * (h - y)
        for size, tone in ((1.0, 0.8), (0.9, 1.0), (0.7, 1.2), (0.62, 1.0)):
            shape = circle(x, row, 0.38 * w * size, 0.26 * (h - y) * size)
            cv2.fillPoly(canvas, [_ints(shape)], scaled(rug, tone))
    light[y:] *= _clouds(h - y, w, (12, 60), 0.06, rng)
    light *= np.linspace(1.06, 0.92, w, dtype=np.float32)[None, ::int(rng.choice([-1, 1]))]


def _table(canvas: np.ndarray, light: np.ndarray, y: int, rng: np.random.Generator) -> None:
    _wall(canvas, rng)
    light *= np.linspace(1.05, 0.9, canvas.shape[1], dtype=np.float32)[None, ::int(rng.choice([-1, 1]))]


def _wall(part: np.ndarray, rng: np.random.Generator) -> None:
    """A wall with wallpaper or tiles or none, a window or a picture."""
    h, w = part.shape[:2]
    paint = pick(WALLS, rng)
    _gradient(part, scaled(paint, 0.94), paint)
    style = rng.random()
    step = round(rng.uniform(0.06, 0.12) * w)
    if style < 0.35:
        for x in range(0, w, step):
            _box(part, x, 0, x + step // 2, h, scaled(paint, 0.93))
    elif style < 0.5:
        for x in range(0, w, step):
            cv2.line(part, (x, 0), (x, h), scaled(paint, 0.82), 2)
        for row in range(0, h, step):
            cv2.line(part, (0, row), (w, row), scaled(paint, 0.82), 2)
    for _ in range(int(rng.integers(0, 3))):
        x, row, size = rng.uniform(0, w), rng.uniform(0.05, 0.4) * h, rng.uniform(0.1, 0.2) * w
        bottom = min(row + size * rng.uniform(0.7, 1.3), h * 0.85)
        frame = pick(WOODS, rng)
        _box(part, x - size * 0.6, row, x + size * 0.6, bottom, frame)
        inner = (x - size * 0.5, row + size * 0.1, x + size * 0.5, bottom - size * 0.1)
        if rng.random() < 0.5:
            _box(part, *inner, (236, 214, 188))
            cv2.line(part, *_segment((x, inner[1]), (x, inner[3])), frame, 5)
            cv2.line(part, *_segment((inner[0], (inner[1] + inner[3]) / 2), (inner[2], (inner[1] + inner[3]) / 2)),
                     frame, 5)
        else:
            _box(part, *inner, pick([(200, 210, 190), (90, 110, 130), (210, 170, 120), (60, 60, 80)], rng))
            spot = circle(x + size * rng.uniform(-0.2, 0.2), (inner[1] + inner[3]) / 2, size * 0.2, size * 0.14)
            cv2.fillPoly(part, [_ints(spot)], pick(WALLS, rng))


def _box(canvas: np.ndarray, left: float, top: float, right: float, bottom: float, color: Color) -> None:
    if right > left and bottom > top:
        cv2.rectangle(canvas, *_segment((left, top), (right, bottom)), color, -1)


_PAINTERS = {'meadow': _meadow, 'street': _street, 'beach': _beach, 'room': _room, 'table': _table}
