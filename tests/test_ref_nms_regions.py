"""What a training of Ref-NMS sees of each image: candidates, a frozen head's features, and both in files."""
import pytest
import torch

from harness.detection.crop import crop_and_resize
from harness.errors import InputError
from harness.proposals.candidates import find_candidates
from harness.proposals.ref_nms import RefNMSB
from harness.proposals.ref_nms_network import RefNMS
from harness.training.ref_nms import pooled_regions
from harness.training.ref_nms.image_regions import ImageRegions
from harness.training.ref_nms.jitter_pool import KEPT_POOL
from harness.training.ref_nms.options import RELEASED
from harness.training.ref_nms.pooled_regions import (
    PooledRegions,
    load_regions,
    pooled_split,
    save_regions,
)
from harness.training.ref_nms.region_store import store_folder
from harness.training.ref_nms.related_regions import RelatedRegions
from harness.types import Dataset, ImageFeatures, ImageInfo
from harness.words.vectors import WordVectors
from tests.small_ref_nms import SIZE, SMALL, VOCABULARY, Detected, expression, frozen_world, small_head, small_training


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


def test_features_of_a_frozen_head_are_those_that_it_gives_in_a_run():
    head = small_head()
    pooled, regions, groups, targets = frozen_world(head)
    network = RefNMS(in_channels=3, planes=4, blocks=2, word_dim=3, hidden=8, mlp=16).eval()
    network.head.load_state_dict(head.layer4.state_dict())
    boxes = pooled[2]['boxes']
    crops = crop_and_resize(regions[2]['feature_map'][None].float(), boxes)
    torch.testing.assert_close(pooled[2]['features'], network.encode_boxes(crops).detach(), atol=1e-5, rtol=1e-4)
    assert pooled[2]['pool'].shape == (2, KEPT_POOL.size, 16)


def test_jittered_boxes_of_a_frozen_head_come_from_the_pool_of_their_target_and_level():
    among = torch.tensor([[0., 0, 1, 1], [2, 2, 3, 3]])
    targets, levels = torch.tensor([[2., 2, 3, 3], [0, 0, 1, 1], [2, 2, 3, 3]]), torch.tensor([0, 5, 2])
    for _ in range(20):
        first, second, third = KEPT_POOL.drawn(among, targets, levels, None).tolist()
        assert 46 <= first < 46 + 16
        assert 46 - 6 <= second < 46
        assert 46 + 16 + 6 <= third < 46 + 16 + 6 + 6


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


def test_processes_that_train_together_can_all_write_the_same_features(tmp_path, monkeypatch):
    pooled, path, meta = frozen_world(small_head())[0], tmp_path / 'a.safetensors', {'data': 'abc'}
    save = pooled_regions.save_file

    def while_another_does(*what, **more):
        save(*what, **more)
        monkeypatch.setattr(pooled_regions, 'save_file', save)
        monkeypatch.setattr(pooled_regions.os, 'getpid', lambda: 2)
        save_regions(path, pooled, meta)
    monkeypatch.setattr(pooled_regions, 'save_file', while_another_does)
    save_regions(path, pooled, meta)
    assert load_regions(path, meta).keys() == pooled.keys() and list(tmp_path.iterdir()) == [path]


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
        return store_folder(tmp_path, data, data, detector, ImageRegions.of(SMALL.changed(**changes).sampling),
                            {'maps': maps})
    others = [folder(), folder(delta=0.3), folder(delta_step=0.1), folder(at_least=7), folder(maps=False),
              folder(detector='e'), folder(data=Dataset('mini', {}, [], {}, data_hash='b'))]
    assert len(set(others)) == 7 and folder() == others[0] == folder(lr=1.)
