"""What the numbers of an answer are, and how they become pixels.

A system is named by the notation, by the form of the file or by the user (``--coordinates NAME``), and never chosen by
looking at the truth. Numbers that a system does not have contradict it: a file with more than
:data:`CONTRADICTED` of its boxes over the range is refused, and fewer are noted, because a model may put a corner a
little outside and now and then lose its way.

All boxes are x1, y1, x2, y2, ``(n, 4)``, and sizes are width and height, ``(n, 2)``, in double precision.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boxes import Floats
from harness.errors import InputError
from harness.files.fields import MAX_PIXELS
from harness.names import nearest

#: The share of a file's boxes over the range above which it contradicts its system.
CONTRADICTED = 0.05
#: What a number may be over the range, as a share of it: a model's input may be a little larger than the image.
MARGIN = 0.1


@dataclass(frozen=True)
class System:
    """A system of coordinates.

    Attributes:
        name: as ``--coordinates`` takes it.
        what: its numbers, in words.
        most: the number that stands for the whole side of the frame; ``None``: it is counted in pixels.
        frame: ``image``; ``square``: the image with equal borders that make it a square; ``input``: what the model was
            given.
        centre: a bin stands for the place so far behind its number.
    """

    name: str
    what: str
    most: float | None
    frame: Literal['image', 'square', 'input'] = 'image'
    centre: float = 0.


SYSTEMS = {system.name: system for system in (
    System('pixels', 'pixels of the image', None),
    System('fraction', 'fractions of the image, 0 to 1', 1.),
    System('hundredths', 'hundredths of the image, 0 to 100', 100.),
    System('thousandths', 'thousandths of the image, 0 to 1000', 1000.),
    System('over-999', 'steps of a 999th of the image, 0 to 999 (Qwen-VL)', 999.),
    System('bins-1000', 'bins, 0 to 999, each read as its centre (Florence-2)', 1000., centre=.5),
    System('bins-1024', 'bins, 0 to 1023, each read as its beginning (PaliGemma)', 1024.),
    System('resized', 'pixels of the model\'s input, whose size the file or --input-size says', None, 'input'),
    System('padded-fraction', 'fractions of the image padded to a square, 0 to 1 (Shikra, LLaVA)', 1., 'square'),
    System('padded-thousandths', 'thousandths of the image padded to a square, 0 to 1000', 1000., 'square'),
)}


def system_of(name: str) -> System:
    """A system by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SYSTEMS:
        raise InputError(f'--coordinates {name}: unknown{nearest(name, SYSTEMS)}; known are {", ".join(SYSTEMS)}')
    return SYSTEMS[name]


def to_pixels(boxes: Floats, system: System, sizes: Floats, inputs: Floats | None = None) -> Floats:
    """Boxes in pixels of their images.

    Args:
        boxes: ``(n, 4)`` in the system's numbers.
        system: what they are.
        sizes: ``(n, 2)`` of the images.
        inputs: ``(n, 2)`` sizes of the model's input, which ``resized`` takes.
    """
    if system.name == 'pixels':
        return boxes
    frame = _frame(system, sizes, inputs)
    scale = sizes / frame if system.frame == 'input' else frame / (system.most or 1.)
    # The border is of whole pixels, as expand2square in llava/mm_utils.py of haotian-liu/LLaVA has it.
    border = (frame - sizes) // 2 if system.frame == 'square' else np.zeros_like(sizes)
    return (boxes + system.centre) * np.tile(scale, 2) - np.tile(border, 2)


def over_range(boxes: Floats, system: System, sizes: Floats, inputs: Floats | None = None) -> np.ndarray:
    """``(n,)`` which boxes have a number that the system has not; none in pixels of an image of unknown size."""
    frame = _frame(system, sizes, inputs) if system.most is None else np.full_like(sizes, system.most)
    known = (frame > 0).all(axis=1)
    least, most = -MARGIN * np.tile(frame, 2), (1 + MARGIN) * np.tile(frame, 2)
    return np.asarray(known & ((boxes < least) | (boxes > most)).any(axis=1))


def _frame(system: System, sizes: Floats, inputs: Floats | None) -> Floats:
    if system.frame == 'input':
        if inputs is None:
            raise InputError('--coordinates resized: takes the size of the model\'s input; add --input-size WxH or '
                             f'--input-size {" or ".join(RULES)}')
        return inputs
    if system.frame == 'square':
        return np.repeat(sizes.max(axis=1, keepdims=True), 2, axis=1)
    return sizes


def qwen_input(sizes: Floats, factor: int = 28, least: int = 4 * 28 * 28, most: int = 16384 * 28 * 28) -> Floats:
    """The size to which Qwen2.5-VL resizes images: sides that are multiples of 28, and a bounded number of pixels.

    Halves are rounded to the even side, as Python rounds. Source: ``smart_resize`` in
    ``qwen-vl-utils/src/qwen_vl_utils/vision_process.py`` of QwenLM/Qwen2-VL, with its default bounds.

    Args:
        sizes: ``(n, 2)`` of the images.
        factor: what sides are multiples of.
        least: the fewest pixels.
        most: the most pixels.
    """
    rounded = np.maximum(factor, np.round(sizes / factor) * factor)
    pixels, area = rounded.prod(axis=1, keepdims=True), np.maximum(sizes.prod(axis=1, keepdims=True), 1.)
    smaller = np.maximum(factor, np.floor(sizes / np.sqrt(area / most) / factor) * factor)
    larger = np.ceil(sizes * np.sqrt(least / area) / factor) * factor
    return np.where(pixels > most, smaller, np.where(pixels < least, larger, rounded))


#: How a model resizes, by the name that ``--input-size`` takes.
RULES: dict[str, Callable[[Floats], Floats]] = {'qwen2.5-vl': qwen_input}
_SIZE = re.compile(r'(\d{1,6})[xX×](\d{1,6})')


def input_size_of(text: str) -> Callable[[Floats], Floats]:
    """What ``--input-size`` says: from sizes of images ``(n, 2)`` to sizes of the model's input.

    Raises:
        InputError: it is neither a size nor the name of a rule.
    """
    if text in RULES:
        return RULES[text]
    size = _SIZE.fullmatch(text)
    if size is None or not 0 < int(size[1]) * int(size[2]) <= MAX_PIXELS:
        raise InputError(f'--input-size {text}: must be WIDTHxHEIGHT, such as 448x448, or {" or ".join(RULES)}'
                         f'{nearest(text, RULES)}')
    given = np.array([float(size[1]), float(size[2])])
    return lambda sizes: np.tile(given, (len(sizes), 1))
