"""From a picture and a sentence to everything that the page shows, as arrays and plain records.

A :class:`Viewer` holds the detector and the networks, loaded once. A picture is detected once (:class:`Scene`) and a
sentence is related to its candidates once (:class:`Look`). Another threshold takes another part of a ranking
(:meth:`Viewer.proposed`): no network runs. Rules and grounders are those of a run, and are called as
:mod:`harness.evaluation.show` calls them.
"""
from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from harness.boxes import XYXY, corners, rec_iou, xyxy_to_xywh
from harness.data.embedded_names import SPLIT_BY
from harness.data.plain import tokenize
from harness.demo.upload import take_upload
from harness.evaluation.plan import Plan
from harness.evaluation.prepare import prepare
from harness.evaluation.request import Request
from harness.evaluation.show import LONGEST_SENTENCE, fitted, mask_of, scored
from harness.types import Expression, ImageFeatures, ImageInfo

GREEDY, REF_NMS = RULES = ('greedy', 'ref-nms-b')
#: The grounders, with the names of their papers.
GROUNDERS = {'cmae': 'CM-A-E', 'mattnet': 'MAttNet', 'nmtree': 'NMTree'}
#: Thresholds are shown with so many digits.
DIGITS = 3
#: How many characters of a sentence are looked at.
LONGEST_TEXT = 1000
_ASKED = 'asked'


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, detected.

    Attributes:
        dataset: the dataset whose weights answer.
        pixels: ``(H, W, 3)`` uint8 BGR, as the detector saw it; all boxes are in its pixels.
        image: what the detector said.
        annotated: the picture's own sentences; none for one that was loaded.
        loaded: whether somebody loaded it, so that it is not of the embedded benchmark.
    """

    dataset: str
    pixels: np.ndarray
    image: ImageFeatures
    annotated: tuple[Expression, ...] = ()
    loaded: bool = False

    def expression(self, sentence: str) -> Expression:
        """The picture's own expression of this sentence, or a new one, whose referent nobody knows."""
        sentence = sentence[:LONGEST_TEXT].strip()
        for annotated in self.annotated:
            if annotated.sent == sentence:
                return annotated
        words = tokenize(sentence)[:LONGEST_SENTENCE]
        return Expression(self.dataset, _ASKED, self.image.info.image_id, 0, ' '.join(words), words, (0., 0., 0., 0.))


