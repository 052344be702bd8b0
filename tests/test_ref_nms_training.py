"""Training Ref-NMS: what an expression samples, its losses, the optimiser, the calibrated threshold."""
import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from torch.nn import functional as F

from harness.boxes import pairwise_iou
from harness.detection.c4_head import C4Head
from harness.detection.crop import crop_and_resize
from harness.errors import InputError
from harness.files.weights import load_weights
from harness.proposals.candidates import find_candidates
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_network import RefNMS, over_threshold
from harness.proposals.ref_nms_r import RefNMSR
from harness.training.ref_nms import pooled_regions
from harness.training.ref_nms.binary_loss import choose_regions
from harness.training.ref_nms.calibration import calibrate, calibrated, rank_expressions
from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.levels import LevelSampler
from harness.training.ref_nms.options import EMBEDDED, PAPER, RELEASED
from harness.training.ref_nms.pooled_regions import (
    POOL,
    PooledRegions,
    in_pool,
    load_regions,
    pooled_split,
    save_regions,
)
from harness.training.ref_nms.region_store import store_folder
from harness.training.ref_nms.related_regions import RelatedRegions, collate
from harness.training.ref_nms.training import (
    RefNMSForTraining,
    constant_sentence,
    critical_boxes,
    heard,
    mean_loss,
    optim_wrapper,
    schedule,
    train_ref_nms,
)
from harness.types import Annotation, Dataset, Expression, ImageFeatures, ImageInfo
from harness.words.vectors import Vocabulary, WordVectors

# ------------------------------------------------------------------------------------------------- sampling

@pytest.mark.parametrize('positives, negatives, expected', [
    (20, 40, (16, 16)),  # half and half
    (3, 40, (3, 29)),  # too few positives: more negatives
    (40, 5, (27, 5)),  # too few negatives: more positives
    (0, 40, (0, 32)),
    (40, 0, (32, 0)),
    (5, 6, (5, 6)),  # too few altogether: all of them
    (16, 16, (16, 16)),
])
def test_an_expression_samples_half_positives_or_what_there_is(positives, negatives, expected):
    positive = torch.arange(positives + negatives)[None] < positives
    chosen = choose_regions(positive, 32)
    assert (int(chosen[positive].sum()), int(chosen[~positive].sum())) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=5), st.integers(1, 12))
def test_every_expression_samples_the_same_number(positive, number):
    chosen = choose_regions(torch.tensor(positive), number)
    assert chosen.sum(dim=1).tolist() == [min(number, 9)] * len(positive)


def test_every_region_of_a_kind_is_as_likely_as_another():
    positive = (torch.arange(12) < 4).expand(4000, -1)
    often = choose_regions(positive, 4, torch.Generator().manual_seed(0)).double().mean(dim=0)
    torch.testing.assert_close(often, torch.tensor([2 / 4] * 4 + [2 / 8] * 8).double(), atol=0.04, rtol=0)


# ------------------------------------------------------------------------------------------------- a small world

VOCABULARY = Vocabulary(['<unk>', 'cup', 'bowl'], torch.tensor([[0., 0, 0], [1, 0, 0], [0, 1, 0]]))
MODEL = dict(in_channels=3, planes=4, blocks=1, word_dim=3, hidden=8, mlp=16)
SIZE = 6


def expression(image_id, sent_id, word, xywh):
    return Expression('mini-refcoco', 'train', image_id, sent_id, word, (word,), xywh)


def world(images=4, boxes=10):
    """Maps whose left half says cup and whose right half says bowl; boxes of 32 pixels on either, jittered."""
    regions, groups, targets = {}, [], {}
    generator = torch.Generator().manual_seed(0)
    for i in range(images):
        feature_map = torch.zeros(3, SIZE, SIZE)
        feature_map[0, :, :3], feature_map[1, :, 3:], feature_map[2] = 1, 1, torch.rand(SIZE, SIZE, generator=generator)
        left = torch.arange(boxes) % 2 == 0
        corner = torch.stack((torch.where(left, 2., 52.), torch.full((boxes,), 20.)), dim=1)
        corner += 4 * torch.rand(boxes, 2, generator=generator)
        regions[i] = {'feature_map': feature_map.half(), 'scale': 1., 'size': (96, 96), 'labels': (~left).long(),
                      'boxes': torch.cat((corner, corner + 32), dim=1), 'det_scores': torch.full((boxes,), 0.5),
                      'evaluated': torch.arange(boxes) < boxes - 2, 'n_greedy': 2}
        groups.append([expression(i, 2 * i, 'cup', (3, 21, 32, 32)),
                       expression(i, 2 * i + 1, 'bowl', (53, 21, 32, 32))])
        targets[2 * i] = torch.tensor([[3., 21, 35, 53]])
        targets[2 * i + 1] = torch.tensor([[53., 21, 85, 53]])
    return regions, groups, targets


