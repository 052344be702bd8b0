"""Only x, y, width, height in pixels is scored: a file of another form is refused as a whole, a single box never."""
from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.originals.detections import read_detections
from harness.data.answers import Answer, Answers
from harness.data.box_forms import check_form, judge_form
from harness.data.candidates import load_candidates
from harness.data.plain import load_expressions
from harness.data.refer import load_refer
from harness.errors import InputError
from harness.evaluation.judge import check_answers
from harness.types import ImageInfo

REAL = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real'))
WIDTH, HEIGHT = 640, 480
#: Eight objects of one image, as annotated: x, y, width, height in pixels.
OBJECTS = np.array([[64, 130, 74, 185], [460, 241, 70, 166], [48, 249, 137, 93], [443, 311, 47, 139],
                    [272, 117, 40, 154], [162, 15, 191, 66], [554, 4, 45, 46], [496, 216, 137, 95]], float)


def written(boxes: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """The same boxes in every form that is met, by a word of its name."""
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    centres = np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    whole = np.tile(sizes, 2)
    return {'corners x1, y1, x2, y2 in pixels': corners, 'centre x, y, width, height in pixels': centres,
            'corners x1, y1, x2, y2 in thousandths': (1000 * corners / whole).round(),
            'x, y, width, height in thousandths': (1000 * boxes / whole).round(),
            'corners x1, y1, x2, y2 as fractions': corners / whole,
            'centre x, y, width, height as fractions': centres / whole,
            'x, y, width, height as fractions': boxes / whole}


FORMS = list(written(OBJECTS, np.tile((WIDTH, HEIGHT), (8, 1))))


def other(form: str) -> np.ndarray:
    return written(OBJECTS, np.tile((WIDTH, HEIGHT), (8, 1)))[form]


def judged(boxes: np.ndarray) -> str | None:
    return judge_form(boxes, [(WIDTH, HEIGHT)] * len(boxes)).form


@pytest.mark.parametrize('form', FORMS)
def test_each_form_is_told_by_the_file_s_numbers(form: str) -> None:
    assert str(judged(other(form))).startswith(form)
    with pytest.raises(InputError, match=f'^a.json: boxes must be x, y, width, height in pixels.* look like {form}'):
        check_form(other(form), [(WIDTH, HEIGHT)] * 8, 'a.json')


def test_pixels_are_accepted_and_what_reaches_outside_is_counted() -> None:
    assert judge_form(OBJECTS, [(WIDTH, HEIGHT)] * 8) == (None, 0, 8)
    over = OBJECTS + [0, 0, 20, 0]
    assert check_form(over, [(WIDTH, HEIGHT)] * 8, 'a.json') == (
        'a.json: 1 of 8 boxes reach outside their image; they count as they are'), '496 + 157 = 653'
    assert check_form(OBJECTS, [(WIDTH, HEIGHT)] * 8, 'a.json') is None


@pytest.mark.parametrize('form', FORMS)
def test_a_single_box_of_another_form_refuses_nothing(form: str) -> None:
    assert judged(np.concatenate([OBJECTS[1:], other(form)[:1]])) is None
    assert judged(other(form)[:1]) is None, 'nor does one that is alone'


@pytest.mark.parametrize(('scale', 'name'), [(100, 'in hundredths'), (1000, 'in thousandths')])
def test_corners_of_a_coarser_grid_than_the_pixels(scale: int, name: str) -> None:
    """On large images they reach outside of none: all of them are in the upper left quarter, and large there."""
    boxes = np.tile(other('corners x1, y1, x2, y2 as fractions') * scale, (2, 1)).round()
    assert name in str(judge_form(boxes, [(4 * scale, 3 * scale)] * 16).form)
    spread = np.tile(OBJECTS * scale / 1000, (2, 1))
    assert judge_form(spread, [(4 * scale, 3 * scale)] * 16).form is None, 'small boxes there are pixels'


def test_boxes_that_are_everywhere_are_of_no_form() -> None:
    assert 'no form that is known' in str(judged(OBJECTS + [2000, 0, 0, 0]))


def test_images_of_unknown_size_and_boxes_of_nothing_have_no_say() -> None:
    corners = other('corners x1, y1, x2, y2 in pixels')
    assert judge_form(corners, [(0, 0)] * 8) == (None, 0, 0)
    assert judge_form(np.zeros((8, 4)), [(WIDTH, HEIGHT)] * 8) == (None, 0, 0)
    assert judge_form([], []) == (None, 0, 0)


def test_a_few_pixels_and_rounding_speak_against_nothing() -> None:
    """MAttNet counts the last pixel, whole pixels are rounded up, 0.1 + 639.9 is not 640."""
    edge = np.tile([0.1, 0.1, 639.9, 479.9], (8, 1))
    assert judge_form(edge, [(WIDTH, HEIGHT)] * 8) == (None, 0, 8)
    assert judge_form(edge + [1, 1, 0, 0], [(WIDTH, HEIGHT)] * 8) == (None, 8, 8)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=2, max_size=30))
def test_whatever_is_inside_its_image_is_accepted(shares: list[tuple[float, float, float, float]]) -> None:
    """A box inside an image of some hundred pixels is accepted, unless all are within its first pixel."""
    x, y, w, h = np.array(shares).T
    boxes = np.stack([x * WIDTH, y * HEIGHT, w * (1 - x) * WIDTH, h * (1 - y) * HEIGHT], axis=1)
    verdict = judge_form(boxes, [(WIDTH, HEIGHT)] * len(boxes))
    told = boxes[(boxes != 0).any(axis=1)]
    assert verdict.outside == 0
    assert verdict.form is None or (told <= 1).all(axis=1).mean() >= 0.95


@pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA')
class TestRealBoxes:
    @pytest.fixture(scope='class')
    def real(self) -> tuple[np.ndarray, np.ndarray]:
        rows = list(map(json.loads, gzip.decompress((REAL / 'refcoco_eval.jsonl.gz').read_bytes()).splitlines()))
        return np.array([r['bbox'] for r in rows]), np.array([(r['width'], r['height']) for r in rows], float)

    def test_all_of_them(self, real: tuple[np.ndarray, np.ndarray]) -> None:
        boxes, sizes = real
        assert judge_form(boxes, sizes) == (None, 0, 57_457)
        for form, others in written(boxes, sizes).items():
            assert str(judge_form(others, sizes).form).startswith(form)
        hundredths = (written(boxes, sizes)['corners x1, y1, x2, y2 as fractions'] * 100).round()
        assert 'in hundredths' in str(judge_form(hundredths, sizes).form), 'as MiniGPT-v2 answers'

    def test_any_twenty_in_a_row(self, real: tuple[np.ndarray, np.ndarray]) -> None:
        """Few referents, several sentences of each: pixels are always accepted, corners never."""
        boxes, sizes = real
        for start in range(0, len(boxes) - 20, 997):
            few, their_sizes = boxes[start:start + 20], sizes[start:start + 20]
            assert judge_form(few, their_sizes).form is None
            forms = written(few, their_sizes)
            for form in FORMS:
                if form.startswith('corners'):
                    assert str(judge_form(forms[form], their_sizes).form).startswith(form)


class TestEveryFileOfBoxes:
    """Refused by its reader, or where the images' sizes are known."""

    CORNERS = other('corners x1, y1, x2, y2 in pixels').tolist()

    def expressions(self, folder: Path, boxes: list[list[float]]) -> Path:
        rows = [{'dataset': 'mine', 'split': 'val', 'image_id': 7, 'height': HEIGHT, 'width': WIDTH, 'bbox': box,
                 'sent': 'thing', 'sent_id': i} for i, box in enumerate(boxes)]
        (folder / 'e.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
        return folder / 'e.jsonl'

    def test_plain_expressions(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r'e\.jsonl: boxes must be .*, and 5 of 8 reach outside .* corners'):
            load_expressions(self.expressions(tmp_path, self.CORNERS))
        (dataset,) = load_expressions(self.expressions(tmp_path, [*OBJECTS.tolist(), self.CORNERS[1]])).values()
        assert dataset.notes == [f'{tmp_path}/e.jsonl: 1 of 9 boxes reach outside their image; they count as they are']

    def test_annotations_of_refer(self, tmp_path: Path) -> None:
        (tmp_path / 'mine').mkdir()
        (tmp_path / 'mine/refs(me).json').write_text(json.dumps([{
            'ref_id': 1, 'ann_id': 0, 'image_id': 7, 'split': 'val', 'sentences': [
                {'sent_id': 1, 'sent': 'thing', 'tokens': ['thing']}]}]))
        (tmp_path / 'mine/instances.json').write_text(json.dumps({
            'images': [{'id': 7, 'height': HEIGHT, 'width': WIDTH, 'file_name': '7.jpg'}],
            'annotations': [{'id': i, 'image_id': 7, 'category_id': 1, 'bbox': box}
                            for i, box in enumerate(self.CORNERS)],
            'categories': [{'id': 1, 'name': 'cup'}]}))
        with pytest.raises(InputError, match=r'instances\.json: boxes must be .* corners'):
            load_refer(tmp_path, 'mine', 'me')

    def test_candidates(self, tmp_path: Path) -> None:
        (tmp_path / 'c.json').write_text(json.dumps({'7': self.CORNERS}))
        with pytest.raises(InputError, match='--candidates: boxes must be .* corners'):
            load_candidates(tmp_path / 'c.json').count_outside({7: ImageInfo(7, HEIGHT, WIDTH)})

    def test_detections(self, tmp_path: Path) -> None:
        (tmp_path / 'd.json').write_text(json.dumps([
            {'det_id': i, 'h5_id': i, 'image_id': 7, 'box': box, 'category_id': 1, 'category_name': 'dog', 'score': .9}
            for i, box in enumerate(self.CORNERS)]))
        with pytest.raises(InputError, match='--detections: boxes must be .* corners'):
            read_detections(tmp_path / 'd.json').count_outside({7: ImageInfo(7, HEIGHT, WIDTH)})

    @pytest.mark.parametrize('form', FORMS)
    def test_answers(self, form: str, tmp_path: Path) -> None:
        datasets = load_expressions(self.expressions(tmp_path, OBJECTS.tolist()))
        expressions = {('mine', 'val'): datasets['mine'].expressions}

        def answers(boxes: np.ndarray) -> Answers:
            return Answers('outside', 'me', {(None, i): [Answer(tuple(box))] for i, box in enumerate(boxes.tolist())})
        with pytest.raises(InputError, match=f'--predictions: me on outside: boxes must be .* look like {form}'):
            check_answers([answers(other(form))], datasets, expressions, ['rec'])
        assert check_answers([answers(OBJECTS)], datasets, expressions, ['rec']).notes == []
        (note,) = check_answers([answers(OBJECTS + [0, 0, 20, 0])], datasets, expressions, ['rec']).notes
        assert note == ('--predictions: me on outside: 1 of 8 boxes reach outside their image; they count as they are')
