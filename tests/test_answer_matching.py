"""Which expression an answer is the answer to, and what is left over on either side."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.answers.matching import Matched, check_splits, match
from harness.answers.notations import read_boxes
from harness.answers.own_data import own_data
from harness.answers.records import Asked, RawAnswer, read_answers
from harness.data.fingerprints import comparable
from harness.data.plain import load_expressions
from harness.errors import InputError
from harness.registry import ANSWER_FORMS, names
from harness.types import Dataset, Expression, ImageInfo
from tests import answer_files

FILE = Path('answers.json')
CUP, BOWL = (20., 10., 60., 40.), (100., 50., 80., 40.)


def dataset(*rows: tuple, name: str = 'refcoco') -> Dataset:
    """Expressions of (image, sentence, box), or of these and the split; an annotation has the number of its box."""
    found = [Expression(name, split[0] if split else 'val', image, i, sent, tuple(sent.split()), box,
                        ann_id=100 * image + int(box[0]))
             for i, (image, sent, box, *split) in enumerate(rows, start=1)]
    return Dataset(name, {e.image_id: ImageInfo(e.image_id, 100, 200) for e in found}, found)


def answers(*asked: Asked, words: Sequence[str] = ()) -> list[RawAnswer]:
    texts = [*words, *['[1, 2, 3, 4]'] * (len(asked) - len(words))]
    return [RawAnswer(f'row {i}', read_boxes(text), one) for i, (one, text) in enumerate(
        zip(asked, texts, strict=True), start=1)]


def pairs(found: Matched) -> list[tuple[int, str]]:
    """The expressions' sent_ids with the rows that answer them."""
    return sorted((e.sent_id, one.row) for e, one in found.pairs)


def image(image_id: int, sent: str | None = None, truth: tuple | None = None, **more: object) -> Asked:
    box = None if truth is None else (truth[0], truth[1], truth[0] + truth[2], truth[1] + truth[3])
    return Asked(image=str(image_id), sent=sent, truth=box, **more)


@pytest.mark.parametrize('form', names(ANSWER_FORMS))
def test_the_answers_of_every_form_find_their_expressions(form: str, tmp_path: Path) -> None:
    path = answer_files.write_all(tmp_path)[form]
    raw = read_answers(ANSWER_FORMS.get(form)(), path)
    found = match(raw, load_expressions(answer_files.data(tmp_path)), path)
    assert [(e.sent_id, one) for e, one in found.pairs] == list(enumerate(raw, start=1)) and not found.notes


def test_a_sent_id_is_enough() -> None:
    found = match(answers(Asked(sent_id=2), Asked(sent_id=1), Asked(sent_id=9)),
                  {'refcoco': dataset((7, 'cup', CUP), (7, 'bowl', BOWL))}, FILE)
    assert pairs(found) == [(1, 'row 2'), (2, 'row 1')]
    assert found.notes == ['1 answers are for none of the expressions: row 3']


def test_the_same_text_on_two_referents_is_told_apart_by_the_box() -> None:
    data = {'refcoco': dataset((7, 'that', CUP), (7, 'that', BOWL), (7, 'left', CUP))}
    found = match(answers(image(7, 'that', BOWL), image(7, 'that', CUP)), data, FILE)
    assert pairs(found) == [(1, 'row 2'), (2, 'row 1')]
    found = match(answers(image(7, 'that'), image(7, 'left')), data, FILE)
    assert pairs(found) == [(3, 'row 2')]
    (note,) = found.notes
    assert note == ('1 answers are left out, their sentence is said of two objects of the image and the file has no '
                    'true box: row 1')


def test_equal_rows_of_the_data_are_answered_one_after_another() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (7, 'cup', CUP))}
    assert pairs(match(answers(*[image(7, 'cup', CUP)] * 2), data, FILE)) == [(1, 'row 1'), (2, 'row 2')]
    assert pairs(match(answers(image(7, 'cup', CUP)), data, FILE)) == [(1, 'row 1')]


def test_repeated_answers_are_counted_once_and_listed() -> None:
    found = match(answers(*[image(7, 'cup', CUP)] * 3, words=['[1, 2, 3, 4]'] * 2 + ['[5, 6, 7, 8]']),
                  {'refcoco': dataset((7, 'cup', CUP))}, FILE)
    assert pairs(found) == [(1, 'row 1')]
    assert found.notes == ['2 answers repeat an earlier one and are counted once: row 2, row 3',
                           '1 of those that repeat an earlier one say something else; the first counts: row 3']


def test_an_answer_to_a_whole_referent_counts_for_each_of_its_sentences() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (7, 'left', CUP), (7, 'bowl', BOWL))}
    found = match(answers(Asked(ann_id=720, sent='cup; left', whole=True)), data, FILE)
    assert pairs(found) == [(1, 'row 1'), (2, 'row 1')]


def test_sentences_of_a_referent_are_answered_in_their_order() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (7, 'bowl', BOWL), (7, 'left', CUP))}
    for asked in (Asked(ann_id=720), image(7, truth=CUP), Asked(size=(200, 100), truth=(20., 10., 80., 50.))):
        assert pairs(match(answers(asked, asked), data, FILE)) == [(1, 'row 1'), (3, 'row 2')]


def test_a_true_box_may_be_cut_to_whole_pixels_and_is_no_other_s() -> None:
    data = {'refcoco': dataset((7, 'cup', (20.9, 10.9, 60.9, 40.9)), (7, 'bowl', (22.9, 12.9, 60.9, 40.9)))}
    cut = Asked(image='7', truth=(20., 10., 80., 50.))
    assert pairs(match(answers(cut), data, FILE)) == [(1, 'row 1')]
    far = Asked(image='7', truth=(40., 10., 80., 50.))
    assert match(answers(cut, far), data, FILE).notes == ['1 answers are for none of the expressions: row 2']


