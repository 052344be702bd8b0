"""A CLIP and a SigLIP of a few random numbers, each as a folder of transformers' files."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIDE = 32
WORDS = 'a photo of the red left cup dog man on this is'.split()
_PLACES = {'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0}
_SIZES = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1, 'num_attention_heads': 2}
_VISION = {**_SIZES, 'image_size': SIDE, 'patch_size': 8}


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, and ``<unk>`` for all others."""
    words = {word: i for i, word in enumerate(['<pad>', '<s>', '</s>', '<unk>', *WORDS])}
    made = Tokenizer(models.WordLevel(words, unk_token='<unk>'))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = TemplateProcessing(single='<s> $A </s>', special_tokens=[('<s>', 1), ('</s>', 2)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token='<s>', eos_token='</s>', pad_token='<pad>',
                                   unk_token='<unk>')


def small_model(kind: str) -> Any:
    """Weights far from zero, so that pictures and sentences differ."""
    torch.manual_seed(0)
    text = {**_SIZES, **_PLACES, 'vocab_size': 4 + len(WORDS), 'max_position_embeddings': 16}
    model = (SiglipModel(SiglipConfig(text_config=text, vision_config=_VISION)) if kind == 'siglip' else
             CLIPModel(CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=8)))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    if kind == 'siglip':
        model.logit_scale.data.fill_(2.)
        model.logit_bias.data.fill_(-3.)
    return model.eval()


def small_clip(folder: Path, kind: str = 'clip') -> Path:
    """Write one of kind ``clip`` or ``siglip``."""
    small_model(kind).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    square = {'height': SIDE, 'width': SIDE}
    processor = (SiglipImageProcessorPil(size=square) if kind == 'siglip' else
                 CLIPImageProcessorPil(size={'shortest_edge': SIDE}, crop_size=square))
    processor.save_pretrained(folder)
    return folder
