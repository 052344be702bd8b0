"""Grounding one sentence in one picture, and drawing the proposals and the grounded box and mask.

:func:`ground` runs one image through the same plan, rules and grounders as a benchmark run; :func:`draw` draws the
result in the style of ``reports/picture.py``.
"""
from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from harness.data.plain import tokenize
from harness.detection.pictures import read_image
from harness.device import pick_device
from harness.errors import InputError
from harness.evaluation.asked import PICTURES
from harness.evaluation.plan import Plan
from harness.evaluation.prepare import prepare
from harness.evaluation.request import Readers, Request
from harness.names import pick
from harness.plugins import Grounder
from harness.registry import DATASETS, names
from harness.types import Dataset, Expression, ImageFeatures, ImageInfo

#: Pictures with a longer side are scaled down to this for the detector, as it is the longest side in COCO.
LONGEST_SIDE = 640
#: How many words of a sentence are read.
LONGEST_SENTENCE = 64
BLUE, YELLOW = '#1f77b4', '#ffd21f'
_PANEL = 4.6  # inches


@dataclass(frozen=True)
class Answer:
    """The proposals of a rule, and the choice of a grounder.

    Attributes:
        picture: ``(H, W, 3)`` uint8 BGR, as read.
        sentence: as asked.
        rule: name of the proposal rule.
        grounder: name of the grounder.
        proposals: the proposals of the rule, best first; ``bboxes`` (n, 4) xyxy in pixels of the picture.
        names: the names of their categories, by label.
        scores: ``(n,)`` the scores of the grounder, higher is better.
        best: the index of the proposal with the highest score; ``None`` if there is no proposal.
        mask: ``(H, W)`` bool, the mask of that proposal; ``None`` if there is none.
        notes: notes, a line each.
    """

    picture: np.ndarray
    sentence: str
    rule: str
    grounder: str
    proposals: InstanceData
    names: tuple[str, ...]
    scores: np.ndarray
    best: int | None
    mask: np.ndarray | None
    notes: list[str] = field(default_factory=list)

    @property
    def box(self) -> tuple[float, ...] | None:
        """The grounded box, xyxy; ``None`` if there is no proposal."""
        return None if self.best is None else tuple(self.proposals.bboxes[self.best].tolist())


def ground(picture: str | Path, sentence: str, grounder: str = 'cmae', rule: str = 'ref-nms-b',
           dataset: str | None = None, weights: Mapping[str, Path] | None = None,
           settings: Mapping[str, Mapping[str, Any]] | None = None, device: str | None = None) -> Answer:
    """Ground one sentence in one picture.

    Args:
        picture: an image file.
        sentence: about one thing in it.
        grounder: a registered one (import its adapter first).
        rule: a registered proposal rule.
        dataset: the dataset whose shipped weights are used; ``None``: mini-refcoco.
        weights: files that replace shipped weights, by name (``detector``, ``ref-nms-b``, ``cmae``, …).
        settings: options of the rule and grounder, by name.
        device: ``'cpu'`` or ``'cuda'``; ``None``: a GPU if there is one.

    Raises:
        InputError: the picture cannot be read, a name is unknown, weights do not fit, or there is no such device.
    """
    pick_device(device)
    asked_for, dataset = dataset, dataset or 'mini-refcoco'
    pick('--dataset-weights', [dataset], names(DATASETS), ())
    pixels = read_image(Path(picture))
    words = tokenize(sentence)
    asked = _asked(Path(picture), words, pixels, dataset)
    request = Request(grounders=[grounder], rules=[rule], tasks=['rec'], device=device, expressions=Path(picture),
                      reads_images=False, weights=dict(weights or {}),
                      settings={name: dict(options) for name, options in (settings or {}).items()})
    prepared = prepare(request, Readers(expressions=lambda *_: {dataset: asked}))
    notes = _notes(words, prepared.plan, dataset)
    shipped = {name.partition(' ')[0] for name in prepared.weights} - set(weights or {})
    if asked_for is not None and not shipped - {'detector'}:
        raise InputError(f'--dataset-weights {asked_for}: has no effect, since --weights replaces all weights of a '
                         'dataset; leave it out')
    if shipped:
        notes.append('the shipped weights were trained on the drawings of the embedded benchmark, not on photographs')
    return _answer(prepared.plan, asked, pixels, sentence, notes)


