"""A model of transformers from a folder on this machine.

Nothing is downloaded, no pickle is opened and no code of the folder is run: the classes are chosen by our code from the
``model_type`` of ``config.json``. What a folder claims of its size is held against its weights before memory is taken.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from harness.errors import InputError
from harness.files.reading import parse_json, read_bytes
from harness.files.weights import check_numbers, first_of

#: How to find nothing but files that are there.
HERE: dict[str, Any] = {'local_files_only': True}
#: Layers of a part of a model, and words that are read: far more than any published model has.
MOST = 1000
_COUNTS = ('num_hidden_layers', 'encoder_layers', 'decoder_layers', 'num_queries', 'max_position_embeddings')
_REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError,
             OverflowError, ZeroDivisionError, IndexError)


def library() -> Any:
    """transformers, which says nothing but errors.

    Raises:
        InputError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise InputError('this model is run by transformers, which is not installed; install it with '
                         'pip install ".[clip]"') from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def kind_of(folder: Path, known: Sequence[str]) -> str:
    """The ``model_type`` of a folder.

    Raises:
        InputError: it is none of those ``known``, or its network would take for ever to lay out.
    """
    config = parse_json(read_bytes(folder / 'config.json'), f'{folder}/config.json')
    kind = config.get('model_type') if isinstance(config, dict) else None
    if kind not in known:
        raise InputError(f'{folder}/config.json: its model_type is {str(kind)[:40]!r}, not {" or ".join(known)}; give '
                         'the folder of such a model')
    for part in (config, *filter(lambda one: isinstance(one, Mapping), config.values())):
        for name in _COUNTS:
            count = part.get(name, 1)
            if not isinstance(count, int) or not 1 <= count <= MOST:
                raise InputError(f'{folder}/config.json: {name} {str(count)[:40]} must be from 1 to {MOST}; fetch it '
                                 'again')
    return str(kind)


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Whatever transformers raises in the block becomes one line.

    Raises:
        InputError: with what it said.
    """
    try:
        yield
    except _REFUSALS as error:
        what = ' '.join(str(error).split())[:200]
        raise InputError(f'{folder}: transformers cannot read it ({type(error).__name__}: {what}); fetch config.json, '
                         'model.safetensors, preprocessor_config.json, tokenizer.json and tokenizer_config.json of one '
                         'model') from error


def load_model(make: Any, folder: Path) -> Any:
    """The model of a folder, of transformers' class ``make``, in single precision and evaluation mode.

    Raises:
        InputError: its weights are not those that its ``config.json`` describes, or not numbers.
    """
    with torch.device('meta'):
        described = make(make.config_class.from_pretrained(folder, **HERE))
    wanted = sum(one.numel() for one in described.parameters())
    held = sum(map(_numbers_in, folder.glob('*.safetensors')))
    if wanted > held:
        raise InputError(f'{folder}: config.json describes {wanted} numbers, its safetensors files hold {held}; fetch '
                         'both of one model')
    model, said = make.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
                                       **HERE)
    if missing := first_of(sorted(said['missing_keys']), 'are missing'):
        raise InputError(f'{folder}: its weights are not whole, there is no {", ".join(missing)}; fetch them again')
    check_numbers(model.state_dict(), folder)
    return model.eval()


def load_tokenizer(transformers: Any, folder: Path, words: int) -> Any:
    """What makes numbers of words, by ``tokenizer.json`` alone.

    Raises:
        InputError: it has more words than the model's ``words``.
    """
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, **HERE)
    if len(tokenizer) > words:
        raise InputError(f'{folder}: tokenizer.json has {len(tokenizer)} words, the model {words}; fetch both of one '
                         'model')
    return tokenizer


def _numbers_in(file: Path) -> int:
    with safe_open(str(file), framework='pt') as opened:
        return sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 (no mapping)
