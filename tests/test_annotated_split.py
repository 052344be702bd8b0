"""Annotated boxes as training material: right pairs, wrong ones, and every choice among an image's boxes."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modular import annotated_split
from adapters.modular.annotated_split import AnnotatedSplit, RightAndWrong, annotated_choices
from adapters.modular.attributes import Attributes, said_of_referents
from adapters.modular.cmae_training import CMAEForTraining, new_network
from adapters.modular.mattnet_training import MAttNetForTraining
from adapters.modular.metadata import CMAEOpt
from adapters.modular.modular_training import choice_accuracy, metadata, network_options
from adapters.modular.place_features import place_features
from adapters.modular.vocabulary import ModularVocabulary
from grounders.cmae import CMAEOptions
from grounders.mattnet import MAttNet
from grounders.options import ModularOptions
from harness.errors import InputError
from harness.types import Annotation, Dataset, Expression, ImageInfo
from harness.words.vectors import WordVectors

# Image 7: cat 70, cat 71, dog 72. Image 5: dog 50 alone. Image 9: cups 90 and 91, of which only 90 is referred to.
ANNOTATIONS = {
    7: [Annotation(70, 7, (0, 0, 10, 10), 'cat'), Annotation(71, 7, (50, 0, 10, 20), 'cat'),
        Annotation(72, 7, (30, 40, 20, 20), 'dog')],
    5: [Annotation(50, 5, (5, 5, 30, 30), 'dog')],
    9: [Annotation(90, 9, (0, 0, 10, 10), 'cup'), Annotation(91, 9, (20, 0, 10, 10), 'cup')],
}
SAID = [(7, 70, 'left cat'), (7, 70, 'grey cat'), (7, 70, 'small cat'), (7, 70, 'cat one'), (7, 72, 'dog'),
        (5, 50, 'big dog'), (5, 50, 'brown dog'), (9, 90, 'red cup')]
EXPRESSIONS = [Expression('d', 'train', image, i, sent, tuple(sent.split()), (0, 0, 1, 1), ann + 1000, ann)
               for i, (image, ann, sent) in enumerate(SAID)]
DATASET = Dataset('d', {i: ImageInfo(i, 80, 100) for i in ANNOTATIONS}, EXPRESSIONS, ANNOTATIONS, ('cat', 'dog', 'cup'))
VOCABULARY = ModularVocabulary.build([e.tokens for e in EXPRESSIONS], DATASET.categories, max_length=10, threshold=0)
C, F = 3, 4


@pytest.fixture(scope='module')
def features():
    """In another order than the annotations', and with a box and an image that nobody needs."""
    generator = torch.Generator().manual_seed(0)
    ids, image_ids = [91, 72, 71, 50, 70, 33, 90], [9, 3, 5, 7]
    return {'pool5': torch.randn(7, C, 7, 7, generator=generator).half(), 'ann_ids': ids,
            'fc7': torch.randn(7, F, 7, 7, generator=generator).half(), 'image_ids': image_ids,
            'image_pool5': torch.randn(4, C, 7, 7, generator=generator).half()}


@pytest.fixture(scope='module')
def split(features):
    return AnnotatedSplit.of(DATASET, EXPRESSIONS, features, VOCABULARY)


def test_boxes_stand_image_by_image_in_order_of_first_mention(split):
    assert split.first.tolist() == [0, 3, 4] and split.count.tolist() == [3, 1, 2]
    assert split.sentence_box.tolist() == [0, 0, 0, 0, 2, 3, 3, 4]
    assert [(r.key, r.image, r.box, r.sentences.tolist()) for r in split.referents] == [
        (1070, 0, 0, [0, 1, 2, 3]), (1072, 0, 2, [4]), (1050, 1, 3, [5, 6]), (1090, 2, 4, [7])]
    assert split.of_image == [[0, 1], [2], [3]]


def test_features_are_found_by_id(split, features):
    pool5, fc7 = split.crops(torch.tensor([0, 5]))
    assert torch.equal(pool5, features['pool5'][[4, 0]].float())
    assert torch.equal(fc7, features['fc7'][[4, 0]].float())
    assert torch.equal(split.images(torch.tensor([0, 1, 2])), features['image_pool5'][[3, 2, 0]].float())
    torch.testing.assert_close(split.mean_fc7[5], features['fc7'][0].float().mean((1, 2)))


