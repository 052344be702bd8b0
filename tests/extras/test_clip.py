"""CLIP and SigLIP as a grounder and as the relatedness of a rule: what they see, what they read, how they score."""
from __future__ import annotations

import json
import shutil
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import InstanceData
from PIL import Image

from adapters.clip.grounder import ClipGrounder
from adapters.clip.network import load_image_text
from adapters.clip.pictures import BLUR, views, whole_pixels
from adapters.clip.rule import ClipNMS
from harness.errors import InputError
from harness.evaluation.asked import grounders_of
from harness.evaluation.request import Request
from harness.files.weight_folder import load_folder
from harness.files.weights import Weights
from harness.proposals.nms import class_wise_nms
from harness.types import Expression, ImageFeatures, ImageInfo
from run_benchmark import command_line
from tests.extras.small_clip import SIDE, small_clip, small_model, tokenizer

KINDS = ('clip', 'siglip')
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS[..., ::-1])
BOXES = torch.tensor([[3., 5, 40, 30], [20, 10, 70, 58], [0, 0, 80, 60], [50, 2, 51, 3]])


@pytest.fixture(scope='module', params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_clip(tmp_path_factory.mktemp(kind), kind)


@pytest.fixture(scope='module')
def weights(folder: Path) -> Weights:
    return load_folder(folder)


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_clip(tmp_path_factory.mktemp('clip'))


def an_image(scores: list[list[float]] | None = None) -> ImageFeatures:
    """The picture; the candidates are the boxes, one a region."""
    boxes = BOXES[:, None].expand(-1, 2, -1)
    return ImageFeatures(ImageInfo(1, 60, 80), 1.0, torch.zeros(1, 3, 4, 5), boxes,
                         torch.tensor(scores or [[.9, .01]] * len(BOXES)), ('cup', 'dog'), None, pixels=PIXELS)


def said(*sentences: str) -> list[Expression]:
    return [Expression('d', 'val', 1, i, sent, tuple(sent.split()), (0, 0, 1, 1)) for i, sent in enumerate(sentences)]


def proposed(*rows: int) -> InstanceData:
    return InstanceData(bboxes=BOXES[list(rows)])


def logits_of_transformers(kind: str, folder: Path, pictures: list[Image.Image], sentences: list[str]) -> torch.Tensor:
    """``(pictures, sentences)`` by transformers' own processor and model."""
    from transformers import AutoImageProcessor
    pixels = AutoImageProcessor.from_pretrained(folder, backend='pil')(images=pictures, return_tensors='pt')
    how = {'padding': 'max_length', 'max_length': 16} if kind == 'siglip' else {'padding': True}
    words = tokenizer()(sentences, return_tensors='pt', **how)
    mask = {} if kind == 'siglip' else {'attention_mask': words['attention_mask']}
    with torch.no_grad():
        return small_model(kind)(input_ids=words['input_ids'], pixel_values=pixels['pixel_values'],
                                 **mask).logits_per_image


# Parity with transformers.

@pytest.mark.parametrize('square', [False, True])
def test_the_scores_are_those_of_transformers_on_the_same_crops(kind: str, folder: Path, weights: Weights,
                                                                square: bool) -> None:
    sentences = ['the red cup', 'left dog', 'man']
    crops = [PICTURE.crop(whole_pixels(box, (80, 60))) for box in BOXES.numpy()]
    if square:
        crops = [crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC) for crop in crops]
    expected = logits_of_transformers(kind, folder, crops, [f'a photo of {one}' for one in sentences])
    scores = ClipGrounder(weights, isolate='crop', square=square)(
        an_image(), said(*sentences), [proposed(0, 1, 2, 3)] * 3)
    assert torch.allclose(torch.stack(scores), expected.T, atol=1e-5, rtol=0)
    assert expected.std() > .05, 'the comparison means something'


def test_pictures_of_a_box_are_summed_and_neutral_sentences_taken_off(kind: str, folder: Path,
                                                                      weights: Weights) -> None:
    shown = list(views(PICTURE, BOXES[:2].numpy(), ('crop', 'blur', 'circle'), SIDE, True))
    logits = logits_of_transformers(kind, folder, shown, ['this is red cup', 'this is dog', 'this is the man'])
    expected = (logits[:, 0] - logits[:, 1:].mean(1)).view(2, 3).sum(1)
    score, = ClipGrounder(weights, isolate='crop+blur+circle', prompt='this is {}', neutral='dog; the man;')(
        an_image(), said('red cup'), [proposed(0, 1)])
    assert torch.allclose(score, expected, atol=1e-5, rtol=0)


