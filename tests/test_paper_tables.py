"""Measured results laid out like the paper's tables: same rows and columns, beside the published number or never."""
from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from reports.commands.tables import main
from reports.drawing.rendering import written
from reports.published import PAPER
from reports.published.reading import published
from reports.rows.results_files import read_runs
from reports.tables.layout import BEST, SECOND, Cell, Line, Table, Tables, marked
from reports.tables.paper_tables import as_printed, left_out, paper_tables

RUN = {
    'command': 'python run_benchmark.py', 'seed': 3, 'commit': 'c0ffee' * 7, 'versions': {}, 'options': {},
    'conventions': {'accuracy': 'IoU >= 0.5, both end pixels count', 'recall': 'IoU > 0.5', 'pr@X': 'IoU >= X'},
    'data': {'mini-refcoco': 'ab' * 32, 'refcoco': 'cd' * 32},
    'weights': {'detector': {'sha256': 'de' * 32, 'seed': 1}, 'cmae (mini-refcoco)': {'sha256': 'ca' * 32, 'seed': 1},
                'mattnet (mini-refcoco)': {'sha256': 'fa' * 32, 'seed': 1}},
    'notes': ['refcoco: a note about it', 'a note about something else'],
}
#: Expressions of RefCOCO's splits.
WHOLE = {'val': 10834, 'testA': 5657, 'testB': 5095}
Write = Callable[..., Path]


def record(value: float, metric: str = 'accuracy', grounder: str = 'cmae', rule: str = 'greedy',
           dataset: str = 'refcoco', split: str = 'val', n: int | None = None) -> dict:
    return {'dataset': dataset, 'split': split, 'task': 'rec', 'metric': metric, 'grounder': grounder,
            'proposals': rule, 'value': value, 'n': n or WHOLE.get(split, 10)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(records: list[dict], name: str = 'a', **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {**RUN, **changes}}))
        return folder
    return write


def laid_out(folder: Path) -> dict[str, Table]:
    return {table.name: table for table in paper_tables(read_runs([folder]))}


def line(table: Table, *labels: str, nth: int = 0) -> Line:
    return [line for line in table.lines if line.labels[:len(labels)] == labels][nth]


def texts(mine: Line) -> list[str]:
    return [str(cell.parts()) for cell in mine.cells]


