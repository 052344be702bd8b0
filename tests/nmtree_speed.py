"""NMTree's batch and its plain loop at the paper's widths, for :mod:`tests.speed`."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from grounders.nmtree import NMTree
from grounders.tree_lstm import Forest
from tests.nmtree_node_by_node import Sentence, ground

WIDTHS = dict(word_vocab_size=2000, tag_vocab_size=50, dep_vocab_size=50, word_size=300, tag_size=50, dep_size=50,
              vis_dim=3072, rnn_size=1024, drop_prob=0.5)
LONGEST, PROPOSALS = 9, 9


def cases(counts: tuple[int, ...] = (7, 64)) -> Iterator[tuple[str, Callable[[], Tensor], Callable[[], Tensor]]]:
    """For each number of sentences: a name, all of them in one call, and the loop; both give ``(s, 9)`` scores."""
    network = NMTree(WIDTHS).eval()
    for count in counts:
        draw = random.Random(count)
        said = [a_sentence(draw) for _ in range(count)]
        visual = torch.randn(count, PROPOSALS, WIDTHS['vis_dim'])

        def together(said: list[Sentence] = said, visual: Tensor = visual) -> Tensor:
            return network(visual, forest_of(said)).log_scores

        def loop(said: list[Sentence] = said, visual: Tensor = visual) -> Tensor:
            return torch.stack(ground(network, visual, said)[0])
        yield f'NMTree, {count} sentences', together, loop


def a_sentence(draw: random.Random) -> Sentence:
    """1 to 9 words, each on one of those before it."""
    length = draw.randint(1, LONGEST)
    ids = [[draw.randrange(WIDTHS[f'{kind}_vocab_size']) for _ in range(length)] for kind in ('word', 'tag', 'dep')]
    return Sentence(*ids, [-1, *(draw.randrange(i) for i in range(1, length))])


def forest_of(said: list[Sentence]) -> Forest:
    """The sentences' trees."""
    columns = [torch.tensor([one for sentence in said for one in sentence[i]]) for i in range(4)]
    return Forest.of(*columns, torch.tensor([len(sentence.head) for sentence in said]))
