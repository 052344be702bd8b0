"""Grounding DINO as a first stage: the boxes of a list of categories, in a file that ``--candidates`` takes."""
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.clip.grounding_dino import load_grounding_dino
from harness.errors import InputError
from run_benchmark import command_line
from tests.extras.small_clip import small_clip
from tests.extras.small_grounding_dino import LAYERS, WORDS, small_grounding_dino, small_model, tokenizer

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_grounding_dino(tmp_path_factory.mktemp('grounding-dino'))


@pytest.mark.parametrize('kind', LAYERS)
def test_boxes_and_scores_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, GroundingDinoProcessor
    small_grounding_dino(tmp_path, kind)
    processor = GroundingDinoProcessor(AutoImageProcessor.from_pretrained(tmp_path, backend='pil'), tokenizer())
    inputs = processor(images=Image.fromarray(PIXELS[..., ::-1]), text='cup. wine glass. ', return_tensors='pt')
    with torch.no_grad():
        outputs = small_model(kind)(**inputs)
    theirs = processor.post_process_grounded_object_detection(outputs, threshold=0., target_sizes=[(60, 90)])[0]
    assert [WORDS[i] for i in inputs['input_ids'][0]] == ['[CLS]', 'cup', '.', 'wine', 'glass', '.', '[SEP]']
    by_word = outputs.logits[0].sigmoid()
    expected = torch.stack([by_word[:, 1], (by_word[:, 3] + by_word[:, 4]) / 2], 1)

    model = load_grounding_dino(tmp_path)
    boxes, labels, scores = model.detect(PIXELS, model.prompt(['Cup', 'wine glass']), 300)
    assert len(boxes) == 20, 'ten boxes, two categories'
    best = expected.flatten().sort(descending=True)
    assert torch.allclose(scores, best.values, atol=1e-5) and torch.equal(labels, best.indices % 2)
    limit = torch.tensor([90., 60, 90, 60])
    assert torch.allclose(boxes, theirs['boxes'].clamp(min=0).minimum(limit)[best.indices // 2], atol=1e-3)
    few = model.detect(PIXELS, model.prompt(['cup', 'wine glass']), 3)
    assert torch.equal(few[2], scores[:3])


@pytest.mark.parametrize(('categories', 'line'), [
    ([], 'reads nothing of some category'), (['cup', ' '], 'reads nothing of some category'),
    (['cup'] * 20, 'reads 32 words and parts of words, the categories have 42; name fewer by --categories FILE')])
def test_categories_that_cannot_be_read_are_refused(folder: Path, categories: list[str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        load_grounding_dino(folder).prompt(categories)


def edited(folder: Path, copy: Path, name: str, **changes: Any) -> Path:
    shutil.copytree(folder, copy)
    path = copy / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


@pytest.mark.parametrize(('name', 'changes', 'line'), [
    ('config.json', {'model_type': 'clip'}, "is 'clip', not grounding-dino or mm-grounding-dino"),
    ('config.json', {'encoder_layers': 10 ** 9}, 'encoder_layers 1000000000 must be from 1 to 1000'),
    ('config.json', {'encoder_ffn_dim': 10 ** 9}, 'its safetensors files hold'),
    ('preprocessor_config.json', {'size': {'shortest_edge': 10 ** 6, 'longest_edge': 10 ** 6}}, 'makes pictures of')])
def test_another_folder_and_one_that_claims_too_much_are_refused(folder: Path, tmp_path: Path, name: str,
                                                                 changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        load_grounding_dino(edited(folder, tmp_path / 'copy', name, **changes))


@pytest.fixture
def categories(tmp_path: Path) -> Path:
    path = tmp_path / 'categories.txt'
    path.write_text('cup\ndog\nwine glass\n')
    return path


@pytest.mark.usefixtures('small_benchmark')
def test_its_boxes_go_through_greedy_ref_nms_and_clip_nms(folder: Path, categories: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture) -> None:
    out, data = tmp_path / 'boxes.json', ['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '3']
    assert command_line(['data', 'candidates', '--model', str(folder), '--out', str(out), '--most', '25',
                         '--categories', str(categories), *data]) == 0
    rows = json.loads(out.read_text())
    images = {row['image_id'] for row in rows}
    assert len(rows) == 25 * len(images)
    assert f'{len(rows)} boxes on {len(images)} images' in capsys.readouterr().out
    assert {row['category'] for row in rows} <= {'cup', 'dog', 'wine glass'}
    clip = small_clip(tmp_path / 'clip')
    rules = ('greedy-top-n', 'ref-nms-b-100', 'clip-nms')
    tops = [argument for rule in rules for argument in ('--set', f'{rule}.top=3')]
    assert command_line(['--candidates', str(out), *data, '--proposals', ','.join(rules), *tops, '--grounder', 'cmae',
                         '--task', 'recall,rec', '--weights', f'clip={clip}', '--workers', '1', '--out',
                         str(tmp_path / 'out')]) == 0
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    assert {r['proposals'] for r in records if r['metric'] == 'accuracy'} == set(rules)
    assert all(0 < r['value'] <= 3 for r in records if r['metric'] == 'mean_proposals')


def refused(*argv: str, capsys: pytest.CaptureFixture) -> str:
    assert command_line(['data', 'candidates', *argv]) == 2
    return capsys.readouterr().err


def test_options_that_cannot_be_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = str(tmp_path / 'boxes.json')
    assert '--most 0: must be from 1' in refused('--model', str(folder), '--out', out, '--most', '0', capsys=capsys)
    assert 'there is no folder' in refused('--model', str(folder), '--out', str(tmp_path / 'no/b.json'), capsys=capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('small_benchmark')
def test_a_missing_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    said = refused('--model', str(tmp_path / 'none'), '--out', str(tmp_path / 'b.json'), '--dataset', 'mini-refcoco',
                   capsys=capsys)
    assert 'none: there is no such folder' in said
