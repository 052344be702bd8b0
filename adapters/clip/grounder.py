"""CLIP or SigLIP as a grounder: the proposal whose picture fits the sentence best, without any training."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from adapters.clip.options import Isolate, Prompt, Sentences
from adapters.clip.scoring import Scorer
from adapters.clip.spatial_words import SpatialReading, placed, read_places
from harness.files.weights import Weights
from harness.options import Count, checked
from harness.plugins import Grounder
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures
from harness.words.language import read


@GROUNDERS.register_module(name='clip')
class ClipGrounder(Grounder):
    """CLIP or SigLIP, zero-shot, as ReCLIP (ACL 2022). Weights are not shipped.

    Args:
        weights: the folder of transformers' files.
        isolate: how a box is shown: ``crop``, ``blur`` or ``circle``, or several of them, as in ``crop+blur``.
        prompt: what is read, ``{}`` in the place of the sentence.
        neutral: sentences whose mean score is taken off, with ``;`` between them.
        square: whether pictures are squeezed to a square; if not, what is beside a square is cut off.
        batch: pictures that are looked at in one go.
        spatial: whether words such as "left" and "above" are applied to the boxes.
    """

    weights = 'clip'
    in_folder = True
    packages = ('transformers',)
    not_shipped = 'fetch the folder of a CLIP or SigLIP of transformers'

    @checked
    def __init__(self, weights: Weights, isolate: Isolate = 'crop+blur', prompt: Prompt = 'a photo of {}',
                 neutral: Sentences = '', square: bool = True, batch: Count = 64, spatial: bool = False) -> None:
        self.score = Scorer(weights, isolate, prompt, neutral, square, batch)
        self.spatial = spatial

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Summed logits ``(n_i,)`` of the proposals of each expression; with spatial words probabilities."""
        boxes = torch.cat([p.bboxes for p in proposals]) if proposals else torch.zeros(0, 4)
        if not len(boxes):
            return [boxes.new_zeros(0) for _ in proposals]
        readings = [read_places(one) for one in read(e.sent for e in expressions)] if self.spatial else []
        said = list(dict.fromkeys([*(e.sent for e in expressions),
                                   *(phrase for one in readings if one for phrase in one.phrases)]))
        distinct, where = boxes.unique(dim=0, return_inverse=True)
        scores = self.score(image, said, distinct)
        row = {sentence: i for i, sentence in enumerate(said)}
        own = where.split([len(p) for p in proposals])
        if not self.spatial:
            return [scores[row[e.sent], at] for e, at in zip(expressions, own, strict=True)]
        return [_in_place(scores[[row[one] for one in (e.sent, *(reading.phrases if reading else ()))]][:, at],
                          reading, distinct[at])
                for e, reading, at in zip(expressions, readings, own, strict=True)]


def _in_place(scores: Tensor, reading: SpatialReading | None, boxes: Tensor) -> Tensor:
    """``(n,)`` probabilities, from scores ``(1 + p, n)`` of the whole sentence and of each of a reading's phrases."""
    whole, *phrases = scores.double().softmax(1)
    return whole if reading is None else placed(reading, whole, torch.stack(phrases), boxes.double())
