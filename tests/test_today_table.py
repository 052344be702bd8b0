"""Today's models: what their sources say, to the digit; the table of them; and a run's figures among them."""
from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import InputError
from reports.__main__ import command_line
from reports.commands.published import main as print_published
from reports.commands.tables import main as print_tables
from reports.conventions.ledger import RULES
from reports.published import MEASURED_BY, TODAY_COLUMNS, TODAY_METRICS, UNKNOWN
from reports.published.reading import HERE, today
from reports.rows.results_files import read_runs
from reports.tables.layout import BEST, Line, Table
from reports.tables.today_table import today_as_printed, today_table

SPLITS = ('refcoco val', 'refcoco testA', 'refcoco testB', 'refcoco+ val', 'refcoco+ testA', 'refcoco+ testB',
          'refcocog val', 'refcocog test')
PART = {'dataset': 'refcoco', 'split': 'val', 'by': 'unc', 'expressions': 10834, 'of_expressions': 10834,
        'referents': 3811, 'of_referents': 3811, 'double': 0, 'reworded': 0}
PASSPORT = {'expressions': 10834, 'referents': 3811, 'images': 1500, 'parts': [PART], 'other': 0, 'other_referents': 0,
            'google': 0, 'shared_images': {}}
RUN: Mapping[str, Any] = {
    'command': 'python run_benchmark.py', 'seed': 3, 'commit': 'c0ffee' * 7, 'versions': {}, 'options': {},
    'conventions': {'accuracy': 'IoU >= 0.5, both end pixels count'}, 'data': {'refcoco': 'cd' * 32},
    'weights': {}, 'notes': [], 'passports': {'refcoco': {'val': PASSPORT}},
}
Write = Callable[..., Path]


def record(value: float, grounder: str = 'cmae', rule: str = 'greedy', dataset: str = 'refcoco',
           metric: str = 'accuracy') -> dict[str, Any]:
    return {'dataset': dataset, 'split': 'val', 'task': 'rec', 'metric': metric, 'grounder': grounder,
            'proposals': rule, 'value': value, 'n': 10834}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*records: dict[str, Any], name: str = 'run', **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {**RUN, **changes}}))
        return folder
    return write


def beside(folder: Path) -> Table:
    return today_table(today(), read_runs([folder]))


def lines_of(table: Table, model: str) -> list[Line]:
    return [line for line in table.lines if line.labels[1] == model]


def figures(model: str, backbone: str | None = None, by: str | None = None, metric: str = 'accuracy') -> str:
    """The figures of one line as printed, in the order of the columns."""
    frame = today()
    frame = frame[(frame['method'] == model) & (frame['metric'] == metric)]
    for column, wanted in (('backbone', backbone), ('measured_by', by)):
        frame = frame if wanted is None else frame[frame[column] == wanted]
    by_split = {f'{row["dataset"]} {row["split"]}': f'{row["value"]:.{row["digits"]}f}'
                for row in frame.to_dict('records')}
    assert len(by_split) == len(frame)
    return ' '.join(by_split[split] for split in SPLITS if split in by_split)


@pytest.mark.parametrize(('model', 'backbone', 'by', 'said'), [
    ('MDETR', 'res101', None, '86.75 89.58 81.41 79.52 84.09 70.62 81.64 80.89'),
    ('MDETR', 'efficientnet-b3', None, '87.51 90.40 82.67 81.13 85.52 72.96 83.35 83.31'),
    ('Grounding DINO-L', None, None, '90.56 93.19 88.24 82.75 88.95 75.92 86.13 87.02'),
    ('UNINEXT-H', None, None, '92.64 94.33 91.46 85.24 89.63 79.79 88.73 89.37'),
    ('ONE-PEACE', None, None, '92.58 94.18 89.26 88.77 92.21 83.23 89.22 89.27'),
    ('Qwen-VL-7B', None, None, '89.36 92.26 85.34 83.12 88.25 77.21 85.58 85.48'),
    ('InternVL3.5-8B', None, 'own', '92.4 94.7 88.7 87.9 92.4 82.4 89.6 89.4'),
    ('InternVL3.5-8B', None, 'third party', '91.89 94.27 87.38 87.68 92.21 81.73 88.83 89.51'),
    ('Qwen3-VL-8B-Instruct', None, 'third party', '90.36 92.20 86.85 84.99 89.03 78.69 87.97 88.17'),
    ('MM-Grounding-DINO-T (fine-tuned)', None, None, '89.5 91.4 86.6 82.1 87.5 74.0 85.5 85.8'),
    ('CPT-adapted (R)', None, 'third party', '41.3 41.3 51.3'),
    ('ReCLIP (R)', None, 'third party', '45.8 47.9 59.3'),
    ('RedCircle (R)', None, 'third party', '43.9 45.3 57.3'),
    ('RedCircle (S)', None, 'own', '49.8 55.3 59.4'),
    ('RedCircle (RS)', None, 'third party', '56.8 58.6 62.2'),
    ('FGVP (R)', None, 'own', '52.0 53.3 62.1'),
    ('FGVP (RS)', None, 'own', '59.6 60.0 63.3'),
])
def test_figures_are_those_of_the_source_with_its_decimals(model: str, backbone: str | None, by: str | None,
                                                           said: str) -> None:
    assert figures(model, backbone, by) == said