def test_capital_letters_do_not_count_and_a_long_sentence_is_read_up_to_its_limit(weights: Weights) -> None:
    grounder = ClipGrounder(weights)
    small, capital = grounder(an_image(), said('red cup', 'Red Cup'), [proposed(0, 1)] * 2)
    assert torch.equal(small, capital)
    one, other = grounder(an_image(), said('cup ' * 60, 'cup ' * 61), [proposed(0, 1)] * 2)
    assert torch.equal(one, other)


# What is looked at and read, and how often.

def test_a_box_is_looked_at_once_and_a_sentence_read_once(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    grounder, rule, image = ClipGrounder(weights), ClipNMS(weights), an_image()
    network = grounder.score._showing.network
    assert network is rule.score._showing.network
    looked, heard = [], []
    look, hear = network.model.get_image_features, network.model.get_text_features
    monkeypatch.setattr(network.model, 'get_image_features', lambda pixels: looked.append(len(pixels)) or look(pixels))
    monkeypatch.setattr(network.model, 'get_text_features',
                        lambda ids, **mask: heard.append(len(ids)) or hear(ids, **mask))
    expressions = said('red cup', 'dog', 'red cup')
    rule(image, expressions)
    grounder(image, expressions, [proposed(0, 1), proposed(1, 3), proposed()])
    assert looked == [8], 'four boxes, cut out and among what is blurred'
    assert heard == [2]


@given(rows=st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=4), batch=st.integers(1, 9))
def test_the_score_of_a_box_depends_on_nothing_but_box_and_sentence(clip: Path, rows: list[list[int]],
                                                                    batch: int) -> None:
    weights = load_folder(clip)
    alone, = ClipGrounder(weights)(an_image(), said('red cup'), [proposed(0, 1, 2, 3)])
    scores = ClipGrounder(weights, batch=batch)(an_image(), said(*['red cup'] * len(rows)),
                                                [proposed(*own) for own in rows])
    for own, score in zip(rows, scores, strict=True):
        assert torch.allclose(score, alone[own], atol=1e-4)


def test_without_proposals_nothing_is_looked_at(weights: Weights) -> None:
    assert [len(s) for s in ClipGrounder(weights)(an_image(), said('cup', 'dog'), [proposed(), proposed()])] == [0, 0]


def test_a_run_without_pictures_is_told_so(weights: Weights) -> None:
    image = an_image()
    image.pixels = None
    with pytest.raises(InputError, match='CLIP looks at the picture itself; give the images'):
        ClipGrounder(weights)(image, said('cup'), [proposed(0)])


def test_spatial_words_choose_among_boxes_that_look_alike(weights: Weights) -> None:
    image = an_image()
    image.pixels = np.full_like(PIXELS, 99)
    boxes = [InstanceData(bboxes=torch.tensor([[50., 10, 70, 30], [5, 10, 25, 30], [30, 10, 50, 30]]))] * 3
    sentences = said('the left cup', 'cup', 'cup on the right')
    left, cup, right = ClipGrounder(weights, spatial=True)(image, sentences, boxes)
    assert (left.argmax(), right.argmax()) == (1, 0)
    assert cup.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3) and cup.dtype == torch.double


# Pictures of a box.

def test_a_box_is_of_whole_pixels_inside_the_image_and_never_empty() -> None:
    assert whole_pixels(np.array([3.4, 5.6, 40.2, 30.7]), (80, 60)) == (3, 6, 40, 31)
    assert whole_pixels(np.array([-5, -5, 900, 900.]), (80, 60)) == (0, 0, 80, 60)
    assert whole_pixels(np.array([100, 100, 120, 120.]), (80, 60)) == (79, 59, 80, 60)
    assert whole_pixels(np.array([10.1, 10.1, 10.3, 10.3]), (80, 60)) == (10, 10, 11, 11)


def test_outside_a_box_the_image_is_blurred() -> None:
    shown, = views(PICTURE, np.array([[10, 20, 30, 40.]]), ('blur',), SIDE, False)
    inside, outside = np.zeros((60, 80), bool), np.asarray(shown)
    inside[20:41, 10:31] = True  # the far edge is drawn too
    assert (outside[inside] == np.asarray(PICTURE)[inside]).all()
    assert outside[~inside].std() < 20 < np.asarray(PICTURE)[~inside].std()
    assert BLUR == 100


