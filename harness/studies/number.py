"""``run_benchmark.py study number``: recall against the number of proposals from 1 to 100, one line per rule (Figure
2).

Also by expression length and referent size. It runs the rules, or reads the proposals that a run has written.
"""
from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from tabulate import tabulate

from harness.data.rows import PredictionRow, ProposalsRow, read_rows
from harness.errors import InputError
from harness.evaluation.prepare import prepare
from harness.evaluation.result_folder import named_by_time, new_folder
from harness.evaluation.settings import parse_setting
from harness.files.writing import write_text
from harness.names import nearest
from harness.options import within
from harness.progress import track
from harness.studies.contestants import chosen, refuse_overridden, registered, rules_of
from harness.studies.curves import DEEPEST, PARTS, Point, RankedHits, by_part, curve
from harness.studies.options import request_of
from harness.studies.parsers import number_parser
from harness.studies.survey import survey

SHOWN = (1, 2, 3, 5, 8, 10, 20, 50, 100)
COLUMNS = ('dataset', 'split', 'proposals', 'part', 'N', 'expressions', 'mean_proposals', 'referent_recall',
           'context_recall')
#: What tells one expression from another.
KEY = ('dataset', 'split', 'sent_id')
#: These differ from greedy only in the number of proposals, so they would have the same line.
SAME_LINE = ('greedy-swept', 'greedy-top-n')
Rankings = Mapping[tuple[str, str, str], Sequence[RankedHits]]


def main(argv: Sequence[str]) -> int:
    """Write ``number.csv`` and ``number.md``, and print."""
    args = number_parser().parse_args(argv)
    within('--at', args.at, 1, DEEPEST)
    with new_folder(args.out or named_by_time('study-number-')) as out:
        rankings = from_runs(args) if args.results else from_rules(args)
        text = as_markdown(rankings, args.at)
        write_text(out / 'number.csv', as_csv(rankings))
        write_text(out / 'number.md', text)
    print(f'{text}\n{out / "number.csv"}')
    return 0


def from_rules(args: argparse.Namespace) -> Rankings:
    """Rank all expressions with all rules."""
    contestants = {name: c for name, c in chosen(args.proposals).items() if args.proposals or name not in SAME_LINE}
    refuse_overridden([parse_setting(text)[:2] for text in args.settings], contestants, also=('threshold', 'top'))
    prepared = prepare(request_of(args, tasks=['recall'], rules=registered(args.proposals, contestants)))
    rules = {name: rules_of(contestants, plugins.rules) for name, plugins in prepared.plan.plugins.items()}
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    found = survey(prepared.plan, rules, lambda work: track(work, 'images', console))
    for note in prepared.notes:
        console.print(f'note: {note}')
    rankings: dict[tuple[str, str, str], list[RankedHits]] = defaultdict(list)
    for (dataset, rule), mine in found.rankings.items():
        for e, scores, referent, context in mine:
            rankings[dataset, e.split, rule].append(RankedHits(e.sent, e.gt_xywh, len(scores), referent, context))
    return rankings


