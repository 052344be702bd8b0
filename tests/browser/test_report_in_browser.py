"""The page in headless Chromium: opens without errors, filters, sorts, pages, fits a phone, goes dark, prints.

Screenshots and the printed PDF are kept in ``REPORT_SCREENSHOTS``, or else in a temporary folder.
"""
from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from reports.html.report import html_report
from tests.browser.chromium import Browser, forget, needs_chromium, open_at, shoot
from tests.html_run import FOUR, Said, write_run

pytest.importorskip('selenium', reason='selenium is not installed')
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

pytestmark = needs_chromium
COLOURS = ('red', 'blue', 'green', 'grey')
#: 5,000 expressions of which the first four are those of the hand-made run.
MANY = FOUR + tuple(
    Said(i, 7 + i % 2, f'{COLOURS[i % 4]} mug number {i}', (3, -1 if i % 5 == 0 else 1, i % 5 != 0 and i % 7 != 0),
         (4, 0, i % 7 != 0), 'testB' if i % 3 else 'val') for i in range(5, 5001))


@pytest.fixture(scope='module')
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp('report')
    file = folder / 'report.html'
    file.write_text(html_report([write_run(folder / 'run', MANY)]).html, encoding='utf-8')
    return file.as_uri()


@pytest.fixture
def page(chromium: Browser, address: str) -> Browser:
    """Freshly opened, 1280 pixels wide."""
    forget(chromium)
    opened(chromium, address, 1280)
    return chromium


def opened(chromium: Browser, address: str, width: int, dark: bool = False) -> None:
    open_at(chromium, address, width, dark)
    WebDriverWait(chromium, 60).until(lambda driver: driver.execute_script(
        'return document.documentElement.hasAttribute("data-ready")'))


def choose(page: Browser, name: str, value: str) -> None:
    Select(page.find_element(By.ID, name)).select_by_value(value)


def toggle(page: Browser, name: str) -> None:
    page.execute_script('arguments[0].click()', page.find_element(By.ID, name))


def count(page: Browser) -> str:
    return page.find_element(By.ID, 'count').text


def cards(page: Browser) -> list[str]:
    return [card.text for card in page.find_elements(By.CSS_SELECTOR, '.card h3')]


def test_it_opens_without_errors_and_asks_for_nothing(page: Browser, shots: Path) -> None:
    shoot(page, shots / 'light.png')
    assert page.get_log('browser') == []
    events = [json.loads(entry['message'])['message'] for entry in page.get_log('performance')]
    asked = {event['params']['request']['url'].partition(':')[0] for event in events
             if event['method'] == 'Network.requestWillBeSent'}
    assert 'file' in asked and asked <= {'file', 'data'}


def test_both_charts_are_drawn(page: Browser) -> None:
    lines = page.find_elements(By.CSS_SELECTOR, '#curve-plot .scatterlayer .js-line')
    assert len(lines) >= 2
    assert page.find_elements(By.CSS_SELECTOR, '#bins-plot .barlayer .point path')
    assert 'suppressed or thresholded out' in page.find_element(By.ID, 'bins-legend').text


def test_hovering_over_a_curve_shows_its_values(page: Browser) -> None:
    choose(page, 'curve-split', 'all together')
    page.execute_script('Plotly.Fx.hover("curve-plot", [{curveNumber: 2, pointNumber: 1}])')
    text = page.find_element(By.CSS_SELECTOR, '#curve-plot .hoverlayer').get_attribute('textContent')
    assert 'best 2 of each list' in text and '% found' in text and 'proposals on average' in text


def test_a_hostile_expression_is_shown_as_text(page: Browser) -> None:
    page.find_element(By.ID, 'search').send_keys('alert')
    toggle(page, 'f-picture')
    assert count(page) == '1–2 of 2 expressions'
    assert cards(page)[0] == '<script>alert(1)</script>'
    assert '</script>' in cards(page)[1] and '&amp;' in cards(page)[1]
    assert page.execute_script('return document.querySelectorAll("main script, #cards [onclick]").length') == 0


def test_words_are_shaded_by_attention(page: Browser) -> None:
    words = page.find_elements(By.CSS_SELECTOR, '.card:first-child .word')
    assert [word.text for word in words] == ['left', 'cup'] and words[0].get_attribute('title').endswith('50 %')


def test_boxes_are_drawn_for_both_rules_by_what_they_hit(page: Browser) -> None:
    kinds = page.execute_script('return [...document.querySelectorAll(".card:first-child svg")].map('
                                'svg => [...svg.querySelectorAll(".box")].map(box => box.classList[1]).join(" "))')
    assert kinds == ['o c halo chosen truth', 'o c r halo chosen truth']
    marks = [mark.text for mark in page.find_elements(By.CSS_SELECTOR, '.card:first-child .mark')]
    assert marks == ['✗', '✓']