def test_one_model_says_what_is_among_its_first_five_and_ten_boxes() -> None:
    model = 'MM-Grounding-DINO-T (zero-shot)'
    assert figures(model) == '53.1 59.1 46.8 52.7 58.7 48.4 62.9 62.9'
    assert figures(model, metric='accuracy@5') == '89.7 91.0 87.8 87.7 87.2 85.8 93.3 93.9'
    assert figures(model, metric='accuracy@10') == '95.1 95.5 93.6 93.5 93.1 92.1 97.2 97.4'


def test_more_boxes_are_never_worse() -> None:
    frame = today()
    ranked = frame[frame['method'].str.startswith('MM-')].pivot_table(
        'value', ['method', 'dataset', 'split'], 'metric')[list(TODAY_METRICS)]
    assert len(ranked) == 16 and (ranked.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_the_file_holds_these_models_and_no_cell_twice() -> None:
    frame = today()
    assert tuple(frame.columns) == (*TODAY_COLUMNS, 'digits') and len(frame) == 141
    cell = ['method', 'backbone', 'proposals', 'dataset', 'split', 'metric', 'measured_by']
    assert not frame.duplicated(cell).any()
    assert frame['value'].between(0, 100).all() and frame['digits'].isin([1, 2]).all()
    assert set(frame['dataset'] + ' ' + frame['split']) == set(SPLITS)


def test_every_figure_says_its_source_its_rule_who_measured_and_what_is_known_of_training() -> None:
    frame = today()
    where = r'[\w-]+/[\w-]+ ([\w./-]+\.(md|png)|pull request \d+)(, which quotes the paper)?'
    assert frame['source'].str.fullmatch(where).all()
    assert set(frame['convention']) <= {*RULES, UNKNOWN}
    assert set(frame['measured_by']) == set(MEASURED_BY)
    assert (frame['trained_on'] != '').all()
    quoted = frame['source'].str.endswith('which quotes the paper')
    assert set(frame[quoted]['measured_by']) == {'own'}, 'what a source quotes it did not measure'


def test_rules_are_those_that_the_models_own_programs_or_the_third_party_s_count_by() -> None:
    rules = today().groupby(['method', 'measured_by'])['convention'].unique().explode().to_dict()
    assert rules['MDETR', 'own'] == 'giou'
    assert rules['UNINEXT-H', 'own'] == rules['ReCLIP (R)', 'third party'] == 'plain-over'
    assert (rules['InternVL3.5-8B', 'own'], rules['InternVL3.5-8B', 'third party']) == ('plain', 'clipped')
    assert rules['Grounding DINO-L', 'own'] == rules['RedCircle (S)', 'own'] == UNKNOWN


def test_the_table_has_a_line_a_model_and_the_ranks_below_each_other() -> None:
    table = today_as_printed(today())
    assert [f'{column.dataset} {column.split}' for column in table.columns] == list(SPLITS)
    ranks = lines_of(table, 'MM-Grounding-DINO-T (zero-shot)')
    assert [(line.labels[4], str(line.cells[0].parts(alone=True))) for line in ranks] == [
        ('@1', '53.1'), ('@5', '89.7'), ('@10', '95.1')]
    assert [line.labels[5] for line in lines_of(table, 'InternVL3.5-8B')] == ['own', 'third party']
    assert [line.labels[0] for line in lines_of(table, 'FGVP (R)')] == ['two-stage']
    assert len(table.lines) == 9 + 6 + 7 and table.alone


def test_only_first_boxes_compete() -> None:
    table = today_as_printed(today())
    best = [line.labels[1] for line in table.lines if line.cells[0].mark == BEST]
    assert best == ['UNINEXT-H'], '95.1 among ten boxes is not better than 92.64 with one'


def test_one_sentence_says_what_proposals_are_worth() -> None:
    assert today_as_printed(today()).notes[0] == (
        'MM-Grounding-DINO-T (zero-shot) on RefCOCO val: its first box is right in 53.1 %, one of its first five in '
        '89.7 %, one of its first ten in 95.1 %. The right box is proposed; what is missing is the choice.')


def test_the_lines_below_say_sources_measurers_rules_and_training() -> None:
    notes = '\n'.join(today_as_printed(today()).notes)
    for part in ('giou (MDETR)', 'clipped (InternVL3.5-8B, Qwen3-VL-8B-Instruct)',
                 'ashkamath/mdetr .github/refexp.md (MDETR)',
                 'Measured by a third party: open-compass/VLMEvalKit pull request 1305 (InternVL3.5-8B, Qwen3-VL',
                 'Training data of UNINEXT-H: boxes of COCO train2017, which has every evaluation image'):
        assert part in notes


def test_the_command_prints_the_file_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_published(['--table', 'today', '--format', 'csv']) == 0
    assert capsys.readouterr().out == (HERE / 'today.csv').read_text()


@pytest.mark.parametrize('style', ['md', 'latex', 'json'])
def test_every_format_has_the_ranks(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_published(['--table', 'today', '--format', style]) == 0
    printed = capsys.readouterr().out
    for part in ('MM-Grounding-DINO-T (zero-shot)', '53.1', '89.7', '95.1', '@10'):
        assert part in printed


def test_it_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(['published', '--table', 'today', '--table', '1']) == 2
    assert capsys.readouterr().err == 'error: --table today: has columns of its own; print it alone\n'


def test_a_run_has_its_rows_below_with_its_convention_and_passport(write: Write) -> None:
    table = beside(write(record(80.123), record(70.0, rule='ref-nms-b')))
    first, second = table.lines[-2:]
    assert first.labels == ('here', 'cmae, greedy', '', '', '@1', 'this run')
    assert second.labels[1] == 'cmae, ref-nms-b'
    assert [str(cell.parts()) for cell in first.cells] == ['80.12', *['—'] * 7]
    assert str(lines_of(table, 'MDETR')[0].cells[0].parts()) == '(86.75)'
    assert 'Measured here, by the rule inclusive.' in table.notes[0]
    assert 'Rows: RefCOCO val (UNC), each split whole' in table.notes[0]
    assert 'How it counts: accuracy: IoU >= 0.5, both end pixels count.' in table.notes[0]
    assert 'MM-Grounding-DINO-T (zero-shot) on RefCOCO val' in '\n'.join(table.notes)


def test_a_run_that_is_better_than_all_is_marked(write: Write) -> None:
    table = beside(write(record(92.70)))
    assert [line.labels[0] for line in table.lines if line.cells[0].mark == BEST] == ['here']


def test_a_run_s_row_has_the_name_that_it_is_given(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(record(81.5, grounder='mine', rule='given'))
    assert print_tables([str(folder), '--like', 'today', '--label', 'Mine', '--venue', "arXiv'26", '--backbone',
                         'swin-b', '--format', 'json']) == 0
    [table] = json.loads(capsys.readouterr().out)['tables']
    assert table['lines'][-1]['labels'] == ['here', 'Mine', "arXiv'26", 'swin-b', '@1', 'this run']


def test_the_csv_of_a_run_tells_ranks_apart(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_tables([str(write(record(80.0))), '--like', 'today', '--format', 'csv']) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    published = today().groupby('metric').size()
    assert pd.Series([row['metric'] for row in rows]).value_counts().to_dict() == {
        **published.to_dict(), 'accuracy': published['accuracy'] + 1}
    assert (rows[-1]['line'], rows[-1]['value']) == ('here cmae, greedy   @1 this run', '80.0')


def test_a_part_of_the_rows_is_said_to_be_one(write: Write) -> None:
    table = beside(write(record(80.0), options={'limit': 60}))
    assert 'Only the first 60 expressions of each split were run.' in table.notes


@pytest.mark.parametrize('other', [record(80.0, dataset='mini-refcoco'), record(80.0, metric='overall_iou')])
def test_where_nothing_was_measured_on_these_one_line_says_so(write: Write, other: dict[str, Any],
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    assert print_tables([str(write(other)), '--like', 'today', '--format', 'md']) == 0
    printed = capsys.readouterr()
    assert printed.err == ('note: no REC was measured on RefCOCO, RefCOCO+, RefCOCOg here; '
                           'the table holds published figures alone\n')
    assert '80.0' not in printed.out and '92.64' in printed.out


def test_a_name_that_fits_several_rows_is_refused(write: Write) -> None:
    folder = write(record(80.0), record(70.0, rule='ref-nms-b'))
    with pytest.raises(InputError, match='--label Mine: could be of several.*cmae:greedy, cmae:ref-nms-b'):
        print_tables([str(folder), '--like', 'today', '--label', 'Mine'])
