"""The page of ``python -m reports html``: what it says, what it holds, and that nothing from a file becomes markup."""
from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from harness.errors import InputError
from reports.commands.html import main
from reports.html.gallery import ShownAnswers, order_of_sample
from reports.html.page import FOLDER, inline_json
from reports.html.picture_options import SAMPLE
from reports.html.recall_curve import curve
from reports.html.report import html_report
from reports.html.summary import two_rules
from reports.statistics.intervals import interval, intervals
from tests.html_run import FOUR, Said, write_run
from tests.prediction_files import write

OPEN = ('meta', 'input', 'br', 'hr', 'img', 'link')


class Page(HTMLParser):
    """A page taken apart: elements with attributes, the text that is shown, and the scripts by id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ''
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in OPEN:
            self._inside.append(tag)
        if tag == 'script':
            self._script = dict(attributes).get('id') or ''
            self.scripts[self._script] = ''

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if 'script' in self._inside:
            self.scripts[self._script] += data
        elif 'style' not in self._inside:
            self.text += data

    def json(self, name: str) -> Any:
        return json.loads(self.scripts[name])


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(html_report([write_run(tmp_path_factory.mktemp('run'))]).html)


# What it says


def said(folder: Path) -> str:
    html = html_report([folder]).html
    part = html[html.index('<div class="sentences">'):]
    return Page(part[:part.index('</div>') + 6]).text.strip()


def test_three_sentences_compare_the_two_rules(tmp_path: Path) -> None:
    assert said(write_run(tmp_path)) == (
        'ref-nms-b finds more: 75.0 % of the referents at 2.0 proposals per expression, where greedy finds 50.0 % at '
        '2.5 proposals, 25.0 points fewer (on 2 images, too few to tell).'
        'With ref-nms-b in the place of greedy, REC accuracy goes from 50.0 % to 50.0 % with cmae (+0.0 points, too '
        'few images to tell: 2).'
        'With cmae, 1 expression is right only on ref-nms-b, 1 of them because greedy had lost the referent before '
        'cmae could choose it; 1 is right only on greedy, 1 of them because ref-nms-b had lost it.')


def test_with_one_rule_it_says_that_there_is_nothing_to_compare(tmp_path: Path) -> None:
    text = said(write_run(tmp_path, rules=('greedy',)))
    assert text.startswith('Only greedy was run, so there is no other rule to compare it with; it finds 50.0 % of the '
                           'referents at 2.5 proposals per expression.')
    assert 'cmae answers 50.0 % right' in text


def test_without_a_grounder_it_counts_what_each_rule_alone_finds(tmp_path: Path) -> None:
    text = said(write_run(tmp_path, grounder='-'))
    assert 'No grounder answered on both greedy and ref-nms-b' in text
    assert text.endswith('2 referents are found by ref-nms-b only, and 1 by greedy only.')


def test_equal_recall_has_no_winner(tmp_path: Path) -> None:
    assert 'greedy and ref-nms-b find equally many referents: 50.0 %' in said(write_run(tmp_path, FOUR[1:3] + (
        Said(5, 7, 'cup', (1, 0, True), (1, -1, False)), Said(6, 7, 'mug', (1, -1, True), (1, -1, True)))))


@pytest.mark.parametrize('rules, pair', [
    (['greedy'], ('greedy', None)),
    (['ref-nms-b', 'greedy'], ('greedy', 'ref-nms-b')),
    (['greedy', 'greedy-100', 'ref-nms-b-100'], ('greedy-100', 'ref-nms-b-100')),
    (['greedy', 'mine'], ('greedy', 'mine')),
    (['mine', 'yours'], ('mine', 'yours')),
])
def test_the_two_rules_are_alike_in_their_number_of_proposals(rules: list[str], pair: tuple) -> None:
    assert two_rules(rules) == pair


def test_embedded_figures_are_called_so_and_others_are_not(page: Page, tmp_path: Path) -> None:
    assert 'Embedded benchmark. mini-refcoco is a small generated world' in page.text
    assert 'not RefCOCO’s' in page.text
    assert 'Embedded benchmark' not in Page(html_report([write_run(tmp_path, dataset='mine')]).html).text


def test_a_rehearsal_says_so_at_the_top_of_the_page(page: Page, tmp_path: Path) -> None:
    of_one = Page(html_report([write_run(tmp_path, dataset='rehearsal-refcoco')]).html)
    assert 'Rehearsal. rehearsal-refcoco: a rehearsal on generated scenes' in of_one.text
    assert 'Rehearsal.' not in page.text


# Figure 2


def test_recall_against_proposals_by_hand(page: Page) -> None:
    greedy, ref_nms = page.json('figures')['curves']
    assert (greedy['rule'], greedy['kept'], greedy['recall']) == ('greedy', [1, 1.75, 2.25, 2.5], [25, 25, 50, 50])
    assert (ref_nms['rule'], ref_nms['kept'], ref_nms['recall']) == ('ref-nms-b', [1, 1.75, 2], [25, 50, 75])


lists = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8), st.integers(-1, 8)), min_size=1, max_size=20)


@given(lists)
@settings(max_examples=20, deadline=None)
def test_a_longer_cut_never_finds_less_and_the_last_finds_all(rows: list[tuple[int, int, int]]) -> None:
    images, length, rank = np.array(rows).T
    rank = np.where(rank < length, rank, -1)
    found = curve(images, length, rank)
    assert (np.diff(found.recall) >= 0).all() and (np.diff(found.kept) >= 0).all()
    assert found.recall[-1] == pytest.approx(100 * (rank >= 0).mean())
    assert found.kept[-1] == pytest.approx(length.mean())


def test_lists_are_cut_to_a_hundred_at_most() -> None:
    found = curve(np.arange(3), np.array([300, 2, 1]), np.array([200, 1, -1]))
    assert len(found.recall) == 100 and found.recall[-1] == pytest.approx(100 / 3)


def test_intervals_of_a_curve_are_those_of_its_points() -> None:
    rng = np.random.default_rng(3)
    images, parts, whole = rng.integers(0, 9, 60), rng.random((60, 4)), rng.integers(1, 3, 60).astype(float)
    assert intervals(images, parts, whole) == [interval(images, part, whole) for part in parts.T]


# Nothing from a file becomes markup


def test_a_hostile_expression_stays_text(page: Page) -> None:
    assert page.json('data')['sent'] == [s.sent for s in FOUR]
    assert [element for element in page.elements if element[0] == 'script'] == [
        ('script', {'type': 'application/json', 'id': 'figures'}),
        ('script', {'type': 'application/json', 'id': 'data'}),
        ('script', {'type': 'text/plain', 'id': 'plotly'}), ('script', {})]


def test_hostile_names_notes_and_commands_stay_text(tmp_path: Path) -> None:
    bad = '<img src=x onerror=alert(1)>'
    folder = write_run(tmp_path / 'run', dataset=bad, grounder=bad + '2', rules=('</script>' + bad, '"\' ' + bad), run={
        'command': bad, 'notes': [bad, '</style>\ud800'], 'versions': {bad: bad}, 'conventions': {'recall': bad},
        'weights': {bad: {'file': bad, 'command': bad}, 'x': bad}, 'seconds': {bad: 1.5, 'x': 'NaN', 'y': -3},
        'machine': [bad], 'commit': {bad: bad}, 'throughput': {bad: {'images_per_second': bad}}})
    hostile = Page(html_report([folder], title=bad).html)
    assert not [element for element in hostile.elements if element[0] == 'img']
    assert not [name for _, attributes in hostile.elements for name in attributes if name.startswith('on')]
    assert hostile.text.count(bad) >= 10
    assert hostile.json('data')['splits'] == [f'{bad} val']


@given(st.text())
@settings(deadline=None)
def test_inline_json_ends_no_element_and_reads_back(text: str) -> None:
    written = str(inline_json([text]))
    assert json.loads(written) == [text]
    assert not set(written) & set('<>&\u2028\u2029')


def test_the_script_writes_no_markup() -> None:
    script = (FOLDER / 'report.js').read_text()
    for way in ('innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document.write', '</script', 'eval('):
        assert way not in script


def test_nothing_is_asked_for_from_outside(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ('src', 'href', 'action', 'data', 'srcset', 'poster'):
            assert (attributes.get(name) or '#').startswith('#'), (tag, attributes)
    policy = next(attributes['content'] for _, attributes in page.elements if attributes.get('http-equiv'))
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:; ")
    style = (FOLDER / 'report.css').read_text()
    assert 'url(' not in style and '@import' not in style
    assert all(source.startswith('data:image/webp;base64,') for _, _, source in page.json('data')['thumbs'])


def test_it_needs_no_torch() -> None:
    code = ('import sys, reports.html.report\n'
            'print([m for m in ("torch", "mmdet", "mmengine", "mmcv") if m in sys.modules])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == '[]\n'


# What it holds


def test_gallery_says_of_each_expression_what_each_rule_made_of_it(page: Page) -> None:
    data = page.json('data')
    assert data['rules'] == ['greedy', 'ref-nms-b']
    assert data['found'] == {'greedy': '0101', 'ref-nms-b': '1110'}
    assert {rule: mine['right'] for rule, mine in data['answers']['cmae'].items()} == {'greedy': '0101',
                                                                                       'ref-nms-b': '1100'}
    assert data['kept'] == {'greedy': [2, 4, 1, 3], 'ref-nms-b': [3, 1, 2, 2]}
    assert data['attention'] == {'ref-nms-b': [[50, 50], [100], [20] * 5, [50, 50]]}
    assert data['drawn']['ref-nms-b']['0'] == [[0, 2, 10, 8, 1, 2, 10, 8, 2, 2, 10, 8], 'c-r']
    assert data['answers']['cmae']['greedy']['score'] == [0.1, 0.2, 0.3, 0.4]


def test_boxes_are_in_the_pixels_of_the_whole_image(page: Page) -> None:
    data = page.json('data')
    assert [thumb[:2] for thumb in data['thumbs']] == [[40, 30]] * 2
    assert data['thumb'][0] == data['thumb'][1] != data['thumb'][2]
    assert data['truth']['0'] == [10, 10, 20, 20]


def test_failures_tables_cost_and_provenance_are_on_the_page(page: Page) -> None:
    names = [b['name'] for b in page.json('figures')['binNames']]
    counts = {row['rule']: dict(zip(names, row['counts'], strict=True)) for row in page.json('figures')['bins']}
    assert counts['greedy'] == dict.fromkeys(names, 0) | {'right': 2, 'suppressed': 2}
    assert counts['ref-nms-b'] == dict.fromkeys(names, 0) | {'right': 2, 'suppressed': 1, 'other_category': 1}
    for text in ('Table 1: Recall (%)', '75.00', 'detect', 'c0ffee', 'feed', 'da7a', 'a note', 'IoU > 0.5', '0.7'):
        assert text in page.text


def test_tables_keep_their_marks_and_say_what_limits_them(tmp_path: Path) -> None:
    made = Page(html_report([write_run(tmp_path, run={'options': {'limit': 4}})]).html)
    assert made.elements.count(('span', {'class': 'best'})) >= 2
    assert 'Only the first 4 expressions of each split were run.' in made.text


def answers(bins: list[int]) -> ShownAnswers:
    column = np.array(bins)
    return ShownAnswers(column, column == 0, column * 0.0, column * 0.0, np.full(len(bins), None))


def test_the_sample_prefers_changes_and_holds_every_bin() -> None:
    rng = np.random.default_rng(0)
    before = rng.choice([0, 2], 5000, p=[0.7, 0.3])
    before[4321] = 7  # the only one of its bin
    after = np.where(rng.random(5000) < 0.1, 0, before)
    sides = {'a': answers(before.tolist()), 'b': answers(after.tolist())}
    order = list(order_of_sample({'cmae': sides}, {}, ('a', 'b'), np.zeros(5000, int)))
    assert sorted(order) == list(range(5000))
    picked = order[:SAMPLE]
    changed = ((before == 0) != (after == 0))[picked].sum()
    assert 0.3 * SAMPLE < changed <= 0.7 * SAMPLE
    assert set(before[picked]) == {0, 2, 7}


def test_two_runs_are_merged_and_what_both_have_counts_once(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / 'one'), write_run(tmp_path / 'two', grounder='mattnet')
    made = Page(html_report([one, two]).html)
    data = made.json('data')
    assert list(data['answers']) == ['cmae', 'mattnet'] and len(data['sent']) == 4
    assert [c['n'] for c in made.json('figures')['curves']] == [4, 4]


# What is missing is said


@pytest.mark.parametrize('name, says', [
    ('predictions.jsonl', 'There is no predictions.jsonl beside'),
    ('proposals.jsonl', 'There is no proposals.jsonl beside'),
])
def test_a_file_that_is_not_there_is_gone_without(tmp_path: Path, name: str, says: str) -> None:
    (write_run(tmp_path) / name).unlink()
    made = html_report([tmp_path])
    assert any(line.startswith(says) for line in made.lacks)
    text = Page(made.html).text
    assert all(line in text for line in made.lacks) and '75.00' in text


def test_without_any_image_the_gallery_says_so(tmp_path: Path) -> None:
    made = Page(html_report([write_run(tmp_path, images=False)]).html)
    assert 'the gallery has no pictures' in made.text and made.json('data')['thumb'] == [None] * 4


def test_images_may_lie_elsewhere_and_a_broken_one_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / 'run', images=False)
    folder = write_run(tmp_path / 'pictures')
    (folder / 'COCO_train2014_000000000008.png').write_bytes(b'no picture')
    assert Page(html_report([tmp_path / 'run'], {'': folder}).html).json('data')['thumb'] == [0, 0, None, None]


def edit(file: Path, change: Callable[[dict], None]) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows[1])
    file.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_proposals_of_an_earlier_version_are_left_out(tmp_path: Path) -> None:
    file = write_run(tmp_path) / 'proposals.jsonl'
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(''.join(json.dumps({k: v for k, v in row.items() if k != 'hits'}) + '\n' for row in rows))
    made = html_report([tmp_path])
    assert any('of an earlier version' in line for line in made.lacks)
    assert Page(made.html).json('figures')['curves'] == []


# Bad input


@pytest.mark.parametrize('change, says', [
    (lambda row: row.update(hits=['referent']), 'hits'),
    (lambda row: row.update(hits=[{}] * 3), 'hits'),
    (lambda row: row.update(boxes=[[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3]]), 'boxes'),
    (lambda row: row.update(boxes=[[1, 2, 3, 1e300]] * 3), 'boxes'),
    (lambda row: row.update(sent_id=99), 'sent_id 99 of mini-refcoco is in no predictions.jsonl'),
    (lambda row: row.update(word_attention=['a']), 'word_attention'),
    (lambda row: row.update(confidence='high'), 'confidence'),
    (lambda row: row.pop('confidence'), 'confidence'),
])
def test_a_damaged_row_is_refused_with_its_line(tmp_path: Path, change: Callable[[dict], None], says: str) -> None:
    edit(write_run(tmp_path) / 'proposals.jsonl', change)
    with pytest.raises(InputError, match=f'proposals.jsonl: line 2: .*{says}') as refused:
        html_report([tmp_path])
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize('arguments, says', [
    (['-o', 'page.json'], 'name it .html'),
    (['-o', 'page.html', '--images', 'nowhere'], 'no such folder'),
    (['-o', 'nowhere/page.html'], 'cannot be written'),
])
def test_options_that_can_not_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
                                              says: str) -> None:
    monkeypatch.chdir(write_run(tmp_path))
    with pytest.raises(InputError, match=says):
        main(['.', *arguments])


def test_it_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write_run(tmp_path)), '-o', str(tmp_path / 'page.html')]) == 0
    assert (tmp_path / 'page.html').read_text().startswith('<!doctype html>')
    assert 'page.html: ' in capsys.readouterr().out


# Pictures


def turned_run(folder: Path, orientation: int, size: list[int] | None) -> Path:
    """A run whose one photograph is stored 80 by 60 pixels with an orientation: blue, and red in the first quarter of
    the stored rows and columns. ``size`` is its recorded width and height."""
    write_run(folder, FOUR[:1], images=False, run={'images_in': {'mini-refcoco': str(folder)}})
    stored = Image.new('RGB', (80, 60), (0, 0, 255))
    stored.paste((255, 0, 0), (0, 0, 20, 15))
    exif = stored.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(folder / 'photo.jpg', exif=exif, quality=95)
    rows = [json.loads(line) for line in (folder / 'predictions.jsonl').read_text().splitlines()]
    for row in rows:
        row.update(image_size=size, image_file='photo.jpg')
        if size is None:
            del row['image_size']
    write(folder / 'predictions.jsonl', rows)
    return folder


@pytest.mark.parametrize(('orientation', 'recorded', 'shown', 'red'), [
    (1, [80, 60], [80, 60], (4, 4)),
    (6, [60, 80], [60, 80], (56, 4)),  # its first row is the right side: the run turns it
    (8, [60, 80], [60, 80], (4, 76)),  # its first row is the left side
    (3, [80, 60], [80, 60], (76, 56)),  # upside down
    (6, [80, 60], [80, 60], (4, 4)),  # recorded as it is stored: the run leaves it
    (6, None, [60, 80], (56, 4)),  # a file of an earlier version
])
def test_a_picture_is_turned_as_the_run_turned_it_so_that_boxes_lie_right(
        tmp_path: Path, orientation: int, recorded: list[int] | None, shown: list[int], red: tuple[int, int]) -> None:
    (thumb,) = Page(html_report([turned_run(tmp_path, orientation, recorded)]).html).json('data')['thumbs']
    width, height, source = thumb
    assert [width, height] == shown
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(',')[2]))).convert('RGB')
    assert picture.size == tuple(shown)
    r, _, b = picture.getpixel(red)
    assert r > 200 and b < 90


def pictured(folder: Path, **options: Any) -> list[int]:
    """The expressions that have a picture."""
    data = Page(html_report([folder], **options).html).json('data')
    return [data['id'][i] for i, thumb in enumerate(data['thumb']) if thumb is not None]


@pytest.mark.parametrize(('only', 'ids'), [
    ('right on greedy only', [4]), ('right on ref-nms-b only', [1]), ('wrong on greedy only', [1]),
    ('changed', [1, 4]), ('changed between rules', [1, 4]), ('right on greedy', [2, 4]), ('wrong on greedy', [1, 3]),
    ('suppressed on greedy', [1, 3]), ('suppressed on greedy with cmae', [1, 3]), ('other_category on ref-nms-b', [3]),
    ('no_candidate on greedy', []),
])
def test_pictures_for_a_filter_of_one_s_own(tmp_path: Path, only: str, ids: list[int]) -> None:
    assert pictured(write_run(tmp_path), only=only) == ids


def test_a_filter_is_told_on_the_page_and_holds_for_any_grounder_unless_one_is_named(tmp_path: Path) -> None:
    one = write_run(tmp_path / 'one')
    flipped = [s._replace(greedy=(*s.greedy[:2], not s.greedy[2])) for s in FOUR]
    two = write_run(tmp_path / 'two', flipped, grounder='mattnet')
    made = Page(html_report([one, two], only='right on greedy').html)
    assert '4 of 4 have pictures: those that are “right on greedy”.' in made.text
    named = Page(html_report([one, two], only='right on greedy with mattnet').html)
    assert [thumb is not None for thumb in named.json('data')['thumb']] == [True, False, True, False]
    assert named.json('data')['grounder'] == 'mattnet', 'and the page begins with that grounder'
    few = Page(html_report([one, two], only='right on greedy', pictures=3).html)
    assert '3 of 4 have pictures: a sample of the 4 that are “right on greedy”.' in few.text


def test_without_a_grounder_right_is_a_referent_that_is_proposed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grounder='-')
    assert pictured(folder, only='right on ref-nms-b only') == [1, 3]
    with pytest.raises(InputError, match='no grounder answered, so there are no bins'):
        html_report([folder], only='suppressed on greedy')


def test_as_many_pictures_as_are_asked_for(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Said(i, i, 'cup', (1, 0, True), (1, 0, True)) for i in range(1, SAMPLE + 30)])
    assert [len(pictured(folder, **options)) for options in ({}, {'pictures': SAMPLE + 9}, {'pictures': 0})] == [
        SAMPLE, SAMPLE + 9, 0]


@pytest.mark.parametrize(('only', 'says'), [
    ('', 'is no filter; write one of changed; right on RULE'), ('left of greedy', 'is no filter'),
    ('right on gredy', 'unknown rule gredy, did you mean greedy?'),
    ('rihgt on greedy', 'unknown outcome rihgt, did you mean right?'),
    ('right on greedy with cma', 'unknown grounder cma, did you mean cmae?'),
    ('suppressed on greedy only', 'is no filter'),
])
def test_a_filter_that_means_nothing_is_refused(tmp_path: Path, only: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)) as refused:
        html_report([write_run(tmp_path)], only=only)
    assert '\n' not in str(refused.value)
    with pytest.raises(InputError, match='one rule only'):
        html_report([write_run(tmp_path, rules=('greedy',))], only='changed')


@pytest.mark.parametrize('options, says', [
    (['--images', 'mini-refcoc=HERE'], 'the results have no such dataset, did you mean mini-refcoco?'),
    (['--images', 'mini-refcoco=HERE', '--images', 'mini-refcoco=HERE'], 'mini-refcoco has a folder already'),
    (['--images', 'HERE', '--images', 'HERE'], 'every dataset has a folder already'),
    (['--pictures', '0', '--images', 'HERE'], '--images: has no effect without pictures'),
    (['--pictures', '0', '--only', 'bin=right'], '--only: has no effect without pictures')])
def test_what_has_no_effect_on_the_page_is_refused(options: list[str], says: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / 'run')
    words = [word.replace('HERE', str(tmp_path)) for word in options]
    with pytest.raises(InputError, match=re.escape(says)):
        main([str(run), '-o', str(tmp_path / 'page.html'), *words])
    assert not (tmp_path / 'page.html').exists()
