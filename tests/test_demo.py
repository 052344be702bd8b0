"""The page to try it, without a browser: what it shows, what it does with loaded pictures, and how it is served."""
from __future__ import annotations

import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import InstanceData

from harness.commands import demo
from harness.demo import drawing, serving
from harness.demo.look import GREEDY, GROUNDERS, REF_NMS, RULES, Choice, Look, Scene, Viewer
from harness.demo.sessions import Sessions
from harness.demo.upload import take_upload
from harness.errors import InputError
from harness.evaluation.show import ground

ROOT = Path(__file__).parents[1]
SENTENCE = 'the left one'


@pytest.fixture(scope='module')
def viewer(small_cache: Path) -> Iterator[Viewer]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv('REFNMS_CACHE', str(small_cache))
        yield Viewer.load(device='cpu')


@pytest.fixture(scope='module')
def scene(viewer: Viewer) -> Scene:
    return viewer.scene('mini-refcoco', 'val', viewer.images('mini-refcoco', 'val')[0])


@pytest.fixture(scope='module')
def look(viewer: Viewer, scene: Scene) -> Look:
    return viewer.look(scene, SENTENCE)


@pytest.fixture
def picture(small_benchmark: Path, tmp_path: Path) -> Path:
    """A copy of an image, as a file that somebody loads."""
    copy = tmp_path / 'mine.png'
    copy.write_bytes(sorted((small_benchmark / 'images/train2014').iterdir())[0].read_bytes())
    return copy


@pytest.fixture
def page(viewer: Viewer) -> Any:
    pytest.importorskip('gradio', reason='Gradio is not installed: pip install gradio')
    from harness.demo.page import Page
    return Page(viewer)


