"""Ref-NMS against the released predictor, run on seeded weights (``refnms.npz``)."""
import importlib.util
import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from harness.detection.crop import crop_and_resize
from harness.proposals.nms import class_wise_nms
from harness.proposals.ref_nms_network import RefNMS
from tests.reference import vector_file


@pytest.fixture(scope='module')
def reference():
    with np.load(vector_file('refnms.npz')) as arrays:
        return dict(arrays)


@pytest.fixture(scope='module')
def network(reference):
    spec = importlib.util.spec_from_file_location('recipe', vector_file('recipe.py'))
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    shapes = json.loads(vector_file('refnms_state_shapes.json').read_text())
    state = recipe.fill(shapes, int(reference['seed']))
    state['rank_fc.weight'] = state['rank_fc.weight'] * reference['in/rank_fc_weight_factor']
    state['rank_fc.bias'] = np.broadcast_to(reference['in/rank_fc_bias'], state['rank_fc.bias'].shape).copy()
    planes, in_channels = shapes['head.0.conv1.weight'][:2]
    network = RefNMS(
        in_channels=in_channels, planes=planes,
        blocks=len({name.split('.')[1] for name in shapes if name.startswith('head.')}),
        word_dim=shapes['rnn.weight_ih_l0'][1], hidden=shapes['rnn.weight_hh_l0'][1],
        mlp=shapes['vis_r_fc.0.weight'][0])
    network.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()}, strict=True)
    return network.eval()


@pytest.fixture(scope='module')
def pooled(reference):
    boxes = torch.from_numpy(reference['in/boxes']) * torch.from_numpy(reference['in/scale'])
    return crop_and_resize(torch.from_numpy(reference['in/head']).float(), boxes)


@pytest.fixture(scope='module')
def sentences(reference):
    count = sum(name.startswith('in/words_') for name in reference)
    return [torch.from_numpy(reference[f'in/words_{i}']) for i in range(count)]


@pytest.fixture(scope='module')
def candidates(reference):
    return InstanceData(bboxes=torch.from_numpy(reference['in/boxes']), labels=torch.from_numpy(reference['in/class']),
                        det_scores=torch.from_numpy(reference['in/confidence']))


@pytest.fixture(scope='module')
def box_features(network, pooled):
    with torch.no_grad():
        return network.encode_boxes(pooled)


def category_by_category(labels, scores, index):
    """The reference's order: classes ascending, best first in each."""
    return sorted(index.tolist(), key=lambda i: (int(labels[i]), -float(scores[i])))


def test_crops(reference, pooled):
    sample = reference['out/roi_sample']
    np.testing.assert_allclose(pooled.mean(dim=(1, 2, 3)), reference['out/roi_mean'], atol=1e-4)
    np.testing.assert_allclose(pooled[:sample.shape[0], :sample.shape[1]], sample, atol=1e-4)


def test_relatedness_of_all_expressions_together(reference, network, box_features, sentences):
    with torch.no_grad():
        relatedness = network.relatedness(box_features, sentences)
    for i, row in enumerate(relatedness):
        np.testing.assert_allclose(row, reference[f'out/relatedness_{i}'], atol=1e-4)


def test_the_paper_s_form_gives_the_same(reference, network, box_features, sentences):
    with torch.no_grad():
        logits = network(box_features.expand(len(sentences), -1, -1), sentences)
    for i, row in enumerate(logits.sigmoid()):
        np.testing.assert_allclose(row, reference[f'out/relatedness_{i}'], atol=1e-4)


def test_proposals(reference, network, box_features, sentences, candidates):
    for i, ranked in enumerate(network.predict(box_features, candidates, sentences)):
        scores = torch.zeros(len(candidates)).scatter(0, ranked.index, ranked.scores)
        order = category_by_category(candidates.labels, scores, ranked.index)
        assert order == reference[f'out/kept_index_{i}'].tolist()
        assert candidates.labels[order].tolist() == reference[f'out/kept_class_{i}'].tolist()
        np.testing.assert_allclose(scores[order], reference[f'out/kept_score_{i}'], atol=1e-4)
        assert ranked.scores.tolist() == sorted(ranked.scores.tolist(), reverse=True)
        assert torch.equal(ranked.scores, ranked.relatedness * ranked.det_scores)


def test_suppression_on_confidence_alone(reference, candidates):
    kept = class_wise_nms(candidates.bboxes, candidates.labels, candidates.det_scores, 0.3).nonzero()[:, 0]
    order = category_by_category(candidates.labels, candidates.det_scores, kept)
    assert order == reference['out/greedy_kept_index'].tolist()
