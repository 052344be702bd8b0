"""A Grounding DINO of a few random numbers, as a folder of transformers' files."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

WORDS = '[PAD] [UNK] [CLS] [SEP] [MASK] . ? cup dog red wine glass'.split()
LAYERS = {'grounding-dino': (transformers.GroundingDinoConfig, transformers.GroundingDinoForObjectDetection),
          'mm-grounding-dino': (transformers.MMGroundingDinoConfig, transformers.MMGroundingDinoForObjectDetection)}


def tokenizer() -> transformers.BertTokenizer:
    return transformers.BertTokenizer(vocab={word: place for place, word in enumerate(WORDS)})


def small_model(kind: str) -> Any:
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4,
                                         layer_type='basic', out_features=['stage2', 'stage3', 'stage4'])
    text = {'model_type': 'bert', 'vocab_size': len(WORDS), 'hidden_size': 16, 'num_hidden_layers': 1,
            'num_attention_heads': 2, 'intermediate_size': 16, 'max_position_embeddings': 64}
    config, model = LAYERS[kind]
    return model(config(
        backbone_config=backbone, text_config=text, num_queries=10, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        num_feature_levels=4, max_text_len=32)).eval()


def small_grounding_dino(folder: Path, kind: str = 'grounding-dino') -> Path:
    """Write one of kind ``grounding-dino`` or ``mm-grounding-dino``; it reads 32 words and makes pictures of 64 pixels
    or so."""
    small_model(kind).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    GroundingDinoImageProcessorPil(size={'shortest_edge': 64, 'longest_edge': 96}).save_pretrained(folder)
    return folder
