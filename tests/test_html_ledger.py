"""The ledger of conventions on the page: which tables it has, what they say, and that a large run does not flood it."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reports.html import ledger_tables
from reports.html.gallery import read_answers
from reports.html.ledger_tables import elsewhere
from reports.html.report import html_report
from reports.html.thumbnails import Thumbnails
from tests.html_run import FOUR, Said, write_run

BOTH = ('greedy', 'ref-nms-b')
#: A box of half the annotated one: right by ≥ 0.5, wrong by > 0.5.
HALF = {'box': [10.0, 10.0, 20.0, 10.0], 'iou': 0.5}


def rewrite(folder: Path, **changed: object) -> Path:
    file = folder / 'predictions.jsonl'
    rows = [{**json.loads(line), **changed} for line in file.read_text().splitlines()]
    file.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return file


def section(html: str) -> str:
    found = re.search(r'<section id="conventions">.*?</section>', html, flags=re.S)
    return found[0] if found else ''


def test_a_two_stage_run_has_a_table_for_each_of_the_two_rules_a_dataset_s_splits_together(tmp_path: Path) -> None:
    said = (*FOUR, Said(5, 9, 'red cup', (2, 0, True), (2, 0, True), split='testA'))
    shown = section(html_report([write_run(tmp_path / 'run', said)]).html)
    titles = re.findall(r'<summary>(.*?)</summary>', shown)
    assert titles == [f'{what} of cmae with {rule} on mini-refcoco val + testA, by every rule'
                      for rule in BOTH for what in ('REC accuracy (%)', 'RES (%)')]
    assert shown.count('<details class="more" open>') == 1 and shown.count('<details') == 4
    assert 'MiniGPT-v2' in shown and 'LOOKS AT THE TRUTH' in shown and 'Not available: readable, best-box' in shown


def test_answers_from_outside_have_a_table_a_split(tmp_path: Path) -> None:
    said = (*FOUR, Said(5, 9, 'red cup', (2, 0, True), (2, 0, True), split='testA'))
    file = rewrite(write_run(tmp_path / 'run', said), n_proposals=None, mask_intersection=None, mask_union=None)
    tables = elsewhere(read_answers([file]), ('greedy', None), None).tables
    assert [table.title.partition(' on ')[2] for table in tables] == [
        f'mini-refcoco {split}, by every rule' for split in ('val', 'val', 'testA', 'testA')], 'both rules in full'


def test_answers_that_change_have_pictures_with_both_boxes_but_not_too_many(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / 'run')
    file = rewrite(folder, **HALF)
    predictions, thumbnails = read_answers([file]), Thumbnails({'mini-refcoco': folder})
    first, masks, second, _ = elsewhere(predictions, BOTH, thumbnails).tables
    assert [(picture.rule, picture.example.sent_id, picture.example.right) for picture in first.pictures] == [
        ('inclusive-over', 1, False), ('plain-over', 2, False), ('cut-truth-clipped-over', 3, False)]
    assert first.pictures[0].box == (10, 10, 20, 10) and first.pictures[0].truth == (10, 10, 20, 20)
    assert len(second.pictures) == 3
    monkeypatch.setattr(ledger_tables, 'MOST_PICTURES', 2)
    assert [len(table.pictures) for table in elsewhere(predictions, BOTH, thumbnails).tables] == [2, 0, 0, 0]
    # The right answers of this run have half the annotated box; the wrong ones are wrong by every rule.
    file = rewrite(write_run(tmp_path / 'page'), box=None)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(''.join(json.dumps({**row, **(HALF if row['iou'] == 1 else {})}) + '\n' for row in rows))
    shown = section(html_report([file.parent]).html)
    assert shown.count('<svg') == 2 and shown.count('class="box chosen"') == shown.count('class="box truth"') == 2
    assert '<svg' not in section(html_report([file.parent], pictures=0).html)


def test_a_page_has_so_many_tables_and_says_how_many_are_left_out(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_tables, 'MOST_TABLES', 3)
    shown = section(html_report([write_run(tmp_path / 'run')]).html)
    assert shown.count('<details') == 3 and '1 more tables would be too many for a page' in shown


def test_without_a_grounder_there_is_no_ledger(tmp_path: Path) -> None:
    html = html_report([write_run(tmp_path / 'run', grounder='-')]).html
    assert not section(html) and 'href="#conventions"' not in html
