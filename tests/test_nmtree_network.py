"""The batch of trees does what the plain loop over sentences and nodes does, on any trees, gradients included."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grounders.nmtree import NMTree, NMTreeOptions, subtree_attention
from grounders.tree_lstm import Forest
from tests.nmtree_node_by_node import Sentence, ground, ground_one
from tests.nmtree_speed import forest_of

OPTIONS = NMTreeOptions(word_count=9, tag_count=5, dep_count=4, word_dim=6, tag_dim=3, dep_dim=2, visual_dim=7,
                        memory_dim=5, dropout=0.)


def a_network() -> NMTree:
    torch.manual_seed(0)
    network = NMTree(OPTIONS)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.
    return network


@st.composite
def heads(draw: st.DrawFn) -> list[int]:
    """Any tree: each word of a random order hangs on one before it."""
    order = draw(st.permutations(range(draw(st.integers(1, 9)))))
    head = [-1] * len(order)
    for i in range(1, len(order)):
        head[order[i]] = order[draw(st.integers(0, i - 1))]
    return head


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    head = draw(heads())
    ids = [draw(st.lists(st.integers(0, count - 1), min_size=len(head), max_size=len(head)))
           for count in (OPTIONS.word_count, OPTIONS.tag_count, OPTIONS.dep_count)]
    return Sentence(*ids, head)


def depth(head: list[int], word: int) -> int:
    return 0 if head[word] < 0 else 1 + depth(head, head[word])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(sentences(), st.integers(1, 4)), min_size=1, max_size=6))
def test_all_at_once_gives_what_one_after_the_other_gives(drawn: list[tuple[Sentence, int]]) -> None:
    network, said = a_network().eval(), [sentence for sentence, _ in drawn]
    counts = torch.tensor([count for _, count in drawn])
    visual = torch.randn(len(said), int(counts.max()), OPTIONS.visual_dim)
    present = torch.arange(visual.shape[1]) < counts[:, None]
    with torch.no_grad():
        together = network(visual, forest_of(said), present)
        scores, roots = ground(network, [one[:n] for one, n in zip(visual, counts, strict=True)], said)
    torch.testing.assert_close(together.log_scores[present], torch.cat(scores), rtol=0, atol=1e-5)
    assert together.root_visual.tolist() == roots


@settings(max_examples=20, deadline=None)
@given(st.lists(sentences(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_in_training_the_gradients_are_those_of_the_plain_loop(said: list[Sentence], random) -> None:
    """The straight-through estimator needs the gradient of each node's type, wherever it is used."""
    network, forest = a_network().train(), forest_of(said)
    visual = torch.randn(len(said), 3, OPTIONS.visual_dim)
    types = torch.eye(2)[[random.randrange(2) for _ in forest.word]].requires_grad_()
    parameters = [parameter for name, parameter in network.named_parameters() if 'type_query' not in name]

    def gradients(log_scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(log_scores[:, 0].sum(), [types, *parameters], materialize_grads=True)

    network.up_tree_lstm.choose = lambda inputs: types
    together = network(visual, forest)
    alone = []
    for i, sentence in enumerate(said):
        order = sorted(range(len(sentence.head)), key=lambda word, head=sentence.head: depth(head, word))
        row = dict(zip(order, (forest.sentence == i).nonzero()[:, 0].tolist(), strict=True))
        alone.append(ground_one(network, visual[i], sentence, [types[row[word]] for word in range(len(order))])[0])
    torch.testing.assert_close(together.log_scores, torch.stack(alone), rtol=0, atol=1e-5)
    for ours, theirs in zip(gradients(together.log_scores), gradients(torch.stack(alone)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_type_is_drawn_in_training_and_decided_in_evaluation() -> None:
    network, inputs = a_network(), torch.zeros(400, 11)
    with torch.no_grad():
        network.up_tree_lstm.type_query.bias.copy_(torch.tensor([0., 1.]))
    drawn = network.train().up_tree_lstm.choose(inputs)
    assert set(map(tuple, drawn.tolist())) == {(0., 1.), (1., 0.)}
    assert 0.6 < float(drawn[:, 1].mean()) < 0.85, 'e / (1 + e) is 0.73'
    drawn[:, 1].sum().backward()
    assert network.up_tree_lstm.type_query.bias.grad.abs().sum() > 0
    assert network.eval().up_tree_lstm.choose(inputs)[:, 1].all()
    with torch.no_grad():
        network.up_tree_lstm.type_query.bias.zero_()
    assert network.up_tree_lstm.choose(inputs)[:, 0].all(), 'language on a tie'


def test_a_forest_lies_level_by_level() -> None:
    """"red dog left": red ← dog → left; and "up": two roots, then what hangs on the first."""
    forest = Forest.of(torch.tensor([10, 11, 12, 13]), torch.zeros(4), torch.zeros(4), torch.tensor([1, -1, 1, -1]),
                       torch.tensor([3, 1]))
    assert forest.word.tolist() == [11, 13, 10, 12]
    assert forest.parent.tolist() == [-1, -1, 0, 0]
    assert forest.depth.tolist() == [0, 0, 1, 1]
    assert forest.sentence.tolist() == [0, 1, 0, 0]
    assert forest.inner.tolist() == [True, False, False, False]
    assert [(level.rows, level.parent.tolist()) for level in forest.levels()] == [
        (slice(0, 2), [-1, -1]), (slice(2, 4), [0, 0])]


@settings(max_examples=25, deadline=None)
@given(st.lists(sentences(), min_size=1, max_size=6))
def test_every_node_reaches_its_own_root(said: list[Sentence]) -> None:
    forest = forest_of(said)
    assert forest.parent[:len(said)].tolist() == [-1] * len(said)
    assert forest.sentence[:len(said)].tolist() == list(range(len(said)))
    below = forest.parent[len(said):]
    rows = torch.arange(len(said), len(forest.parent))
    assert (below >= 0).all() and (below < rows).all(), 'a parent comes before its children'
    assert torch.equal(forest.depth[below] + 1, forest.depth[rows])
    assert torch.equal(forest.sentence[below], forest.sentence[rows])
    assert (forest.depth.diff() >= 0).all()


@pytest.mark.parametrize(('head', 'length'), [
    ([-1, 2, 1], [3]), ([0], [1]), ([-1, -1], [2]), ([1, -1, 5], [3]), ([-2, -1], [2]), ([-1], [1, 0]), ([1, 0], [2]),
    ([-1, -1, -1, 1], [2, 2]),
])
def test_heads_that_are_no_trees_are_refused(head: list[int], length: list[int]) -> None:
    ids = torch.zeros(len(head), dtype=torch.int64)
    with pytest.raises(ValueError, match='root|circle|words'):
        Forest.of(ids, ids, ids, torch.tensor(head), torch.tensor(length))


def test_attention_is_over_a_nodes_subtree_and_stays_finite() -> None:
    """dog ← red, left → far: the root hears all four, "left" itself and "far", a leaf itself alone."""
    forest = Forest.of(*torch.arange(4).expand(3, 4), torch.tensor([1, -1, 1, 2]), torch.tensor([4]))
    assert forest.word.tolist() == [1, 0, 2, 3]
    heard = subtree_attention(torch.tensor([[0., 0.], [0., 0.], [0., -1000.], [0., 1000.]]), torch.eye(4), forest)
    assert torch.equal(heard[:, 0], torch.tensor([[.25, .25, .25, .25], [0, 1, 0, 0], [0, 0, .5, .5], [0, 0, 0, 1]]))
    assert torch.equal(heard[:, 1], torch.eye(4)[[3, 1, 3, 3]])


def test_a_sentence_may_be_one_long_chain() -> None:
    length = 400
    ids = torch.zeros(length, dtype=torch.int64)
    forest = Forest.of(ids, ids, ids, torch.arange(length) - 1, torch.tensor([length]))
    with torch.no_grad():
        assert a_network().eval()(torch.randn(1, 2, OPTIONS.visual_dim), forest).log_scores.isfinite().all()