def training_model(**options):
    torch.manual_seed(0)
    network = RefNMS(**MODEL, **options)
    network.init_weights()
    return RefNMSForTraining(network, VOCABULARY.vectors)


def test_an_item_is_an_image_with_the_regions_that_its_expressions_use():
    regions, groups, targets = world()
    regions[1]['scale'] = 1.5
    item = RelatedRegions(groups, targets, regions, VOCABULARY, longest=10)[1]
    own = item['boxes'][item['index']] / 1.5
    assert own.shape == (2, 10, 4)  # fewer than 32: all of them
    assert torch.equal(item['labels'][0] == 1, own[0, :, 0] < 40)
    assert torch.equal(item['labels'][1] == 1, own[1, :, 0] > 40)
    assert [w.tolist() for w in item['words']] == [[1], [2]]


def test_regions_that_no_expression_samples_are_left_out():
    regions, groups, targets = world(boxes=200)
    item = RelatedRegions(groups, targets, regions, VOCABULARY, 10)[0]
    assert item['index'].shape == (2, 32)
    assert sorted(set(item['index'].flatten().tolist())) == list(range(len(item['boxes'])))


def test_a_seed_fixes_the_sample_and_none_draws_anew():
    regions, groups, targets = world(boxes=200)
    fixed, free = (RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=seed) for seed in (3, None))
    assert torch.equal(fixed[0]['boxes'], fixed[0]['boxes'])
    assert not torch.equal(free[0]['boxes'], free[0]['boxes'])
    torch.manual_seed(5)
    first = free[0]['boxes']
    torch.manual_seed(5)
    assert torch.equal(free[0]['boxes'], first)


def test_a_region_is_positive_from_an_overlap_of_0_5_with_any_target():
    regions, _, _ = world(images=1)
    regions[0]['boxes'] = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [50, 0, 60, 10]])
    item = RelatedRegions([[expression(0, 0, 'cup', (0, 0, 10, 10))]],
                          {0: torch.tensor([[0., 0, 10, 10], [50, 0, 60, 10]])}, regions, VOCABULARY, 10)[0]
    assert item['labels'][0][item['index'][0].argsort()].tolist() == [1, 1, 0, 1]


def test_sentences_are_cut_in_training():
    regions, _, targets = world(images=1)
    long = Expression('mini-refcoco', 'train', 0, 0, '', ('cup',) * 30, (3, 21, 32, 32))
    assert len(RelatedRegions([[long]], targets, regions, VOCABULARY, longest=10)[0]['words'][0]) == 10


def test_images_without_candidates_are_left_out():
    regions, groups, targets = world(images=2)
    regions[0]['boxes'] = torch.zeros(0, 4)
    assert len(RelatedRegions(groups, targets, regions, VOCABULARY, 10)) == 1


# ------------------------------------------------------------------------------------------------- loss and optimiser

def test_the_loss_is_binary_cross_entropy_over_every_expression_s_regions():
    regions, groups, targets = world(images=3)
    regions[2]['boxes'], regions[2]['scale'] = regions[2]['boxes'][:7], 0.9  # another number of regions
    items = [item for item in (RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(3))]
    model = training_model().eval()
    loss = model(**collate(items))['loss']
    logits, labels = [], []
    for item in items:  # one expression after the other, a head run each
        for words, index, label in zip(item['words'], item['index'], item['labels'], strict=True):
            crops = crop_and_resize(item['feature_map'][None].float(), item['boxes'][index])
            logits.append(model.network(model.network.encode_boxes(crops)[None], [VOCABULARY.vectors[words]])[0])
            labels.append(label)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(labels)))
    found, truth = model(**collate(items), mode='tensor')
    torch.testing.assert_close(found, torch.cat(logits))
    assert torch.equal(truth, torch.cat(labels))


def test_the_head_runs_once_a_batch():
    regions, groups, targets = world()
    items = [RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(4)]
    model, seen = training_model(), []
    model.network.head.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model(**collate(items))
    assert seen == [sum(len(i['boxes']) for i in items)]


def test_the_head_s_batch_norms_learn_unless_they_are_frozen():
    regions, groups, targets = world()
    items = [RelatedRegions(groups, targets, regions, VOCABULARY, 10)[i] for i in range(2)]
    for freeze, changed in (True, False), (False, True):
        model = RefNMSForTraining(RefNMS(**MODEL), VOCABULARY.vectors, freeze_norm=freeze).train()
        model(**collate(items))
        assert bool((model.network.head[0].bn1.running_mean != 0).any()) is changed


