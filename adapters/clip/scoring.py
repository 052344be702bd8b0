"""How well boxes fit sentences by CLIP: each box is looked at once an image, and each sentence read once.

Source: allenai/reclip ``executor.py: ClipExecutor`` (the prompt "a photo of …", the sum of the logits of all pictures
of a box) and ylingfeng/FGVP ``fgvp-reclip/executor.py`` (``score_subtracting``: the mean over other sentences is
taken off, as of red circles).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from adapters.clip.network import ImageText, load_image_text
from adapters.clip.options import GAP
from adapters.clip.pictures import views
from harness.errors import InputError
from harness.files.weights import Weights, shared
from harness.types import ImageFeatures


@dataclass(frozen=True)
class Showing:
    """How boxes are shown to a model: in which ways, squeezed to a square or not, so many pictures in one batch."""

    network: ImageText
    ways: tuple[str, ...]
    square: bool
    batch: int


class BoxVectors:
    """The vectors of all boxes of one image that were asked for so far.

    Attributes:
        boxes: ``(m, 4)`` xyxy image pixels, each once.
        vectors: ``(m, ways, D)``.
    """

    def __init__(self, image: ImageFeatures, showing: Showing) -> None:
        if image.pixels is None:
            raise InputError(f'image {image.info.image_id}: CLIP looks at the picture itself; give the images, and '
                             'leave --features out')
        self._picture = Image.fromarray(image.pixels[..., ::-1])
        self._showing = showing
        self.boxes = image.feature_map.new_zeros(0, 4)
        self.vectors: Tensor | None = None

    def of(self, boxes: Tensor) -> Tensor:
        """``(n, 4)`` boxes, at least one, to their ``(n, ways, D)``, after looking at those that are new."""
        boxes = boxes.to(self.boxes)
        distinct, where = torch.cat([self.boxes, boxes]).unique(dim=0, return_inverse=True)
        known = torch.zeros(len(distinct), dtype=torch.bool, device=boxes.device)
        known[where[:len(self.boxes)]] = True
        new = distinct[~known]
        if len(new):
            seen = self._look(new)
            self.vectors = seen if self.vectors is None else torch.cat([self.vectors, seen])
            self.boxes = torch.cat([self.boxes, new])
        return self.vectors[_rows(boxes, self.boxes)]  # type: ignore[index]  # there is one box at least

    def _look(self, boxes: Tensor) -> Tensor:
        showing = self._showing
        shown = views(self._picture, boxes.cpu().numpy(), showing.ways, showing.network.side, showing.square)
        seen = []
        while some := list(islice(shown, showing.batch)):
            seen.append(showing.network.pictures(some))
        return torch.cat(seen).view(len(boxes), len(showing.ways), -1)


def _rows(boxes: Tensor, among: Tensor) -> Tensor:
    """Where each of ``boxes`` (n, 4) is ``among`` (m, 4), in which each is once: ``(n,)``."""
    _, where = torch.cat([among, boxes]).unique(dim=0, return_inverse=True)
    place = torch.empty(len(among), dtype=torch.int64, device=boxes.device)
    place[where[:len(among)]] = torch.arange(len(among), device=boxes.device)
    return place[where[len(among):]]


class Scorer:
    """Scores boxes of an image by sentences.

    Args:
        weights: the folder of the model.
        isolate: an :data:`adapters.clip.options.Isolate`.
        prompt: an :data:`adapters.clip.options.Prompt`.
        neutral: sentences whose mean score is taken off, with ``;`` between them; nothing: none is.
        square: as in :func:`adapters.clip.pictures.views`.
        batch: pictures in one batch.

    Raises:
        InputError: as :func:`adapters.clip.network.load_image_text`.
    """

    def __init__(self, weights: Weights, isolate: str, prompt: str, neutral: str, square: bool, batch: int) -> None:
        self._prompt = prompt
        self._neutral = tuple(self._prompted(one.strip()) for one in neutral.split(';') if one.strip())
        self._showing = Showing(shared(weights, load_image_text), tuple(isolate.split('+')), square, batch)

    def __call__(self, image: ImageFeatures, sentences: Sequence[str], boxes: Tensor) -> Tensor:
        """``(s, n)``: of s sentences and n boxes ``(n, 4)`` xyxy in image pixels, both at least one: the logits of the
        pictures of a box summed."""
        network = self._showing.network.to(image.feature_map.device)
        vectors = image.once(BoxVectors, self._showing).of(boxes)
        pictures = vectors.flatten(0, 1)
        scores = network.logits(self._read(image, tuple(map(self._prompted, sentences))), pictures)
        if self._neutral:
            scores = scores - network.logits(self._read(image, self._neutral), pictures).mean(0)
        return scores.view(len(sentences), len(boxes), -1).sum(2)

    def _prompted(self, sentence: str) -> str:
        return self._prompt.replace(GAP, sentence.lower())

    def _read(self, image: ImageFeatures, said: tuple[str, ...]) -> Tensor:
        """``(s, D)``; sentences that are alike are read once."""
        distinct = tuple(dict.fromkeys(said))
        read = image.once(_sentences, self._showing.network, distinct)
        place = {one: row for row, one in enumerate(distinct)}
        return read[[place[one] for one in said]]


def _sentences(_: ImageFeatures, network: ImageText, said: tuple[str, ...]) -> Tensor:
    return network.sentences(said)