def test_features_of_any_detector_are_seven_by_seven_cells(features, tmp_path):
    """A pyramid's fully connected layer has no cells; mmdet's C4 networks cut 14 × 14."""
    pool5 = features['pool5'].repeat_interleave(2, 2).repeat_interleave(2, 3)
    fc7 = features['fc7'][:, :, 3:4, 3:4].contiguous()
    mapped = torch.from_numpy(np.memmap(tmp_path / 'fc7', np.float16, 'w+', shape=fc7.shape)).copy_(fc7)
    split = AnnotatedSplit.of(DATASET, EXPRESSIONS, {
        **features, 'pool5': pool5, 'fc7': mapped, 'image_pool5': features['image_pool5'].repeat_interleave(2, 3)},
        VOCABULARY)
    assert split.fc7.data_ptr() == mapped.data_ptr(), 'the stored array is not copied'
    seen, head = split.crops(torch.tensor([0, 5]))
    torch.testing.assert_close(seen, features['pool5'][[4, 0]].float())
    assert head.shape == (2, F, 7, 7) and torch.equal(head, fc7[[4, 0]].float().expand(-1, -1, 7, 7))
    torch.testing.assert_close(split.mean_fc7[5], fc7[0, :, 0, 0].float())
    torch.testing.assert_close(split.images(torch.tensor([1])), features['image_pool5'][[2]].float())
    pairs = RightAndWrong(split, seed=0)
    attributes = Attributes(('red',), (1,))
    model = cmae(attributes, attributes.labels([(), (), (), ('red',)]), 'erase')
    assert all(torch.isfinite(v) for v in model(**pairs.collate([pairs[i] for i in range(3)])).values())


def test_means_are_the_same_however_many_are_taken_at_once(split, features, monkeypatch):
    monkeypatch.setattr(annotated_split, 'ROWS_AT_ONCE', 2)
    assert torch.equal(AnnotatedSplit.of(DATASET, EXPRESSIONS, features, VOCABULARY).mean_fc7, split.mean_fc7)


def test_places_are_those_of_each_image_alone(split):
    for image, annotations in enumerate(ANNOTATIONS.values()):
        boxes = torch.tensor([a.xywh for a in annotations])
        categories = torch.tensor([hash(a.category) for a in annotations])
        alone = place_features(boxes, categories, (100, 80))
        rows = torch.arange(len(annotations)) + split.first[image]
        places = split.places(rows)
        assert torch.equal(places.lfeats, alone.lfeats)
        assert torch.equal(places.dif_lfeats, alone.dif_lfeats)
        assert torch.equal(places.cxt_lfeats, alone.cxt_lfeats)
        assert torch.equal(places.cxt_index < 0, alone.cxt_index < 0)
        held = torch.where(alone.cxt_index < 0, -1, alone.cxt_index + split.first[image])
        filled = alone.cxt_index >= 0
        assert torch.equal(places.neighbours[places.cxt_index[filled]], split.mean_fc7[held[filled]])


def test_missing_features_are_named(features):
    with pytest.raises(InputError, match='annotation 91'):
        AnnotatedSplit.of(DATASET, EXPRESSIONS, {**features, 'ann_ids': [0, 72, 71, 50, 70, 33, 90]}, VOCABULARY)
    with pytest.raises(InputError, match='instances.json'):
        AnnotatedSplit.of(Dataset('d', {}, []), EXPRESSIONS, features, VOCABULARY)


def test_three_right_pairs_a_referent(split):
    item = RightAndWrong(split, seed=0)[0]
    assert item['box'].tolist() == [0, 0, 0, 2, 2, 2]
    assert len(set(item['sentence'][:3])) == 3 and set(item['sentence'][:3]) <= {0, 1, 2, 3}
    assert item['sentence'][3:].tolist() == [4, 4, 4]
    assert item['referent'].tolist() == [0, 0, 0, 1, 1, 1]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(0, 50))
def test_wrong_ones_are_wrong_and_from_the_image_where_it_has_any(seed, epoch):
    generator = torch.Generator().manual_seed(0)
    features = {'pool5': torch.randn(6, C, 7, 7, generator=generator), 'ann_ids': [70, 71, 72, 50, 90, 91],
                'fc7': torch.randn(6, F, 7, 7, generator=generator), 'image_ids': [7, 5, 9],
                'image_pool5': torch.zeros(3, C, 7, 7)}
    split = AnnotatedSplit.of(DATASET, EXPRESSIONS, features, VOCABULARY)
    pairs = RightAndWrong(split, seed)
    pairs.set_epoch(epoch)
    cats = pairs[0]
    assert set(cats['other_box'][:3]) <= {1, 2} and set(cats['other_box'][3:]) <= {0, 1}
    assert set(cats['other_sentence'][:3]) == {4}
    assert set(cats['other_sentence'][3:]) <= {0, 1, 2, 3}


