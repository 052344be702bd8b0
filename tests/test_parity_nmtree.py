"""NMTree gives the numbers of daqingliu/NMTree's own code, name for name, for trees from the file."""
import json

import numpy as np
import pytest
import torch

from adapters.nmtree.metadata import NMTreeOpt
from adapters.nmtree.trees import TreeVocabulary, from_record
from tests.reference import vector_file


@pytest.fixture(scope='module')
def vectors():
    with np.load(vector_file('nmtree.npz')) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope='module')
def described():
    return json.loads(vector_file('nmtree.json').read_text())


@pytest.fixture(scope='module')
def network(vectors, described):
    network = NMTreeOpt(**described['opt']).network()
    state = {name.removeprefix('state/'): value for name, value in vectors.items() if name.startswith('state/')}
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.fixture(scope='module')
def vocabulary(described):
    return TreeVocabulary.from_json(described)


@pytest.fixture(scope='module')
def parses(described):
    return [from_record(record, 'nmtree.json') for record in described['sentences']]


def assert_same(grounding, vectors, rows=slice(None)):
    torch.testing.assert_close(grounding.log_scores, vectors['out/log_scores'][rows], rtol=0, atol=1e-5)
    assert torch.equal(grounding.root_visual, vectors['out/root_visual'][rows])


@torch.no_grad()
def test_all_sentences_in_one_batch(network, vocabulary, parses, vectors):
    assert_same(network(vectors['in/visual'], vocabulary.forest(parses)), vectors)


@torch.no_grad()
def test_one_sentence_at_a_time(network, vocabulary, parses, vectors):
    for i, parse in enumerate(parses):
        assert_same(network(vectors['in/visual'][i:i + 1], vocabulary.forest([parse])), vectors, slice(i, i + 1))


@torch.no_grad()
def test_in_another_order_with_proposals_that_are_not_there(network, vocabulary, parses, vectors):
    turned = torch.arange(len(parses)).flip(0)
    visual = vectors['in/visual'][turned]
    padded = torch.cat([visual, torch.randn(len(visual), 3, visual.shape[2])], 1)
    present = torch.arange(padded.shape[1]).expand(len(visual), -1) < visual.shape[1]
    grounding = network(padded, vocabulary.forest([parses[i] for i in turned]), present)
    assert grounding.log_scores[:, visual.shape[1]:].isneginf().all()
    assert_same(grounding._replace(log_scores=grounding.log_scores[:, :visual.shape[1]]), vectors, turned)
