"""Dependency trees of sentences: read from records, or parsed here as NMTree's own preparation parses them.

Source: ``misc/parser.py`` of daqingliu/NMTree (``transfer_dataset``, ``doc_prune``, ``doc_to_tree``, ``build_vocab``).
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grounders.tree_lstm import Forest
from harness.errors import InputError
from harness.words.language import Sentence, read

PAD, UNK = 'PAD', 'UNK'
DROPPED = frozenset({'DET', 'SYM', 'SPACE'})


class Parse(NamedTuple):
    """One sentence's tree: each node's word, fine-grained tag, dependency label, and the position of its head, -1 for
    the root."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    deps: tuple[str, ...]
    heads: tuple[int, ...]


#: The tree of a sentence of which nothing is left.
NOTHING = Parse((UNK,), (UNK,), (UNK,), (-1,))


def trees_of(sentences: Iterable[Sequence[str]]) -> list[Parse]:
    """The tree of each sentence, which is a sequence of words.

    The original parses a sentence twice, and so does this. The first parse tells determiners, symbols and spaces, which
    are dropped; the rest, in lower case, is parsed again for the tree. If the second parse finds several sentences, the
    first one is kept, and the words of the others have no node.

    Two things differ from the original: it corrects three sentences of RefCOCO and RefCOCOg by hand, and its spaCy was
    of version 2, which takes a few words for another part of speech.
    """
    return [_first_tree(sentence) for sentence in read(map(_without_dropped, read(map(_text, sentences))))]


def _text(tokens: Sequence[str]) -> str:
    """The words with spaces between. Half a surrogate pair, which JSON can hold but spaCy cannot, becomes ``?``."""
    return ' '.join(tokens).encode('utf-8', 'replace').decode()


def _without_dropped(sentence: Sentence) -> str:
    kept = ' '.join(word.lower() for word, kind in zip(sentence.words, sentence.classes, strict=True)
                    if kind not in DROPPED)
    return re.sub(' +', ' ', kept).rstrip()


def _first_tree(sentence: Sentence) -> Parse:
    nodes = sentence.first_tree
    if not nodes:
        return NOTHING
    position = {node: i for i, node in enumerate(nodes)}
    heads = (sentence.heads[node] for node in nodes)
    return Parse(tuple(sentence.words[node] for node in nodes), tuple(sentence.tags[node] for node in nodes),
                 tuple(sentence.deps[node] for node in nodes),
                 tuple(-1 if head == node else position[head] for node, head in zip(nodes, heads, strict=True)))


def from_record(record: Mapping[str, Any], where: str) -> Parse:
    """A tree from ``{'tokens': […], 'tags': […], 'deps': […], 'heads': […]}``; ``where`` names it in a message.

    Raises:
        InputError: a list is missing or of another length, or the heads form no tree.
    """
    try:
        tokens, tags, deps, heads = (tuple(record[name]) for name in ('tokens', 'tags', 'deps', 'heads'))
    except (KeyError, TypeError) as error:
        raise InputError(f'{where}: a tree must have lists of tokens, tags, deps and heads ({error})') from None
    if not len(tokens) == len(tags) == len(deps) == len(heads) or \
            not all(isinstance(text, str) for text in (*tokens, *tags, *deps)):
        raise InputError(f'{where}: tokens, tags and deps must be texts, as many as there are heads')
    if not _is_tree(heads):
        raise InputError(f'{where}: heads form no tree; exactly one must be -1, and all others must lead to it')
    return Parse(tokens, tags, deps, heads)


def from_nested(tree: Mapping[Any, Any], where: str) -> Parse:
    """A tree as ``data_dep.pth`` of the original nests it: ``{(position, word, class, tag, label): [trees below]}``.

    Raises:
        InputError: the tree is nested in another way.
    """
    found: dict[int, tuple[str, str, str, int]] = {}
    waiting = [(tree, -1)]
    try:
        while waiting:
            one, head = waiting.pop()
            ((position, word, _, tag, dep), below), = one.items()
            if position in found:
                raise ValueError(f'position {position!r} comes twice')
            found[position] = word, tag, dep, head
            waiting += [(other, position) for other in below]
        words, tags, deps, heads = zip(*(found[i] for i in range(len(found))), strict=True)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise InputError(f'{where}: is no tree of (position, word, class, tag, label) nodes ({error})') from None
    return from_record({'tokens': words, 'tags': tags, 'deps': deps, 'heads': heads}, where)


