"""What CLIP is shown of a box: the box cut out, the rest of the image blurred, or a red circle around it.

Sources: allenai/reclip ``executor.py: Executor.tensorize_inputs`` cuts boxes out (``crop``) and blurs all but the box
by a Gaussian of 100 pixels (``blur``); its main program squeezes every picture to a square (``square_size``). Red
circles are of "What does CLIP know about a red circle?" (ICCV 2023), whose repository suny-sht/clip-red-circle holds no
code. They are drawn here as ylingfeng/FGVP draws them for its comparison
(``fgvp-reclip/fine_grained_visual_prompt.py``): the ellipse that fills the box, in pure red, 2 pixels wide at the size
that CLIP takes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

BLUR = 100
RED = (255, 0, 0)
#: Width of a circle's line where the image's shorter side is as long as that of CLIP's input.
LINE = 2
Corners = tuple[int, int, int, int]


def views(image: Image.Image, boxes: np.ndarray, ways: tuple[str, ...], side: int,
          square: bool) -> Iterator[Image.Image]:
    """The pictures of each box, one a way, box after box; each is made when it is asked for.

    Args:
        image: the whole.
        boxes: ``(n, 4)`` xyxy in its pixels.
        ways: of :data:`adapters.clip.options.WAYS`.
        side: of CLIP's square input, in pixels.
        square: whether each picture is squeezed to that square; if not, CLIP's processor cuts off what is beside it.
    """
    width = max(1, round(LINE * min(image.size) / side))
    blurred = image.filter(ImageFilter.GaussianBlur(BLUR)) if 'blur' in ways else image
    show: dict[str, Callable[[Corners], Image.Image]] = {
        'crop': image.crop, 'blur': partial(_sharp, image, blurred), 'circle': partial(_circled, image, width)}
    for box in boxes:
        for way in ways:
            view = show[way](whole_pixels(box, image.size))
            yield view.resize((side, side), Image.Resampling.BICUBIC) if square else view


def whole_pixels(box: np.ndarray, size: tuple[int, int]) -> Corners:
    """The pixels of a box: its corners rounded, inside an image of ``size`` (width, height), at least one pixel."""
    left, top, right, bottom = (round(float(corner)) for corner in box)
    left, top = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    return left, top, min(max(right, left + 1), size[0]), min(max(bottom, top + 1), size[1])


def _sharp(image: Image.Image, blurred: Image.Image, box: Corners) -> Image.Image:
    """The blurred image with the box as it was, its far edge included, as Pillow draws rectangles."""
    shown = blurred.copy()
    inclusive = box[0], box[1], min(box[2] + 1, image.width), min(box[3] + 1, image.height)
    shown.paste(image.crop(inclusive), inclusive[:2])
    return shown


def _circled(image: Image.Image, width: int, box: Corners) -> Image.Image:
    shown = image.copy()
    ImageDraw.Draw(shown).ellipse(box, outline=RED, width=width)
    return shown
