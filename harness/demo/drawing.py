"""What :mod:`harness.demo.look` finds, drawn: HTML with pictures in it, and boxes over them as SVG.

A figure holds its picture itself, so nothing is written to disk and nothing is asked for again. Every word that comes
from outside is escaped.
"""
from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np
from mmengine.structures import InstanceData

from harness.boxes import XYXY
from harness.demo.look import GREEDY, GROUNDERS, REF_NMS, Choice, Look

TITLES = {GREEDY: 'Greedy NMS', REF_NMS: 'Ref-NMS'}
#: The colours of relatedness 0, ¼, ½, ¾ and 1, evenly spaced in lightness.
SCALE = ((70, 50, 180), (145, 45, 175), (215, 70, 115), (250, 150, 60), (245, 235, 60))
UNRELATED, CHOSEN, TRUTH = '#9aa0a6', '#ffd21f', '#ffffff'
#: So many proposals have their score written beside them; more would hide the picture.
LABELLED = 12
#: The sum of a colour's channels over which letters on it are dark.
LIGHT = 380

BANNER = ('<div class="banner" role="note"><strong>This picture is not of the world that the weights know.</strong> '
          'The shipped weights were trained on the drawings of the embedded benchmark. On photographs their boxes, '
          'scores and masks mean nothing. Weights of your own: <code>--weights NAME=FILE</code>.</div>')


def colour(relatedness: float) -> str:
    """The colour of a relatedness in [0, 1]; grey for NaN, a box that Ref-NMS does not look at."""
    if math.isnan(relatedness):
        return UNRELATED
    place = min(max(relatedness, 0.), 1.) * (len(SCALE) - 1)
    low = min(int(place), len(SCALE) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(SCALE[low], SCALE[low + 1], strict=True))
    return '#' + ''.join(f'{channel:02x}' for channel in mixed)


def banner(look: Look, embedded_weights: bool) -> str:
    """The banner on pictures that the shipped weights know nothing of; nothing on others."""
    return BANNER if look.scene.loaded and embedded_weights else ''


def sentence(look: Look) -> str:
    """The words, each shaded by Ref-NMS's attention, which stands under it in percent."""
    most = max(look.attention)
    words = ''.join(f'<span class="word" style="--weight: {weight / most:.3f}">{escape(word)}'
                    f'<small>{weight:.0%}</small></span>'
                    for word, weight in zip(look.words, look.attention, strict=True))
    return f'<p class="sentence" aria-label="Words with Ref-NMS\'s attention">{words}</p>'


def candidates(look: Look) -> str:
    """All candidates of Ref-NMS, the most related on top, and the scale of their colours."""
    found = look.candidates
    order = found.relatedness.argsort().tolist()
    boxes, related = found.bboxes.tolist(), found.relatedness.tolist()
    drawn = ''.join(_box(boxes[i], colour(related[i]), 1. + 1.2 * related[i], 0.35 + 0.65 * related[i]) for i in order)
    return _figure(look, drawn + _truth(look), f'{_count(len(found), "candidate")} before NMS') + legend(look)


def legend(look: Look) -> str:
    """What the colours mean."""
    stops = ', '.join(colour(i / 4) for i in range(5))
    truth = '<span><i class="line truth"></i>annotated box</span>' if look.truth else ''
    return (f'<p class="legend"><span>relatedness 0<i class="scale" '
            f'style="background: linear-gradient(90deg, {stops})"></i>1</span>'
            f'<span><i class="line" style="border-color: {UNRELATED}"></i>no candidate</span>'
            f'<span><i class="line" style="border-color: {CHOSEN}"></i>chosen</span>{truth}</p>')


def proposals(look: Look, rule: str, proposed: InstanceData) -> str:
    """The proposals of a rule in the colours of their relatedness, the best on top, with their scores."""
    boxes, related, scores = proposed.bboxes.tolist(), proposed.relatedness.tolist(), proposed.scores.tolist()
    drawn = ''.join(_box(boxes[i], colour(related[i]), 2.) for i in reversed(range(len(boxes))))
    letter = max(look.scene.pixels.shape[1] / 32, 8.)
    labels = _labels(boxes, scores, [colour(r) for r in related], letter)
    return _figure(look, drawn + _truth(look) + labels, f'{_count(len(boxes), "proposal")} of {TITLES[rule]}')