def test_a_circle_is_red_and_fills_its_box() -> None:
    shown, = views(Image.new('RGB', (320, 320)), np.array([[100, 60, 200, 260.]]), ('circle',), SIDE, False)
    rows, columns = np.nonzero(np.asarray(shown)[..., 0])
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (100, 60, 200, 260)
    assert set(map(tuple, np.asarray(shown).reshape(-1, 3).tolist())) == {(0, 0, 0), (255, 0, 0)}
    assert np.asarray(shown)[160, 100:130, 0].astype(bool).sum() == 20, '2 pixels at the size of the input, 32'


def test_a_square_picture_is_of_the_size_of_the_input() -> None:
    made = list(views(PICTURE, BOXES.numpy(), ('crop', 'circle'), SIDE, True))
    assert [one.size for one in made] == [(SIDE, SIDE)] * 8


# The rule.

def test_the_rule_fuses_and_suppresses_as_ref_nms_does(weights: Weights) -> None:
    confidence = [[.9, .01], [.5, .3], [.2, .8], [.06, .02]]
    image, sentences = an_image(confidence), ['red cup', 'dog']
    rule = ClipNMS(weights)
    ranked = rule.ranked(image, said(*sentences))
    candidates = [0, 1, 2, 3, 1, 2]
    summed = torch.stack(ClipGrounder(weights)(image, said(*sentences), [proposed(*candidates)] * 2))
    relatedness = summed.softmax(1)
    det = torch.tensor([.9, .5, .2, .06, .3, .8])
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    for mine, scores, related in zip(ranked, relatedness * det, relatedness, strict=True):
        kept = class_wise_nms(BOXES[candidates], labels, scores, 0.3)
        assert mine.index.tolist() == sorted(kept.nonzero()[:, 0].tolist(), key=lambda i: -scores[i])
        assert torch.allclose(mine.scores, scores[mine.index]) and torch.equal(mine.det_scores, det[mine.index])
        assert torch.allclose(mine.relatedness, related[mine.index])
    over = ClipNMS(weights, threshold=1.)(image, said(*sentences))
    assert [len(one) for one in over] == [1, 1], 'the best one always'


def test_an_image_without_regions_has_no_proposals(weights: Weights) -> None:
    image = an_image()
    image.class_boxes, image.class_scores = torch.zeros(0, 2, 4), torch.zeros(0, 2)
    assert [len(one) for one in ClipNMS(weights)(image, said('cup', 'dog'))] == [0, 0]


# Folders and options that are refused.

def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as error:
        load_image_text(load_folder(folder))
    assert '\n' not in str(error.value) and str(folder) in str(error.value)
    return str(error.value)


def edited(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.fixture
def copy(clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip, tmp_path / 'copy'))


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    assert 'there is no such folder; give the folder that holds config.json' in refusal(tmp_path / 'none')
    (tmp_path / 'a.safetensors').write_bytes(b'')
    assert 'is a file, a folder is needed' in refusal(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('name', ['pytorch_model.bin', 'model.pt'])
def test_a_pickle_is_refused_unopened(copy: Path, name: str) -> None:
    (copy / 'model.safetensors').rename(copy / name)
    assert f'its weights are a pickle ({name}), which can run code; fetch model.safetensors' in refusal(copy)


def test_a_pickle_beside_the_weights_is_never_read_and_is_no_part_of_the_fingerprint(copy: Path) -> None:
    alone = load_folder(copy)
    (copy / 'pytorch_model.bin').write_bytes(b'cos\nsystem\n(S"false"\ntR.')
    assert load_folder(copy).sha256 == alone.sha256
    load_image_text(load_folder(copy))


def test_the_fingerprint_is_of_all_files_that_are_read(copy: Path) -> None:
    before = load_folder(copy).sha256
    assert len(before) == 64
    (copy / 'tokenizer.json').write_bytes((copy / 'tokenizer.json').read_bytes() + b' ')
    assert load_folder(copy).sha256 != before


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / 'model.safetensors').unlink()
    assert 'holds no weights; fetch model.safetensors' in refusal(copy)


def test_another_model_is_refused(copy: Path) -> None:
    assert "its model_type is 'bert', not clip or siglip" in refusal(edited(copy, 'config.json', model_type='bert'))


@pytest.mark.parametrize('name', ['config.json', 'tokenizer.json', 'preprocessor_config.json'])
def test_a_missing_or_broken_file_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text('{')
    assert name in refusal(copy)
    (copy / name).unlink()
    assert name in refusal(copy)


def test_broken_weights_are_refused(copy: Path) -> None:
    (copy / 'model.safetensors').write_bytes(b'\xff' * 64)
    assert 'transformers cannot read it' in refusal(copy)


