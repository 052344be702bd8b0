"""Tables as text: Markdown, LaTeX, CSV, JSON, terminal. Names from result files are escaped in each."""
from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text
from tabulate import tabulate

from reports.layout import BEST, SECOND, Column, Parts, Table, spans

LATEX = {'\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{', '}': r'\}',
         '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}',
         '—': '---', '–': '--', '†': r'$\dagger$', '≥': r'$\geq$', '−': '$-$', '·': r'$\cdot$', '…': r'\dots{}',
         'γ': r'$\gamma$', '"': "''", '’': "'", '[': '{[}'}


#: Columns of characters of what is no terminal.
UNLIMITED = 10_000


def markdown(tables: Sequence[Table]) -> str:
    """GitHub's tables, each under its title; splits stand in the first row."""
    return '\n\n'.join(map(_markdown, tables))


def _markdown(table: Table) -> str:
    heads = [*table.heads, *(_escaped(name) if i == 0 else '' for name, size in _over(table) for i in range(size))]
    splits = [*('' for _ in table.heads), *(f'**{_escaped(column.split)}**' for column in table.columns)]
    body = [[*map(_escaped, line.labels), *(_emphasised(cell.parts(table.alone), cell.mark) for cell in line.cells)]
            for line in table.lines]
    footer = [[*map(_escaped, table.footer)]] if table.footer else []
    align = ['left'] * len(table.heads) + ['right'] * len(table.columns)
    text = tabulate([splits, *body, *footer], headers=heads, tablefmt='github', colalign=align, disable_numparse=True)
    return '\n\n'.join([f'**{_escaped(table.title)}**', text, *map(_paragraph, table.notes)])


def _over(table: Table) -> list[tuple[str, int]]:
    """What stands over the splits in one row, with the number of columns that it stands over."""
    names = [(column.top, column.head) for column in table.columns]
    return [(' · '.join(filter(None, name)), len(list(group))) for name, group in groupby(names)]


def _escaped(text: str) -> str:
    """Text that Markdown takes for what it is, in a table's cell too."""
    return re.sub(r'([\\|*`~\[\]])|(?<!\w)_|_(?!\w)', lambda found: '\\' + found.group(), text).replace('<', '&lt;')


def _paragraph(text: str) -> str:
    """The same for a line of its own, which must not begin a heading, a quotation or a list."""
    return re.sub(r'^[#>+-]', lambda found: '\\' + found.group(), _escaped(text))


def _emphasised(parts: Parts, mark: str) -> str:
    around = {BEST: '**', SECOND: '*'}.get(mark, '')
    return f'{parts.before}{around}{parts.lead}{around}{parts.after}'


def latex(tables: Sequence[Table]) -> str:
    """``table*`` environments in the manner of booktabs."""
    return '\n\n'.join(['% \\usepackage{booktabs,graphicx}', *map(_latex, tables)])


def _latex(table: Table) -> str:
    labels = len(table.heads)
    tops = [column.top for column in table.columns]
    rows = []
    if any(tops):
        rows += _spanning(labels, spans(tops))
    rows += _spanning(labels, [(head, len(list(group))) for (_, head), group in
                               groupby((column.top, column.head) for column in table.columns)])
    rows += [_row([*map(_tex, table.heads), *(_tex(column.split) for column in table.columns)]), r'\midrule']
    for index, line in enumerate(table.lines):
        if index and line.block != table.lines[index - 1].block:
            rows.append(r'\midrule')
        rows.append(_row([*map(_tex, line.labels),
                          *(_tex_cell(cell.parts(table.alone), cell.mark) for cell in line.cells)]))
    if table.footer:
        rows += [r'\midrule', _row(map(_tex, table.footer))]
    notes = [rf'\par\smallskip\raggedright\footnotesize {" ".join(map(_tex, table.notes))}'] if table.notes else []
    return '\n'.join([r'\begin{table*}', r'\centering', rf'\caption{{{_tex(table.title)}}}',
                      r'\resizebox{\textwidth}{!}{%', rf'\begin{{tabular}}{{{"l" * labels}{"r" * len(table.columns)}}}',
                      r'\toprule', *rows, r'\bottomrule', r'\end{tabular}}', *notes, r'\end{table*}'])


def _spanning(labels: int, names: Sequence[tuple[str, int]]) -> list[str]:
    """A row of heads over several columns each, and the rules under them."""
    rules, first = [], labels + 1
    for name, size in names:
        if name:
            rules.append(rf'\cmidrule(lr){{{first}-{first + size - 1}}}')
        first += size
    heads = [rf'\multicolumn{{{size}}}{{c}}{{{_tex(name)}}}' for name, size in names]
    return [_row([*('' for _ in range(labels)), *heads]), ' '.join(rules)]


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return ' & '.join(cells) + r' \\'