@pytest.mark.parametrize(('name', 'lines', 'columns', 'first', 'last'), [
    ('1', 6, 16, ('N = 100', 'GreedyNMS'), ('real', 'Ref-NMS R')),
    ('2', 12, 16, ('MAttNet',), ('+Ref-NMS R',)),
    ('3', 14, 8, ('one-stage', 'SSG', "arXiv'18", 'darknet53'), ('two-stage', 'CM-A-E+Ref-NMS', "AAAI'21", 'res101')),
    ('4', 8, 8, ('one-stage', 'STEP', "ICCV'19"), ('two-stage', 'CM-A-E+Ref-NMS', "AAAI'21")),
])
def test_published_tables_have_the_paper_s_rows_and_columns(name: str, lines: int, columns: int, first: tuple,
                                                           last: tuple) -> None:
    table = as_printed(name, published([name]))
    assert (len(table.lines), len(table.columns)) == (lines, columns)
    assert (table.lines[0].labels, table.lines[-1].labels) == (first, last)
    splits = [f'{column.dataset} {column.split}' for column in table.columns]
    assert splits[:8] == ['refcoco val', 'refcoco testA', 'refcoco testB', 'refcoco+ val', 'refcoco+ testA',
                          'refcoco+ testB', 'refcocog val', 'refcocog test']
    assert splits == splits[:8] * (columns // 8)
    assert sum(cell.published is not None for line in table.lines for cell in line.cells) == len(published([name]))


def test_a_measured_number_stands_beside_the_published_one(write: Write) -> None:
    table = laid_out(write([record(80.104)]))['2']
    mine = line(table, 'CM-A-E†')
    assert texts(mine)[:2] == ['80.10 (78.35, +1.75)', '— (83.12)'], 'a dash where it was not run'
    assert texts(line(table, 'CM-A-E'))[0] == '(78.35)', 'the row quoted from CM-A-E\'s paper takes no run of ours'
    assert texts(line(table, 'CM-A-E'))[8] == '—', 'and is empty where the paper leaves it empty'


def test_the_difference_is_of_the_printed_numbers(write: Write) -> None:
    table = laid_out(write([record(78.3549), record(83.115, split='testA'), record(71.3249, split='testB')]))['2']
    assert texts(line(table, 'CM-A-E†'))[:3] == ['78.35 (78.35, +0.00)', '83.11 (83.12, -0.01)', '71.32 (71.32, +0.00)']


@pytest.mark.parametrize(('grounder', 'rule', 'label', 'nth'), [
    ('mattnet', 'greedy', 'MAttNet†', 0), ('nmtree', 'greedy', 'NMTree†', 0), ('cmae', 'greedy', 'CM-A-E†', 0),
    ('mattnet', 'ref-nms-b', '+Ref-NMS B', 0), ('nmtree', 'ref-nms-r', '+Ref-NMS R', 1),
    ('cmae', 'ref-nms-b', '+Ref-NMS B', 2),
])
def test_each_grounder_and_rule_has_its_row(write: Write, grounder: str, rule: str, label: str, nth: int) -> None:
    table = laid_out(write([record(12.34, grounder=grounder, rule=rule)]))['2']
    assert texts(line(table, label, nth=nth))[0].startswith('12.34 (')
    assert sum(cell.value is not None for mine in table.lines for cell in mine.cells) == 1


def test_the_same_run_is_in_the_tables_beside_the_state_of_the_art(write: Write) -> None:
    tables = laid_out(write([record(12.0, rule='ref-nms-b'), record(34.0, 'overall_iou'),
                             record(56.0, grounder='nmtree')]))
    assert texts(line(tables['3'], 'two-stage', 'CM-A-E+Ref-NMS'))[0] == '12.00 (80.70, -68.70)'
    assert texts(line(tables['4'], 'two-stage', 'CM-A-E†'))[0] == '34.00 (58.23, -24.23)'
    nmtree = [texts(mine)[0] for mine in tables['3'].lines if mine.labels[1] == 'NMTree']
    assert nmtree == ['(71.65)', '56.00 (76.41, -20.41)'], 'vgg16 is not our detector'


def test_recall_goes_by_rule(write: Write) -> None:
    table = laid_out(write([record(90.0, 'referent_recall', '-', 'greedy-100'),
                            record(70.0, 'context_recall', '-', 'ref-nms-b')]))['1']
    assert texts(line(table, 'N = 100', 'GreedyNMS'))[0] == '90.00 (97.60, -7.60)'
    assert texts(line(table, 'real', 'Ref-NMS B'))[8] == '70.00 (78.75, -8.75)'


def test_the_number_of_proposals_stands_beside_recall_and_is_no_contest(write: Write) -> None:
    records = [record(value, metric, '-', rule, 'mini-refcoco') for rule, values in
               (('greedy', (70.0, 6.25)), ('ref-nms-b', (88.0, 7.09)), ('ref-nms-r', (80.0, 6.5)))
               for metric, value in zip(('referent_recall', 'mean_proposals'), values, strict=True)]
    table = laid_out(write(records))['1']
    assert [column.top for column in table.columns] == ['Referent', 'Contextual objects', 'Proposals']
    assert [mine.cells[2].value for mine in table.lines] == [6.25, 7.09, 6.5]
    assert [[cell.mark for cell in mine.cells] for mine in table.lines] == [
        ['', '', ''], [BEST, '', ''], [SECOND, '', '']]
    recall_alone = laid_out(write([record(90.0, 'referent_recall', '-', 'greedy-100')], 'b'))['1']
    assert {column.top for column in recall_alone.columns} == {'Referent', 'Contextual objects'}, 'no empty columns'


def test_pr_x_stands_beside_what_the_authors_logged(write: Write) -> None:
    tables = laid_out(write([record(75.0, 'pr@0.5', 'mattnet'), record(60.0, 'pr@0.9')]))
    assert set(tables) == {'pr@0.5', 'pr@0.9'}
    assert texts(line(tables['pr@0.5'], 'MAttNet†'))[0] == '75.00 (75.49, -0.49)'
    assert texts(line(tables['pr@0.5'], 'MAttNet'))[0] == '(75.16)'
    assert texts(line(tables['pr@0.9'], 'CM-A-E†'))[0] == '60.00', 'of CM-A-E nothing is published'
    assert [mine.labels[0] for mine in tables['pr@0.5'].lines] == [
        'MAttNet', *(label for name in ('MAttNet†', 'NMTree†')
                     for label in (name, '+Ref-NMS B', '+Ref-NMS R'))], 'and CM-A-E has no line where it was not run'


def test_what_the_paper_has_no_row_for_comes_last(write: Write) -> None:
    table = laid_out(write([record(20.0, grounder='chance', rule='ground-truth')]))['2']
    assert table.lines[-1].labels == ('chance, ground-truth',)
    assert texts(table.lines[-1])[0] == '20.00'


def test_embedded_figures_have_the_layout_but_never_a_published_number(write: Write) -> None:
    records = [record(60.0, dataset='mini-refcoco'), record(70.0, rule='ref-nms-b', dataset='mini-refcoco')]
    tables = paper_tables(read_runs([write(records)]))
    assert [table.name for table in tables] == ['2', '3']
    assert all(cell.published is None for table in tables for mine in table.lines for cell in mine.cells)
    assert [mine.labels for mine in tables[0].lines] == [('CM-A-E',), ('CM-A-E+Ref-NMS B',)], 'what was run, no dashes'
    assert [(column.head, column.split) for column in tables[1].columns] == [('mini-refcoco', 'val')]
    assert tables[1].heads == ('', 'model'), 'the embedded detector is no ResNet-101'
    printed = written(Tables(tables), 'markdown')
    assert 'RefCOCO' not in printed and '80.70' not in printed


def test_embedded_and_real_figures_never_share_a_table(write: Write) -> None:
    tables = paper_tables(read_runs([write([record(60.0, dataset='mini-refcoco', n=10), record(61.0)])]))
    assert [(table.name, {column.dataset for column in table.columns}) for table in tables] == [
        *((name, {'refcoco', 'refcoco+', 'refcocog'}) for name in ('2', '3')), ('2', {'mini-refcoco'}),
        ('3', {'mini-refcoco'})]


def cells(*numbers: float | None) -> list[Line]:
    return [Line((str(i),), (Cell(x),), 'a' if i < 3 else 'b') for i, x in enumerate(numbers)]


def marks(lines: list[Line]) -> list[str]:
    return [line.cells[0].mark for line in lines]


def test_best_and_second_of_a_block_or_column() -> None:
    lines = cells(70.0, None, 80.0, 60.0, 50.0)
    assert marks(marked(lines, by_block=True)) == [SECOND, '', BEST, BEST, SECOND]
    assert marks(marked(lines, by_block=False)) == [SECOND, '', BEST, '', '']


def test_equal_as_printed_is_equal() -> None:
    assert marks(marked(cells(70.001, 69.999, 60.0, None), by_block=False)) == [BEST, BEST, SECOND, '']


def test_a_lone_number_is_not_the_best_of_anything() -> None:
    assert marks(marked(cells(70.0, None, None), by_block=False)) == ['', '', '']


def test_the_lines_below_say_where_it_comes_from(write: Write) -> None:
    folder = write([record(80.0, n=60)], options={'limit': 60, 'settings': ['greedy.step=0.2']})
    below, reading, *more = laid_out(folder)['2'].notes
    for part in ('Expressions: RefCOCO val 60', 'Data: refcoco cdcdcdcdcdcd', 'Seed: 3', 'Commit: c0ffeec0ffee',
                 'Weights trained with seed 1: detector dededededede, cmae (mini-refcoco) cacacacacaca',
                 'accuracy: IoU >= 0.5, both end pixels count'):
        assert part in below
    assert 'mattnet' not in below, 'weights of what is not in the table'
    assert 'measured here (published, difference)' in reading
    assert more == ['RefCOCO val: 60 of 10,834 expressions; not comparable with the published number',
                    'Only the first 60 expressions of each split were run.', 'Run with --set greedy.step=0.2.',
                    'refcoco: a note about it']


def test_what_was_not_measured_is_said(write: Write) -> None:
    assert left_out(paper_tables(read_runs([write([record(80.0)])])))[0].startswith(
        'nothing was measured for Table 1: Recall (%) of the referent and of contextual objects; Table 4')
    embedded = paper_tables(read_runs([write([record(80.0, dataset='mini-refcoco', n=10)], 'b')]))
    assert 'nothing was measured on RefCOCO, RefCOCO+, RefCOCOg' in left_out(embedded)[1]


def test_single_tables_can_be_asked_for(write: Write, capsys: pytest.CaptureFixture) -> None:
    folder = str(write([record(80.0), record(60.0, 'overall_iou'), record(75.0, 'pr@0.5')]))
    assert main([folder, '--like', 'paper', '--table', '1,2', '--table', 'pr@0.5']) == 0
    printed = capsys.readouterr()
    assert re.findall(r'^\*\*(\w+ ?\d?):', printed.out, re.MULTILINE) == ['Table 2', 'Supplement']
    assert 'nothing was measured for Table 1' in printed.err and 'Table 3' not in printed.err
    for wrong, said in ((['--like', 'paper', '--table', '5'], '--table 5: unknown'),
                        (['--table', '2'], '--table: is one of the paper\'s; add --like paper'),
                        (['--like', 'paper', '--table', '1'], '--table 1: nothing was measured for it')):
        with pytest.raises(InputError, match=re.escape(said)):
            main([folder, *wrong])
    assert main([str(write([record(80.0, 'accuracy_strict')], 'strict')), '--like', 'paper']) == 0
    assert 'nothing was measured for Table 1' in capsys.readouterr().err


@pytest.fixture
def some(write: Write) -> list[Table]:
    return paper_tables(read_runs([write([record(80.0), record(60.0, dataset='mine|<script>_&_%', n=10)])]))


def test_markdown_is_whole_and_escaped(some: list[Table]) -> None:
    printed = written(Tables(some), 'markdown')
    tables = re.findall(r'(?:^\|.*\n?)+', printed, re.MULTILINE)
    assert len(tables) == len(some)
    for table in tables:
        assert len({len(re.findall(r'(?<!\\)\|', row)) for row in table.splitlines()}) == 1
    assert '<script>' not in printed and 'mine\\|&lt;script>' in printed
    assert re.search(r'\| CM-A-E† +\| +\*80\.00\* \(78\.35, \+1\.65\) \| +— \(83\.12\) \|', printed)


def test_latex_is_whole_and_escaped(some: list[Table]) -> None:
    printed = written(Tables(some), 'latex')
    assert printed.count(r'\begin{table*}') == printed.count(r'\end{table*}') == len(some)
    for environment, table in zip(printed.split(r'\begin{table*}')[1:], some, strict=True):
        assert [environment.count(rule) for rule in (r'\toprule', r'\bottomrule')] == [1, 1]
        rows = [row for row in environment.splitlines() if row.endswith(r'\\')]
        assert len(rows) == len(table.lines) + (3 if any(column.top for column in table.columns) else 2)
        for row in rows:
            spans = sum(int(n) - 1 for n in re.findall(r'\\multicolumn\{(\d+)\}', row))
            ampersands = len(re.findall(r'(?<!\\)&', row))
            assert ampersands + spans + 1 == len(table.heads) + len(table.columns)
    assert r'\textit{80.00} (78.35, +1.65)' in printed and r'CM-A-E$\dagger$' in printed
    assert r'mine|\textless{}script\textgreater{}\_\&\_\%' in printed


def test_csv_has_a_row_a_number(some: list[Table]) -> None:
    rows = list(csv.DictReader(io.StringIO(written(Tables(some), 'csv'))))
    assert len(rows) == 184 + 91 + 2
    mine = [row for row in rows if row['value']]
    assert [(row['table'], row['dataset'], row['value'], row['published'], row['difference']) for row in mine] == [
        ('2', 'refcoco', '80.0', '78.35', '1.65'), ('3', 'refcoco', '80.0', '78.35', '1.65'),
        ('2', 'mine|<script>_&_%', '60.0', '', ''), ('3', 'mine|<script>_&_%', '60.0', '', '')]


def test_json_has_every_cell_and_the_notes(some: list[Table]) -> None:
    tables = json.loads(written(Tables(some), 'json'))['tables']
    assert [(t['table'], len(t['lines']), len(t['columns'])) for t in tables] == [
        (t.name, len(t.lines), len(t.columns)) for t in some]
    cell = tables[0]['lines'][9]['cells'][0]
    assert cell == {'value': 80.0, 'low': None, 'high': None, 'n': 10834, 'published': 78.35, 'difference': 1.65,
                    'mark': 'second'}
    assert 'Seed: 3' in tables[0]['notes'][0]


def test_the_terminal_shows_each_number(some: list[Table]) -> None:
    printed = written(Tables(some), 'terminal')
    assert '80.00 (78.35, +1.65)' in printed and 'mine|<script>_&_%' in printed


def predictions(folder: Path, right: int, images: int) -> None:
    """A row an image, the first ``right`` of them right."""
    rows = [{'dataset': 'refcoco', 'split': 'val', 'image_id': i, 'ref_id': i, 'ann_id': i, 'sent_id': i, 'sent': 'cup',
             'proposals': 'greedy', 'grounder': 'cmae', 'box': [0, 0, 9, 9], 'score': 1.0, 'label': 'cup', 'rle': None,
             'n_proposals': 1, 'iou': float(i < right), 'mask_intersection': None, 'mask_union': None,
             'best_candidate_iou': None, 'best_proposal_iou': 1.0, 'best_proposal_label': 'cup', 'context_hits': None,
             'n_context': None, 'gt_box': [0, 0, 9, 9], 'gt_label': 'cup', 'n_same_category': 1} for i in range(images)]
    (folder / 'predictions.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_intervals_come_from_the_predictions(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([record(75.0, n=40)])
    predictions(folder, 30, 40)
    assert main([str(folder), '--like', 'paper', '--ci', '--format', 'json']) == 0
    table = json.loads(capsys.readouterr().out)['tables'][0]
    cell = table['lines'][9]['cells'][0]
    assert 55 < cell['low'] < 70 and 80 < cell['high'] < 95, '75 % of 40: a standard error of 7 points'
    assert any('95 % interval' in note and 'too few' not in note for note in table['notes'])
    assert main([str(folder), '--ci']) == 0
    assert re.search(r'75\.00 \[\d\d\.\d\d, \d\d\.\d\d\] \|', capsys.readouterr().out)


def test_few_images_are_said_to_be_few(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([record(75.0, n=4)])
    predictions(folder, 3, 4)
    assert main([str(folder), '--ci']) == 0
    assert 'too few to tell: refcoco val, accuracy (4)' in capsys.readouterr().out


def test_intervals_need_the_run_s_own_predictions(write: Write) -> None:
    folder = write([record(75.0, n=4)])
    with pytest.raises(InputError, match='predictions.jsonl: --ci needs it'):
        main([str(folder), '--ci'])
    predictions(folder, 2, 4)
    with pytest.raises(InputError, match='gives 50.0000 for accuracy of cmae on greedy, refcoco val, .* says 75.0000'):
        main([str(folder), '--ci'])


def test_without_like_paper_the_tables_are_plain(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write([record(80.0)]), write([record(70.0, grounder='mattnet')], 'b')
    assert main([str(a), str(b), '--format', 'csv']) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row['table'], row['grounder'], row['value'], row['published']) for row in rows] == [
        ('accuracy', 'cmae', '80.0', ''), ('accuracy', 'mattnet', '70.0', '')]


def test_reports_start_without_torch() -> None:
    found = subprocess.run([sys.executable, '-c', 'import sys, reports.__main__, reports.tables.plain_tables\n'
                            'import reports.tables.published\n'
                            'print([m for m in ("torch", "mmdet", "mmengine", "matplotlib") if m in sys.modules])'],
                           capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert found.stdout.strip() == '[]'


def test_every_published_number_is_in_its_own_table_once() -> None:
    for name in PAPER:
        numbers = [cell.published for line in as_printed(name, published([name])).lines for cell in line.cells
                   if cell.published is not None]
        assert sorted(numbers) == sorted(published([name])['value'])


# A method from outside


@pytest.fixture
def outside(write: Write) -> Path:
    """RefCOCO val of CM-A-E and of a method that the paper does not know."""
    return write([record(80.0), record(81.5, grounder='mine', rule='given'),
                  record(60.5, 'overall_iou', grounder='mine', rule='given')], options={'limit': 60})


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_an_outside_method_has_its_row_in_tables_3_and_4_under_the_name_it_is_given(
        outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ['--label', 'Mine (γ=2)', '--venue', "arXiv'26", '--backbone', 'swin-b']
    tables = {table['table']: table for table in json.loads(
        printed(capsys, outside, '--like', 'paper', *named, '--format', 'json'))['tables']}
    last = {name: table['lines'][-1] for name, table in tables.items()}
    assert last['2']['labels'] == ['Mine (γ=2)']
    assert last['3']['labels'] == ['', 'Mine (γ=2)', "arXiv'26", 'swin-b']
    assert last['4']['labels'] == ['', 'Mine (γ=2)', "arXiv'26"]
    assert (last['3']['cells'][0]['value'], last['4']['cells'][0]['value']) == (81.5, 60.5)
    assert last['3']['cells'][0]['mark'] == 'best', 'it competes with the others: 80.70 is the best that is published'


def test_without_a_name_it_stays_out_of_the_state_of_the_art(outside: Path) -> None:
    tables = laid_out(outside)
    assert tables['2'].lines[-1].labels == ('mine, given',)
    assert tables['3'].lines[-1].labels[1] == 'CM-A-E+Ref-NMS' and '4' not in tables


def test_no_line_is_all_dashes(outside: Path) -> None:
    for table in paper_tables(read_runs([outside])):
        assert all(any(cell.shown is not None for cell in mine.cells) for mine in table.lines)


def test_several_methods_are_named_one_by_one(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([record(50.0 + i, grounder=grounder, rule=rule)
                    for i, (grounder, rule) in enumerate((('a', 'x'), ('a', 'y'), ('b', 'x')))])
    text = printed(capsys, folder, '--like', 'paper', '--label', 'a:y=Mine', '--label', 'b=Yours',
                   '--venue', "b=ECCV'26", '--format', 'csv')
    found = {row['line'].strip(): row['value'] for row in csv.DictReader(io.StringIO(text)) if row['table'] == '3'
             and row['value']}
    assert found == {'Mine': '51.0', "Yours ECCV'26": '52.0'}


@pytest.mark.parametrize(('arguments', 'says'), [
    (['--like', 'paper', '--label', 'a=Mine'], 'could be of several.*a:x, a:y'),
    (['--like', 'paper', '--label', 'Mine'], 'could be of several.*a:x, a:y, b:x'),
    (['--like', 'paper', '--label', 'b= '], 'is empty'),
    (['--like', 'paper', '--label', 'b=One', '--label', 'b:x=Two'], 'has one already'),
    (['--like', 'paper', '--venue', 'b=ECCV'], 'b:x has no --label'),
    (['--label', 'b=Mine'], '--like paper; add it'),
])
def test_a_name_that_fits_no_method_or_several_is_refused(write: Write, arguments: list[str], says: str) -> None:
    folder = write([record(50.0, grounder=grounder, rule=rule)
                    for grounder, rule in (('a', 'x'), ('a', 'y'), ('b', 'x'))])
    with pytest.raises(InputError, match=says) as refused:
        main([str(folder), *arguments])
    assert '\n' not in str(refused.value)
    own = write([record(50.0, grounder='mine', dataset='mini-refcoco')], 'own')
    with pytest.raises(InputError, match='--venue: only Tables 3 and 4 on RefCOCO'):
        main([str(own), '--like', 'paper', '--label', 'Mine', '--venue', 'ECCV'])
    with pytest.raises(InputError, match='every measured method has a row of its own'):
        main([str(write([record(80.0)], 'b')), '--like', 'paper', '--label', 'Mine'])


def test_under_a_table_of_latex_there_is_one_line_and_the_rest_are_comments(
        outside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, outside, '--like', 'paper', '--label', 'Mine', '--format', 'latex')
    *tables, comments = text.split(r'\end{table*}')
    for table in tables:
        note, = [line for line in table.splitlines() if 'footnotesize' in line]
        assert len(note) < 290 and 'cdcdcdcdcdcd' not in table and 'c0ffee' not in table
        assert note.endswith("Only the first 60 expressions of each split were run. refcoco: a note about it.")
    assert 'Data: refcoco cdcdcdcdcdcd' in comments and 'Commit: c0ffeec0ffee' in comments
    assert all(line.startswith('%') for line in comments.strip().splitlines())


def test_notes_go_into_a_file_of_their_own(outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, outside, '--like', 'paper', '--notes', tmp_path / 'notes.txt')
    notes = (tmp_path / 'notes.txt').read_text()
    assert 'Commit: c0ffeec0ffee' in notes and 'Table 2: REC' in notes and 'Commit' not in text
    with pytest.raises(InputError, match='--notes .*cannot be written'):
        main([str(outside), '--like', 'paper', '--notes', str(tmp_path / 'nowhere' / 'notes.txt')])
    with pytest.raises(InputError, match='--notes .*nothing is said under these tables'):
        main([str(outside), '--notes', str(tmp_path / 'none.txt')])
    assert not (tmp_path / 'none.txt').exists()


def test_a_table_says_which_published_numbers_were_counted_by_another_rule(write: Write) -> None:
    tables = laid_out(write([record(80.0), record(60.0, 'overall_iou'), record(90.0, 'pr@0.5')], notes=[]))
    assert 'Published by another rule than ours: FAOA, RSC-Large (cut-truth-clipped-over: ' in tables['3'].notes[1]
    assert 'not known by which rule these were counted: SSG, RCCF, VC, ParalAttn, LGRANs, DGA, RvG-Tree.' \
        in tables['3'].notes[1]
    assert 'MCN (mean-iou: mean IoU of the expressions' in tables['4'].notes[1]
    assert ' Published by another rule: MCN.' in tables['4'].note
    assert 'another rule' not in tables['2'].notes[1] and 'counted: NMTree (overall_iou).' in tables['2'].notes[1]
    assert 'another rule' not in tables['pr@0.5'].notes[1] and 'not known' not in tables['pr@0.5'].notes[1]


def test_a_table_without_published_numbers_says_nothing_of_their_rules(write: Write) -> None:
    for table in laid_out(write([record(80.0, dataset='mini-refcoco')])).values():
        assert 'another rule' not in ' '.join([*table.notes, table.note])