def test_data_without_annotations_are_matched_by_what_else_is_told() -> None:
    data = dataset((7, 'cup', CUP))
    data.expressions = [replace(e, ann_id=None) for e in data.expressions]
    asked = image(7, 'cup', CUP, ann_id=5)
    assert pairs(match(answers(asked), {'refcoco': data}, FILE)) == [(1, 'row 1')]
    with pytest.raises(InputError, match='not every answer says what it is the answer to in a way that the data knows'):
        match(answers(Asked(ann_id=5)), {'refcoco': data}, FILE)


def test_referents_of_an_image_are_taken_in_order_or_by_their_ann_id() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (7, 'left', CUP), (7, 'bowl', BOWL))}

    def grouped(*numbers: int) -> list[RawAnswer]:
        keys = [f'COCO_train2014_000000000007_{number}' for number in numbers]
        return answers(*[Asked(image=key, group=key) for key in keys])
    assert pairs(match(grouped(3, 3, 1), data, FILE)) == [(1, 'row 1'), (2, 'row 2'), (3, 'row 3')]
    assert pairs(match(grouped(800, 720), data, FILE)) == [(1, 'row 2'), (3, 'row 1')]
    both = match([*grouped(3, 1), *answers(Asked(image='9', group='a'))], data, FILE)
    assert [one.row for one in both.strange] == ['row 1'], 'an image of no expression'
    with pytest.raises(InputError, match='its answers fit no split'):
        match(grouped(1), data, FILE)


def test_an_image_of_another_name_is_found_by_its_file() -> None:
    data = dataset((7, 'cup', CUP))
    data.images[7] = replace(data.images[7], path=Path('folder/mine.png'))
    assert pairs(match(answers(Asked(image='images/mine.png', sent='cup')), {'mine': data}, FILE)) == [(1, 'row 1')]


def test_a_sentence_is_the_same_without_case_signs_and_blanks() -> None:
    assert comparable(' Man\'s T-shirt, left. ') == comparable("man 's t - shirt left") == 'man s t shirt left'


def test_of_several_datasets_the_file_is_of_the_one_it_fits() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP)),
            'refcoco+': dataset((7, 'cup', CUP), (7, 'bowl', BOWL), name='refcoco+')}
    found = match(answers(image(7, 'cup', CUP), image(7, 'bowl', BOWL)), data, FILE)
    assert found.fits == {('refcoco+', 'val'): 2}
    with pytest.raises(InputError, match='its answers fit refcoco and refcoco. alike; add --dataset with one of them'):
        match(answers(image(7, 'cup', CUP)), data, FILE)
    named = [image(7, 'cup', CUP, dataset=name) for name in ('refcoco+', 'refcoco', 'other')]
    found = match(answers(*named), data, FILE)
    assert [(e.dataset, one.row) for e, one in found.pairs] == [('refcoco', 'row 2'), ('refcoco+', 'row 1')]
    assert found.notes == ['1 answers are for none of the expressions: row 3']


def test_answers_that_fit_nothing_are_refused_with_what_there_is() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (8, 'bowl', BOWL, 'testA'))}
    with pytest.raises(InputError, match=r'^answers.json: by image and sentence, its answers fit no split of refcoco '
                                         r'\(val, testA\); the first is at row 1; give the data that it was made on$'):
        match(answers(image(9, 'dog')), data, FILE)


def test_answers_of_another_split_are_refused_with_the_one_they_fit() -> None:
    data = {'refcoco': dataset((7, 'cup', CUP), (8, 'bowl', BOWL, 'testA'), (8, 'left', BOWL, 'testA'))}
    found = match(answers(image(8, 'bowl'), image(8, 'left'), image(7, 'cup')), data, FILE)
    check_splits(found, ['testA'], FILE)
    with pytest.raises(InputError, match='is not of --split val: 2 of its 3 answers that fit are for refcoco testA; '
                                         'choose that split'):
        check_splits(found, ['val'], FILE)


def test_a_file_is_its_own_data(tmp_path: Path) -> None:
    path = tmp_path / 'rec_results_refcoco+_testB.json'
    raw = answers(image(7, 'cup', CUP), image(7, 'cup', CUP), Asked(image='mine.jpg', truth=(0., 0., 9., 9.)))
    datasets, found = own_data(raw, path)
    assert [(e.dataset, e.split, e.sent_id, e.image_id, e.sent, e.gt_xywh) for e, _ in found.pairs] == [
        ('refcoco+', 'testB', 1, 7, 'cup', CUP), ('refcoco+', 'testB', 2, 7, 'cup', CUP),
        ('refcoco+', 'testB', 3, -3, '', (0, 0, 9, 9))], 'equal rows stay apart'
    assert set(datasets) == {'refcoco+'} and datasets['refcoco+'].images[7] == ImageInfo(7, 0, 0)
    with pytest.raises(InputError, match='has no true boxes to judge by; give the data that it was made on'):
        own_data(answers(image(7, 'cup')), path)
    sizes = answers(image(7, 'cup', CUP, size=(200, 100)), image(7, 'bowl', BOWL, size=(100, 100)))
    with pytest.raises(InputError, match="row 2: the size of image 7 differs from an earlier row's"):
        own_data(sizes, path)
    other = own_data(answers(image(7, 'cup', CUP)), tmp_path / 'mine.json')[0]
    assert list(other) == ['mine'] and other['mine'].splits == ('all',)
