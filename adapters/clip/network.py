"""CLIP or SigLIP of transformers: pictures and sentences to vectors, vectors to scores."""
from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from adapters.clip.folders import HERE, kind_of, library, load_model, load_tokenizer, refusing
from harness.errors import InputError
from harness.files.weights import Weights, moved_to

#: Pixels of a side of the input, far more than any published model takes.
MOST_SIDE = 2048
_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)


@dataclass(frozen=True, eq=False)
class ImageText:
    """A model with what makes its inputs.

    Attributes:
        model: transformers' ``CLIPModel`` or ``SiglipModel``, in evaluation mode.
        processor: makes ``(n, 3, side, side)`` of pictures.
        tokenizer: makes numbers of words.
        side: of the input, in pixels.
        sigmoid: whether it is a SigLIP: its logits have a bias, and its sentences are filled up to their longest.
    """

    model: Any
    processor: Any
    tokenizer: Any
    side: int
    sigmoid: bool

    def to(self, device: torch.device) -> ImageText:
        """Itself, with its model on a device."""
        moved_to(self.model, device)
        return self

    @torch.inference_mode()
    def pictures(self, shown: Sequence[Image.Image]) -> Tensor:
        """``(n, D)`` unit vectors of n RGB pictures, in one batch."""
        pixels = self.processor(images=list(shown), return_tensors='pt')['pixel_values']
        return F.normalize(self.model.get_image_features(pixels.to(self.model.device)).pooler_output, dim=-1)

    @torch.inference_mode()
    def sentences(self, said: Sequence[str]) -> Tensor:
        """``(s, D)`` unit vectors of s sentences, in one batch; of a long one the beginning is read."""
        longest = self.model.config.text_config.max_position_embeddings
        if self.sigmoid:  # as transformers' SiglipTokenizer.canonicalize_text; letters are small already
            said = [' '.join(one.translate(_NO_PUNCTUATION).split()) for one in said]
        read = self.tokenizer(list(said), padding='max_length' if self.sigmoid else True, truncation=True,
                              max_length=longest, return_tensors='pt').to(self.model.device)
        mask = {} if self.sigmoid else {'attention_mask': read['attention_mask']}  # SigLIP reads its padding too
        return F.normalize(self.model.get_text_features(read['input_ids'], **mask).pooler_output, dim=-1)

    @torch.inference_mode()
    def logits(self, sentences: Tensor, pictures: Tensor) -> Tensor:
        """``(s, D)`` and ``(n, D)`` to ``(s, n)``, transformers' ``logits_per_text``."""
        scaled = self.model.logit_scale.exp() * sentences @ pictures.T
        return scaled + self.model.logit_bias if self.sigmoid else scaled


def load_image_text(weights: Weights) -> ImageText:
    """The model of a folder, read by :func:`harness.files.weight_folder.load_folder`.

    Raises:
        InputError: transformers is not installed, or the folder is not a CLIP's or SigLIP's, or not a whole one.
    """
    folder, transformers = weights.path, library()
    sigmoid = kind_of(folder, ('clip', 'siglip')) == 'siglip'
    with refusing(folder):
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
        make = transformers.SiglipModel if sigmoid else transformers.CLIPModel
        config = make.config_class.from_pretrained(folder, **HERE)
        processor = (SiglipImageProcessorPil if sigmoid else CLIPImageProcessorPil).from_pretrained(folder, **HERE)
        _check_input(processor, config.vision_config.image_size, folder)
        tokenizer = load_tokenizer(transformers, folder, config.text_config.vocab_size)
        return ImageText(load_model(make, folder), processor, tokenizer, config.vision_config.image_size, sigmoid)


def _check_input(processor: Any, side: int, folder: Path) -> None:
    """Refuse pictures of another size than the model takes, before one is made."""
    kept = processor.crop_size if getattr(processor, 'do_center_crop', False) else processor.size
    made = {kept['height'], kept['width']}
    sizes = [*dict(processor.size or {}).values(), side]
    if made != {side} or not all(isinstance(n, int) and 1 <= n <= MOST_SIDE for n in sizes if n is not None):
        raise InputError(f'{folder}/preprocessor_config.json: makes pictures of {sorted(made)} pixels, the model takes '
                         f'{side} by {side}; fetch both of one model')
