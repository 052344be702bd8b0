"""MAttNet gives the numbers of lichengunc/MAttNet's own code, name for name and row for row."""
import json

import numpy as np
import pytest
import torch

from adapters.modular.metadata import MAttNetOpt
from grounders.modular import Rows
from grounders.visual import Places
from tests.reference import vector_file

INPUTS = ('pool5', 'fc7', 'lfeats', 'dif_lfeats', 'cxt_fc7', 'cxt_lfeats', 'labels')
OUTPUTS = ('scores', 'sub_grid_attn', 'sub_attn', 'loc_attn', 'rel_attn', 'weights', 'att_scores', 'nmtree_visual')


@pytest.fixture(scope='module')
def vectors():
    with np.load(vector_file('mattnet.npz')) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope='module')
def network(vectors):
    network = MAttNetOpt(**json.loads(vector_file('mattnet_opt.json').read_text())).network()
    state = {name.removeprefix('state/'): value for name, value in vectors.items() if name.startswith('state/')}
    network.load_state_dict(state, strict=True)
    return network.eval()


def assert_same(grounding, expected, rows=slice(None), words=None):
    for name in OUTPUTS:
        want = expected[f'out/{name}'][rows]
        if name in ('sub_attn', 'loc_attn', 'rel_attn'):
            want = want[:, :words]
        torch.testing.assert_close(getattr(grounding, name), want, rtol=0, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}')
    tied = expected['out/rel_tied'][rows]
    assert tied.gather(1, grounding.rel_ixs[:, None]).all()


@torch.no_grad()
def test_all_rows_in_one_call(network, vectors):
    assert_same(network(*(vectors[f'in/{name}'] for name in INPUTS)), vectors)


@torch.no_grad()
def test_a_row_alone_without_its_padding_gives_the_same(network, vectors):
    for i in range(len(vectors['in/labels'])):
        row = {name: vectors[f'in/{name}'][i:i + 1] for name in INPUTS}
        words = int((row['labels'] != 0).sum())
        row['labels'] = row['labels'][:, :words]
        assert_same(network(*row.values()), vectors, rows=slice(i, i + 1), words=words)


@torch.no_grad()
def test_more_padding_changes_nothing(network, vectors):
    inputs = {name: vectors[f'in/{name}'] for name in INPUTS}
    inputs['labels'] = torch.nn.functional.pad(inputs['labels'], (0, 4))
    grounding = network(*inputs.values())
    torch.testing.assert_close(grounding.scores, vectors['out/scores'], rtol=0, atol=1e-5)
    assert (grounding.sub_attn[:, -4:] == 0).all()


@torch.no_grad()
def test_every_pair_at_once_gives_what_the_pairs_give_one_by_one(network, vectors):
    """All sentences × all boxes, with each sentence, box and place encoded once."""
    inputs = {name: vectors[f'in/{name}'] for name in INPUTS}
    each = torch.arange(len(inputs['labels']))
    sentence, box = (grid.flatten() for grid in torch.meshgrid(each, each, indexing='ij'))
    places = Places.apart(*(inputs[name] for name in ('lfeats', 'dif_lfeats', 'cxt_fc7', 'cxt_lfeats')))
    together = network.ground(inputs['pool5'], inputs['fc7'], places, inputs['labels'], Rows(sentence, box, box))
    repeated = network(*(inputs[name][sentence if name == 'labels' else box] for name in INPUTS))
    for name in OUTPUTS:
        torch.testing.assert_close(getattr(together, name), getattr(repeated, name), rtol=0, atol=1e-5)
    right = together.scores.view(len(each), -1).diagonal()
    torch.testing.assert_close(right, vectors['out/scores'], rtol=0, atol=1e-5)