def test_look_alikes_come_with_the_sample_ratio(split):
    pairs = RightAndWrong(split, seed=0)
    drawn = []
    for epoch in range(400):
        pairs.set_epoch(epoch)
        drawn += pairs[0]['other_box'][:3].tolist()
    assert abs(np.mean([box == 1 for box in drawn]) - .3) < .05


def test_draws_depend_on_seed_epoch_and_image_alone(split):
    def drawn(seed, epoch, image):
        pairs = RightAndWrong(split, seed)
        pairs.set_epoch(epoch)
        return {name: column.tolist() for name, column in pairs[image].items()}

    again = RightAndWrong(split, 3)
    again.set_epoch(2)
    again[1]
    assert {name: column.tolist() for name, column in again[0].items()} == drawn(3, 2, 0)
    assert any(drawn(3, 2, 0) != drawn(seed, epoch, 0) for seed, epoch in ((4, 2), (3, 1)))


def test_a_batch_holds_each_box_and_sentence_once(split):
    pairs = RightAndWrong(split, seed=0)
    items = [pairs[0], pairs[2], pairs[1]]
    batch = pairs.collate(items)
    got = batch['pairs']
    joined = {name: torch.from_numpy(np.concatenate([item[name] for item in items])) for name in items[0]}
    for boxes, name in ((got.box, 'box'), (got.other_box, 'other_box')):
        assert torch.equal(got.pool5[boxes], split.crops(joined[name])[0])
    for sentences, name in ((got.sentence, 'sentence'), (got.other_sentence, 'other_sentence')):
        wanted = split.labels[joined[name]][:, :got.labels.shape[1]]
        assert torch.equal(got.labels[sentences], wanted)
        assert torch.equal(got.image_pool5[got.sentence_image[sentences]], split.images(joined['image']))
    assert len(got.pool5) == len(set(joined['box'].tolist() + joined['other_box'].tolist()))
    assert len(got.labels) == len({*zip(joined['sentence'].tolist(), joined['image'].tolist(), strict=True),
                                   *zip(joined['other_sentence'].tolist(), joined['image'].tolist(), strict=True)})
    named = [split.referents[r].box for r in batch['referent'].tolist()]
    assert batch['referent'].tolist() == [0, 1, 2, 3]
    assert torch.equal(got.pool5[batch['named_box']], split.crops(torch.tensor(named))[0])


@pytest.mark.parametrize('images_a_batch', [1, 2, 16])
def test_choices_are_every_sentence_with_every_box_of_its_image(split, images_a_batch):
    seen = []
    for batch in annotated_choices(split, images_a_batch):
        for s in range(len(batch.labels)):
            mine = (batch.rows.sentence == s).nonzero().flatten()
            words = ' '.join(VOCABULARY.words[w] for w in batch.labels[s].tolist() if w)
            right = batch.rows.box[batch.right[s]]
            seen.append((words, len(mine), batch.pool5[right].sum().item()))
    wanted = [(sent, len(ANNOTATIONS[image]), split.crops(split.sentence_box[i:i + 1])[0].sum().item())
              for i, (image, _, sent) in enumerate(SAID)]
    assert sorted(seen) == sorted(wanted)


WIDTHS = dict(embedding_dim=5, word_dim=8, joint_dim=8, rnn_dim=4)
STILL = dict(word_dropout=0., visual_dropout=0., joint_dropout=0.)


def cmae(attributes, said, stage):
    options = network_options(CMAEOptions, VOCABULARY, attributes, C, F, pretrained_dim=2, image_hidden_dim=4, **WIDTHS,
                              **STILL)
    return CMAEForTraining(new_network(options), attributes, said, stage)


def mattnet(attributes, said):
    options = network_options(ModularOptions, VOCABULARY, attributes, C, F, **WIDTHS, **STILL)
    return MAttNetForTraining(MAttNet(options), attributes, said)


@pytest.mark.parametrize('model_of', [
    mattnet, lambda *said: cmae(*said, 'attention'), lambda *said: cmae(*said, 'erase')],
    ids=['mattnet', 'attention', 'erase'])
