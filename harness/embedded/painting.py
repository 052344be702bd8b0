"""The picture of a scene: its objects from far to near with their shadows, then what a camera adds."""
from __future__ import annotations

import cv2
import numpy as np

from harness.embedded.casting import Viewpoint
from harness.embedded.drawing.background import backdrop
from harness.embedded.drawing.brush import SUPERSAMPLING, lit, stretched
from harness.embedded.placing import Placed


def window_of(item: Placed, view: Viewpoint, factor: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a sprite lies in the picture and which part of it that is, both cut to the frame and times `factor`."""
    h, w = item.sprite.silhouette.shape
    left, top = item.x + item.sprite.offset[0], item.y + item.sprite.offset[1]
    x0, x1 = (int(np.clip(v, 0, view.width)) for v in (left, left + w))
    y0, y1 = (int(np.clip(v, 0, view.height)) for v in (top, top + h))
    window = slice(y0 * factor, y1 * factor), slice(x0 * factor, x1 * factor)
    part = (slice((y0 - top) * factor, (y1 - top) * factor), slice((x0 - left) * factor, (x1 - left) * factor))
    return window, part


def paint(view: Viewpoint, placed: list[Placed], rng: np.random.Generator) -> np.ndarray:
    """The picture (H, W, 3) uint8 BGR: far to near with shadows, then what a camera adds."""
    canvas = backdrop(view.setting, view.width, view.height, view.horizon, rng)
    for item in sorted(placed, key=lambda item: item.depth):
        if item.on is None and item.height:
            _shadow(canvas, item)
        window, part = window_of(item, view, SUPERSAMPLING)
        region = canvas[window]
        if region.size:
            cv2.copyTo(item.sprite.bgr[part], item.sprite.alpha[part], region)
    image = cv2.resize(canvas, (view.width, view.height), interpolation=cv2.INTER_AREA)
    return _photographed(image, rng)


def _shadow(canvas: np.ndarray, item: Placed) -> None:
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