def test_the_optimiser_is_the_released_one():
    model = training_model()
    adam = build_optim_wrapper(model, optim_wrapper()).optimizer
    assert type(adam) is torch.optim.Adam
    rates = {id(p): (group['lr'], group['weight_decay']) for group in adam.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        expected = 2e-4 if name.startswith('network.head') else 5e-4
        assert rates[id(parameter)] == (pytest.approx(expected), 1e-3), name


def test_it_learns_which_boxes_a_word_speaks_of():
    regions, groups, targets = world()
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0)
    model = training_model(att_dropout=0.1, rank_dropout=0.1).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = mean_loss(model, images)
    for _ in range(40):
        adam.zero_grad()
        model(**collate([images[i] for i in range(4)]))['loss'].backward()
        adam.step()
    assert model.training
    assert mean_loss(model, images, batch_size=3) < 0.25 < 0.6 < before
    ranked = rank_expressions(model.network, VOCABULARY, groups, regions)
    assert all(boxes.labels[0] == (e.sent == 'bowl') for e, boxes in ranked)
    assert calibrated(ranked, regions).referent_recall == 1


# ------------------------------------------------------------------------------------------------- the threshold

def test_the_threshold_is_the_smallest_that_proposes_no_more_than_allowed():
    scores = [torch.tensor([0.9, 0.5, 0.2]), torch.tensor([0.4, 0.3])]
    assert calibrate(scores, most=2.5) == 0
    assert calibrate(scores, most=2.) == pytest.approx(0.2)  # strictly over: 3 + 1 would be 2.5 each
    assert calibrate(scores, most=1.5) == pytest.approx(0.3)
    assert calibrate(scores, most=1.) == pytest.approx(0.5)
    assert calibrate(scores, most=0.2) == pytest.approx(0.5)  # the best one always stays
    assert calibrate([torch.zeros(0), torch.tensor([0.4])], most=1) == 0
    assert calibrate([torch.tensor([0.4])], most=0.1) == 0


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), max_size=6), min_size=1, max_size=6), st.integers(0, 24))
def test_no_smaller_threshold_would_do(rows, most):
    scores = [torch.tensor(sorted(row, reverse=True)) / 20 for row in rows]
    most = most / 4

    def mean(threshold):
        return sum(len(over_threshold(InstanceData(scores=s), threshold)) for s in scores) / len(scores)

    threshold = calibrate(scores, most)
    alone = mean(float('inf'))
    assert mean(threshold) <= max(most, alone)
    for smaller in {float(v) for s in scores for v in s if v < threshold}:
        assert mean(smaller) > most


def test_calibration_is_to_greedy_s_number_on_the_same_expressions():
    regions = {1: {'n_greedy': 3}, 2: {'n_greedy': 1}}

    def boxes(*scores):
        corner = 20. * torch.arange(len(scores))
        return InstanceData(bboxes=torch.stack((corner, corner, corner + 10, corner + 10), dim=1),
                            scores=torch.tensor(scores))

    ranked = [(expression(1, 0, 'cup', (20, 20, 10, 10)), boxes(0.9, 0.8, 0.1)),
              (expression(2, 1, 'cup', (40, 40, 10, 10)), boxes(0.7, 0.6, 0.5))]
    found = calibrated(ranked, regions)
    assert (found.mean_greedy, found.mean_proposals, found.referent_recall) == (2, 2, 0.5)
    assert found.threshold == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------------- from images

def test_what_is_collected_of_an_image():
    scores = torch.full((20, 2), 0.001)
    scores[0], scores[1, 0] = torch.tensor([0.9, 0.06]), 0.7
    corner = 20. * torch.arange(40).reshape(20, 2)
    boxes = torch.stack((corner, corner, corner + 10, corner + 10), dim=-1)
    collector = ImageRegions()
    collector.add(ImageFeatures(ImageInfo(5, 100, 100), 1.5, torch.rand(1, 3, 4, 4), boxes, scores, ('a', 'b'), None))
    image = collector.collected()[5]
    assert image['feature_map'].shape == (3, 4, 4) and image['feature_map'].dtype == torch.float16
    assert len(image['boxes']) == 40  # lowered until 32 are left
    torch.testing.assert_close(image['det_scores'][image['evaluated']], torch.tensor([0.9, 0.7, 0.06]))
    assert image['n_greedy'] == 2 and image['scale'] == 1.5