def _tex(text: str) -> str:
    return ''.join(LATEX.get(character, character) for character in text)


def _tex_cell(parts: Parts, mark: str) -> str:
    before, lead, after = (_tex(re.sub(r'-(?=\d)', '−', text)) for text in parts)
    command = {BEST: r'\textbf', SECOND: r'\textit'}.get(mark)
    return f'{before}{command}{{{lead}}}{after}' if command else before + lead + after


def comma_separated(tables: Sequence[Table]) -> str:
    """One row a cell that holds a number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['table', 'line', 'grounder', 'proposals', 'dataset', 'split', 'metric', 'value', 'low', 'high',
                     'n', 'published', 'difference'])
    for table in tables:
        for line in table.lines:
            for column, cell in zip(table.columns, line.cells, strict=True):
                if cell.shown is not None:
                    numbers = (cell.value, cell.low, cell.high, cell.n, cell.published, cell.difference)
                    writer.writerow([table.name, ' '.join(line.labels), line.grounder or '', line.proposals,
                                     column.dataset, column.split, column.metric, *map(_number, numbers)])
    return out.getvalue().rstrip('\n')


def _number(value: float | None) -> str:
    return '' if value is None else str(round(value, 4))


def as_json(tables: Sequence[Table]) -> str:
    """Everything that the tables hold, cell by cell."""
    return json.dumps({'tables': [_plain(table) for table in tables]}, ensure_ascii=False, indent=1)


def _plain(table: Table) -> dict:
    return {
        'table': table.name, 'title': table.title, 'notes': list(table.notes),
        'columns': [column._asdict() for column in table.columns],
        'lines': [{'labels': list(line.labels), 'grounder': line.grounder, 'proposals': line.proposals,
                   'cells': [{'value': cell.value, 'low': cell.low, 'high': cell.high, 'n': cell.n,
                              'published': cell.published, 'difference': cell.difference, 'mark': cell.mark}
                             for cell in line.cells]} for line in table.lines],
    }


def terminal(tables: Sequence[Table]) -> str:
    """Drawn with lines, as wide as the terminal: what doesn't fit goes on below, dataset by dataset."""
    shown = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if shown else UNLIMITED
    console = Console(file=io.StringIO(), force_terminal=shown, width=width, highlight=False)
    for table in tables:
        whole = _rich(table)
        natural = Measurement.get(console, console.options.update(max_width=UNLIMITED), whole).maximum
        pieces = [whole] if natural <= width else [_rich(piece) for piece in _by_dataset(table)]
        console.print(Text(table.title, style='bold'))
        for piece in pieces:
            console.print(piece)
        for note in table.notes:
            console.print(Text(note, style='dim'), soft_wrap=not shown)
        console.print()
    return console.file.getvalue().rstrip('\n')  # type: ignore[attr-defined]


def _by_dataset(table: Table) -> Iterator[Table]:
    def over(index: int) -> tuple[str, str]:
        column: Column = table.columns[index]
        return column.top, column.dataset

    labels = len(table.heads)
    for _, group in groupby(range(len(table.columns)), key=over):
        mine = list(group)
        footer = (*table.footer[:labels], *(table.footer[labels + i] for i in mine)) if table.footer else ()
        lines = [replace(line, cells=tuple(line.cells[i] for i in mine)) for line in table.lines]
        yield replace(table, columns=[table.columns[i] for i in mine], lines=lines, footer=footer)


def _rich(table: Table) -> RichTable:
    drawn = RichTable(title_justify='left')
    for head in table.heads:
        drawn.add_column(Text(head))
    for column in table.columns:
        drawn.add_column(Text('\n'.join(filter(None, (column.top, column.head, column.split)))), justify='right')
    for index, line in enumerate(table.lines):
        last = index + 1 == len(table.lines)
        ends = (last and bool(table.footer)) or (not last and line.block != table.lines[index + 1].block)
        drawn.add_row(*map(Text, line.labels), *(_styled(cell.parts(table.alone), cell.mark) for cell in line.cells),
                      end_section=ends)
    if table.footer:
        drawn.add_row(*map(Text, table.footer))
    return drawn


def _styled(parts: Parts, mark: str) -> Text:
    return Text.assemble(parts.before, (parts.lead, {BEST: 'bold', SECOND: 'italic'}.get(mark, '')), parts.after)


RENDERERS: Mapping[str, Callable[[Sequence[Table]], str]] = {
    'md': markdown, 'latex': latex, 'csv': comma_separated, 'json': as_json, 'terminal': terminal,
}
