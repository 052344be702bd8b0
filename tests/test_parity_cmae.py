"""CM-A-E gives the numbers of ChopinSharp/CM-Erase-REG's own code, name for name and row for row."""
import json

import numpy as np
import pytest
import torch

from adapters.modular.metadata import CMAEOpt
from grounders.modular import Rows
from grounders.visual import Places
from tests.reference import vector_file

INPUTS = ('pool5', 'fc7', 'lfeats', 'dif_lfeats', 'cxt_fc7', 'cxt_lfeats', 'labels', 'img_pool5')
OUTPUTS = ('scores', 'sub_grid_attn', 'sub_attn', 'loc_attn', 'rel_attn', 'weights', 'att_scores', 'sub_scores')


@pytest.fixture(scope='module')
def vectors():
    with np.load(vector_file('cmae.npz')) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope='module')
def network(vectors):
    network = CMAEOpt(**json.loads(vector_file('cmae_opt.json').read_text())).network()
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
    n, slots = inputs['cxt_fc7'].shape[:2]
    each = torch.arange(n)
    sentence, box = (grid.flatten() for grid in torch.meshgrid(each, each, indexing='ij'))
    places = Places(inputs['lfeats'], inputs['dif_lfeats'], torch.arange(n * slots).view(n, slots),
                    inputs['cxt_lfeats'], inputs['cxt_fc7'].flatten(0, 1))
    together = network.ground(inputs['pool5'], inputs['fc7'], places, inputs['labels'], inputs['img_pool5'], each,
                              Rows(sentence, box, box))
    repeated = network(*(inputs[name][sentence if name in ('labels', 'img_pool5') else box] for name in INPUTS))
    torch.testing.assert_close(together.scores, repeated.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.sub_grid_attn, repeated.sub_grid_attn, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.att_scores, repeated.att_scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.scores.view(n, n).diagonal(), vectors['out/scores'], rtol=0, atol=1e-5)