def test_critical_boxes_are_the_referent_s_and_those_of_contextual_objects():
    annotations = {0: [Annotation(1, 0, (0, 0, 10, 10), 'cup'), Annotation(2, 0, (20, 0, 10, 10), 'cup'),
                       Annotation(3, 0, (40, 0, 10, 10), 'dog')]}
    dataset = Dataset('mini', {}, [expression(0, 8, 'cup', (0, 0, 10, 10))], annotations)
    vectors = WordVectors('set', ('cup', 'dog'), torch.eye(2), gamma=0.5)
    assert critical_boxes(dataset, 'train', vectors)[8].tolist() == [[0, 0, 10, 10], [20, 0, 30, 10]]


# ------------------------------------------------------------------------------------------------- the whole of it

SMALL = EMBEDDED['binary'].changed(epochs=2, batch_size=2, hidden=4, mlp=8)


def small_training(folder, seed=1, options=SMALL, collected=None, **more):
    regions, groups, _ = world(images=6)
    train_groups, val_groups = groups[:4], groups[4:]
    annotations = {i: [Annotation(2 * i, i, (3, 21, 32, 32), 'cup'), Annotation(2 * i + 1, i, (53, 21, 32, 32), 'bowl')]
                   for i in range(6)}

    def dataset(groups, split):
        members = [Expression(e.dataset, split, e.image_id, e.sent_id, e.sent, e.tokens, e.gt_xywh)
                   for group in groups for e in group]
        images = {e.image_id: ImageInfo(e.image_id, 96, 96) for e in members}
        return Dataset('mini-refcoco', images, members, annotations, data_hash='abc')

    torch.manual_seed(8)
    head = C4Head(in_channels=3, planes=4, blocks=2)
    detector = SimpleNamespace(network=SimpleNamespace(roi_head=SimpleNamespace(shared_head=head)))
    vectors = WordVectors('set', ('bowl', 'cup'), torch.eye(2, 5), gamma=0.5)
    regions = regions if collected is None else collected
    out = train_ref_nms(dataset(train_groups, 'train'), dataset(val_groups, 'val'), regions, regions, detector, vectors,
                        folder / 'ref-nms-b.safetensors', folder / 'work', command='make it', seed=seed,
                        options=options, **{'detector_hash': 'def', **more})
    return load_weights(out)


def test_a_training_gives_weights_that_the_rules_run_with(tmp_path):
    weights = small_training(tmp_path)
    assert weights.meta['vocabulary'] == ['<unk>', 'bowl', 'cup']
    assert weights.meta['model']['planes'] == 4 and weights.meta['model']['blocks'] == 2
    assert (weights.meta['command'], weights.meta['seed'], weights.meta['data_hash']) == ('make it', 1, 'abc')
    rule = RefNMSB(weights)
    assert rule.threshold == weights.meta['threshold']
    assert weights.meta['validation']['mean_proposals'] <= weights.meta['validation']['mean_proposals_greedy'] == 2


def test_a_training_can_be_repeated_to_the_bit(tmp_path):
    first, again, other = (small_training(tmp_path / name, seed) for name, seed in (('a', 1), ('b', 1), ('c', 2)))
    assert first.tensors.keys() == again.tensors.keys()
    assert all(torch.equal(value, again.tensors[name]) for name, value in first.tensors.items())
    assert first.meta['threshold'] == again.meta['threshold']
    assert not torch.equal(first.tensors['model.rank_fc.weight'], other.tensors['model.rank_fc.weight'])


# ---------------------------------------------------------------------------------------------- ranking, frozen, blind

RANKING = EMBEDDED['ranking'].changed(epochs=2, batch_size=2, hidden=4, mlp=8, lowest=6, others=2, draws='index')
BLIND = SMALL.changed(head='frozen', draws='index', text='blind')


def test_an_item_of_the_ranking_loss_has_its_number_at_each_level():
    regions, groups, targets = world(images=1)
    regions[0]['boxes'] = torch.tensor([[3., 21, 35, 53], [53, 21, 85, 53], [60, 60, 90, 90]])
    regions[0]['scale'] = 2.
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, sampler=LevelSampler(lowest=4, others=1))
    item = images[0]
    assert item['labels'].tolist() == [[0, 0, 0, 0, 1, 2, 3, 4, 5]] * 2
    for own, target in zip(item['index'], (targets[0], targets[1]), strict=True):
        overlap = pairwise_iou(item['boxes'][own] / 2, target)[:, 0]
        assert bool((overlap[:4] <= 0.4).all()), 'regions elsewhere and jittered boxes'
        assert bool(((overlap[4:] > 0.5 + 0.1 * torch.arange(5)) & (overlap[4:] <= 0.6 + 0.1 * torch.arange(5))).all())
        assert overlap[8] == 1, 'the region at the highest level is a detected one'


