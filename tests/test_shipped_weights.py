"""What the project ships: small, complete, and each file says where it comes from."""
from __future__ import annotations

import pytest
from safetensors import safe_open

from harness.commands.one_training import REF_NMS
from harness.data.embedded_names import SPLIT_BY
from harness.files.weights import SHIPPED, load_weights, shipped_path
from harness.words.vectors import SHIPPED as VECTORS
from harness.words.vectors import load_vectors

OF_A_DATASET = (*REF_NMS, 'cmae', 'mattnet', 'nmtree')
TRAINED = ['detector', *(f'{part}-{dataset}' for part in OF_A_DATASET for dataset in SPLIT_BY)]


def test_every_file_is_one_that_a_command_trains_and_together_they_are_small() -> None:
    files = sorted(p.name for p in SHIPPED.iterdir())
    assert files == sorted([*(f'{name}.safetensors' for name in TRAINED), VECTORS.name])
    assert sum(p.stat().st_size for p in SHIPPED.iterdir()) <= 40e6


@pytest.mark.parametrize('name', TRAINED)
def test_weights_say_where_they_come_from(name: str) -> None:
    meta = load_weights(shipped_path(name)).meta
    part, _, dataset = name.partition('-mini-')
    assert meta['command'].startswith(f'python run_benchmark.py train {part}')
    assert dataset == '' or f'--dataset mini-{dataset} ' in meta['command'] + ' '
    assert isinstance(meta['seed'], int)
    assert len(meta['data_hash']) == 64 and len(meta['git_commit'].removesuffix('+changes')) == 40


@pytest.mark.parametrize('dataset', SPLIT_BY)
@pytest.mark.parametrize('part', REF_NMS)
def test_ref_nms_stores_a_threshold_that_proposes_no_more_than_greedy_on_val(part: str, dataset: str) -> None:
    meta = load_weights(shipped_path(part, dataset)).meta
    assert 0 < meta['threshold'] < 1
    assert meta['validation']['mean_proposals'] <= meta['validation']['mean_proposals_greedy']


def test_word_vectors_name_their_source_licence_and_gamma() -> None:
    with safe_open(VECTORS, framework='pt') as file:
        meta = file.metadata()
    assert 'GloVe' in meta['source'] and 'Public Domain' in meta['licence']
    assert load_vectors().gamma == float(meta['gamma']) == 0.55
