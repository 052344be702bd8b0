"""Location features and context slots are those of the originals' own code."""

import numpy as np
import pytest
import torch

from adapters.modular.place_features import gather_context, place_features
from tests.reference import vector_file


@pytest.fixture(scope='module')
def cases():
    cases: dict[str, dict[str, torch.Tensor]] = {}
    with np.load(vector_file('box_features.npz')) as file:
        for name in file.files:
            case, key = name.split('/')
            cases.setdefault(case, {})[key] = torch.from_numpy(file[name])
    assert cases
    return cases


def assert_features(got, case, suffix, rows=slice(None)):
    def close(actual, expected):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)

    close(got.lfeats[rows], case['lfeats'])
    close(got.dif_lfeats[rows], case['dif_lfeats'])
    close(got.cxt_lfeats[rows], case[f'cxt_lfeats_{suffix}'])
    assert torch.equal(got.cxt_index[rows], case[f'cxt_index_{suffix}'].long())
    close(gather_context(case['fc7'], got.cxt_index[rows]), case[f'cxt_fc7_{suffix}'])


@pytest.mark.parametrize(('suffix', 'with_same_category'), [('st1', True), ('st0', False)])
def test_each_case(cases, suffix, with_same_category):
    for case in cases.values():
        got = place_features(case['boxes_xywh'], case['category'], case['image_wh'],
                           with_same_category=with_same_category)
        assert_features(got, case, suffix)


@pytest.mark.parametrize(('suffix', 'with_same_category'), [('st1', True), ('st0', False)])
def test_all_cases_padded_into_one_batch(cases, suffix, with_same_category):
    counts = torch.tensor([len(case['category']) for case in cases.values()])

    def padded(key):
        return torch.nn.utils.rnn.pad_sequence([case[key] for case in cases.values()], batch_first=True)

    present = torch.arange(int(counts.max())) < counts[:, None]
    image_wh = torch.stack([case['image_wh'] for case in cases.values()])
    got = place_features(padded('boxes_xywh'), padded('category'), image_wh,
                       with_same_category=with_same_category, present=present)
    for i, case in enumerate(cases.values()):
        one = type(got)(*(value[i] for value in got))
        assert_features(one, case, suffix, rows=slice(int(counts[i])))