def test_regions_at_or_under_delta_take_no_part_where_it_is_not_lowered():
    regions, groups, targets = world(images=1)
    regions[0]['det_scores'][:8] = 0.05
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, over=0.05)
    assert torch.equal(images[0]['boxes'], regions[0]['boxes'][8:])


def test_an_image_without_candidates_is_topped_up_for_ranking():
    regions, groups, targets = world(images=1)
    regions[0]['boxes'], regions[0]['det_scores'] = torch.zeros(0, 4), torch.zeros(0)
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0, sampler=LevelSampler(2, 1), over=0.05)
    assert images[0]['boxes'].shape == (2 * 7, 4)


def test_samples_depend_on_seed_epoch_and_place_alone():
    regions, groups, targets = world(boxes=200)
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=3)
    first = images[1]['boxes']
    torch.rand(5)
    assert torch.equal(images[1]['boxes'], first)
    images.set_epoch(1)
    assert not torch.equal(images[1]['boxes'], first)


class Detected:
    """Enough of ``ImageFeatures`` for a head that is frozen."""

    def __init__(self, head):
        self.head_module = head

    def pool(self, image, boxes):
        return crop_and_resize(image.feature_map, boxes * image.scale)

    def head(self, crops):
        return self.head_module(crops)


def frozen_world(head):
    """The small world's images as a frozen head sees them."""
    regions, groups, targets = world(images=6)
    collector = PooledRegions({i: torch.cat([targets[2 * i], targets[2 * i + 1]]) for i in range(6)}, torch.float32)
    for i, image in regions.items():
        scores = torch.stack((image['labels'] == 0, image['labels'] == 1), dim=1) * image['det_scores'][:, None]
        collector.add(ImageFeatures(ImageInfo(i, 96, 96), 1., image['feature_map'][None].float(),
                                    image['boxes'][:, None].expand(-1, 2, 4), scores, ('cup', 'bowl'), Detected(head)))
    return collector.collected(), regions, groups, targets


def small_head():
    torch.manual_seed(8)
    return C4Head(in_channels=3, planes=4, blocks=2).eval()


def test_features_of_a_frozen_head_are_those_that_it_gives_in_a_run():
    head = small_head()
    pooled, regions, groups, targets = frozen_world(head)
    network = RefNMS(in_channels=3, planes=4, blocks=2, word_dim=3, hidden=8, mlp=16).eval()
    network.head.load_state_dict(head.layer4.state_dict())
    boxes = pooled[2]['boxes']
    crops = crop_and_resize(regions[2]['feature_map'][None].float(), boxes)
    torch.testing.assert_close(pooled[2]['features'], network.encode_boxes(crops).detach(), atol=1e-5, rtol=1e-4)
    assert pooled[2]['pool'].shape == (2, int(POOL.sum()), 16)


def test_jittered_boxes_of_a_frozen_head_come_from_the_pool_of_their_target_and_level():
    image = {'pool_targets': torch.tensor([[0., 0, 1, 1], [2, 2, 3, 3]]).double(),
             'pool': torch.arange(2 * int(POOL.sum())).reshape(2, -1, 1)}
    targets, levels = torch.tensor([[2., 2, 3, 3], [0, 0, 1, 1], [2, 2, 3, 3]]), torch.tensor([0, 5, 2])
    number = int(POOL.sum())
    for _ in range(20):
        first, second, third = image['pool'].flatten(0, 1)[in_pool(image, targets, levels, None), 0].tolist()
        assert number <= first < number + POOL[0]
        assert number - POOL[5] <= second < number
        assert number + POOL[0] + POOL[1] <= third < number + POOL[0] + POOL[1] + POOL[2]


def test_stored_features_are_read_again_unless_they_are_of_something_else(tmp_path):
    pooled = frozen_world(small_head())[0]
    save_regions(tmp_path / 'a.safetensors', pooled, {'data': 'abc'})
    again = load_regions(tmp_path / 'a.safetensors', {'data': 'abc'})
    assert again.keys() == pooled.keys() and again[3]['size'] == (96, 96)
    assert all(torch.equal(again[3][name], value) for name, value in pooled[3].items() if torch.is_tensor(value))
    assert load_regions(tmp_path / 'a.safetensors', {'data': 'other'}) is None
    assert load_regions(tmp_path / 'none.safetensors', {}) is None
    (tmp_path / 'a.safetensors').write_bytes(b'damaged')
    with pytest.raises(InputError, match='delete the file'):
        load_regions(tmp_path / 'a.safetensors', {'data': 'abc'})


