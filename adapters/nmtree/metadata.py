"""The metadata of weight files of NMTree.

The options of the network are stored under ``opt``, by the original's names (``tools/opts.py``). This module is the one
place that knows those names. An ``opt`` may hold more than what is read here.
"""
from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.nmtree.trees import TreeVocabulary
from grounders.nmtree import NMTree, NMTreeOptions
from harness.files.metadata import Metadata, Text
from harness.options import Count, CountOrNone, Share


class NMTreeOpt(BaseModel):
    """The options of a :class:`~grounders.nmtree.NMTreeOptions`, each with its range and the original's name."""

    model_config = ConfigDict(strict=True, frozen=True)

    word_count: Count = Field(alias='word_vocab_size')
    word_dim: Count = Field(alias='word_size')
    tag_count: Count = Field(alias='tag_vocab_size')
    tag_dim: Count = Field(alias='tag_size')
    dep_count: Count = Field(alias='dep_vocab_size')
    dep_dim: Count = Field(alias='dep_size')
    visual_dim: Count = Field(alias='vis_dim')
    memory_dim: Count = Field(alias='rnn_size')
    dropout: Share = Field(alias='drop_prob')

    @property
    def options(self) -> NMTreeOptions:
        """The options as the network takes them."""
        return NMTreeOptions(**self.model_dump())

    def network(self) -> NMTree:
        """A new network with these options."""
        return NMTree(self.options)


def opt_of(options: NMTreeOptions) -> dict[str, Any]:
    """The inverse of :attr:`NMTreeOpt.options`: a record for the metadata, by the original's names."""
    return NMTreeOpt.model_construct(**asdict(options)).model_dump(by_alias=True)


Ids = dict[str, CountOrNone]


class NMTreeMetadata(Metadata):
    """Options, the three tables of a :class:`~adapters.nmtree.trees.TreeVocabulary`, and where the file says so, the
    SHA-256 of the MAttNet that the network was trained with."""

    of = 'nmtree'
    title = 'weights of NMTree'
    name = 'nmtree'

    opt: NMTreeOpt
    word_to_ix: Ids
    tag_to_ix: Ids
    dep_to_ix: Ids
    mattnet_sha256: Text | None = None

    @model_validator(mode='after')
    def _belong_together(self) -> Self:
        for name, size in self.read_vocabulary().sizes.items():
            if size > getattr(self.opt, name):
                raise ValueError(f'its vocabulary has more ids than the {NMTreeOpt.model_fields[name].alias} of its '
                                 'network')
        return self

    def read_vocabulary(self) -> TreeVocabulary:
        return TreeVocabulary(self.word_to_ix, self.tag_to_ix, self.dep_to_ix)