def test_a_network_that_the_weights_do_not_hold_is_refused_before_memory_is_taken(copy: Path) -> None:
    vision = json.loads((copy / 'config.json').read_text())['vision_config']
    large = edited(copy, 'config.json', vision_config={**vision, 'intermediate_size': 10 ** 9})
    assert 'config.json describes ' in refusal(large) and 'its safetensors files hold' in refusal(large)
    deep = edited(copy, 'config.json', vision_config={**vision, 'num_hidden_layers': 10 ** 9})
    assert 'num_hidden_layers 1000000000 must be from 1 to 1000' in refusal(deep)


def test_pictures_of_another_size_than_the_model_s_are_refused(copy: Path) -> None:
    other = edited(copy, 'preprocessor_config.json', crop_size={'height': 10 ** 6, 'width': 10 ** 6})
    assert 'makes pictures of [1000000] pixels, the model takes 32 by 32' in refusal(other)


def test_a_tokenizer_of_more_words_than_the_model_s_is_refused(copy: Path) -> None:
    words = tokenizer()
    words.add_tokens(['more'])
    words.save_pretrained(copy)
    assert 'fetch both of one model' in refusal(copy)


def test_without_transformers_one_line_says_what_to_install(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(InputError, match=r'transformers, which is not installed; .*pip install "\.\[clip\]"'):
        load_image_text(weights)


def test_nothing_is_asked_of_the_network(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError('asked the network')
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    load_image_text(weights)


@pytest.mark.parametrize(('options', 'line'), [
    ({'isolate': 'box'}, 'clip.isolate=box: must be crop, blur or circle, or several of them, each once'),
    ({'isolate': 'crop+crop'}, 'clip.isolate=crop+crop: must be crop, blur or circle'),
    ({'isolate': ''}, 'clip.isolate=: must be crop, blur or circle'),
    ({'prompt': 'a photo of'}, 'clip.prompt=a photo of: must be printable text that holds {} once'),
    ({'prompt': '{} {}'}, 'must be printable text that holds {} once'),
    ({'prompt': '\udc80{}'}, 'must be printable text that holds {} once'),
    ({'neutral': 'a\nb'}, 'must be printable text'),
    ({'batch': 0}, 'batch=0: must be greater than or equal to 1'),
    ({'spatial': 1}, 'spatial=1: must be True or False')])
def test_options_that_mean_nothing_are_refused(clip: Path, options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as error:
        ClipGrounder(load_folder(clip), **options)
    assert line in str(error.value)


# In a run.

def test_all_grounders_are_those_that_have_weights() -> None:
    assert 'clip' not in grounders_of(Request(grounders=['all']), ['rec'])
    assert 'clip' in grounders_of(Request(grounders=['all'], weights={'clip': Path('x')}), ['rec'])


@pytest.mark.usefixtures('small_benchmark')
def test_a_run_goes_the_whole_way_and_records_the_folder(clip: Path, tmp_path: Path) -> None:
    ran = ['--dataset', 'mini-refcoco', '--split', 'val', '--limit', '3', '--proposals', 'greedy,clip-nms',
           '--grounder', 'clip', '--task', 'recall,rec', '--weights', f'clip={clip}', '--out', str(tmp_path / 'out'),
           '--workers', '1', '--set', 'clip.spatial=True']
    assert command_line(ran) == 0
    results = json.loads((tmp_path / 'out/results.json').read_text())
    assert results['run']['weights']['clip']['sha256'] == load_folder(clip).sha256
    assert results['run']['versions']['transformers'] == version('transformers')
    assert {(r['proposals'], r['grounder']) for r in results['records'] if r['metric'] == 'accuracy'} == {
        ('greedy', 'clip'), ('clip-nms', 'clip')}
    rows = [json.loads(line) for line in (tmp_path / 'out/proposals.jsonl').read_text().splitlines()]
    assert all(len(row['relatedness']) == len(row['boxes']) for row in rows if row['proposals'] == 'clip-nms')


@pytest.mark.usefixtures('small_benchmark')
@pytest.mark.parametrize('asked', [('--grounder', 'clip'), ('--proposals', 'clip-nms', '--task', 'recall')])
def test_without_a_folder_one_line_says_what_to_give(asked: tuple[str, ...], tmp_path: Path,
                                                     capsys: pytest.CaptureFixture) -> None:
    assert command_line([*asked, '--dataset', 'mini-refcoco', '--limit', '1', '--out', str(tmp_path / 'out')]) == 2
    assert ('its weights are not shipped; fetch the folder of a CLIP or SigLIP of transformers and give --weights '
            'clip=DIR') in capsys.readouterr().err