@pytest.mark.parametrize('frozen', [True, False])
def test_the_gradient_reaches_what_is_trained_and_not_what_is_frozen(frozen):
    regions, groups, targets = world()
    network = RefNMS(**MODEL)
    network.init_weights()
    model = RefNMSForTraining(network, VOCABULARY.vectors, freeze_head=frozen, learn_vectors=not frozen).train()
    images = RelatedRegions(groups, targets, regions, VOCABULARY, 10, seed=0)
    model(**collate([images[i] for i in range(4)]))['loss'].backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith('network.head') and frozen}
    assert ('vectors' in dict(model.named_parameters())) is not frozen


@pytest.mark.parametrize('options', [
    RANKING, RANKING.changed(head='frozen'), BLIND,
    PAPER['binary'].changed(epochs=1, batch_size=4, hidden=4, mlp=8, validate_every=2),
    RELEASED['ranking'].changed(epochs=1, hidden=4, mlp=8, lowest=6, others=2, validate_every=1),
    RELEASED['binary'].changed(epochs=1, hidden=4, mlp=8, batch_size=4, head='frozen', validate_every=1)],
    ids=['ranking', 'ranking, frozen', 'blind, frozen', 'paper', 'released ranking', 'released binary, frozen'])
def test_every_kind_of_training_gives_weights_that_rules_run_with(tmp_path, options):
    collected = frozen_world(small_head())[0] if options.head == 'frozen' else None
    weights = small_training(tmp_path, options=options, collected=collected)
    assert weights.meta['options'] == options.flat and weights.meta['text'] == options.text
    assert weights.meta.get('sentence') == (weights.meta['vocabulary'][1] if options.text == 'blind' else None)
    rule = {'ranking': RefNMSR, 'binary': RefNMSB}[options.loss](weights)
    assert rule.network.relu is options.network.relu
    head = {name: value for name, value in weights.tensors.items() if name.startswith('model.head.')}
    before = small_head().layer4.state_dict()
    kept = all(torch.equal(value, before[name.removeprefix('model.head.')]) for name, value in head.items())
    assert kept is (options.head == 'frozen')
    learned = not torch.equal(weights.tensors['words'][1:], torch.eye(2, 5))
    assert learned is (options.sampling.embeddings == 'learned')


# ------------------------------------------------------------------------------------------------- candidates

def test_candidates_options_are_saved_and_the_rule_runs_with_them(tmp_path):
    """Trained with δ = 0.3 the rule has to look at boxes over 0.3 alone: its threshold was chosen for those."""
    weights = small_training(tmp_path, options=SMALL.changed(delta=0.3, delta_step=0.1, at_least=7))
    assert [weights.meta['model'][name] for name in ('delta', 'delta_step')] == [0.3, 0.1]
    assert [weights.meta['options'][name] for name in ('delta', 'delta_step', 'at_least')] == [0.3, 0.1, 7]
    rule = RefNMSB(weights)
    assert (rule.delta, rule.network.delta_step) == (0.3, 0.1)
    assert RefNMSB(weights, delta=0.2).delta == 0.2, 'a user can have another one'
    scores = torch.tensor([[0.35, 0.25], [0.1, 0.31]])
    seen = ImageFeatures(ImageInfo(0, 96, 96), 1., torch.rand(1, 3, SIZE, SIZE), torch.tensor(
        [[[0., 0, 20, 20]] * 2, [[50., 50, 80, 80]] * 2]), scores, ('cup', 'bowl'), Detected(None))
    ranked, = rule.ranked(seen, [expression(0, 0, 'cup', (0, 0, 20, 20))])
    assert sorted(ranked.det_scores.tolist()) == pytest.approx([0.31, 0.35])


def test_weights_that_say_nothing_of_candidates_mean_the_released_ones(tmp_path):
    weights = small_training(tmp_path)
    for name in ('delta', 'delta_step'):
        del weights.meta['model'][name]
    network = RefNMSB(weights).network
    assert (network.delta, network.delta_step) == (0.05, 0.005)


@pytest.mark.parametrize('name, value', [('delta', float('nan')), ('delta', 1e308), ('delta', -1), ('delta_step', 0),
                                         ('delta_step', 1e-300), ('delta_step', float('inf'))])
def test_weights_whose_candidates_cannot_be_are_refused(tmp_path, name, value):
    weights = small_training(tmp_path)
    weights.meta['model'][name] = value
    with pytest.raises(InputError, match=f"'model.{name}' must be "):
        RefNMSB(weights)


