"""The passport of rows: known by their fingerprints, whatever form, order and digits they come in."""
from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.counts import SPLIT_BY
from harness.data.fingerprints import FILE, Fingerprints, fingerprints_of, published
from harness.data.passport import Row, passport, row_of, said
from harness.data.plain import load_expressions
from harness.types import Expression, ImageInfo

REAL = Path(os.environ.get('REAL_DATA', Path(__file__).parents[1] / '../shared/real'))
FIELD = Path(os.environ.get('FIELD_DATA', Path(__file__).parents[1] / '../shared/field'))
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f'the real data are not in {REAL}; set REAL_DATA')


def expression(image_id: int, ann_id: int, sent: str, box: tuple[float, ...]) -> tuple[Expression, ImageInfo]:
    x, y, w, h = box
    return (Expression('refcoco', 'val', image_id, 0, sent, (), (x, y, w, h), ann_id=ann_id),
            ImageInfo(image_id, 100, 200))


#: Two referents on one image with one sentence in common, one sentence that comes twice, and another image; testA has
#: one referent on the second image.
VAL = [expression(1, 11, 'left man', (0.4, 0, 10, 20)), expression(1, 11, 'man', (0.4, 0, 10, 20)),
       expression(1, 12, 'man', (50.25, 3.5, 10.5, 20)), expression(1, 12, 'man', (50.25, 3.5, 10.5, 20)),
       expression(2, 13, "the cup's lid", (5, 5, 30.3, 40.7))]
TEST_A = [expression(2, 14, 'boy', (60, 60, 30, 30))]
SMALL = fingerprints_of([('refcoco', 'val', 'unc', VAL), ('refcoco', 'testA', 'unc', TEST_A)], [])


def row(member: tuple[Expression, ImageInfo], **changed: object) -> Row:
    e, info = member
    return Row(e.image_id, e.ann_id, e.sent, e.gt_xywh, info.width, info.height)._replace(**changed)  # type: ignore


ROWS = [row(member) for member in VAL]


def test_a_whole_split_by_hand() -> None:
    found = passport(ROWS, SMALL)
    assert found['parts'] == [dict(dataset='refcoco', split='val', by='unc', expressions=5, of_expressions=5,
                                   referents=3, of_referents=3, double=0, reworded=0)]
    assert (found['expressions'], found['referents'], found['images'], found['other']) == (5, 3, 2, 0)
    assert found['shared_images'] == {'refcoco testA': 1}
    assert said(found) == 'RefCOCO val (UNC), 5 of 5 expressions'


def test_double_rows_by_hand() -> None:
    found = passport([*ROWS, ROWS[4], ROWS[2]], SMALL)
    [part] = found['parts']
    assert (part['expressions'], part['double'], found['other']) == (5, 2, 0)
    assert said(found) == 'RefCOCO val (UNC), 5 of 5 expressions, 2 double'


def test_missing_reworded_and_other_rows_by_hand() -> None:
    rows = [*ROWS[1:], row(VAL[0], sent='somebody else'), row(TEST_A[0], xywh=(1., 1., 5., 5.))]
    found = passport(rows, SMALL)
    [part] = found['parts']
    assert (part['expressions'], part['referents'], part['double'], part['reworded']) == (4, 3, 0, 1)
    assert (found['other'], found['other_referents']) == (1, 1)
    assert said(found) == ('RefCOCO val (UNC), 4 of 5 expressions, 3 of 3 referents, 1 reworded; 1 other '
                           'expressions of 1 referents, which no published evaluation split has')


def test_equal_sentences_on_two_referents_are_told_apart() -> None:
    [part] = passport([ROWS[1], ROWS[1], ROWS[2]], SMALL)['parts']
    assert (part['expressions'], part['referents'], part['double']) == (2, 2, 1)


@given(st.permutations(range(6)), st.booleans(), st.booleans(), st.sets(st.integers(0, 5), max_size=3))
def test_the_order_of_the_rows_their_names_and_cut_boxes_change_nothing(order: list[int], unnamed: bool, cut: bool,
                                                                        missing: set[int]) -> None:
    members = [*VAL, VAL[0]]

    def given_as(member: tuple[Expression, ImageInfo]) -> Row:
        x, y, w, h = member[0].gt_xywh
        box = (float(int(x)), float(int(y)), float(int(w)), float(int(h))) if cut and not unnamed else (x, y, w, h)
        return row(member, xywh=box, ann_id=None, image_id=None if unnamed else member[0].image_id)
    straight = passport([row(m) for i, m in enumerate(members) if i not in missing], SMALL)
    turned = passport([given_as(members[i]) for i in order if i not in missing], SMALL)
    assert turned['parts'] == straight['parts'] and turned['other'] == straight['other']


