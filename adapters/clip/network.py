"""CLIP or SigLIP of transformers, from a folder on this machine: pictures and sentences to vectors, vectors to scores.

Nothing is downloaded, no pickle is opened and no code of the folder is run: the classes are chosen here by the
``model_type`` of its ``config.json``, and all words come from its ``tokenizer.json``.
"""
from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from harness.errors import InputError
from harness.files.reading import parse_json, read_bytes
from harness.files.weights import Weights, check_numbers, first_of, moved_to

#: What may be in a folder: far more than any published model has.
MOST_LAYERS, MOST_SIDE = 200, 2048
_REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError,
             OverflowError, ZeroDivisionError)
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
    folder, transformers = weights.path, _transformers()
    config = parse_json(read_bytes(folder / 'config.json'), f'{folder}/config.json')
    kind = config.get('model_type') if isinstance(config, dict) else None
    if kind not in ('clip', 'siglip'):
        raise InputError(f'{folder}/config.json: its model_type is {str(kind)[:40]!r}, not clip or siglip; give the '
                         'folder of such a model')
    _check_sizes(config, folder)
    try:
        loaded = _loaded(transformers, folder, kind == 'siglip')
    except _REFUSALS as error:
        what = ' '.join(str(error).split())[:200]
        raise InputError(f'{folder}: transformers cannot read it ({type(error).__name__}: {what}); fetch config.json, '
                         'model.safetensors, preprocessor_config.json, tokenizer.json and tokenizer_config.json of one '
                         'model') from error
    check_numbers(loaded.model.state_dict(), folder)
    return loaded


def _transformers() -> Any:
    """transformers, which says nothing but errors.

    Raises:
        InputError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise InputError('CLIP and SigLIP are run by transformers, which is not installed; install it with '
                         'pip install ".[clip]"') from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _loaded(transformers: Any, folder: Path, sigmoid: bool) -> ImageText:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    make = transformers.SiglipModel if sigmoid else transformers.CLIPModel
    here = {'local_files_only': True}
    processor = (SiglipImageProcessorPil if sigmoid else CLIPImageProcessorPil).from_pretrained(folder, **here)
    side = make.config_class.from_pretrained(folder, **here).vision_config.image_size
    _check_input(processor, side, folder)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, **here)
    _check_memory(make, folder)
    model, said = make.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
                                       **here)
    if missing := first_of(sorted(said['missing_keys']), 'are missing'):
        raise InputError(f'{folder}: its weights are not whole, there is no {", ".join(missing)}; fetch them again')
    if len(tokenizer) > model.config.text_config.vocab_size:
        raise InputError(f'{folder}: tokenizer.json has {len(tokenizer)} words, the model '
                         f'{model.config.text_config.vocab_size}; fetch both of one model')
    return ImageText(model.eval(), processor, tokenizer, side, sigmoid)


def _check_sizes(config: dict, folder: Path) -> None:
    """Refuse a ``config.json`` whose network would take for ever to lay out."""
    for part in (config.get('text_config'), config.get('vision_config')):
        layers = part.get('num_hidden_layers', 1) if isinstance(part, dict) else 1
        if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
            raise InputError(f'{folder}/config.json: num_hidden_layers {str(layers)[:40]} must be from 1 to '
                             f'{MOST_LAYERS}; fetch it again')


def _check_input(processor: Any, side: int, folder: Path) -> None:
    """Refuse pictures of another size than the model takes, before one is made."""
    kept = processor.crop_size if getattr(processor, 'do_center_crop', False) else processor.size
    made = {kept['height'], kept['width']}
    sizes = [*dict(processor.size or {}).values(), side]
    if made != {side} or not all(isinstance(n, int) and 1 <= n <= MOST_SIDE for n in sizes if n is not None):
        raise InputError(f'{folder}/preprocessor_config.json: makes pictures of {sorted(made)} pixels, the model takes '
                         f'{side} by {side}; fetch both of one model')


def _check_memory(make: Any, folder: Path) -> None:
    """Refuse a ``config.json`` that describes more numbers than the weights hold, before memory is taken for them."""
    with torch.device('meta'):
        described = make(make.config_class.from_pretrained(folder, local_files_only=True))
    wanted = sum(one.numel() for one in described.parameters())
    held = sum(map(_numbers_in, folder.glob('*.safetensors')))
    if wanted > held:
        raise InputError(f'{folder}: config.json describes {wanted} numbers, its safetensors files hold {held}; fetch '
                         'both of one model')


def _numbers_in(file: Path) -> int:
    with safe_open(str(file), framework='pt') as opened:
        return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 (no mapping)
