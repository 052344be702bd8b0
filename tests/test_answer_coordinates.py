"""What the numbers of an answer are: each system by hand, and the way back for all of them."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.answers.coordinates import SYSTEMS, input_size_of, over_range, qwen_input, system_of, to_pixels
from harness.errors import InputError

#: An image of 200 by 100 pixels, and what the model was given of it.
IMAGE, INPUT = np.array([[200., 100.]]), np.array([[400., 400.]])


@pytest.mark.parametrize(('name', 'box', 'pixels'), [
    ('pixels', (10, 20, 30.5, 40), (10, 20, 30.5, 40)),
    ('fraction', (.1, .2, .5, 1), (20, 20, 100, 100)),
    ('hundredths', (10, 20, 50, 100), (20, 20, 100, 100)),
    ('thousandths', (100, 200, 500, 1000), (20, 20, 100, 100)),
    ('over-999', (0, 333, 666, 999), (0, 100 / 3, 400 / 3, 100)),
    ('bins-1000', (0, 0, 499, 999), (.1, .05, 99.9, 99.95)),
    ('bins-1024', (0, 256, 512, 1023), (0, 25, 100, 1023 / 1024 * 100)),
    ('resized', (40, 40, 200, 400), (20, 10, 100, 100)),
    ('padded-fraction', (0, .25, .5, .75), (0, 0, 100, 100)),
    ('padded-thousandths', (0, 250, 500, 750), (0, 0, 100, 100)),
])
def test_each_system_in_pixels(name: str, box: tuple, pixels: tuple) -> None:
    found = to_pixels(np.array([box], np.float64), SYSTEMS[name], IMAGE, INPUT)
    assert found[0].tolist() == pytest.approx(list(pixels), rel=1e-12)


def test_every_system_has_such_a_case() -> None:
    (cases,) = [mark.args[1] for mark in test_each_system_in_pixels.pytestmark]
    assert [case[0] for case in cases] == list(SYSTEMS)


@given(st.sampled_from(sorted(SYSTEMS)), st.integers(1, 2000), st.integers(1, 2000), st.floats(0, 1), st.floats(0, 1))
def test_a_longer_side_in_numbers_is_a_longer_side_in_pixels(name: str, width: int, height: int, low: float,
                                                            high: float) -> None:
    """Every system is affine and keeps order, on either side of the image by itself."""
    system, sizes = SYSTEMS[name], np.array([[width, height]], np.float64)
    most = system.most or 1000.
    low, high = sorted((low, high))
    boxes = np.array([[low, low, high, high], [0, 0, most, most]]) * np.array([[most], [1]])
    found = to_pixels(boxes, system, np.repeat(sizes, 2, 0), np.repeat(sizes * 2, 2, 0))
    assert (found[0, 2:] >= found[0, :2]).all()
    whole = found[1, 2:] - found[1, :2]
    assert (found[0, 2:] - found[0, :2] == pytest.approx((high - low) * whole, rel=1e-6, abs=1e-6))


@pytest.mark.parametrize(('size', 'resized'), [
    ((640, 480), (644, 476)), ((640, 425), (644, 420)), ((28, 28), (56, 56)), ((10, 10), (56, 56)),
    ((42, 70), (56, 56)),  # 1.5 and 2.5 times 28 are rounded to the even one
    ((8000, 4000), (5068, 2520)), ((1, 400), (28, 392)),
])
def test_qwen_s_own_size(size: tuple, resized: tuple) -> None:
    assert qwen_input(np.array([size], np.float64)).tolist() == [list(resized)]


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_qwen_s_size_is_of_whole_patches_and_bounded(width: int, height: int) -> None:
    ((w, h),) = qwen_input(np.array([[width, height]], np.float64)).tolist()
    assert w % 28 == h % 28 == 0 and w > 0 and h > 0
    if max(width, height) <= 50 * min(width, height):
        assert 4 * 28 * 28 <= w * h <= 16384 * 28 * 28


def test_what_is_over_the_range() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1.05, 1], [0, 0, 2, 1], [-.2, 0, 1, 1]])
    sizes = np.repeat(IMAGE, 4, 0)
    assert over_range(boxes, SYSTEMS['fraction'], sizes).tolist() == [False, False, True, True]
    assert over_range(boxes * 200, SYSTEMS['pixels'], sizes).tolist() == [True, True, True, True], '200 of 100 rows'
    assert over_range(boxes * [200, 100, 200, 100], SYSTEMS['pixels'], sizes).tolist() == [False, False, True, True]
    assert not over_range(boxes * 1e5, SYSTEMS['pixels'], np.zeros((4, 2))).any(), 'the size is not known'


def test_input_sizes() -> None:
    assert input_size_of('448x336')(np.repeat(IMAGE, 2, 0)).tolist() == [[448, 336]] * 2
    assert input_size_of('qwen2.5-vl') is qwen_input


@pytest.mark.parametrize('text', ['', '448', '0x5', 'axb', '1000000x1', '99999x99999', 'qwen'])
def test_an_input_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match='must be WIDTHxHEIGHT, such as 448x448, or qwen2.5-vl'):
        input_size_of(text)


def test_an_unknown_system_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match='--coordinates fractions: unknown, did you mean fraction.; known are '):
        system_of('fractions')


def test_resized_boxes_need_the_size_of_the_input() -> None:
    with pytest.raises(InputError, match='add --input-size WxH or --input-size qwen2.5-vl'):
        to_pixels(np.zeros((1, 4)), SYSTEMS['resized'], IMAGE)


def test_the_page_has_the_table_of_the_systems() -> None:
    page = (Path(__file__).parents[1] / 'docs/answers.md').read_text()
    assert re.findall(r'^\| `([a-z][\w-]+)` \| ([^|]+) \|$', page, flags=re.M) == [
        (system.name, system.what.replace('--input-size', '`--input-size`')) for system in SYSTEMS.values()]