@pytest.fixture(scope='module')
def real() -> dict[tuple[str, str], list[Row]]:
    return {(name, split): [row_of(e, dataset.images[e.image_id], dataset) for e in dataset.split(split)]
            for name, dataset in load_expressions(REAL / 'refcoco_eval.jsonl.gz').items() for split in dataset.splits}


@needs_real
def test_every_published_split_is_whole(real: dict[tuple[str, str], list[Row]]) -> None:
    assert len(real) == 8
    for (name, split), rows in real.items():
        found = passport(rows)
        [part] = found['parts']
        assert (part['dataset'], part['split'], part['by']) == (name, split, SPLIT_BY[name])
        assert part['expressions'] == part['of_expressions'] == len(rows) and found['other'] == 0
        assert (part['double'], part['reworded']) == (0, 0) and part['referents'] == part['of_referents']


@needs_real
def test_whole_boxes_and_images_without_names_are_the_same_split(real: dict[tuple[str, str], list[Row]]) -> None:
    rows = real['refcoco', 'testB']
    for changed in ([r._replace(xywh=tuple(float(int(side)) for side in r.xywh), ann_id=None) for r in rows],
                    [r._replace(image_id=None, ann_id=None) for r in rows]):
        [part] = passport(changed)['parts']
        assert (part['dataset'], part['split'], part['expressions'], part['double']) == ('refcoco', 'testB', 5095, 0)


@needs_real
def test_images_that_other_splits_use(real: dict[tuple[str, str], list[Row]]) -> None:
    def shared(split: str) -> list[int]:
        found = passport(real['refcocog', split])['shared_images']
        return [found[f'refcoco {other}'] for other in ('val', 'testA', 'testB')]
    assert (shared('val'), shared('test')) == ([62, 22, 26], [123, 47, 71])


@needs_real
def test_lmms_labs_mixture(real: dict[tuple[str, str], list[Row]]) -> None:
    """UNC's val, and 5,000 referents of Google's of which some are UNC's too."""
    unc, draw = real['refcoco', 'val'], random.Random(0)
    again = [r for r in unc if r.ann_id in {r.ann_id for r in unc[:300]}]
    others = [Row(900_000 + i, 5_000_000 + i, f'thing {i} {j}', (1., 2., 30., 40.), 640, 480)
              for i in range(5000 - len({r.ann_id for r in again})) for j in range(2)]
    rows = [*unc, *others, *again]
    draw.shuffle(rows)
    found = passport(rows)
    [part] = found['parts']
    assert (part['dataset'], part['split'], part['referents']) == ('refcoco', 'val', 3811)
    assert part['double'] == len(again)
    assert (found['other'], found['other_referents']) == (len(others) + len(again), 5000)
    assert 'RefCOCO val (UNC), 10,834 of 10,834 expressions' in said(found)
    assert 'other expressions of 5,000 referents' in said(found) and 'RefCOCO val and test (Google)' in said(found)


def test_googles_val_of_refcocog_is_known_by_its_annotations() -> None:
    known = Fingerprints(**{**vars(SMALL), 'google': fingerprints_of([('a', 'b', 'c', VAL)], range(100, 104)).google})
    rows = [Row(7, 100 + i, f'thing {i}', (1., 2. + i, 3., 4.), 10, 10) for i in range(6)]
    found = passport(rows, known)
    assert (found['parts'], found['other'], found['google']) == ([], 6, 4)
    assert '4 of 5,000 referents of RefCOCOg val (Google)' in said(found)


@needs_real
def test_the_shipped_fingerprints_are_those_of_the_published_expressions() -> None:
    splits: list[tuple[str, str, str, Sequence[tuple[Expression, ImageInfo]]]] = []
    for name, dataset in load_expressions(REAL / 'refcoco_eval.jsonl.gz').items():
        splits += [(name, split, SPLIT_BY[name], [(e, dataset.images[e.image_id]) for e in dataset.split(split)])
                   for split in dataset.splits]
    made, shipped = fingerprints_of(splits, []), published()
    assert made.splits == shipped.splits
    for name in ('sentences', 'unnamed', 'referent', 'boxes', 'annotations', 'image', 'images'):
        assert np.array_equal(getattr(made, name), getattr(shipped, name)), name


@pytest.mark.skipif(not FIELD.exists(), reason=f'the field\'s files are not in {FIELD}; set FIELD_DATA')
def test_the_shipped_fingerprints_of_googles_val_are_those_of_its_annotations() -> None:
    with gzip.open(FIELD / 'vlm/google_sample_results.json.gz') as file:
        annotations = sorted({answer['annotation_id'] for answer in json.load(file)})
    assert np.array_equal(fingerprints_of([('a', 'b', 'c', VAL)], annotations).google, published().google)


def test_the_shipped_fingerprints_are_small() -> None:
    assert FILE.stat().st_size <= 1_500_000
    counts = Counter({f'{name} {split}': n for name, split, _, n in published().splits})
    assert len(published().sentences) == 57_457 and counts['refcoco val'] == 3811 and len(published().google) == 5000
