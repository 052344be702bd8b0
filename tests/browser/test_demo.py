"""The page to try it in headless Chromium: answers, moves proposals with its sliders, takes pictures, asks nobody else.

Screenshots are kept in ``REPORT_SCREENSHOTS``, or else in a temporary folder.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser.chromium import Browser, forget, needs_chromium, open_at, shoot

pytest.importorskip('gradio', reason='Gradio is not installed: pip install gradio')
pytest.importorskip('selenium', reason='selenium is not installed')
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = needs_chromium
ROOT = Path(__file__).parents[2]
BOTH = ('greedy', 'ref-nms-b')


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the server has for temporary files."""
    return tmp_path_factory.mktemp('temporary')


@pytest.fixture(scope='module')
def address(small_cache: Path, files: Path) -> Iterator[str]:
    """The page, served by the command; ended as Ctrl-C ends it, it leaves no file."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, 'REFNMS_CACHE': str(small_cache), 'TMPDIR': str(files), 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, ROOT / 'run_benchmark.py', 'demo', '--port', str(port), '--device', 'cpu']
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = server.stdout.readline()
    assert said == f'open http://127.0.0.1:{port} in a browser; Ctrl-C ends it\n'
    yield f'http://127.0.0.1:{port}/'
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0 and server.stdout.read() == '' and list(files.glob('demo-*')) == []


@pytest.fixture
def page(chromium: Browser, address: str) -> Browser:
    """Freshly opened, 1280 pixels wide, with an answer."""
    chromium.get('about:blank')  # what the page before has begun is broken off, and it may say so
    forget(chromium)
    opened(chromium, address, 1280)
    return chromium


def opened(chromium: Browser, address: str, width: int, dark: bool = False) -> None:
    open_at(chromium, address, width, dark)
    soon(chromium, lambda: len(found(chromium, '.choices figure')) == 6)


def soon(page: Browser, holds: Callable[[], bool]) -> None:
    WebDriverWait(page, 30, 0.1).until(lambda _: holds())


def found(page: Browser, selector: str) -> list[Browser]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def text(page: Browser, selector: str) -> str:
    """What an element says, read in one step: the page may replace it at any time."""
    return page.execute_script('return document.querySelector(arguments[0])?.innerText ?? ""', selector)


def boxes(page: Browser, rule: str) -> int:
    return page.execute_script('return document.querySelectorAll(arguments[0]).length', f'#{rule}-proposals .box')


def places(page: Browser, part: str) -> set[str]:
    """Where the boxes of a part of the page are."""
    return set(page.execute_script('return [...document.querySelectorAll(arguments[0])].map(box => '
                                   '["x", "y", "width", "height"].map(side => box.getAttribute(side)).join(" "))',
                                   f'{part} .box'))


def words(page: Browser) -> list[str]:
    return page.execute_script('return [...document.querySelectorAll(".word")].map(word => word.firstChild.data)')


def value(page: Browser, name: str) -> str:
    return found(page, f'#{name} input')[0].get_attribute('value')


def options(page: Browser, name: str) -> list[str]:
    """What an opened list has to choose from."""
    found(page, f'#{name} input')[0].click()
    soon(page, lambda: len(found(page, '[role=option]')) > 1 and found(page, '[role=option]')[-1].is_displayed())
    return [one.get_attribute('textContent').strip('✓ \n') for one in found(page, '[role=option]')]


def choose(page: Browser, name: str, option: str) -> None:
    place = options(page, name).index(option)
    found(page, '[role=option]')[place].click()


def say(page: Browser, sentence: str) -> None:
    box = found(page, '#sentence textarea')[0]
    box.clear()
    box.send_keys(sentence)
    found(page, '#sentence .submit-button')[0].click()


def test_it_answers_without_errors_and_asks_nobody_else(page: Browser, address: str, shots: Path) -> None:
    assert value(page, 'dataset') == 'mini-refcoco' and value(page, 'image') == '10001'
    assert all(boxes(page, rule) >= 1 for rule in BOTH) and 'candidates before NMS' in text(page, '#candidates')
    assert [text(page, f'#{rule}-choices figcaption').split('\n')[0] for rule in BOTH] == ['CM-A-E'] * 2
    assert not text(page, '#banner')
    shoot(page, shots / 'demo-light.png')
    assert page.get_log('browser') == []
    events = [json.loads(entry['message'])['message'] for entry in page.get_log('performance')]
    asked = [event['params']['request']['url'] for event in events if event['method'] == 'Network.requestWillBeSent']
    assert any(url.startswith(address) for url in asked)
    assert [url for url in asked if not url.startswith((address, 'data:', f'blob:{address}'))] == []


@pytest.mark.parametrize('rule', BOTH)
def test_a_slider_moves_the_proposals_of_its_rule_and_the_choices_follow(page: Browser, rule: str) -> None:
    other = boxes(page, BOTH[rule == BOTH[0]])
    slider = found(page, f'#{rule}-slider input[type=range]')[0]
    slider.send_keys(Keys.HOME)
    soon(page, lambda: boxes(page, rule) > 5)
    many = boxes(page, rule)
    soon(page, lambda: places(page, f'#{rule}-choices') <= places(page, f'#{rule}-proposals'))
    slider.send_keys(Keys.END)
    soon(page, lambda: boxes(page, rule) < many)
    soon(page, lambda: places(page, f'#{rule}-choices') <= places(page, f'#{rule}-proposals'))
    assert boxes(page, BOTH[rule == BOTH[0]]) == other and page.get_log('browser') == []


def test_another_sentence_is_answered(page: Browser) -> None:
    assert text(page, '.legend').count('annotated box') == 1
    say(page, 'The left one')
    soon(page, lambda: words(page) == ['the', 'left', 'one'])
    assert 'annotated box' not in text(page, '.legend')
    shares = [int(text.strip('%')) for text in page.execute_script(
        'return [...document.querySelectorAll(".word small")].map(small => small.innerText)')]
    assert abs(sum(shares) - 100) <= 1


def test_one_of_the_images_own_sentences_is_answered(page: Browser) -> None:
    sentence = options(page, 'annotated')[-1]
    found(page, '[role=option]')[-1].click()
    soon(page, lambda: ' '.join(words(page)) == sentence)
    assert found(page, '#sentence textarea')[0].get_attribute('value') == sentence


def test_another_image_and_another_dataset_are_shown_with_sentences_of_their_own(page: Browser) -> None:
    before = text(page, '#sentence'), words(page)
    choose(page, 'image', '10002')
    soon(page, lambda: (text(page, '#sentence'), words(page)) != before and value(page, 'image') == '10002')
    choose(page, 'dataset', 'mini-refcocog')
    soon(page, lambda: value(page, 'image') == '40001' and value(page, 'split') == 'val')
    choose(page, 'split', 'test')
    soon(page, lambda: value(page, 'image') == '50001')
    assert page.get_log('browser') == []


@pytest.mark.parametrize('hostile', ['<img src=x onerror=alert(1)>', '${alert(1)} {{value}} {{#if value}}'])
def test_a_hostile_sentence_is_shown_as_text(page: Browser, hostile: str) -> None:
    say(page, hostile)
    first = hostile[0]
    soon(page, lambda: words(page)[:1] == [first])
    assert found(page, '#words img') == [] and page.get_log('browser') == []


def saved(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def test_a_picture_of_ones_own_is_answered_under_a_banner_and_not_kept(page: Browser, files: Path, shots: Path,
                                                                      tmp_path: Path) -> None:
    pixels = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 9)
    mine = saved(tmp_path, 'mine.jpg', cv2.imencode('.jpg', cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX))[1])
    found(page, 'input[type=file]')[0].send_keys(mine)
    soon(page, lambda: 'On photographs' in text(page, '#banner'))
    soon(page, lambda: value(page, 'image') == '' and value(page, 'annotated') == '')
    say(page, 'the left thing')
    soon(page, lambda: words(page) == ['the', 'left', 'thing'])
    shoot(page, shots / 'demo-loaded.png')
    assert [path for path in files.glob('demo-*/**/*') if path.is_file() and path.stat().st_size] == []
    choose(page, 'image', '10001')
    soon(page, lambda: not text(page, '#banner'))
    assert page.get_log('browser') == []


@pytest.mark.parametrize(('content', 'message'), [(b'GIF89a' + bytes(99), 'mine.png: is no PNG or JPEG'),
                                                  (b'\x89PNG\r\n\x1a\n' + bytes(11 << 20), 'exceed')])
def test_a_file_that_is_no_picture_or_too_large_is_refused_in_one_line(page: Browser, tmp_path: Path, content: bytes,
                                                                      message: str) -> None:
    before = text(page, '#candidates')
    found(page, 'input[type=file]')[0].send_keys(saved(tmp_path, 'mine.png', content))
    soon(page, lambda: message in text(page, '.toast-wrap, .toast-body'))
    assert text(page, '#candidates') == before and not text(page, '#banner')


@pytest.mark.parametrize('width', [380, 768, 1280])
def test_the_page_never_scrolls_sideways(chromium: Browser, address: str, shots: Path, width: int) -> None:
    opened(chromium, address, width)
    assert chromium.execute_script('return document.documentElement.scrollWidth') <= width
    if width == 380:
        shoot(chromium, shots / 'demo-phone.png')


def test_it_is_dark_where_the_system_is(chromium: Browser, address: str, shots: Path) -> None:
    colours = []
    for dark in (False, True):
        opened(chromium, address, 1280, dark)
        colours.append(chromium.execute_script('return getComputedStyle(document.querySelector(".intro p")).color'))
    shoot(chromium, shots / 'demo-dark.png')
    assert colours[0] != colours[1]