def _asked(path: Path, words: tuple[str, ...], pixels: np.ndarray, dataset: str) -> Dataset:
    """The sentence as a dataset of one expression; the box of its referent is unknown and never used."""
    height, width = fitted(pixels).shape[:2]
    read = words[:LONGEST_SENTENCE]
    expression = Expression(dataset, 'asked', 0, 0, ' '.join(read), read, (0.0, 0.0, 0.0, 0.0))
    return Dataset(dataset, {0: ImageInfo(0, height, width, path)}, [expression])


def fitted(pixels: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8, scaled down where a side is longer than :data:`LONGEST_SIDE`."""
    longest = max(pixels.shape[:2])
    if longest <= LONGEST_SIDE:
        return pixels
    height, width = (max(1, round(side * LONGEST_SIDE / longest)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _answer(plan: Plan, asked: Dataset, pixels: np.ndarray, sentence: str, notes: list[str]) -> Answer:
    ((rule_name, rule),) = _one(plan.plugins[asked.name].rules, '--proposals')
    ((grounder_name, grounder),) = _one(plan.plugins[asked.name].grounders, '--grounder')
    source: Any = plan.source
    image: ImageFeatures = source.features(fitted(pixels), asked.images[0])
    proposals = rule(image, asked.expressions)
    scores = scored(grounder_name, grounder, image, asked.expressions[0], proposals[0])
    best = int(scores.argmax()) if len(scores) else None
    mask = None if best is None else mask_of(image, proposals[0], best, pixels)
    own = proposals[0].cpu()
    shown = InstanceData(metainfo=own.metainfo, **dict(own.items()))
    shown.bboxes = own.bboxes * own.bboxes.new_tensor(
        [pixels.shape[1] / image.info.width, pixels.shape[0] / image.info.height] * 2)
    if best is None:
        notes.append('there is no proposal to choose from: the detector found no region')
    return Answer(pixels, sentence, rule_name, grounder_name, shown, tuple(image.classes), scores, best, mask, notes)


def _one(plugins: Mapping[str, Any], option: str) -> list[tuple[str, Any]]:
    if len(plugins) != 1:
        raise InputError(f'{option}: only one can be shown in a picture; give one name')
    return list(plugins.items())


def scored(name: str, grounder: Grounder, image: ImageFeatures, expression: Expression,
           proposals: InstanceData) -> np.ndarray:
    """``(n,)`` the scores that a grounder gives the proposals of an expression.

    Raises:
        InputError: some are not finite.
    """
    scores = torch.as_tensor(grounder(image, [expression], [proposals])[0]).flatten().cpu().numpy()
    if not np.isfinite(scores).all():
        raise InputError(f'grounder {name}: returned scores that are not finite numbers; check its weights')
    return scores


def mask_of(image: ImageFeatures, proposals: InstanceData, best: int, pixels: np.ndarray) -> np.ndarray:
    """``(H, W)`` bool, the mask of one proposal in a picture ``(H, W, 3)`` of any size."""
    rle, = image.detector.masks(image, proposals.bboxes[best:best + 1].float(), proposals.labels[best:best + 1])
    small = coco_mask.decode({'size': rle['size'], 'counts': rle['counts'].encode('ascii')})
    return cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


def _notes(words: tuple[str, ...], plan: Plan, dataset: str) -> list[str]:
    """What of the sentence is not read."""
    notes = []
    if not words:
        notes.append('the sentence has no word: it is read as one unknown word')
    if len(words) > LONGEST_SENTENCE:
        notes.append(f'of {len(words)} words the first {LONGEST_SENTENCE} are read')
    for name, grounder in plan.plugins[dataset].grounders.items():
        longest = grounder.longest
        if longest is not None and len(words) > longest:
            notes.append(f'{name} reads the first {longest} of {len(words)} words')
    return notes


def draw(answer: Answer, out: Path) -> None:
    """Draw an answer: on the left the proposals with their fused scores, on the right what was chosen and its mask.

    Args:
        answer: from :func:`ground`.
        out: the picture, one of :data:`PICTURES`.

    Raises:
        InputError: the name of the picture ends in something else.
    """
    if out.suffix.lower() not in PICTURES:
        raise InputError(f'--out {out}: must end in {", ".join(PICTURES)}; choose one of them')
    from matplotlib.figure import Figure  # half a second that other commands need not spend

    height, width = answer.picture.shape[:2]
    figure = Figure(figsize=(2 * _PANEL, min(max(_PANEL * height / width, 1.5), 12) + 0.7), layout='constrained')
    figure.suptitle(f'“{textwrap.fill(textwrap.shorten(answer.sentence, 200, placeholder=" …"), 80)}”', fontsize=11,
                    parse_math=False)
    picture = answer.picture[..., ::-1]
    left, right = figure.subplots(1, 2)
    left.imshow(picture)
    several = 's' * (len(answer.scores) != 1)
    left.set_title(f'{len(answer.scores)} proposal{several} of {answer.rule}', fontsize=9, color='#222222')
    for index in reversed(range(len(answer.scores))):
        _box(left, answer, index, BLUE, f'{answer.proposals.scores[index]:.2f}', color='white')
    right.imshow(picture if answer.mask is None else _tinted(picture, answer.mask))
    right.set_title('nothing to choose from' if answer.best is None else f'{answer.grounder}\'s choice', fontsize=9,
                    color='#222222')
    if answer.best is not None:
        _box(right, answer, answer.best, YELLOW, _name(answer, answer.best), color='black', linestyle='--')
    for axes in (left, right):
        axes.set_axis_off()
    figure.savefig(out, dpi=110)


def _box(axes: Any, answer: Answer, index: int, paint: str, text: str, color: str, linestyle: str = '-') -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = answer.proposals.bboxes[index].tolist()
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=paint, linestyle=linestyle,
                             linewidth=2.2 if index in (0, answer.best) else 1.2))
    axes.text(x1, y1, text, fontsize=7, color=color, parse_math=False, verticalalignment='bottom', clip_on=True,
              bbox=dict(facecolor=paint, edgecolor='none', pad=0.8))


def _name(answer: Answer, index: int) -> str:
    label = int(answer.proposals.labels[index])
    return answer.names[label] if label >= 0 else ''


def _tinted(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8, the picture with everything outside the mask made paler."""
    paler = picture.astype(np.float32) * 0.35 + 255 * 0.65
    return np.where(mask[..., None], picture, paler).astype(np.uint8)


def table(answer: Answer) -> str:
    """The proposals as a table of text, best first, with an arrow at the chosen one."""
    lines = ['    score  confidence  relatedness  grounder  box (x1, y1, x2, y2)']
    proposals = answer.proposals
    related = proposals.relatedness.tolist() if 'relatedness' in proposals else [float('nan')] * len(answer.scores)
    columns = (proposals.scores.tolist(), proposals.det_scores.tolist(), related, answer.scores.tolist(),
               proposals.bboxes.round().int().tolist())
    for index, (score, confidence, relatedness, grounder, box) in enumerate(zip(*columns, strict=True)):
        lines.append(f'{"→" if index == answer.best else " "} {score:7.3f}  {confidence:10.3f}  {relatedness:11.3f}  '
                     f'{grounder:8.3f}  {", ".join(map(str, box))}  {_name(answer, index)}')
    return '\n'.join(lines)
