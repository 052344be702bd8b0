"""The metadata of weight files of MAttNet and CM-A-E.

The options of the network are stored under ``opt``, by the originals' names (``tools/opt.py``). This module is the one
place that knows those names. An ``opt`` may hold more than what is read here: the originals keep the options of the
training there too.
"""
from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict

from adapters.modular.vocabulary import ModularVocabulary
from grounders.cmae import CMAE, CMAEOptions
from grounders.mattnet import MAttNet
from grounders.modular import ModularNetwork
from grounders.options import ModularOptions
from harness.files.metadata import Layers, Metadata
from harness.options import Count, CountOrNone, Number, Share

#: Context slots: attention is over as many for each box.
SlotCount = Annotated[int, Ge(1), Le(100)]
#: Words of a sentence.
Longest = Annotated[int, Ge(1), Le(1000)]


def _flag(value: object) -> object:
    return bool(value) if type(value) is int and value in (0, 1) else value


#: True or False, for which the originals also write 1 and 0.
Flag = Annotated[bool, BeforeValidator(_flag)]


def _recurrent(name: str) -> str:
    if name.lower() not in ('lstm', 'gru', 'rnn'):
        raise ValueError('must be lstm, gru or rnn')
    return name.lower()


class ModularOpt(BaseModel):
    """The options of a :class:`~grounders.options.ModularOptions`, each with its range and the originals' name; and two
    that decide what the network is shown: ``context_slots`` and ``with_same_category``."""

    model_config = ConfigDict(strict=True, frozen=True)

    vocabulary_size: Count = Field(alias='vocab_size')
    unknown_word: CountOrNone = Field(alias='unk_token')
    attribute_count: Count = Field(alias='num_atts')
    pool5_dim: Count
    fc7_dim: Count
    embedding_dim: Count = Field(alias='word_embedding_size')
    word_dim: Count = Field(alias='word_vec_size')
    word_dropout: Share = Field(alias='word_drop_out')
    rnn: Annotated[str, AfterValidator(_recurrent)] = Field(alias='rnn_type')
    rnn_dim: Count = Field(alias='rnn_hidden_size')
    rnn_layers: Layers = Field(alias='rnn_num_layers')
    rnn_dropout: Share = Field(alias='rnn_drop_out')
    bidirectional: Flag
    joint_dim: Count = Field(alias='jemb_dim')
    joint_dropout: Share = Field(alias='jemb_drop_out')
    initial_norm: Number = Field(alias='visual_init_norm')
    visual_dropout: Share = Field(alias='visual_drop_out')
    context_slots: SlotCount = Field(5, alias='num_cxt')
    with_same_category: Flag = Field(True, alias='with_st')

    @property
    def options(self) -> ModularOptions:
        """The options as the network takes them."""
        return ModularOptions(**self._of_network())

    def network(self) -> ModularNetwork:
        """A new network with these options."""
        raise NotImplementedError

    def _of_network(self) -> dict[str, Any]:
        return self.model_dump(exclude={'context_slots', 'with_same_category'})


class MAttNetOpt(ModularOpt):
    """The options of MAttNet, which has none of its own."""

    def network(self) -> MAttNet:
        return MAttNet(self.options)


class CMAEOpt(ModularOpt):
    """The options of CM-A-E, with two that are constants of the original, under names of ours."""

    pretrained_dim: Count = Field(CMAEOptions.pretrained_dim, alias='glove_size')
    image_hidden_dim: Count = Field(CMAEOptions.image_hidden_dim, alias='img_hidden')

    @model_validator(mode='after')
    def _one_width(self) -> Self:
        if self.joint_dim != self.word_dim:
            raise ValueError(f'must have a jemb_dim and a word_vec_size that are equal, not {self.joint_dim} and '
                             f'{self.word_dim}')
        return self

    @property
    def options(self) -> CMAEOptions:
        return CMAEOptions(**self._of_network())

    def network(self) -> CMAE:
        return CMAE(self.options)


def opt_of(options: ModularOptions) -> dict[str, Any]:
    """The inverse of :attr:`ModularOpt.options`: a record for the metadata, by the originals' names.

    ``variable_lengths`` is of the originals' training alone: sentences are not all of one length.
    """
    kind = CMAEOpt if isinstance(options, CMAEOptions) else ModularOpt
    opt = kind.model_construct(**asdict(options)).model_dump(by_alias=True)
    flags = {name: int(opt[name]) for name in ('bidirectional', 'with_st')}
    return {**opt, **flags, 'variable_lengths': 1}


@with_config(ConfigDict(strict=True))
class VocabularyRecord(TypedDict):
    """What :meth:`adapters.modular.vocabulary.ModularVocabulary.to_json` gives."""

    words: list[str]
    max_length: Longest


class ModularMetadata(Metadata):
    """What both networks have in their metadata: options and words, which must belong together."""

    opt: ModularOpt
    vocabulary: VocabularyRecord

    @model_validator(mode='after')
    def _belong_together(self) -> Self:
        words, size, unknown = len(self.read_vocabulary().words), self.opt.vocabulary_size, self.opt.unknown_word
        if words != size:
            raise ValueError(f'{words} words in the vocabulary but {size} in the network')
        if unknown >= size:
            raise ValueError(f'opt.unk_token {unknown} is the id of none of its {size} words')
        return self

    def read_vocabulary(self) -> ModularVocabulary:
        return ModularVocabulary(tuple(self.vocabulary['words']), self.vocabulary['max_length'])


class MAttNetMetadata(ModularMetadata):
    of = 'mattnet'
    title = 'weights of MAttNet'
    name = 'mattnet'

    opt: MAttNetOpt


class CMAEMetadata(ModularMetadata):
    of = 'cmae'
    title = 'weights of CM-A-E'
    name = 'cmae'

    opt: CMAEOpt