def _is_tree(heads: Sequence[Any]) -> bool:
    below: dict[int, list[int]] = {}
    for node, head in enumerate(heads):
        if type(head) is not int:
            return False
        below.setdefault(head, []).append(node)
    reached = below.get(-1, [])
    if len(reached) != 1:
        return False
    for node in reached:  # it grows while it is walked along; a node has one head, so it comes once
        reached.extend(below.get(node, ()))
    return len(reached) == len(heads)


@dataclass(frozen=True)
class TreeVocabulary:
    """The ids of words, tags and labels that a network was trained with, as ``data_dep.json`` has them.

    A text without an id is read as ``UNK``, or as ``PAD`` if a table of the original has no ``UNK``.

    Raises:
        ValueError: a table does not map texts to ids.
    """

    word_to_ix: Mapping[str, int]
    tag_to_ix: Mapping[str, int]
    dep_to_ix: Mapping[str, int]

    def __post_init__(self) -> None:
        for table in (self.word_to_ix, self.tag_to_ix, self.dep_to_ix):
            if not isinstance(table, Mapping) or not (UNK in table or PAD in table) or \
                    not all(isinstance(k, str) and type(v) is int and v >= 0 for k, v in table.items()):
                raise ValueError(f'a vocabulary maps texts, {UNK} or {PAD} among them, to ids')

    @classmethod
    def build(cls, parses: Iterable[Parse], threshold: int = 1) -> TreeVocabulary:
        """Give ids to ``PAD``, to texts that come more than ``threshold`` times, in their order, and to ``UNK``."""
        parses = list(parses)
        tables = []
        for column in ('tokens', 'tags', 'deps'):
            counts = Counter(text for parse in parses for text in getattr(parse, column))
            known = [text for text, n in counts.items() if n > threshold and text not in (PAD, UNK)]
            tables.append({text: i for i, text in enumerate([PAD, *known, UNK])})
        return cls(*tables)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TreeVocabulary:
        """From ``word_to_ix``, ``tag_to_ix`` and ``dep_to_ix`` in a record."""
        return cls(record['word_to_ix'], record['tag_to_ix'], record['dep_to_ix'])

    def to_json(self) -> dict[str, dict[str, int]]:
        """The inverse of :meth:`from_json`."""
        return {name: dict(getattr(self, name)) for name in ('word_to_ix', 'tag_to_ix', 'dep_to_ix')}

    @property
    def sizes(self) -> dict[str, int]:
        """How many ids a network must have embeddings for, by the names of :class:`grounders.nmtree.NMTreeOptions`."""
        return {f'{name}_count': max(getattr(self, f'{name}_to_ix').values()) + 1
                for name in ('word', 'tag', 'dep')}

    def forest(self, parses: Sequence[Parse]) -> Forest:
        """The trees as the network takes them."""
        word = _ids(self.word_to_ix, (text for parse in parses for text in parse.tokens))
        tag = _ids(self.tag_to_ix, (text for parse in parses for text in parse.tags))
        dep = _ids(self.dep_to_ix, (text for parse in parses for text in parse.deps))
        head = torch.tensor([head for parse in parses for head in parse.heads], dtype=torch.int64)
        return Forest.of(word, tag, dep, head, torch.tensor([len(parse.heads) for parse in parses], dtype=torch.int64))


def _ids(table: Mapping[str, int], texts: Iterable[str]) -> Tensor:
    unknown = table.get(UNK, table.get(PAD, 0))
    return torch.tensor([table.get(text, unknown) for text in texts], dtype=torch.int64)
