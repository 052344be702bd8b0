"""What weight files of NMTree say of themselves; options are the original's, and others beside those named are kept."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, model_validator, with_config
from typing_extensions import TypedDict

from adapters.nmtree.trees import TreeVocabulary
from harness.files.metadata import Metadata, Text
from harness.options import Count, CountOrNone, Share


@with_config(ConfigDict(strict=True, extra='allow'))
class NMTreeOptions(TypedDict):
    """Of :class:`grounders.nmtree.NMTree`."""

    word_vocab_size: Count
    tag_vocab_size: Count
    dep_vocab_size: Count
    word_size: Count
    tag_size: Count
    dep_size: Count
    vis_dim: Count
    rnn_size: Count
    drop_prob: Share


Ids = dict[str, CountOrNone]


class NMTreeMetadata(Metadata):
    """The three tables are a :class:`~adapters.nmtree.trees.TreeVocabulary`; ``mattnet_sha256`` is of the MAttNet that
    it learned on, where the file tells."""

    of = 'nmtree'
    title = 'weights of NMTree'
    name = 'nmtree'

    opt: NMTreeOptions
    word_to_ix: Ids
    tag_to_ix: Ids
    dep_to_ix: Ids
    mattnet_sha256: Text | None = None

    @model_validator(mode='after')
    def _belong_together(self) -> Self:
        sizes: Mapping[str, object] = self.opt
        for name, size in self.read_vocabulary().sizes.items():
            if size > sizes[name]:  # type: ignore[operator]
                raise ValueError(f'its vocabulary has more ids than the {name} of its network')
        return self

    def read_vocabulary(self) -> TreeVocabulary:
        return TreeVocabulary(self.word_to_ix, self.tag_to_ix, self.dep_to_ix)