@pytest.mark.parametrize('delta, step, found', [(1e308, 0.005, 1), (2., 0.5, 1), (float('inf'), 0.1, 1)])
def test_lowering_comes_to_an_end_wherever_it_begins(delta, step, found):
    boxes, scores = torch.zeros(1, 2, 4), torch.tensor([[0.9, 0.2]])
    assert len(find_candidates(boxes, scores, delta, step)) == found


def test_a_step_that_would_take_for_ever_is_refused():
    for step in (0., 1e-9, -1., float('nan')):
        with pytest.raises(InputError, match='delta_step'):
            find_candidates(torch.zeros(1, 2, 4), torch.tensor([[0.9, 0.2]]), 0.95, step)


def test_candidates_are_found_as_a_training_s_options_say():
    how = SMALL.sampling
    assert ImageRegions.of(how).record == {'delta': 0.05, 'delta_step': 0.005, 'at_least': 32}
    other = SMALL.changed(delta=0.3, delta_step=0.1, at_least=7).sampling
    assert ImageRegions.of(other).record == {'delta': 0.3, 'delta_step': 0.1, 'at_least': 7}
    shared = RELEASED['ranking'].sampling
    assert shared.at_least == 0 and ImageRegions.of(shared).record == ImageRegions.of(how).record, 'both losses share'


def test_where_none_is_lowered_a_training_sees_the_same_however_many_were_found():
    """Of regions that were lowered until 32 are left, what does not exceed δ takes no part."""
    scores = torch.full((20, 2), 0.001)
    scores[0], scores[1, 0] = torch.tensor([0.9, 0.06]), 0.7
    corner = 20. * torch.arange(40).reshape(20, 2)
    boxes = torch.stack((corner, corner, corner + 10, corner + 10), dim=-1)
    drawn = []
    for at_least in (0, 32):
        collector = ImageRegions(at_least=at_least)
        collector.add(ImageFeatures(ImageInfo(0, 999, 999), 1., torch.rand(1, 3, 4, 4), boxes, scores, ('a', 'b'),
                                    None))
        item = RelatedRegions([[expression(0, 0, 'cup', (0, 0, 10, 10))]], {0: torch.tensor([[0., 0, 10, 10]])},
                              collector.collected(), VOCABULARY, 10, seed=0, over=0.05)[0]
        drawn.append((item['boxes'], item['index'], item['labels']))
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True)) and len(drawn[0][0]) == 3


def test_stored_features_are_of_the_options_that_they_were_made_with(tmp_path, monkeypatch):
    """A frozen head's features are made anew for other candidates, and found again for the same."""
    made = []

    class Collector(PooledRegions):
        def __init__(self, targets, dtype, regions):
            made.append(regions.record)
            super().__init__(targets, dtype, regions=regions)
    monkeypatch.setattr(pooled_regions, 'PooledRegions', Collector)
    monkeypatch.setattr(pooled_regions, 'described_images', lambda *_: [])
    vectors = WordVectors('set', ('bowl', 'cup'), torch.eye(2, 5), gamma=0.5)

    def stored(detector_hash='abc', vectors=vectors, **changes):
        pooled_split(Dataset('mini', {}, [], {}), 'train', None, vectors, tmp_path, detector_hash=detector_hash,
                     sampling=SMALL.changed(**changes).sampling)
        return len(made)
    assert [stored(), stored(), stored(delta=0.3), stored(delta_step=0.1), stored(at_least=7), stored(),
            stored(delta=0.3)] == [1, 1, 2, 3, 4, 4, 4]
    assert made[1]['delta'] == 0.3 and made[2]['delta_step'] == 0.1 and made[3]['at_least'] == 7
    assert stored(detector_hash='def') == 5
    assert stored(vectors=WordVectors('set', ('bowl', 'cup'), torch.eye(2, 5) * 2, gamma=0.5)) == 6


def test_stored_regions_are_of_the_options_that_they_were_made_with(tmp_path):
    data = Dataset('mini', {}, [], {}, data_hash='a')

    def folder(data=data, detector='d', maps=True, **changes):
        return store_folder(tmp_path, data, data, detector, ImageRegions.of(SMALL.changed(**changes).sampling), maps)
    others = [folder(), folder(delta=0.3), folder(delta_step=0.1), folder(at_least=7), folder(maps=False),
              folder(detector='e'), folder(data=Dataset('mini', {}, [], {}, data_hash='b'))]
    assert len(set(others)) == 7 and folder() == others[0] == folder(lr=1.)


# ------------------------------------------------------------------------------------------------- another recipe

