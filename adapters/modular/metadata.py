"""What weight files of MAttNet and CM-A-E say of themselves.

Options are the originals'. Those that a file has beside the ones named here are kept: a few are a network's own, with
defaults, and the others are about its training.
"""
from __future__ import annotations

from typing import Annotated, Literal, NotRequired, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, ConfigDict, model_validator, with_config
from typing_extensions import TypedDict

from adapters.modular.vocabulary import Vocabulary
from harness.files.metadata import Layers, Metadata
from harness.options import Count, CountOrNone, Number, Share

Flag = Literal[0, 1, True, False]
#: Context slots, and words of a sentence: attention is over as many for each box.
Few = Annotated[int, Ge(1), Le(100)]
Longest = Annotated[int, Ge(1), Le(1000)]


def _recurrent(name: str) -> str:
    if name.lower() not in ('lstm', 'gru', 'rnn'):
        raise ValueError('must be lstm, gru or rnn')
    return name


@with_config(ConfigDict(strict=True, extra='allow'))
class ModularOptions(TypedDict):
    """Of :class:`grounders.modular.ModularNetwork`, and two that :class:`grounders.cmae.CMAE` has beside them."""

    vocab_size: Count
    word_embedding_size: Count
    word_vec_size: Count
    rnn_type: Annotated[str, AfterValidator(_recurrent)]
    rnn_num_layers: Layers
    rnn_hidden_size: Count
    bidirectional: Flag
    jemb_dim: Count
    pool5_dim: Count
    fc7_dim: Count
    num_atts: Count
    visual_init_norm: Number
    word_drop_out: Share
    rnn_drop_out: Share
    jemb_drop_out: Share
    visual_drop_out: Share
    unk_token: CountOrNone
    num_cxt: NotRequired[Few]
    with_st: NotRequired[Flag]
    glove_size: NotRequired[Count]
    img_hidden: NotRequired[Count]


@with_config(ConfigDict(strict=True))
class Words(TypedDict):
    """A :class:`~adapters.modular.vocabulary.Vocabulary`."""

    words: list[str]
    max_length: Longest


class ModularMetadata(Metadata):
    """What MAttNet and CM-A-E share."""

    opt: ModularOptions
    vocabulary: Words

    @model_validator(mode='after')
    def _belong_together(self) -> Self:
        words, size, unknown = len(self.read_vocabulary().words), self.opt['vocab_size'], self.opt['unk_token']
        if words != size:
            raise ValueError(f'{words} words in the vocabulary but {size} in the network')
        if unknown >= size:
            raise ValueError(f'opt.unk_token {unknown} is the id of none of its {size} words')
        return self

    def read_vocabulary(self) -> Vocabulary:
        return Vocabulary(tuple(self.vocabulary['words']), self.vocabulary['max_length'])


class MAttNetMetadata(ModularMetadata):
    of = 'mattnet'
    title = 'weights of MAttNet'
    name = 'mattnet'


class CMAEMetadata(ModularMetadata):
    of = 'cmae'
    title = 'weights of CM-A-E'
    name = 'cmae'
