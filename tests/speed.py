"""How much faster one call for an image is than a loop over its expressions: ``python -m tests.speed``.

Networks at the papers' widths with random weights, on random features of one image: 7 expressions with 9 proposals each
for MAttNet and CM-A-E, whose loop calls the network once an expression with a row a proposal, as the originals do; 64
sentences for NMTree, whose loop goes from node to node. Both ways give the same scores, which is checked. Measurements,
not tests: they depend on the machine.
"""
from __future__ import annotations

import time
from collections.abc import Callable

import torch
from tabulate import tabulate
from torch import Tensor

from grounders.cmae import CMAE, CMAEOptions
from grounders.mattnet import MAttNet
from grounders.modular import Rows
from grounders.options import ModularOptions
from grounders.visual import Places

EXPRESSIONS, PROPOSALS, WORDS = 7, 9, 8
SIZES: dict[str, int] = dict(vocabulary_size=2000, unknown_word=1, attribute_count=50, pool5_dim=1024, fc7_dim=2048)


def main() -> None:
    torch.manual_seed(1)
    rows = [row for measure in (mattnet, cmae, nmtree) for row in measure()]
    print(tabulate(rows, headers=['network', 'one call (s)', 'loop (s)', 'ratio'], tablefmt='github', floatfmt='.3f'))
    print(f'\n{torch.get_num_threads()} threads; the best of five, the two ways in turn')


def mattnet() -> list[tuple]:
    network = MAttNet(ModularOptions(**SIZES)).eval()
    labels, pool5, fc7, apart, _ = image()
    places, pairs = Places.apart(*apart), every_pair()

    def together() -> Tensor:
        return network.ground(pool5, fc7, places, labels, pairs).scores

    def loop() -> Tensor:
        return torch.cat([network(pool5, fc7, *apart, one.expand(PROPOSALS, -1)).scores for one in labels])
    return [compare('MAttNet', together, loop)]


def cmae() -> list[tuple]:
    network = CMAE(CMAEOptions(**SIZES)).eval()
    labels, pool5, fc7, apart, whole = image()
    places, pairs, first = Places.apart(*apart), every_pair(), torch.zeros(EXPRESSIONS, dtype=torch.int64)

    def together() -> Tensor:
        return network.ground(pool5, fc7, places, labels, whole, first, pairs).scores

    def loop() -> Tensor:
        seen = whole.expand(PROPOSALS, -1, -1, -1)
        return torch.cat([network(pool5, fc7, *apart, one.expand(PROPOSALS, -1), seen).scores for one in labels])
    return [compare('CM-A-E', together, loop)]


def nmtree() -> list[tuple]:
    from tests.nmtree_speed import cases
    return [compare(name, together, loop) for name, together, loop in cases()]


def image() -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...], Tensor]:
    """Words (7, 8), pool5 and fc7 of 9 boxes, their places, and the whole image's pool5."""
    labels = torch.randint(2, SIZES['vocabulary_size'], (EXPRESSIONS, WORDS))
    pool5, fc7 = torch.rand(PROPOSALS, 1024, 7, 7), torch.rand(PROPOSALS, 2048, 7, 7)
    apart = (torch.rand(PROPOSALS, 5), torch.rand(PROPOSALS, 25), torch.rand(PROPOSALS, 5, 2048),
             torch.rand(PROPOSALS, 5, 5))
    return labels, pool5, fc7, apart, torch.rand(1, 1024, 7, 7)


def every_pair() -> Rows:
    """Every expression with every proposal, expression by expression."""
    sentence = torch.arange(EXPRESSIONS).repeat_interleave(PROPOSALS)
    box = torch.arange(PROPOSALS).repeat(EXPRESSIONS)
    return Rows(sentence, box, box)


@torch.inference_mode()
def compare(name: str, together: Callable[[], Tensor], loop: Callable[[], Tensor]) -> tuple[str, float, float, float]:
    """The best of five runs each, in turn, after one to warm up that also compares what they give."""
    torch.testing.assert_close(together(), loop(), rtol=1e-3, atol=1e-4)
    times = [(seconds(together), seconds(loop)) for _ in range(5)]
    fast, slow = (min(column) for column in zip(*times, strict=True))
    return name, fast, slow, slow / fast


def seconds(work: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == '__main__':
    main()
