"""Tables as text: Markdown, LaTeX, CSV, JSON, or drawn in a terminal, the same way for every command.

Names from result files are escaped in each.
"""
from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from tabulate import tabulate

from reports.drawing.boxes import terminal
from reports.drawing.sheets import BEST, SECOND, Document, Parts, Sheet, spans

LATEX = {'\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{', '}': r'\}',
         '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}',
         '—': '---', '–': '--', '†': r'$\dagger$', '‡': r'$\ddagger$', '≥': r'$\geq$', '−': '$-$', '·': r'$\cdot$',
         '…': r'\dots{}', 'γ': r'$\gamma$', '→': r'$\to$', '²': '$^2$', '"': "''", '’': "'", '[': '{[}'}


def markdown(document: Document) -> str:
    """GitHub's tables, each under its title; splits stand in the first row."""
    heading = [f'**{_escaped(document.heading)}**'] if document.heading else []
    return '\n\n'.join([*heading, *map(_markdown, document.sheets()), *map(_paragraph, document.notes)])


def _markdown(sheet: Sheet) -> str:
    over = [(' · '.join(filter(None, name)), size) for name, size in spans(head.over for head in sheet.heads)]
    names = [_escaped(head.text) for head in sheet.heads]
    body = [[_emphasised(cell) if head.number else _escaped(str(cell))
             for head, cell in zip(sheet.heads, row, strict=True)] for row in sheet.rows]
    if any(name for name, _ in over):
        above = [_escaped(name) if i == 0 else '' for name, size in over for i in range(size)]
        body.insert(0, ['' if i < sheet.labels else f'**{name}**' for i, name in enumerate(names)])
        names = [*names[:sheet.labels], *above[sheet.labels:]]
    text = tabulate(body, headers=names, tablefmt='github', disable_numparse=True,
                    colalign=['right' if head.number else 'left' for head in sheet.heads])
    title = [f'**{_escaped(sheet.title)}**'] if sheet.title else []
    return '\n\n'.join([*title, text, *map(_paragraph, sheet.notes)])


def _escaped(text: str) -> str:
    """Text that Markdown takes for what it is, in a table's cell too."""
    return re.sub(r'([\\|*`~\[\]])|(?<!\w)_|_(?!\w)', lambda found: '\\' + found.group(), text).replace('<', '&lt;')


def _paragraph(text: str) -> str:
    """The same for a line of its own, which must not begin a heading, a quotation or a list."""
    return re.sub(r'^[#>+-]', lambda found: '\\' + found.group(), _escaped(text))


def _emphasised(parts: Parts) -> str:
    around = {BEST: '**', SECOND: '*'}.get(parts.mark, '')
    return f'{parts.before}{around}{parts.lead}{around}{parts.after}'


def latex(document: Document) -> str:
    """``table*`` environments in the manner of booktabs with one line under each; all that there is to say of them
    follows as comments."""
    sheets = document.sheets()
    said = [line for sheet in sheets if sheet.notes
            for line in (f'% {_one_line(sheet.title)}', *(f'%   {_one_line(note)}' for note in sheet.notes))]
    said += [f'% {_one_line(note)}' for note in document.notes]
    parts = ['% \\usepackage{booktabs,graphicx}', *map(_latex, sheets), '\n'.join(said)]
    return '\n\n'.join(filter(None, parts))


def _latex(sheet: Sheet) -> str:
    rows = []
    for level in range(max(len(head.over) for head in sheet.heads)):
        names = [head.over[:level + 1] for head in sheet.heads[sheet.labels:]]
        if any(name[-1] for name in names if name):
            rows += _spanning(sheet.labels, [(name[-1], size) for name, size in spans(names)])
    rows += [_row([_tex(head.text) for head in sheet.heads]), r'\midrule']
    for index, row in enumerate(sheet.rows):
        rows.append(_row([_tex_cell(cell) if head.number else _tex(str(cell))
                          for head, cell in zip(sheet.heads, row, strict=True)]))
        if index in sheet.ends:
            rows.append(r'\midrule')
    note = [rf'\par\smallskip\raggedright\footnotesize {_tex(sheet.note)}'] if sheet.note else []
    align = ''.join('r' if head.number else 'l' for head in sheet.heads)
    return '\n'.join([r'\begin{table*}', r'\centering', rf'\caption{{{_tex(sheet.title)}}}',
                      r'\resizebox{\textwidth}{!}{%', rf'\begin{{tabular}}{{{align}}}',
                      r'\toprule', *rows, r'\bottomrule', r'\end{tabular}}', *note, r'\end{table*}'])


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


def _tex_cell(parts: Parts) -> str:
    before, lead, after = (_tex(re.sub(r'-(?=\d)', '−', text)) for text in parts[:3])
    command = {BEST: r'\textbf', SECOND: r'\textit'}.get(parts.mark)
    return f'{before}{command}{{{lead}}}{after}' if command else before + lead + after


def _one_line(text: str) -> str:
    return ' '.join(text.split())


def comma_separated(document: Document) -> str:
    """CSV with one row per record."""
    records = list(document.records())
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for record in records for name in record)),
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().rstrip('\n')


def as_json(document: Document) -> str:
    """JSON of everything that the tables hold."""
    return json.dumps(document.plain(), ensure_ascii=False, indent=1, allow_nan=False)


RENDERERS: Mapping[str, Callable[[Document], str]] = {
    'markdown': markdown, 'latex': latex, 'csv': comma_separated, 'json': as_json, 'terminal': terminal,
}


def written(document: Document, form: str | None = None) -> str:
    """A document as text.

    Args:
        form: one of :data:`RENDERERS`; ``None``: drawn in a terminal, else Markdown.
    """
    return RENDERERS[form or ('terminal' if sys.stdout.isatty() else 'markdown')](document)