def test_weights_of_another_recipe_are_not_written_under_a_new_name(tmp_path):
    first = small_training(tmp_path)
    with pytest.raises(InputError, match=r'lr was 0\.0005, is 0\.5; '):
        small_training(tmp_path, options=SMALL.changed(lr=0.5))
    with pytest.raises(InputError, match='seed was 1, is 2'):
        small_training(tmp_path, seed=2)
    with pytest.raises(InputError, match='sha256 of detector was def, is other'):
        small_training(tmp_path, detector_hash='other')
    kept = load_weights(tmp_path / 'ref-nms-b.safetensors')
    assert kept.sha256 == first.sha256 and kept.meta['options']['lr'] == 5e-4
    assert small_training(tmp_path).sha256 == first.sha256, 'the same recipe goes on'


def test_a_plateau_has_a_floor_for_every_rate_of_the_optimiser():
    for freeze in (False, True):
        torch.manual_seed(0)
        model = RefNMSForTraining(RefNMS(**MODEL), VOCABULARY.vectors, freeze_head=freeze)
        adam = build_optim_wrapper(model, optim_wrapper(4e-4, 5e-3, 0., 1e-3)).optimizer
        options = RELEASED['binary'].changed(head_lr=4e-4, lr=5e-3, rnn_lr=1e-3)
        plateau, = schedule(options, model, 100)
        assert plateau['min_value'] == pytest.approx([group['lr'] / 100 for group in adam.param_groups])


def test_a_ranking_goes_on_from_within_an_epoch_to_the_same_weights(tmp_path, monkeypatch):
    collected = frozen_world(small_head())[0]
    options = RANKING.changed(head='frozen', batch_size=1)

    def trained(folder):
        return small_training(tmp_path / folder, options=options, collected=collected, checkpoint_every=3)
    whole, steps = trained('whole'), itertools.count()
    forward = RefNMSForTraining.forward

    def die_in_the_sixth_step(self, images, mode='loss'):
        if next(steps) == 5:
            raise KeyboardInterrupt
        return forward(self, images, mode)
    monkeypatch.setattr(RefNMSForTraining, 'forward', die_in_the_sixth_step)
    with pytest.raises(KeyboardInterrupt):
        trained('killed')
    monkeypatch.undo()
    assert (tmp_path / 'killed/work/iter_3.pth').exists(), 'in the first of two epochs of four steps'
    again = trained('killed')
    assert all(torch.equal(value, again.tensors[name]) for name, value in whole.tensors.items())


def test_a_blind_network_hears_one_known_word_for_every_sentence():
    regions, groups, targets = world(images=1)
    assert constant_sentence(SMALL, VOCABULARY) is None and heard(groups, None) is groups
    deaf, = heard(groups, constant_sentence(BLIND, VOCABULARY))
    assert {e.sent for e in deaf} == {VOCABULARY.words[1]} and [e.sent_id for e in deaf] == [
        e.sent_id for e in groups[0]]
    item = RelatedRegions([deaf], targets, regions, VOCABULARY, 10)[0]
    assert [words.tolist() for words in item['words']] == [[1], [1]]
    ranked = rank_expressions(training_model().network, VOCABULARY, [deaf], regions)
    assert torch.equal(ranked[0][1].scores, ranked[1][1].scores)


def test_a_blind_network_can_learn_to_tell_boxes_apart():
    regions, groups, targets = world()
    gradient = {}
    for name, constant in (('known', constant_sentence(BLIND, VOCABULARY)), ('unknown', ())):
        torch.manual_seed(0)
        network = RefNMS(**MODEL)
        network.init_weights()
        model = RefNMSForTraining(network, VOCABULARY.vectors).train()
        images = RelatedRegions(heard(groups, constant), targets, regions, VOCABULARY, 10, seed=0)
        model(**collate([images[i] for i in range(4)]))['loss'].backward()
        gradient[name] = network.vis_r_fc[0].weight.grad.abs().sum()
    assert gradient['known'] > 0 and gradient['unknown'] == 0


def test_rates_are_told_apart_by_head_gru_and_rest():
    model = training_model()
    adam = build_optim_wrapper(model, optim_wrapper(4e-4, 5e-3, 0., 1e-3)).optimizer
    rates = {id(p): group['lr'] for group in adam.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        expected = 4e-4 if '.head.' in name else 1e-3 if '.rnn.' in name else 5e-3
        assert rates[id(parameter)] == pytest.approx(expected), name
    plateau, = schedule(RELEASED['binary'], model, 100)
    least = dict(zip((name for name, _ in model.named_parameters()), plateau['min_value'], strict=True))
    assert least['network.head.0.conv1.weight'] == pytest.approx(2e-6) and least['network.rank_fc.bias'] == 5e-6