def from_runs(args: argparse.Namespace) -> Rankings:
    """First hits from ``proposals.jsonl``, which tells of referents, but not which contextual object a box hits.

    Raises:
        InputError: a line of a file is wrong, or the files hold nothing that was asked for.
    """
    of_rules = {'--limit': args.limit, '--data-root': args.data_root, '--vectors': args.vectors,
                '--weights': args.weights, '--set': args.settings, '--device': args.device,
                '--split-by': args.split_by}
    for option, given in of_rules.items():
        if given not in (None, []):
            raise InputError(f'{option}: has no effect on the proposals of a finished run; leave it or RESULTS out')
    rankings: dict[tuple[str, str, str], list[RankedHits]] = defaultdict(list)
    wanted = {option: None if values is None else [v.strip() for given in values for v in given.split(',')]
              for option, values in (('dataset', args.dataset), ('split', args.split), ('proposals', args.proposals))}
    there: dict[str, set[str]] = {option: set() for option in wanted}
    for folder in args.results:
        answers = read_rows(folder / 'predictions.jsonl', PredictionRow, *KEY, 'sent', 'gt_box')
        said = {_key(row): row for _, row in answers}
        file = folder / 'proposals.jsonl'
        for line, row in read_rows(file, ProposalsRow, *KEY, 'proposals', 'hits'):
            for option in there:
                there[option].add(row[option])
            if any(names is not None and row[option] not in names for option, names in wanted.items()):
                continue
            if (about := said.get(_key(row))) is None:
                raise InputError(f'{folder / "predictions.jsonl"}: lacks sentence {row["sent_id"]} of '
                                 'proposals.jsonl; give the folder of a complete run')
            if (hits := row.get('hits')) is None:
                raise InputError(f'{file}: line {line}: does not say what its proposals hit, because an earlier '
                                 'version wrote it; run the benchmark again')
            rankings[row['dataset'], row['split'], row['proposals']].append(
                RankedHits(about['sent'], tuple(about['gt_box']), len(hits),
                      hits.index('referent') if 'referent' in hits else -1, None))
    for option, names in wanted.items():
        for name in set(names or ()) - there[option]:
            raise InputError(f'--{option} {name}: {args.results[0]} holds no proposals of what was asked for'
                             f'{nearest(name, there[option])}; known are {", ".join(sorted(there[option]))}')
    if not rankings:
        raise InputError(f'{args.results[0]}: holds no proposals of what was asked for; check --dataset, --split and '
                         '--proposals')
    return rankings


def _key(row: Mapping[str, Any]) -> tuple:
    return tuple(row[name] for name in KEY)


def as_markdown(rankings: Rankings, at: int) -> str:
    """Markdown for each dataset and split: recalls at a few N, then recall of the referent at one N by part."""
    tables = []
    for dataset, split in dict.fromkeys(key[:2] for key in rankings):
        here = {rule: mine for (d, s, rule), mine in rankings.items() if (d, s) == (dataset, split)}
        points = {rule: curve(mine, SHOWN) for rule, mine in here.items()}
        title = f'{dataset} {split}'
        tables.append(_table(f'{title}: recall of the referent (%) among the first N', ['N', *SHOWN],
                             {rule: [p.referent_recall for p in mine] for rule, mine in points.items()}))
        if any(p.context_recall is not None for mine in points.values() for p in mine):
            tables.append(_table(f'{title}: recall of contextual objects (%) among the first N', ['N', *SHOWN],
                                 {rule: [p.context_recall for p in mine] for rule, mine in points.items()}))
        parts = {rule: dict(by_part(mine)) for rule, mine in here.items()}
        names = [name for name in PARTS if any(name in mine for mine in parts.values())]
        cells = {rule: [curve(mine[name], [at])[0].referent_recall if name in mine else None for name in names]
                 for rule, mine in parts.items()}
        counts = next(iter(parts.values()))
        tables.append(_table(f'{title}: recall of the referent (%) among the first {at}',
                             ['', *(f'{name} ({len(counts.get(name, ()))})' for name in names)], cells))
    return '\n\n'.join(tables) + '\n'


def _table(title: str, heads: Sequence[object], cells: Mapping[str, Sequence[float | None]]) -> str:
    rows = [[rule, *('—' if value is None else f'{value:.2f}' for value in values)] for rule, values in cells.items()]
    table = tabulate(rows, [str(head) for head in heads], 'github', disable_numparse=True,
                     colalign=('left', *('right' for _ in heads[1:])))
    return f'**{title}**\n\n{table}'


def as_csv(rankings: Rankings) -> str:
    """The recall of every rule and part at each N from 1 to 100, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for key, mine in rankings.items():
        for part, members in by_part(mine):
            writer.writerows(_line(key, part, point) for point in curve(members))
    return text.getvalue()


def _line(key: tuple[str, str, str], part: str, point: Point) -> list[Any]:
    n, expressions, proposals, referent, context = point
    return [*key, part, n, expressions, round(proposals, 4), round(referent, 4),
            '' if context is None else round(context, 4)]