class Stopped(Exception):
    """A network ran where none should."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise Stopped
    monkeypatch.setattr(torch.nn.Module, '__call__', run)


def opened(name: str = 'first') -> Any:
    """What Gradio says of the page that asks."""
    return SimpleNamespace(session_hash=name)


# What is looked at.

def test_the_embedded_datasets_can_be_chosen_from(viewer: Viewer) -> None:
    assert viewer.datasets == ['mini-refcoco', 'mini-refcoco+', 'mini-refcocog']
    assert viewer.splits('mini-refcoco') == ['val', 'testA', 'testB']
    assert viewer.splits('mini-refcocog') == ['val', 'test']
    assert viewer.images('mini-refcoco', 'testA') == [20_001, 20_002]


@pytest.mark.parametrize('rule', RULES)
def test_the_thresholds_of_a_run_propose_what_a_run_proposes(viewer: Viewer, look: Look, rule: str) -> None:
    own = viewer.plan.plugins['mini-refcoco'].rules[rule](look.scene.image, [look.expression])[0]
    proposed = viewer.proposed(look, rule, viewer.threshold('mini-refcoco', rule))
    assert torch.equal(proposed.bboxes, own.bboxes) and torch.equal(proposed.scores, own.scores)


@pytest.mark.parametrize('rule', RULES)
@given(thresholds=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_a_higher_threshold_proposes_the_first_of_what_a_lower_one_does(viewer: Viewer, look: Look, rule: str,
                                                                        thresholds: list[float]) -> None:
    more, fewer = (viewer.proposed(look, rule, threshold) for threshold in thresholds)
    assert 1 <= len(fewer) <= len(more) and torch.equal(fewer.bboxes, more.bboxes[:len(fewer)])
    if rule == REF_NMS:
        assert (more.scores[1:] > thresholds[0]).all()


def test_a_threshold_of_zero_proposes_more_than_one_of_one(viewer: Viewer, look: Look) -> None:
    for rule in RULES:
        assert len(viewer.proposed(look, rule, 0.)) > len(viewer.proposed(look, rule, 1.)) >= 1


def test_another_threshold_runs_no_network(viewer: Viewer, look: Look, no_network: None) -> None:
    drawn = {drawing.proposals(look, REF_NMS, viewer.proposed(look, REF_NMS, threshold)) for threshold in (0., 0.5, 1.)}
    assert len(drawn) == 3
    with pytest.raises(Stopped):
        list(viewer.choices(look, viewer.proposed(look, REF_NMS, 1.)))


def test_the_attention_of_the_words_sums_to_one(viewer: Viewer, scene: Scene) -> None:
    for sentence in ('the left one', 'Cup, left!', 'zyx'):
        look = viewer.look(scene, sentence)
        assert sum(look.attention) == pytest.approx(1) and len(look.words) == len(look.attention)
    assert viewer.look(scene, 'Cup, left!').words == ('cup', ',', 'left', '!')


def test_no_word_is_one_unknown_word_and_of_very_many_the_first_are_read(viewer: Viewer, scene: Scene) -> None:
    assert viewer.look(scene, ' ').words == ('(no word)',) and viewer.look(scene, ' ').attention == pytest.approx((1,))
    assert len(viewer.look(scene, 'left ' * 5000).words) == 64


def test_the_relatedness_of_a_greedy_proposal_is_that_of_the_candidate_that_it_is(look: Look) -> None:
    greedy, candidates = look.rankings[GREEDY], look.candidates
    assert ((candidates.relatedness >= 0) & (candidates.relatedness <= 1)).all()
    for box, label, related, confidence in zip(greedy.bboxes, greedy.labels, greedy.relatedness, greedy.scores,
                                               strict=True):
        same = (candidates.bboxes == box).all(1) & (candidates.labels == label)
        assert same.any() == (not related.isnan()) == (confidence > 0.05)
        assert not same.any() or related in candidates.relatedness[same]


def test_a_sentence_of_the_image_has_its_annotated_box_and_a_new_one_has_none(viewer: Viewer, scene: Scene) -> None:
    annotated = scene.annotated[0]
    x, y, width, height = annotated.gt_xywh
    assert viewer.look(scene, f' {annotated.sent} ').truth == (x, y, x + width, y + height)
    assert viewer.look(scene, 'something else').truth is None


@pytest.mark.parametrize('rule', RULES)
def test_the_choices_are_those_of_show(viewer: Viewer, look: Look, rule: str) -> None:
    proposed = viewer.proposed(look, rule, viewer.threshold('mini-refcoco', rule))
    chosen = list(viewer.choices(look, proposed))
    assert [choice.grounder for choice in chosen] == list(GROUNDERS)
    for choice in chosen:
        answer = ground(look.scene.image.info.path, SENTENCE, choice.grounder, rule, device='cpu')
        assert choice.box == answer.box and np.array_equal(choice.mask, answer.mask) and choice.iou is None


def test_a_choice_among_nothing_is_nothing(viewer: Viewer, look: Look) -> None:
    none = list(viewer.choices(look, look.rankings[GREEDY][:0]))
    assert [choice.box for choice in none] == [None] * 3
    assert drawing.choices(look, none).count('nothing to choose from') == 2 * 3  # below the picture, and read aloud


def test_a_choice_has_its_overlap_with_the_annotated_box(viewer: Viewer, scene: Scene) -> None:
    look = viewer.look(scene, scene.annotated[0].sent)
    truth = torch.tensor([look.truth])
    only = InstanceData(bboxes=truth, labels=torch.zeros(1, dtype=torch.int64), scores=torch.ones(1))
    assert [choice.iou for choice in viewer.choices(look, only)] == pytest.approx([1., 1., 1.])
    assert drawing.choices(look, viewer.choices(look, only)).count('IoU 1.00</small>') == 3


# What is drawn.

def test_colours_go_from_one_end_of_the_scale_to_the_other() -> None:
    assert drawing.colour(0.) == '#4632b4' and drawing.colour(1.) == '#f5eb3c' and drawing.colour(0.5) == '#d74673'
    assert drawing.colour(float('nan')) == drawing.UNRELATED


@given(st.floats(0, 1))
def test_every_relatedness_has_a_colour(related: float) -> None:
    assert len(drawing.colour(related)) == 7 and int(drawing.colour(related)[1:], 16) >= 0


def test_a_hostile_sentence_is_shown_as_text(viewer: Viewer, scene: Scene) -> None:
    shown = drawing.sentence(viewer.look(scene, '<script>alert(1)</script>'))
    assert '<script' not in shown and '&lt;' in shown


def test_every_candidate_and_every_proposal_is_a_box(viewer: Viewer, look: Look) -> None:
    assert drawing.candidates(look).count('class="box"') == len(look.candidates)
    assert f'{len(look.candidates)} candidates' in drawing.candidates(look)
    few = viewer.proposed(look, GREEDY, 1.)
    assert drawing.proposals(look, GREEDY, few).count('class="box"') == len(few)
    assert '1 proposal of Ref-NMS<' in drawing.proposals(look, REF_NMS, look.rankings[REF_NMS][:1])


def test_scores_do_not_cover_each_other(look: Look) -> None:
    boxes = InstanceData(bboxes=torch.tensor([[10., 90, 50, 99], [12, 91, 50, 99], [90, 90, 99, 99]]),
                         relatedness=torch.tensor([.9, .8, .1]), scores=torch.tensor([.9, .8, .1]))
    shown = drawing.proposals(look, GREEDY, boxes)
    assert shown.count('class="box"') == 3 and [f'>0.{digit}0<' in shown for digit in (9, 8, 1)] == [True, False, True]


def test_all_outside_the_mask_is_made_paler(look: Look) -> None:
    height, width = look.scene.pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    mask[:2] = True
    shown = drawing.choices(look, [Choice('cmae', (0., 0., 5., 2.), 'cup', mask)])
    assert 'CM-A-E<small>cup</small>' in shown and shown.count('data:image/png;base64,') == 1


# Pictures that somebody loads.

def test_a_loaded_picture_is_answered_under_a_banner_and_its_file_is_deleted(viewer: Viewer, picture: Path) -> None:
    scene = viewer.load_picture(picture, 'mini-refcoco+')
    look = viewer.look(scene, 'the cup')
    assert not picture.exists() and scene.dataset == 'mini-refcoco+' and scene.annotated == ()
    assert look.truth is None and len(viewer.proposed(look, GREEDY, 0.65)) >= 1
    assert 'On photographs' in drawing.banner(look, embedded_weights=viewer.embedded_weights)


def test_there_is_no_banner_on_embedded_scenes_or_with_weights_of_ones_own(viewer: Viewer, look: Look,
                                                                           picture: Path) -> None:
    assert viewer.embedded_weights and drawing.banner(look, embedded_weights=True) == ''
    loaded = viewer.look(viewer.load_picture(picture, 'mini-refcoco'), 'cup')
    assert drawing.banner(loaded, embedded_weights=False) == ''


def test_a_large_picture_is_made_smaller(viewer: Viewer, tmp_path: Path) -> None:
    large = tmp_path / 'large.jpg'
    cv2.imwrite(str(large), np.zeros((600, 1280, 3), np.uint8))
    assert viewer.load_picture(large, 'mini-refcoco').pixels.shape == (300, 640, 3)


def encoded(kind: str) -> bytes:
    return cv2.imencode(f'.{kind}', np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(('content', 'limits', 'message'), [
    (b'', {}, 'my.png: is no PNG or JPEG; save it as one of them'),
    (b'GIF89a' + bytes(99), {}, 'my.png: is no PNG or JPEG'),
    (encoded('bmp'), {}, 'my.png: is no PNG or JPEG'),
    (b'<svg onload="alert(1)"/>', {}, 'my.png: is no PNG or JPEG'),
    (encoded('png')[:40], {}, 'my.png: not a readable image'),
    (encoded('jpg')[:20], {}, 'my.png: not a readable image'),
    (encoded('png') + bytes(3 << 20), {'max_bytes': 2 << 20}, 'my.png: has 3.0 MB, over the limit of 2'),
    (encoded('png'), {'max_pixels': 63}, 'my.png: has 8 × 8 pixels, over the limit of 63'),
])
def test_a_picture_that_cannot_be_taken_is_refused_in_one_line_and_deleted(
        content: bytes, limits: dict[str, int], message: str, tmp_path: Path) -> None:
    file = tmp_path / 'my.png'
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        take_upload(file, **limits)
    assert str(error.value).startswith(message) and '\n' not in str(error.value)
    assert str(tmp_path) not in str(error.value) and not file.exists()


def test_a_png_and_a_jpeg_are_taken_whatever_their_names_are(tmp_path: Path) -> None:
    for kind in ('png', 'jpg'):
        file = tmp_path / 'picture'
        file.write_bytes(encoded(kind))
        assert take_upload(file).shape == (8, 8, 3) and not file.exists()


# Pages.

def test_what_a_closed_page_looked_at_is_forgotten_and_so_is_what_too_many_others_followed(look: Look) -> None:
    sessions = Sessions(most=2)
    for page in ('a', 'b', 'a', 'c'):
        sessions.put(page, look)
    assert sessions.get('b') is None and sessions.get('a') is look and len(sessions) == 2
    sessions.drop('a')
    sessions.drop('never there')
    assert sessions.get('a') is None and len(sessions) == 1


def test_a_page_opens_with_a_scene_and_its_first_sentence_at_the_thresholds_of_a_run(page: Any, viewer: Viewer) -> None:
    shown = page.pick(None, None, None, opened())
    expression = page.sessions.get('first').expression
    assert expression.dataset == 'mini-refcoco' and shown[page.sentence] == expression.sent
    assert [shown[side.slider] for side in page.sides] == [0.65, viewer.threshold('mini-refcoco', REF_NMS)]
    assert all('<figure' in shown[side.proposals] and shown[side.choices].count('<figure') == 3 for side in page.sides)
    assert not shown[page.banner].visible


def test_another_dataset_keeps_no_split_or_image_that_it_lacks(page: Any) -> None:
    page.pick('mini-refcocog', 'testA', 20_001, opened())
    assert page.sessions.get('first').expression.dataset == 'mini-refcocog'
    assert page.sessions.get('first').scene.image.info.image_id == 40_001


def test_an_image_is_detected_once_however_much_is_asked_of_it(page: Any, viewer: Viewer,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    detected = []
    features = viewer.plan.source.features
    monkeypatch.setattr(viewer.plan.source, 'features', lambda *image: detected.append(image) or features(*image))
    page.pick(None, None, None, opened())
    page.ask('left', 0.5, 0.5, opened())
    page.ask('right', 0.5, 0.5, opened())
    page.propose_by(GREEDY)(0.9, opened())
    page.choose_by(GREEDY)(0.9, opened())
    assert len(detected) == 1


def test_two_pages_do_not_see_each_other(page: Any) -> None:
    page.pick('mini-refcoco', 'val', 10_001, opened('one'))
    page.pick('mini-refcoco', 'val', 10_002, opened('other'))
    page.ask('cup', 0.5, 0.5, opened('one'))
    assert [page.sessions.get(name).scene.image.info.image_id for name in ('one', 'other')] == [10_001, 10_002]


def test_a_page_that_was_forgotten_is_told_to_reload(page: Any) -> None:
    import gradio
    page.pick(None, None, None, opened())
    page.forget(opened())
    with pytest.raises(gradio.Error, match='reload it'):
        page.ask('left', 0.5, 0.5, opened())


def test_a_loaded_picture_keeps_sentence_and_thresholds_and_a_refused_one_changes_nothing(page: Any,
                                                                                          picture: Path) -> None:
    page.pick(None, None, None, opened())
    shown = page.load_picture(str(picture), 'mini-refcoco', 'left cup', 0.65, 0.9, opened())
    before = page.sessions.get('first')
    assert shown[page.banner].visible and before.words == ('left', 'cup') and page.sentence not in shown
    assert '1 proposal of Ref-NMS' in shown[page.sides[1].proposals]
    hostile = picture.with_name('<b>.png')
    hostile.write_bytes(b'GIF89a')
    with pytest.warns(match='^&lt;b&gt;.png: is no PNG or JPEG'):
        assert page.load_picture(str(hostile), 'mini-refcoco', 'left cup', 0.65, 0.9, opened()).keys() == {page.banner}
    assert page.sessions.get('first') is before


def test_the_page_names_no_address_outside(page: Any) -> None:
    from harness.demo.page import theme
    assert 'http' not in serving.CSS.read_text() and theme()._stylesheets == []
    assert page.blocks.analytics_enabled is False
    assert all(one.api_visibility == 'private' for one in page.blocks.fns.values() if one.targets[0][1] != 'unload')


# The command.

@pytest.mark.parametrize(('options', 'message'), [
    (['--port', '0'], '--port 0: must be from 1 to 65535'),
    (['--port', '70000'], '--port 70000: must be from 1 to 65535'),
    (['--port', 'x'], 'invalid int value'),
    (['--host', ''], '--host : there is no such address; leave it out for 127.0.0.1'),
    (['--host', 'x' * 300], 'there is no such address'),
    (['--host', '203.0.113.1'], '--host 203.0.113.1: none of its ports 7860 to 7959 can be listened on'),
    (['--weights', 'cmae'], '--weights cmae: write NAME=FILE'),
    (['picture.png'], 'unrecognized arguments: picture.png'),
    (['--share'], 'unrecognized arguments: --share'),
])
def test_bad_options_are_refused_in_one_line(options: list[str], message: str) -> None:
    pytest.importorskip('gradio', reason='Gradio is not installed: pip install gradio')
    with pytest.raises(InputError) as error:
        demo.main(options)
    assert message in str(error.value) and '\n' not in str(error.value)


def test_a_port_that_is_taken_is_refused_and_without_one_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f'--port {port}: cannot be listened on at 127.0.0.1'):
            serving.free_port('127.0.0.1', port)
        monkeypatch.setattr(serving, 'FIRST_PORT', port)
        assert port < serving.free_port('localhost', None) < port + serving.PORTS


def test_without_gradio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match=f'^demo: needs Gradio, which is not installed; pip install {serving.GRADIO}$'):
        demo.main([])


def test_gradio_is_pinned_alike_everywhere() -> None:
    optional = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    assert optional['demo'] == [serving.GRADIO] and serving.GRADIO in optional['dev']
    assert serving.GRADIO in (ROOT / 'docs/dependencies.md').read_text()


def test_help_says_who_can_reach_it(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        demo.main(['--help'])
    assert '127.0.0.1, which this machine alone can reach' in ' '.join(capsys.readouterr().out.split())