def choices(look: Look, chosen: Iterable[Choice]) -> str:
    """What each grounder chose, in a picture each: the box, and all outside its mask made paler."""
    return f'<div class="choices">{"".join(_choice(look, one) for one in chosen)}</div>'


def _choice(look: Look, choice: Choice) -> str:
    title = GROUNDERS.get(choice.grounder, choice.grounder)
    if choice.box is None or choice.mask is None:
        return _figure(look, '', title, 'nothing to choose from')
    height, width = choice.mask.shape
    veil = f'<image href="{_veil(choice.mask)}" width="{width}" height="{height}"/>'
    said = choice.category + ('' if choice.iou is None else f', IoU {choice.iou:.2f}')
    return _figure(look, veil + _truth(look) + _box(choice.box, CHOSEN, 2.5), title, said)


def _figure(look: Look, over: str, caption: str, detail: str = '') -> str:
    height, width = look.scene.pixels.shape[:2]
    said = f'{caption}: {detail}' if detail else caption
    below = escape(caption) + (f'<small>{escape(detail)}</small>' if detail else '')
    return (f'<figure class="view"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}">'
            f'<image href="{_photo(look.scene.pixels)}" width="{width}" height="{height}"/>{over}</svg>'
            f'<figcaption>{below}</figcaption></figure>')


def _box(box: Sequence[float], paint: str, width: float, opacity: float = 1., kind: str = 'box') -> str:
    x1, y1, x2, y2 = box
    return (f'<rect class="{kind}" x="{x1:.1f}" y="{y1:.1f}" width="{max(x2 - x1, 0):.1f}" '
            f'height="{max(y2 - y1, 0):.1f}" stroke="{paint}" stroke-width="{width:.1f}" opacity="{opacity:.2f}"/>')


def _truth(look: Look) -> str:
    truth: XYXY | None = look.truth
    return '' if truth is None else _box(truth, TRUTH, 1.5, kind='truth')


def _labels(boxes: Sequence[Sequence[float]], scores: Sequence[float], paints: Sequence[str], letter: float) -> str:
    """The scores, best first, on plates at the upper left corners of their boxes; none that would cover a better one's.

    ``letter`` is the size of the letters in pixels of the picture.
    """
    width, height = 2.6 * letter, 1.15 * letter
    placed: list[tuple[float, float]] = []
    labels = []
    for box, score, paint in zip(boxes, scores, paints, strict=True):
        x, y = max(box[0], 0.), max(box[1] - height, 0.)
        if len(placed) == LABELLED or any(abs(x - a) < width and abs(y - b) < height for a, b in placed):
            continue
        placed.append((x, y))
        ink = '#111' if sum(int(paint[i:i + 2], 16) for i in (1, 3, 5)) > LIGHT else '#fff'
        labels.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{paint}"/>'
                      f'<text x="{x + width / 2:.1f}" y="{y + 0.9 * letter:.1f}" font-size="{letter:.1f}" '
                      f'text-anchor="middle" fill="{ink}">{score:.2f}</text>')
    return ''.join(labels)


def _count(number: int, thing: str) -> str:
    return f'{number} {thing}{"s" * (number != 1)}'


def _photo(pixels: np.ndarray) -> str:
    return _data('jpeg', cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _veil(mask: np.ndarray) -> str:
    """A white veil over everything outside the mask."""
    veil = np.full((*mask.shape, 4), 255, np.uint8)
    veil[..., 3] = np.where(mask, 0, 170)
    return _data('png', cv2.imencode('.png', veil)[1])


def _data(form: str, content: np.ndarray) -> str:
    return f'data:image/{form};base64,{base64.b64encode(content.tobytes()).decode("ascii")}'
