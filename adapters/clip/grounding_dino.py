"""Grounding DINO or MM Grounding DINO of transformers: the boxes of the categories of a list in a picture.

The installed mmdet has a Grounding DINO of its own, which does not run: its decoder makes vectors of 1,024 numbers for
a layer that takes 512, and its text model calls what this transformers no longer has. The published weights of both are
also there as transformers keeps them.

Sources: the prompt and the score of a category, the mean over its words, are mmdetection's
(``mmdet/models/detectors/grounding_dino.py: to_plain_text_prompts``, ``mmdet/models/dense_heads/atss_vlfusion_head.py:
convert_grounding_to_cls_scores``), and so is keeping the 300 best pairs of box and category
(``grounding_dino_head.py``).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.clip.folders import HERE, kind_of, library, load_model, load_tokenizer, refusing
from harness.errors import InputError
from harness.files.weight_folder import load_folder

#: Between the names of a prompt, and after the last.
SEPARATOR = '. '
#: Pixels of the longer side of the input, far more than any published model takes.
MOST_SIDE = 4096


@dataclass(frozen=True, eq=False)
class Prompt:
    """A list of categories as the model reads it: its ``inputs``, and the ``places`` of the words of each category."""

    inputs: dict[str, Tensor]
    places: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class GroundingDino:
    """A model with what makes its inputs."""

    model: Any
    processor: Any
    tokenizer: Any
    folder: Path

    def prompt(self, categories: Sequence[str]) -> Prompt:
        """A prompt that names all categories.

        Raises:
            InputError: there is none, one has no words that the model reads, or they are too many.
        """
        text, spans = '', []
        for name in (category.lower() for category in categories):
            spans.append((len(text), len(text) + len(name)))
            text += name + SEPARATOR
        read = self.tokenizer([text], return_tensors='pt', return_offsets_mapping=True)
        longest, length = self.model.config.max_text_len, read['input_ids'].shape[1]
        if length > longest:
            raise InputError(f'{self.folder}: reads {longest} words and parts of words, the categories have {length}; '
                             'name fewer by --categories FILE')
        start, end = read.pop('offset_mapping')[0].unbind(1)
        places = tuple(((start < last) & (end > first) & (end > start)).nonzero()[:, 0] for first, last in spans)
        if not places or not all(map(len, places)):
            raise InputError(f'{self.folder}: reads nothing of some category; name others by --categories FILE')
        return Prompt({name: values.to(self.model.device) for name, values in read.items()}, places)

    @torch.inference_mode()
    def detect(self, pixels: np.ndarray, prompt: Prompt, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best pairs of a box and a category, best first.

        Args:
            pixels: ``(H, W, 3)`` uint8 BGR.
            prompt: the categories.
            most: pairs to keep.

        Returns:
            ``(n, 4)`` xyxy in image pixels, clipped to the image, ``(n,)`` categories by their place in the list,
            ``(n,)`` scores from 0 to 1.
        """
        shown = self.processor(images=[Image.fromarray(pixels[..., ::-1])], return_tensors='pt').to(self.model.device)
        found = self.model(pixel_values=shown['pixel_values'], pixel_mask=shown['pixel_mask'], **prompt.inputs)
        by_word = found.logits[0].sigmoid()
        scores = torch.stack([by_word[:, places].mean(1) for places in prompt.places], 1)
        best, pair = scores.flatten().sort(descending=True, stable=True)
        box, label = pair[:most] // scores.shape[1], pair[:most] % scores.shape[1]
        return _corners(found.pred_boxes[0][box], *pixels.shape[:2]), label, best[:most]


def _corners(boxes: Tensor, height: int, width: int) -> Tensor:
    """``(n, 4)`` centres and sizes as shares of an image to corners in its pixels."""
    centre, size = boxes[:, :2], boxes[:, 2:]
    sides = boxes.new_tensor([width, height])
    return torch.cat([((centre + sign * size / 2) * sides).clamp(min=0).minimum(sides) for sign in (-1, 1)], 1)


def load_grounding_dino(path: Path, device: str = 'cpu') -> GroundingDino:
    """The model of a folder.

    Raises:
        InputError: transformers is not installed, or the folder is not a Grounding DINO's, or not a whole one.
    """
    folder, transformers = load_folder(path).path, library()
    of_mmdet = kind_of(folder, ('grounding-dino', 'mm-grounding-dino')) == 'mm-grounding-dino'
    with refusing(folder):
        from transformers.models.grounding_dino import image_processing_pil_grounding_dino as processing
        make = (transformers.MMGroundingDinoForObjectDetection if of_mmdet
                else transformers.GroundingDinoForObjectDetection)
        processor = processing.GroundingDinoImageProcessorPil.from_pretrained(folder, **HERE)
        sizes = [size for size in dict(processor.size).values() if size is not None]
        if not all(isinstance(size, int) and 1 <= size <= MOST_SIDE for size in sizes):
            raise InputError(f'{folder}/preprocessor_config.json: makes pictures of {sizes} pixels; fetch it again')
        words = make.config_class.from_pretrained(folder, **HERE).text_config.vocab_size
        tokenizer = load_tokenizer(transformers, folder, words)
        tokenizer.model_input_names = ['input_ids', 'token_type_ids', 'attention_mask']
        return GroundingDino(load_model(make, folder).to(device), processor, tokenizer, folder)