def test_training_learns_these_few_pairs(split, model_of):
    torch.manual_seed(0)
    attributes = Attributes.choose([('grey', 'small'), ('big', 'brown'), ('red',), ('red',)])
    model = model_of(attributes, attributes.labels([('grey', 'small'), (), ('big', 'brown'), ('red',)])).train()
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    pairs, losses = RightAndWrong(split, seed=0), []
    for epoch in range(60):
        pairs.set_epoch(epoch)
        out = model(**pairs.collate([pairs[i] for i in range(3)]))
        optimiser.zero_grad()
        sum(out.values()).backward()
        optimiser.step()
        losses.append((out['loss_rank'].item(), out['loss_att'].item()))
    before, after = np.mean(losses[:5], 0), np.mean(losses[-5:], 0)
    assert after[0] < .5 * before[0] and after[1] < before[1]
    assert model(**pairs.collate([pairs[0]]), mode='predict').shape == (2, 6)
    assert 0 <= choice_accuracy(model, split) <= 100


def test_accuracy_counts_sentences_whose_referent_scores_best(split):
    class Knows(torch.nn.Module):
        """Scores by the first location feature: the leftmost box wins."""

        def score(self, batch):
            return -batch.places.lfeats[batch.rows.place, 0]

    # Right for the 4 sentences of cat 70, for both of dog 50 and for cup 90; wrong for dog 72.
    assert choice_accuracy(Knows(), split) == pytest.approx(100 * 7 / 8)
    assert choice_accuracy(Knows(), split, images_a_batch=1) == pytest.approx(100 * 7 / 8)


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(TypeError, match='hiden'):
        network_options(ModularOptions, VOCABULARY, Attributes((), ()), C, F, hiden=3)


def test_metadata_builds_the_network_and_vocabulary_again():
    attributes = Attributes(('red',), (2,))
    options = network_options(CMAEOptions, VOCABULARY, attributes, C, F, pretrained_dim=2, **WIDTHS)
    meta = metadata('cmae', options, VOCABULARY, attributes)
    assert CMAEOpt(**meta['opt']).options == options
    again = new_network(options, torch.ones(len(VOCABULARY), 2))
    assert (again.rnn_encoder.embedding2.weight == 1).all()
    assert ModularVocabulary.from_json(meta['vocabulary']) == VOCABULARY


def test_a_vocabulary_keeps_frequent_words_and_category_names():
    sentences = [('red', 'dog')] * 3 + [('red', 'cat'), ('blue',)]
    vocabulary = ModularVocabulary.build(sentences, ['dog', 'potted plant'], max_length=2, threshold=2)
    assert vocabulary.words == ('<PAD>', '<UNK>', 'red', 'dog', 'plant', 'potted')
    assert vocabulary.encode([('red', 'dog', 'plant'), ('blue',), ()]).tolist() == [[2, 3], [1, 0], [1, 0]]
    assert vocabulary.encode([]).shape == (0, 1)


def test_words_get_their_pretrained_vectors():
    vectors = WordVectors('v', ('red', 'dog'), torch.tensor([[1., 2.], [3., 4.]]))
    rows = ModularVocabulary(('<PAD>', '<UNK>', 'dog', 'cat', 'red'), 10).rows(vectors)
    assert rows.tolist() == [[0, 0], [0, 0], [3, 4], [0, 0], [1, 2]]


def test_a_vocabulary_without_its_marks_is_refused():
    for words in ((), ('<UNK>', 'a'), ('<PAD>', 'a'), ('<PAD>', '<UNK>', 'a', 'a')):
        with pytest.raises(ValueError, match='<PAD>'):
            ModularVocabulary(words, 10)


def test_attributes_are_adjectives_that_say_what_a_referent_is_like():
    parts = {'left': 'JJ', 'grey': 'JJ', 'small': 'JJ', 'one': 'CD', 'big': 'JJ', 'brown': 'JJ', 'red': 'JJ'}
    said = said_of_referents(EXPRESSIONS, ['red'], lambda sents: [[parts.get(w, 'NN') for w in s] for s in sents])
    assert said == {1070: ('grey', 'small'), 1072: (), 1050: ('big', 'brown'), 1090: ()}


def test_a_word_that_is_mostly_a_noun_is_no_attribute():
    alone_is_adjective = {('dog',): ['JJ']}
    said = said_of_referents(EXPRESSIONS, [], lambda sents: [alone_is_adjective.get(s, ['NN'] * len(s)) for s in sents])
    assert set(said.values()) == {()}


def test_the_most_frequent_attributes_are_chosen():
    attributes = Attributes.choose([('red', 'big'), ('big', 'old'), ('red', 'big', 'big')], top=2)
    assert attributes == Attributes(('big', 'red'), (3, 2))
    assert attributes.labels([('red', 'old'), ()]).tolist() == [[0, 1], [0, 0]]


def test_spacy_finds_adjectives():
    said = said_of_referents(EXPRESSIONS[5:], ['dog', 'cup'])
    assert said[1050] == ('big', 'brown')
