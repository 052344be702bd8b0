"""NMTree as a grounder and in training: an image's expressions and proposals to scores, and what it learns from."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapters.modular.annotated_split import AnnotatedSplit, annotated_choices
from adapters.modular.mattnet import MAttNetGrounder
from adapters.nmtree.grounding import NMTreeGrounder
from adapters.nmtree.metadata import opt_of
from adapters.nmtree.training import (
    NMTreeForTraining,
    SeenImage,
    TreeLessons,
    choice_accuracy,
    metadata,
    new_network,
    nmtree_recipe,
    seen_images,
)
from adapters.nmtree.trees import Parse, TreeVocabulary, trees_of
from grounders.nmtree import NMTree, NMTreeOptions
from harness.errors import InputError
from harness.files.weights import Weights
from harness.registry import GROUNDERS
from harness.training.grounder import Material
from harness.types import Annotation, Dataset, Expression, ImageInfo
from harness.words.vectors import WordVectors
from tests import small_grounders
from tests.small_grounders import BOXES, LABELS, an_image, propose, say, weights

LEFT_CUP = Parse(('left', 'cup'), ('JJ', 'NN'), ('amod', 'ROOT'), (1, -1))
DOG_BY_CUP = Parse(('dog', 'by', 'cup'), ('NN', 'IN', 'NN'), ('ROOT', 'prep', 'pobj'), (-1, 0, 1))
VOCABULARY = TreeVocabulary.build([LEFT_CUP, DOG_BY_CUP], threshold=0)
MATTNET = small_grounders.OPTIONS['mattnet']
OPTIONS = NMTreeOptions(**VOCABULARY.sizes, word_dim=4, tag_dim=2, dep_dim=2, memory_dim=3, dropout=0.1,
                        visual_dim=MATTNET.visual_dim)
OPT = opt_of(OPTIONS)
VECTORS = WordVectors('two', ('cup', 'sea'), torch.tensor([[1., 2., 3., 4.], [5., 6., 7., 8.]]))


def tree_weights(**changes) -> Weights:
    torch.manual_seed(0)
    network = NMTree(OPTIONS)
    return Weights(Path('nmtree.safetensors'), network.state_dict(),
                   metadata(OPTIONS, VOCABULARY, weights('mattnet').sha256) | changes, '')


def a_grounder() -> NMTreeGrounder:
    return NMTreeGrounder(tree_weights(), weights('mattnet'))


def test_it_is_found_by_name_and_needs_mattnet() -> None:
    assert GROUNDERS.get('nmtree') is NMTreeGrounder
    assert NMTreeGrounder.weights == 'nmtree' and NMTreeGrounder.needs == ('mattnet',)


def test_scores_are_the_networks_on_what_mattnet_sees_of_each_expression_alone() -> None:
    grounder, mattnet = a_grounder(), MAttNetGrounder(weights('mattnet'))
    expressions = say('the left cup', 'dog', 'a dog by the red cup', '')
    own = [propose(BOXES, LABELS), propose(BOXES[:1], LABELS[:1]), propose(BOXES[:1] + BOXES[2:], [0, 0, 1]),
           propose(BOXES[1:3], [1, 0])]
    scores = grounder(an_image(), expressions, own)
    for expression, proposals, got in zip(expressions, own, scores, strict=True):
        visual, = mattnet.visual(an_image(), [expression], [proposals])
        forest = VOCABULARY.forest(trees_of([expression.tokens]))
        with torch.no_grad():
            want = grounder.network(visual[None], forest).log_scores[0]
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
        assert float(got.exp().sum()) == pytest.approx(1, abs=1e-5)


def test_an_expression_without_proposals_gets_no_scores() -> None:
    grounder, none = a_grounder(), propose([], [])
    scores = grounder(an_image(), say('a', 'dog', 'b'), [none, propose(BOXES, LABELS), none])
    assert [len(s) for s in scores] == [0, 4, 0]
    assert [len(s) for s in grounder(an_image(), say('a', 'b'), [none, none])] == [0, 0]
    assert grounder(an_image(), [], []) == []


def refused(given: Weights, mattnet: Weights | None = None) -> str:
    with pytest.raises(InputError) as error:
        NMTreeGrounder(given, mattnet or weights('mattnet'))
    assert 'nmtree.safetensors' in str(error.value) and '\n' not in str(error.value)
    return str(error.value)


def test_weights_of_something_else_are_refused() -> None:
    assert "holds 'detector', not weights of NMTree" in refused(replace(tree_weights(), meta={'kind': 'detector'}))
    assert "no 'opt'" in refused(replace(tree_weights(), meta={'kind': 'nmtree'}))
    assert "'word_to_ix.cup' must be a whole number" in refused(tree_weights(word_to_ix={'cup': 'one'}))
    assert 'a vocabulary maps texts' in refused(tree_weights(word_to_ix={'cup': 1}))
    assert 'dep_to_ix' in refused(replace(tree_weights(), meta={k: v for k, v in tree_weights().meta.items()
                                                                if k != 'dep_to_ix'}))
    assert 'tag_vocab_size' in refused(tree_weights(tag_to_ix={'PAD': 0, 'UNK': 99}))
    assert '(' in refused(tree_weights(opt={**OPT, 'rnn_size': 9}))
    assert 'rnn_size' in refused(tree_weights(opt={k: v for k, v in OPT.items() if k != 'rnn_size'}))


def test_features_of_another_mattnet_are_refused() -> None:
    other = NMTree(replace(OPTIONS, visual_dim=7))
    said = refused(Weights(Path('nmtree.safetensors'), other.state_dict(),
                           metadata(replace(OPTIONS, visual_dim=7), VOCABULARY, ''), ''))
    assert '7 numbers' in said and str(OPT['vis_dim']) in said and '--weights mattnet=FILE' in said


def test_a_mattnet_of_the_same_shape_that_it_was_not_trained_with_is_refused() -> None:
    said = refused(tree_weights(mattnet_sha256='a' * 64), replace(weights('mattnet'), sha256='b' * 64))
    assert 'SHA-256 aaaaaaaaaaaa…' in said and 'mattnet.safetensors is bbbbbbbbbbbb…' in said
    assert '--weights mattnet=FILE' in said
    NMTreeGrounder(tree_weights(mattnet_sha256='b' * 64), replace(weights('mattnet'), sha256='b' * 64))
    untold = tree_weights()
    del untold.meta['mattnet_sha256']  # as convert writes
    NMTreeGrounder(untold, replace(weights('mattnet'), sha256='b' * 64))


def test_where_features_stand_for_mattnet_its_file_has_no_part(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(4, OPTIONS.visual_dim)}, tmp_path / 'f.pth')
    NMTreeGrounder(tree_weights(mattnet_sha256='a' * 64), weights('mattnet'), features=str(tmp_path / 'f.pth'))


# Image 7: cups 70 and 71 and dog 72. Image 5: dog 50 alone. The last expression's referent is not annotated.
ANNOTATIONS = {
    7: [Annotation(70, 7, (0, 0, 10, 10), 'cup'), Annotation(71, 7, (50, 0, 10, 20), 'cup'),
        Annotation(72, 7, (30, 40, 20, 20), 'dog')],
    5: [Annotation(50, 5, (5, 5, 30, 30), 'dog')],
}
SAID = [(7, 72, 'the dog by the left cup'), (5, 50, 'dog'), (7, 70, 'left cup'), (7, 99, 'cup')]


def a_dataset(split: str) -> Dataset:
    expressions = [Expression('d', split, image, i, sent, tuple(sent.split()), (0, 0, 1, 1), None, ann)
                   for i, (image, ann, sent) in enumerate(SAID)]
    return Dataset('d', {i: ImageInfo(i, 80, 100) for i in ANNOTATIONS}, expressions, ANNOTATIONS, ('cup', 'dog'))


@pytest.fixture(scope='module')
def features() -> dict:
    generator = torch.Generator().manual_seed(0)
    return {'pool5': torch.randn(4, MATTNET.pool5_dim, 7, 7, generator=generator).half(), 'ann_ids': [50, 70, 71, 72],
            'fc7': torch.randn(4, MATTNET.fc7_dim, 7, 7, generator=generator).half(), 'image_ids': [5, 7],
            'image_pool5': torch.randn(2, MATTNET.pool5_dim, 7, 7, generator=generator).half()}


def test_an_image_is_seen_with_all_its_sentences_and_annotated_boxes(features: dict) -> None:
    mattnet, dataset = MAttNetGrounder(weights('mattnet')), a_dataset('train')
    seven, five = seen_images(dataset, 'train', features, mattnet)
    assert seven.visual.shape == (2, 3, OPTIONS.visual_dim) and five.visual.shape == (1, 1, OPTIONS.visual_dim)
    assert seven.right.tolist() == [2, 0] and five.right.tolist() == [0]
    assert [parse.tokens for parse in seven.parses] == [('dog', 'by', 'left', 'cup'), ('left', 'cup')]
    split = AnnotatedSplit.of(dataset, dataset.expressions[:1], features, mattnet.vocabulary)
    batch, = annotated_choices(split)
    with torch.no_grad():
        alone = mattnet.network.ground(batch.pool5, batch.fc7, batch.places, batch.labels, batch.rows).nmtree_visual
    torch.testing.assert_close(seven.visual[0].float(), alone, rtol=1e-3, atol=1e-2)


def an_image_of(boxes: int, *sentences: tuple[Parse, int]) -> SeenImage:
    visual = torch.randn(len(sentences), boxes, OPTIONS.visual_dim).half()
    return SeenImage(visual, [parse for parse, _ in sentences], torch.tensor([right for _, right in sentences]))


def test_the_loss_is_the_mean_of_an_image_and_the_sum_of_images() -> None:
    torch.manual_seed(0)
    images = [an_image_of(3, (LEFT_CUP, 0), (DOG_BY_CUP, 2)), an_image_of(5, (LEFT_CUP, 4))]
    lessons, network = TreeLessons(images, VOCABULARY), NMTree(OPTIONS).eval()
    model = NMTreeForTraining(network).eval()
    batch = lessons.collate([lessons[0], lessons[1]])
    scores = model(**batch, mode='predict')
    assert scores.shape == (3, 5) and scores[:2, 3:].isneginf().all()
    expected = -(scores[0, 0] + scores[1, 2]) / 2 - scores[2, 4]
    torch.testing.assert_close(model(**batch)['loss'], expected)
    with pytest.raises(ValueError, match='sing'):
        model(**batch, mode='sing')


def test_accuracy_counts_sentences_whose_referent_scores_best() -> None:
    class FirstBox(torch.nn.Module):
        def forward(self, visual, forest, present):
            scores = -torch.arange(visual.shape[1], dtype=torch.float32).expand(len(visual), -1)
            return type('Scores', (), {'log_scores': scores})
    images = [an_image_of(3, (LEFT_CUP, 0), (DOG_BY_CUP, 2)), an_image_of(2, (LEFT_CUP, 0), (LEFT_CUP, 0))]
    assert choice_accuracy(FirstBox(), TreeLessons(images, VOCABULARY)) == 75


def test_training_learns_these_few_sentences() -> None:
    torch.manual_seed(0)
    images = [an_image_of(3, (LEFT_CUP, 0), (DOG_BY_CUP, 2)), an_image_of(4, (DOG_BY_CUP, 1))]
    lessons, network = TreeLessons(images, VOCABULARY), NMTree(replace(OPTIONS, memory_dim=8)).train()
    model = NMTreeForTraining(network)
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(25):
        loss = model(**lessons.collate(images))['loss']
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert choice_accuracy(network, lessons) == 100


def test_words_start_from_their_vectors() -> None:
    table = new_network(OPTIONS, VOCABULARY, VECTORS).word_embedding.weight.detach()
    assert torch.equal(table[VOCABULARY.word_to_ix['cup']], VECTORS.rows(['cup'])[0])
    others = table[[i for word, i in VOCABULARY.word_to_ix.items() if word != 'cup']]
    assert others.abs().max() <= len(table) ** -0.5 and others.std() > 0


def test_the_recipe_learns_on_what_the_trained_mattnet_sees(features: dict) -> None:
    asked: list[str] = []

    def trained(name: str) -> Weights:
        asked.append(name)
        return replace(weights(name), sha256='of this file')
    recipe = nmtree_recipe(Material(a_dataset('train'), a_dataset('val'), features, features, VECTORS, trained), seed=1)
    stage, = recipe.stages
    assert asked == ['mattnet'] and recipe.meta['mattnet_sha256'] == 'of this file'
    assert set(stage.evaluate()) == {'accuracy on annotated boxes'}
    assert stage.model(**stage.collate([stage.train_set[0], stage.train_set[1]]))['loss'].requires_grad
    again = NMTreeGrounder(Weights(Path('nmtree.safetensors'), recipe.tensors(), recipe.meta, ''),
                           trained('mattnet'))
    assert again.vocabulary.word_to_ix.keys() == {'PAD', 'dog', 'left', 'cup', 'UNK'}