def test_filters_work_alone_and_together(page: Browser) -> None:
    assert count(page).endswith('of 300 expressions')
    toggle(page, 'f-picture')
    assert count(page) == '1–24 of 5,000 expressions'
    page.find_element(By.ID, 'search').send_keys('BLUE mug')
    blue = [s for s in MANY if s.sent.startswith('blue mug')]
    assert count(page) == f'1–24 of {len(blue):,} expressions'
    choose(page, 'f-split', next(option.get_attribute('value') for option in Select(
        page.find_element(By.ID, 'f-split')).options if option.text == 'mini-refcoco testB'))
    blue = [s for s in blue if s.split == 'testB']
    assert count(page) == f'1–24 of {len(blue):,} expressions'
    choose(page, 'f-change', 'changed')
    blue = [s for s in blue if s.greedy[2] != s.ref_nms[2]]
    assert count(page) == f'1–24 of {len(blue):,} expressions'
    assert cards(page)[0] == blue[0].sent
    page.find_element(By.CSS_SELECTOR, '#filters button[type=reset]').click()
    WebDriverWait(page, 5).until(lambda page: count(page).endswith('of 300 expressions'))


def test_outcomes_are_those_of_the_rule_that_is_chosen(page: Browser) -> None:
    toggle(page, 'f-picture')
    choose(page, 'f-left', 'greedy')
    choose(page, 'f-right', 'ref-nms-b')
    outcome = Select(page.find_element(By.ID, 'f-bin'))
    outcome.select_by_visible_text('suppressed or thresholded out')
    suppressed = [s for s in MANY if s.greedy[1] < 0]
    assert count(page) == f'1–24 of {len(suppressed):,} expressions'
    choose(page, 'f-grounder', '')
    Select(page.find_element(By.ID, 'f-bin')).select_by_visible_text('referent not proposed')
    assert count(page) == f'1–24 of {len(suppressed):,} expressions'


def test_sorting_by_confidence_and_paging(page: Browser) -> None:
    toggle(page, 'f-picture')
    choose(page, 'f-sort', 'high')
    assert cards(page)[0] == MANY[-1].sent
    choose(page, 'f-sort', 'low')
    assert cards(page)[0] == MANY[0].sent
    page.execute_script('arguments[0].click()', page.find_element(By.ID, 'next'))
    assert count(page) == '25–48 of 5,000 expressions' and cards(page)[0] == MANY[24].sent
    assert len(cards(page)) == 24


def test_a_search_that_finds_nothing_says_so(page: Browser) -> None:
    page.find_element(By.ID, 'search').send_keys('zebra')
    assert count(page) == 'No expression is like that.' and cards(page) == []


@pytest.mark.parametrize('width', [380, 768, 1280])
def test_the_page_never_scrolls_sideways(chromium: Browser, address: str, shots: Path, width: int) -> None:
    opened(chromium, address, width)
    for details in chromium.find_elements(By.TAG_NAME, 'details'):
        chromium.execute_script('arguments[0].open = true', details)
    toggle(chromium, 'intervals')
    assert chromium.execute_script('return document.documentElement.scrollWidth') <= width
    if width == 380:
        shoot(chromium, shots / 'phone.png')


def ink_and_page(chromium: Browser) -> list[str]:
    return chromium.execute_script('const {color, backgroundColor} = getComputedStyle(document.body);'
                                   'return [color, backgroundColor]')


def test_it_is_dark_where_the_system_is_and_as_the_switch_says(chromium: Browser, address: str, shots: Path) -> None:
    opened(chromium, address, 1280)
    light = ink_and_page(chromium)
    opened(chromium, address, 1280, dark=True)
    dark = ink_and_page(chromium)
    shoot(chromium, shots / 'dark.png')
    assert dark != light
    for name, colours in (('light', light), ('dark', dark), ('auto', dark)):
        chromium.find_element(By.CSS_SELECTOR, f'.theme input[value={name}] + span').click()
        assert ink_and_page(chromium) == colours, name


def test_it_prints(page: Browser, shots: Path) -> None:
    paper = {'printBackground': True, 'paperWidth': 8.27, 'paperHeight': 11.69}
    printed = page.execute_cdp_cmd('Page.printToPDF', paper)
    pdf = base64.b64decode(printed['data'])
    (shots / 'printed.pdf').write_bytes(pdf)
    assert pdf.startswith(b'%PDF') and len(pdf) > 50_000
    assert page.get_log('browser') == []