@dataclass(frozen=True, eq=False)
class Look:
    """A sentence said of a scene, up to where a threshold is needed.

    Attributes:
        scene: the scene.
        expression: the sentence.
        candidates: what Ref-NMS looks at, n boxes before NMS: ``bboxes`` (n, 4) xyxy, ``labels``, ``det_scores`` and
            ``relatedness`` (n,).
        rankings: for each rule everything that it could propose, best first, with ``relatedness`` (NaN for a box that
            is no candidate).
        attention: Ref-NMS's attention, one number a word, of sum 1; a sentence without words is one unknown word.
    """

    scene: Scene
    expression: Expression
    candidates: InstanceData
    rankings: Mapping[str, InstanceData]
    attention: tuple[float, ...]

    @property
    def truth(self) -> XYXY | None:
        """The annotated box of the referent, xyxy; ``None`` where nobody knows it."""
        return None if self.expression.split == _ASKED else corners(self.expression.gt_xywh)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that the attention is over."""
        return self.expression.tokens[:len(self.attention)] or ('(no word)',)


@dataclass(frozen=True, eq=False)
class Choice:
    """What a grounder chose among some proposals.

    Attributes:
        grounder: its name.
        box: xyxy; ``None`` if there was no proposal.
        category: of the chosen box.
        mask: ``(H, W)`` bool of the chosen box.
        iou: with the annotated box, as REC counts it; ``None`` where there is none.
    """

    grounder: str
    box: XYXY | None = None
    category: str = ''
    mask: np.ndarray | None = None
    iou: float | None = None


class Viewer:
    """The detector, rules and grounders of the embedded datasets.

    Args:
        plan: for the embedded datasets, with :data:`RULES` and :data:`GROUNDERS`.
        embedded_weights: whether some weights are the shipped ones, which know nothing of photographs.
    """

    def __init__(self, plan: Plan, embedded_weights: bool) -> None:
        self.plan, self.embedded_weights = plan, embedded_weights
        self._scenes: dict[tuple[str, str], dict[int, tuple[ImageInfo, tuple[Expression, ...]]]] = {
            (dataset, split): {info.image_id: (info, tuple(mine)) for info, mine
                               in plan.datasets[dataset].by_image(expressions)}
            for (dataset, split), expressions in plan.expressions.items()}

    @classmethod
    def load(cls, weights: Mapping[str, Path] | None = None, device: str | None = None) -> Viewer:
        """Load everything; ``weights`` are files that replace shipped ones, by name.

        Raises:
            InputError: weights do not fit, or there is no such device.
        """
        own = dict(weights or {})
        prepared = prepare(Request(datasets=list(SPLIT_BY), rules=list(RULES), grounders=list(GROUNDERS),
                                   tasks=['rec'], device=device, weights=own, reads_images=False))
        shipped = {name.partition(' ')[0] for name in prepared.weights} - set(own)
        return cls(prepared.plan, bool(shipped))

    @property
    def datasets(self) -> list[str]:
        return list(self.plan.datasets)

    def splits(self, dataset: str) -> list[str]:
        return [split for name, split in self._scenes if name == dataset]

    def images(self, dataset: str, split: str) -> list[int]:
        """The ids of the images of a split."""
        return list(self._scenes[dataset, split])

    def scene(self, dataset: str, split: str, image_id: int) -> Scene:
        """A scene of the embedded benchmark, detected."""
        info, annotated = self._scenes[dataset, split][image_id]
        source: Any = self.plan.source
        pixels = source.read(info)
        return Scene(dataset, pixels, source.features(pixels, info), annotated)

    def load_picture(self, path: Path, dataset: str) -> Scene:
        """A picture of somebody's own, detected; its file is deleted.

        Raises:
            InputError: it cannot be read (:func:`harness.demo.upload.take_upload`).
        """
        pixels = fitted(take_upload(path))
        source: Any = self.plan.source
        image = source.features(pixels, ImageInfo(0, *pixels.shape[:2]))
        return Scene(dataset, pixels, image, loaded=True)

    def look(self, scene: Scene, sentence: str) -> Look:
        """Relate a sentence to the candidates of a scene, and rank them by both rules."""
        expression, image = scene.expression(sentence), _unremembered(scene.image)
        rules: Mapping[str, Any] = self.plan.plugins[scene.dataset].rules
        related = rules[REF_NMS].related(image, [expression])
        candidates = _with(related.candidates, related.relatedness[0])
        ranked = {name: rule.ranked(image, [expression])[0].cpu() for name, rule in rules.items()}
        ranked[GREEDY] = _with(ranked[GREEDY], _relatedness_of(ranked[GREEDY], candidates))
        return Look(scene, expression, candidates, ranked, tuple(related.attention[0].tolist()))

    def threshold(self, dataset: str, rule: str) -> float:
        """The threshold of a run, rounded to :data:`DIGITS`."""
        rules: Mapping[str, Any] = self.plan.plugins[dataset].rules
        return round(rules[rule].threshold, DIGITS)

    def proposed(self, look: Look, rule: str, threshold: float) -> InstanceData:
        """What a rule proposes at a threshold; at :meth:`threshold` what it proposes in a run, to the last box."""
        asked: Any = self.plan.plugins[look.scene.dataset].rules[rule]
        if threshold != self.threshold(look.scene.dataset, rule):
            asked = copy.copy(asked)
            asked.threshold = threshold
        ranked = look.rankings[rule]
        return ranked[:asked.kept(ranked.scores)]

    def choices(self, look: Look, proposals: InstanceData) -> Iterator[Choice]:
        """What each grounder chooses among the proposals; here the networks run."""
        image = _unremembered(look.scene.image)
        for name, grounder in self.plan.plugins[look.scene.dataset].grounders.items():
            scores = scored(name, grounder, image, look.expression, proposals)
            yield Choice(name) if not len(scores) else _choice(name, look, proposals, int(scores.argmax()))


def _choice(grounder: str, look: Look, proposals: InstanceData, best: int) -> Choice:
    image, label = look.scene.image, int(proposals.labels[best])
    box = proposals.bboxes[best]
    iou = None if look.truth is None else float(rec_iou(xyxy_to_xywh(box[None]).numpy(), look.expression.gt_xywh)[0])
    return Choice(grounder, tuple(box.tolist()), image.classes[label] if label >= 0 else '',
                  mask_of(image, proposals, best, look.scene.pixels), iou)


def _unremembered(image: ImageFeatures) -> ImageFeatures:
    """The same features with a memory of their own: what one sentence needs is not kept for the next."""
    return replace(image)


def _with(boxes: InstanceData, relatedness: Tensor) -> InstanceData:
    """The boxes on the CPU, with their relatedness."""
    return InstanceData(**{**dict(boxes.cpu().items()), 'relatedness': relatedness.cpu()})


def _relatedness_of(boxes: InstanceData, candidates: InstanceData) -> Tensor:
    """``(n,)`` the relatedness of each box as the candidate that it is; NaN where it is none."""
    if not len(candidates):
        return torch.full((len(boxes),), float('nan'))
    same = (boxes.bboxes[:, None] == candidates.bboxes).all(2) & (boxes.labels[:, None] == candidates.labels)
    return candidates.relatedness[same.int().argmax(1)].where(same.any(1), float('nan'))
