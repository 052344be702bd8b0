"""One picture and one sentence: proposals, the grounded box and mask, and a drawing of them."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from harness.commands.show import main
from harness.errors import InputError
from harness.evaluation.show import draw, ground, table
from harness.registry import GROUNDERS, PROPOSAL_RULES


@pytest.fixture
def picture(small_benchmark: Path) -> Path:
    return sorted((small_benchmark / 'images/train2014').iterdir())[0]


@pytest.fixture
def nothing():
    """A rule that proposes nothing."""
    class Nothing:
        def __call__(self, image, expressions):
            none = torch.zeros(0)
            return [InstanceData(bboxes=torch.zeros(0, 4), scores=none, det_scores=none,
                                 labels=none.long())] * len(expressions)

    PROPOSAL_RULES.register_module(name='nothing')(Nothing)
    yield 'nothing'
    PROPOSAL_RULES.module_dict.pop('nothing')


@pytest.mark.parametrize('grounder', ['cmae', 'mattnet', 'nmtree'])
def test_one_call_grounds_a_sentence(picture: Path, grounder: str) -> None:
    answer = ground(picture, 'the left one', grounder)
    height, width = answer.picture.shape[:2]
    assert answer.best == answer.scores.argmax() and len(answer.scores) == len(answer.proposals) > 0
    x1, y1, x2, y2 = answer.box
    assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    assert answer.mask.shape == (height, width) and answer.mask.dtype == bool
    ys, xs = answer.mask.nonzero()
    assert len(xs) and xs.min() >= x1 - 1 and xs.max() <= x2 + 1 and ys.min() >= y1 - 1 and ys.max() <= y2 + 1


def test_a_larger_picture_has_its_answer_in_its_own_pixels(picture: Path, tmp_path: Path) -> None:
    pixels = cv2.imread(str(picture))
    large = tmp_path / 'large.png'
    cv2.imwrite(str(large), cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST))
    answer = ground(large, 'the left one', rule='greedy')
    assert answer.mask.shape == (4 * pixels.shape[0], 4 * pixels.shape[1])
    ys, xs = answer.mask.nonzero()
    x1, y1, x2, y2 = answer.box
    assert xs.max() > pixels.shape[1] or ys.max() > pixels.shape[0] or max(answer.box) > max(pixels.shape)
    assert xs.min() >= x1 - 4 and xs.max() <= x2 + 4 and ys.min() >= y1 - 4 and ys.max() <= y2 + 4


def test_other_rules_and_their_options(picture: Path) -> None:
    few = ground(picture, 'the left one', 'chance', settings={'ref-nms-b': {'threshold': 1.0}})
    assert len(few.proposals) == 1 and few.best == 0
    greedy = ground(picture, 'the left one', 'chance', rule='greedy')
    assert 'relatedness' not in greedy.proposals and 'nan' in table(greedy)


def colours(path: Path) -> dict[str, int]:
    """How many pixels have a colour of the drawing."""
    pixels = cv2.imread(str(path)).reshape(-1, 3).astype(int)
    return {name: int((abs(pixels - np.array(bgr)).max(axis=1) < 25).sum())
            for name, bgr in (('blue', (180, 119, 31)), ('yellow', (31, 210, 255)))}


def test_the_command_prints_and_draws(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(picture), 'the $left^ one\nof two', '--out', 'new/shown.png']) == 0
    told = capsys.readouterr().out
    assert told.count('→') == 1 and 'note: the shipped weights were trained on the drawings of the embedded' in told
    assert 'drawn: new/shown.png' in told
    assert all(count > 100 for count in colours(tmp_path / 'new/shown.png').values())
    main([str(picture), 'cup', '--grounder', 'chance'])
    assert (tmp_path / f'{picture.stem}-grounded.png').stat().st_size > 0


def test_without_proposals_there_is_a_picture_all_the_same(picture: Path, tmp_path: Path, nothing: str) -> None:
    answer = ground(picture, 'the cup', 'chance', rule=nothing)
    assert answer.best is None and answer.mask is None and answer.box is None
    assert any('no proposal' in note for note in answer.notes)
    draw(answer, tmp_path / 'none.png')
    assert colours(tmp_path / 'none.png')['yellow'] < 100 and table(answer).count('\n') == 0


def test_no_word_and_very_many_words_are_said(picture: Path, tmp_path: Path) -> None:
    empty = ground(picture, ' ')
    assert empty.best is not None and any('no word' in note for note in empty.notes)
    long = ground(picture, 'left cup ' * 5000)
    assert long.best is not None and any('of 10000 words the first 64 are read' in note for note in long.notes)
    draw(long, tmp_path / 'long.png')


@pytest.mark.parametrize(('options', 'message'), [
    (['not-there.png', 'cup'], 'there is no such image'),
    (['IMAGE', 'cup', '--grounder', 'cmea'], '--grounder .*did you mean cmae'),
    (['IMAGE', 'cup', '--grounder', 'cmae,chance'], '--grounder: only one can be shown in a picture'),
    (['IMAGE', 'cup', '--proposals', 'ref-nms'], '--proposals .*did you mean'),
    (['IMAGE', 'cup', '--proposals', 'ground-truth'], 'no annotated boxes'),
    (['IMAGE', 'cup', '--dataset-weights', 'nowhere'], '--dataset-weights nowhere: unknown'),
    (['IMAGE', 'cup', '--out', 'shown.bmp'], 'must end in .png'),
    (['IMAGE', 'cup', '--out', 'IMAGE'], 'is the image itself'),
    (['IMAGE', 'cup', '--set', 'threshold'], '--set threshold: write'),
    (['IMAGE', 'cup', '--device', 'tpu'], '--device tpu: not available'),
    (['IMAGE'], 'required: SENTENCE'),
    (['broken.png', 'cup'], 'not a readable image'),
])
def test_bad_input_is_refused_in_one_line(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          options: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path('broken.png').write_bytes(b'\x89PNG not quite')
    with pytest.raises(InputError, match=message) as error:
        main([str(picture) if option == 'IMAGE' else option for option in options])
    assert '\n' not in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['broken.png']


def test_a_grounder_that_gives_no_numbers(picture: Path) -> None:
    class Spoilt:
        def __call__(self, image, expressions, proposals):
            return [p.scores * float('nan') for p in proposals]

    GROUNDERS.register_module(name='spoilt')(Spoilt)
    try:
        with pytest.raises(InputError, match='grounder spoilt: .*not finite numbers'):
            ground(picture, 'cup', 'spoilt')
    finally:
        GROUNDERS.module_dict.pop('spoilt')
