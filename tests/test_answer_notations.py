"""How models write a box: every notation of the table is read, and no text whatever stops the reading."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.answers.notations import MOST_BOXES, NOTATIONS, Notation, read_boxes, read_numbers

#: What the examples of the table say.
EXAMPLES = {
    'four-digit loc marks, y first': [(128, 64, 896, 512)],
    'loc marks': [(52, 333, 932, 774)],
    'bin marks': [(126, 63, 876, 501)],
    'patch marks': [(12.5 / 32, 1.5 / 32, 31.5 / 32, 26.5 / 32)],
    'numbers in angle brackets': [(12, 6, 88, 50)],
    'det tags': [(126, 63, 876, 501)],
    'box_start tags': [(126, 63, 876, 501)],
    'box tags around corners': [(126, 63, 876, 501)],
    'box tags around a list': [(126, 63, 876, 501)],
    'bbox_2d': [(80, 30, 560, 240)] * 3,
    'named corners': [(80, 30, 560, 240)] * 3,
    'a list': [(80, 30, 560, 240), (.125, .063, .875, .5), (126, 63, 876, 501), (126, 63, 876, 501),
               (80.5, 30, 560, 240)],
    'two corners': [(80, 30, 560, 240)],
    'four numbers in parentheses': [(.125, .063, .875, .5)],
}


@pytest.mark.parametrize('notation', NOTATIONS, ids=lambda notation: notation.name)
def test_every_example_is_read_as_its_notation(notation: Notation) -> None:
    readings = [read_boxes(example) for example in notation.examples]
    assert [reading.boxes for reading in readings] == [(box,) for box in EXAMPLES[notation.name]]
    assert {(reading.kind, reading.notation, reading.coordinates, reading.fixed) for reading in readings} == {
        ('read', notation.name, notation.coordinates, notation.fixed)}


#: How each notation writes whole numbers from 0 to 999; Kosmos-2's grid is of 32 and has a test of its own.
WRITTEN = {
    'four-digit loc marks, y first': '<loc{1:04}><loc{0:04}><loc{3:04}><loc{2:04}> a dog ; ',
    'loc marks': 'the dog<loc_{0}><loc_{1}><loc_{2}><loc_{3}></s>',
    'bin marks': '<bin_{0}> <bin_{1}> <bin_{2}> <bin_{3}>',
    'numbers in angle brackets': '{{<{0}><{1}><{2}><{3}>}}',
    'det tags': '<|ref|>it<|/ref|><|det|>[[{0}, {1}, {2}, {3}]]<|/det|>',
    'box_start tags': '<|box_start|>({0},{1}),({2},{3})<|box_end|>',
    'box tags around corners': '<box>({0},{1}),({2},{3})</box>',
    'box tags around a list': '<ref>it</ref><box>[[{0}, {1}, {2}, {3}]]</box>',
    'bbox_2d': '```json\n[{{"label": "[it]", "bbox_2d": [{0}, {1}, {2}, {3}]}}]\n```',
    'named corners': '{{"x1": {0}, "y1": {1}, "x2": "{2}", "y2": {3}}}',
    'a list': 'It is at [ {0},{1} ,\n {2}\t{3} ].',
    'two corners': '({0}, {1}) ({2}, {3})',
    'four numbers in parentheses': 'x1, y1 = ({0}, {1}, {2}, {3})',
}
SIDES = st.tuples(*[st.integers(0, 999)] * 2).map(sorted)


@given(st.sampled_from(sorted(WRITTEN)), SIDES, SIDES.filter(any))
def test_a_box_written_in_any_notation_is_read_back(name: str, across: list[int], down: list[int]) -> None:
    (x1, x2), (y1, y2) = across, down
    reading = read_boxes(WRITTEN[name].format(x1, y1, x2, y2))
    assert (reading.kind, reading.notation, reading.boxes) == ('read', name, ((x1, y1, x2, y2),))


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4).map(lambda box: (*map(min, box[:2], box[2:]),
                                                              *map(max, box[:2], box[2:]))).filter(any))
def test_numbers_are_read_to_the_last_digit(box: tuple[float, ...]) -> None:
    assert read_boxes(f'{list(box)}').boxes == (box,)


@pytest.mark.parametrize(('marks', 'corners'), [
    ((0, 1023), (.5, .5, 31.5, 31.5)), ((33, 33), (1, 1, 2, 2)), ((33, 35), (1, 1, 4, 2)), ((33, 97), (1, 1, 2, 4))])
def test_kosmos_patches_span_centres_or_whole_patches_in_one_row_or_column(marks: tuple, corners: tuple) -> None:
    words = ''.join(f'<patch_index_{mark:04}>' for mark in marks)
    assert read_boxes(words).boxes == (tuple(side / 32 for side in corners),)


@given(st.text() | st.text(alphabet='[](){}<>,. -+"0123456789einfax_\n') | st.lists(st.sampled_from([
    '[', ']', '(', ')', '<think>', '</think>', '<box>', '<loc_', '<loc0001>', '1', '-2.5', '1e9', 'nan', ', ', '"x1": ',
    '"bbox_2d": ', '{<1>', '<patch_index_0001>', 'there is no'])).map(''.join))
def test_no_text_raises(text: str) -> None:
    reading = read_boxes(text)
    assert (reading.kind in ('read', 'several')) == bool(reading.boxes)
    assert reading.kind == 'read' or reading.why


@pytest.mark.parametrize(('text', 'kind', 'why'), [
    ('', 'empty', 'says nothing'),
    (' \n', 'empty', 'says nothing'),
    ('None.', 'empty', 'says nothing'),
    ('[]', 'empty', 'says nothing'),
    ('`null`', 'empty', 'says nothing'),
    ('```json\n[]\n```', 'empty', 'the model declines'),
    ('{"bbox_2d": []}', 'empty', 'the model declines'),
    ('There are none.', 'empty', 'the model declines'),
    ('There is no bounding box that matches the description.', 'empty', 'the model declines'),
    ("<think>Look at 4 dogs.</think> Sorry, I can't help.", 'empty', 'the model declines'),
    ('[0, 0, 0, 0]', 'empty', 'four zeros'),
    ('The dog on the left.', 'unreadable', 'no box in any notation that is known'),
    ('[1, 2, 3]', 'unreadable', 'a box has four numbers, here are 3'),
    ('[0,32,118,154,156]', 'unreadable', 'a box has four numbers, here are 5'),
    ('from (100, 100) to (400, 350)', 'unreadable', 'a box has four numbers, here are 2'),
    ('left [7]', 'unreadable', 'a box has four numbers, here is 1'),
    ('{"bbox_2d": [12, 30, 4', 'unreadable', 'the box is cut short'),
    ('[12, 30, 40,', 'unreadable', 'the box is cut short'),
    ('[300, 20, 100, 80]', 'unreadable', 'its corners are reversed: x2 is under x1, or y2 under y1'),
    ('[nan, 20, 100, 80]', 'unreadable', 'holds a number that is not finite'),
    ('[1, 2, Infinity, 4]', 'unreadable', 'holds a number that is not finite'),
    ('[1, 2, 1e400, 4]', 'unreadable', 'holds a number that is not finite'),
    (f'[1, 2, {10 ** 400}, 4]', 'unreadable', 'holds a number that is not finite'),
    (f'[1, 2, {"9" * 10 ** 6}, 4]', 'unreadable', 'holds a number that is not finite'),
    ('[1, 2, 1000001, 4]', 'unreadable', 'holds a number beyond a million'),
    ('__import__("os").system("true")', 'unreadable', 'no box in any notation that is known'),
])
def test_what_is_no_box_says_why(text: str, kind: str, why: str) -> None:
    reading = read_boxes(text)
    assert (reading.kind, reading.why, reading.boxes) == (kind, why, ())


def test_of_several_boxes_the_first_counts_and_the_same_one_twice_is_one() -> None:
    reading = read_boxes('[1, 2, 3, 4] or [5, 6, 7, 8] or [5, 6, 7, 8]')
    assert (reading.kind, reading.why) == ('several', '2 boxes, of which the first counts')
    assert reading.boxes == ((1, 2, 3, 4), (5, 6, 7, 8))
    assert read_boxes('[1, 2, 3, 4], that is [1.0, 2, 3, 4]').kind == 'read'


def test_what_is_wrong_with_the_first_box_is_not_mended_by_the_second() -> None:
    assert read_boxes('[9, 9, 1, 1] or [1, 2, 3, 4]').kind == 'unreadable'
    assert read_boxes('[1, 2, 3, 4] or [9, 9, 1, 1]').boxes == ((1, 2, 3, 4),)


def test_of_a_million_boxes_a_hundred_are_kept() -> None:
    reading = read_boxes('[1, 2, 3, 4][5, 6, 7, 8]' + ''.join(f'[0, 0, {i}, 1]' for i in range(1, 10 ** 5)) * 10)
    assert reading.why == 'more than 100 boxes, of which the first counts'
    assert len(reading.boxes) == MOST_BOXES and reading.boxes[0] == (1, 2, 3, 4)


@pytest.mark.parametrize('piece', ['[', '( ', '[1,', '[1', '<box>', '"x1": 1,', '{<1>', '<think>', '[1 1 1 ',
                                   'there is '])
def test_a_long_text_without_a_box_is_looked_through(piece: str) -> None:
    assert read_boxes(piece * (10 ** 6 // len(piece))).boxes == ()


@pytest.mark.parametrize(('text', 'box'), [
    ('<think>Not [1, 2, 3, 4].</think>[5, 6, 7, 8]', (5, 6, 7, 8)),
    ('\n<think>It is [1, 2, 3, 4].</think>There.', (1, 2, 3, 4)),
    ('<think>It is [1, 2, 3, 4], and', (1, 2, 3, 4)),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "<think>left</think>"}, {"bbox_2d": [5, 6, 7, 8]}]', (1, 2, 3, 4)),
])
def test_a_box_behind_the_thinking_counts_first(text: str, box: tuple) -> None:
    """Tags that stand further in belong to the words: with them, the known answers would not come out."""
    assert read_boxes(text).boxes[0] == box


def test_boxes_of_another_grid_are_not_kept_beside_the_first() -> None:
    reading = read_boxes('<loc_1><loc_2><loc_3><loc_4> <loc0001><loc0002><loc0003><loc0004>')
    assert (reading.kind, reading.boxes) == ('read', ((1, 2, 3, 4),))


def test_numbers_of_a_file_are_judged_as_words_are() -> None:
    assert read_numbers([]).kind == 'empty'
    assert read_numbers([(0, 0, 0, 0)]).why == 'four zeros'
    assert read_numbers([(1, 2, float('nan'), 4)]).kind == 'unreadable'
    assert read_numbers([(1, 2, 3, 4), (5, 6, 7, 8)]).kind == 'several'


def test_each_name_of_the_grammar_is_there_once() -> None:
    names = [notation.name for notation in NOTATIONS]
    assert len(set(names)) == len(names) and set(names) == set(EXAMPLES)
    assert set(WRITTEN) == set(EXAMPLES) - {'patch marks'}
    assert all(re.compile(notation.pattern) for notation in NOTATIONS)


def test_the_page_has_the_table_of_the_grammar() -> None:
    page = (Path(__file__).parents[1] / 'docs/answers.md').read_text()
    (table,) = re.findall(r'\| notation \| .*\n\| --- .*\n((?:\|.*\n)+)', page)
    assert table.splitlines() == [
        f'| {notation.name} | `{notation.examples[0].replace("|", chr(92) + "|")}` | {notation.written_by} '
        f'| {notation.coordinates or "not said"} |' for notation in NOTATIONS]
