"""The brush that draws one object: shapes in the object's own units, then light, grain and a silhouette.

Units: an object is about 1 high; y runs down from 0 (its top) to 1 (where it touches the ground), x is 0 in its middle
and positive in the direction it faces. Everything is drawn at `SUPERSAMPLING` times the image's resolution.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from harness.embedded.drawing.colors import Color, scaled

SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4
_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_GRAIN = np.random.Generator(np.random.PCG64(7)).normal(0, 1, (512, 512))
_GRAIN = (_GRAIN + np.roll(_GRAIN, 1, 0) + np.roll(_GRAIN, 1, 1) + np.roll(_GRAIN, (1, 1), (0, 1))) / 2

Points = Sequence[Sequence[float]] | Sequence[np.ndarray] | np.ndarray


@dataclass
class Sprite:
    """One drawn object, not yet placed.

    bgr (h, w, 3) uint8 and alpha (h, w) uint8 (0 or 255) are at supersampled resolution with even h and w;
    silhouette (h / 2, w / 2) bool is the same at image resolution; offset is the top left corner of both relative to
    the point where the object stands, in image pixels (x, y).
    """
    bgr: np.ndarray
    alpha: np.ndarray
    silhouette: np.ndarray
    offset: tuple[int, int]


def circle(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
    """An ellipse as a polygon (28, 2); `angle` in degrees, clockwise as seen."""
    turn = np.deg2rad(angle)
    points = _CIRCLE * (rx, ry)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return points @ rotation + (x, y)


def smooth(points: Points, closed: bool = True, steps: int = 5) -> np.ndarray:
    """The Catmull-Rom curve through the points, as a polygon or (not closed) a polyline."""
    p = np.asarray(points, float)
    if closed:
        before, here, after, later = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        padded = np.concatenate([p[:1], p, p[-1:]])
        before, here, after, later = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    before, here, after, later = (q[:, None] for q in (before, here, after, later))
    curve = 0.5 * (2 * here + (after - before) * t + (2 * before - 5 * here + 4 * after - later) * t ** 2
                   + (3 * here - before - 3 * after + later) * t ** 3).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


class Brush:
    """Draws filled shapes with dark outlines into one object's layer.

    height: pixels of the finished image for one unit; flip: mirror left and right; half_width, headroom: how far the
    object may reach to either side and above 0, in units.
    """

    def __init__(self, height: float, flip: bool = False, half_width: float = 1.0, headroom: float = 0.4) -> None:
        self.scale = height * SUPERSAMPLING
        self.flip = flip
        self._origin = np.ceil(np.array([half_width, headroom]) * self.scale) + 4
        size = np.ceil(self._origin + np.array([half_width, 1.1]) * self.scale).astype(int) + 4
        self.layer = np.zeros((size[1], size[0], 4), np.uint8)
        self.edge = int(np.clip(round(0.014 * self.scale), 1, 3))

    def _pixels(self, points: Points) -> np.ndarray:
        p = np.asarray(points, float)
        if self.flip:
            p = p * (-1, 1)
        return np.round((p * self.scale + self._origin) * 2 ** _SUBPIXEL_BITS).astype(np.int32)

    def fill(self, points: Points, color: Color, outline: bool = True) -> None:
        """A filled polygon (n, 2)."""
        pixels = [self._pixels(points)]
        cv2.fillPoly(self.layer, pixels, (*color, 255), cv2.LINE_8, _SUBPIXEL_BITS)
        if outline:
            cv2.polylines(self.layer, pixels, True, (*scaled(color, 0.5), 255), self.edge, cv2.LINE_8, _SUBPIXEL_BITS)

    def blob(self, points: Points, color: Color, outline: bool = True) -> None:
        """A filled smooth closed curve through the points."""
        self.fill(smooth(points), color, outline)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color, angle: float = 0.0,
                outline: bool = True) -> None:
        """A filled ellipse around (x, y)."""
        self.fill(circle(x, y, rx, ry, angle), color, outline)

    def line(self, points: Points, width: float, color: Color, outline: bool = False) -> None:
        """A polyline with round ends, `width` units thick (at least one supersampled pixel)."""
        pixels, thickness = [self._pixels(points)], max(1, round(width * self.scale))
        if outline:
            edge = (*scaled(color, 0.5), 255)
            cv2.polylines(self.layer, pixels, False, edge, thickness + 2 * self.edge, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.polylines(self.layer, pixels, False, (*color, 255), thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def limb(self, points: Points, width: float, color: Color) -> None:
        """A thick outlined line along the smooth curve through the points: an arm, a leg, a tail."""
        self.line(smooth(points, closed=False), width, color, outline=True)

    def pattern(self, points: Points, color: Color, kind: str, step: float) -> None:
        """'striped' (level stripes) or 'dotted' over what has been drawn inside the polygon; '' draws nothing."""
        if not kind:
            return
        p = np.asarray(points, float)
        (left, top), (right, bottom) = p.min(0), p.max(0)
        inside, marks = (np.zeros(self.layer.shape[:2], np.uint8) for _ in range(2))
        cv2.fillPoly(inside, [self._pixels(p)], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        if kind == 'striped':
            shapes = [np.array([[left, y], [right, y], [right, y + step / 2], [left, y + step / 2]])
                      for y in np.arange(top + step / 2, bottom, step)]
        else:
            shapes = [circle(x + (row % 2) * step / 2, y, step * 0.27, step * 0.27)
                      for row, y in enumerate(np.arange(top + step / 2, bottom, step * 0.8))
                      for x in np.arange(left, right + step, step)]
        cv2.fillPoly(marks, [self._pixels(shape) for shape in shapes], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        self.layer[(inside & marks) > 0] = (*color, 255)

    def sprite(self, rng: np.random.Generator, volume: float = 0.5, grain: float = 0.03) -> Sprite:
        """The finished object: cut out, lit from the upper left, with a little grain."""
        alpha = self.layer[..., 3]
        x, y, w, h = cv2.boundingRect(alpha)
        base = np.round(self._origin + (0, self.scale)).astype(int)
        left, top = (base - 2 * ((base - (x, y) + 1) // 2)).tolist()
        right, bottom = left + 2 * ((x + w - left + 1) // 2), top + 2 * ((y + h - top + 1) // 2)
        padded = np.zeros((bottom - top, right - left, 4), np.uint8)
        cut = self.layer[max(top, 0):bottom, max(left, 0):right]
        padded[max(-top, 0):, max(-left, 0):][:cut.shape[0], :cut.shape[1]] = cut
        alpha = np.ascontiguousarray(padded[..., 3])
        light = _light(alpha, volume)
        row, column = rng.integers(0, 256, 2)
        noise = np.rint(_GRAIN[row:row + 256, column:column + 256] * (128 * grain)).astype(np.int16)
        noise = np.tile(noise, (-(-light.shape[0] // 256), -(-light.shape[1] // 256)))
        light = np.clip(light + noise[:light.shape[0], :light.shape[1]], 0, 255).astype(np.uint8)
        bgr = lit(np.ascontiguousarray(padded[..., :3]), light)
        half = cv2.resize(alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return Sprite(bgr, alpha, half >= 128, ((left - base[0]) // 2, (top - base[1]) // 2))


def lit(bgr: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) uint8 times its light (h, w) uint8, of which 128 changes nothing.

    Light is bytes everywhere, and blurred and stretched by OpenCV's exact integer variants only: the last
    digits of floats depend on the processor, and a seed must give the same picture on every machine.
    """
    return cv2.multiply(bgr, cv2.merge([light] * 3), scale=1 / 128)


def stretched(light: np.ndarray, width: int, height: int) -> np.ndarray:
    """A small light (rows, columns) uint8 interpolated to (height, width), the same on every machine."""
    return cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)


def _light(alpha: np.ndarray, volume: float) -> np.ndarray:
    """The light of a silhouette: rims that look to the upper left are lit, the others lie in shade."""
    h, w = alpha.shape
    small = np.pad(alpha[::4, ::4].astype(np.uint16) * 257, 3)
    sigma = 0.07 * (h * w / 16) ** 0.5 + 0.8
    soft = cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT).astype(np.int64)
    down, right = soft[2:, 1:-1] - soft[:-2, 1:-1], soft[1:-1, 2:] - soft[1:-1, :-2]
    light = 1 + volume * sigma * (0.4 * right + 0.5 * down)[2:-2, 2:-2] / 65535
    light *= np.linspace(1.06, 0.94, light.shape[0])[:, None]
    return stretched(np.clip(np.rint(128 * light), 0, 255).astype(np.uint8), w, h)
