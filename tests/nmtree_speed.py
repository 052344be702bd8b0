"""NMTree's batch and its plain loop at the paper's widths, for :mod:`tests.speed`."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from grounders.nmtree import NMTree, NMTreeOptions
from grounders.tree_lstm import Forest
from tests.nmtree_node_by_node import Sentence, ground

OPTIONS = NMTreeOptions(word_count=2000, tag_count=50, dep_count=50, visual_dim=3072)
LONGEST, PROPOSALS = 9, 9


def cases(counts: tuple[int, ...] = (7, 64)) -> Iterator[tuple[str, Callable[[], Tensor], Callable[[], Tensor]]]:
    """For each number of sentences: a name, all of them in one call, and the loop; both give ``(s, 9)`` scores."""
    network = NMTree(OPTIONS).eval()
    for count in counts:
        draw = random.Random(count)
        said = [a_sentence(draw) for _ in range(count)]
        visual = torch.randn(count, PROPOSALS, OPTIONS.visual_dim)

        def together(said: list[Sentence] = said, visual: Tensor = visual) -> Tensor:
            return network(visual, forest_of(said)).log_scores

        def loop(said: list[Sentence] = said, visual: Tensor = visual) -> Tensor:
            return torch.stack(ground(network, visual, said)[0])
        yield f'NMTree, {count} sentences', together, loop


def a_sentence(draw: random.Random) -> Sentence:
    """1 to 9 words, each on one of those before it."""
    length = draw.randint(1, LONGEST)
    ids = [[draw.randrange(count) for _ in range(length)]
           for count in (OPTIONS.word_count, OPTIONS.tag_count, OPTIONS.dep_count)]
    return Sentence(*ids, [-1, *(draw.randrange(i) for i in range(1, length))])


def forest_of(said: list[Sentence]) -> Forest:
    """The sentences' trees."""
    columns = [torch.tensor([one for sentence in said for one in sentence[i]]) for i in range(4)]
    return Forest.of(*columns, torch.tensor([len(sentence.head) for sentence in said]))
