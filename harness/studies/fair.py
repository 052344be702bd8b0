"""``run_benchmark.py study fair``: all proposal rules at the same mean number of proposals, chosen on val.

The threshold of each rule, or its N, is chosen on val so that it proposes as many boxes per expression as Ref-NMS B
does there, and never on test. Then all rules and the grounders run on every split, as in any run.
"""
from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from tabulate import tabulate

from harness.data.passport import passports
from harness.errors import InputError
from harness.evaluation.datasets import image_folders
from harness.evaluation.plan import Plan, Plugins
from harness.evaluation.plan_record import versions
from harness.evaluation.prepare import prepare
from harness.evaluation.result_folder import named_by_time, new_folder
from harness.evaluation.results import run_record, write_results
from harness.evaluation.run import run
from harness.evaluation.settings import parse_setting
from harness.files.writing import write_text
from harness.options import within
from harness.program import program
from harness.progress import track
from harness.studies.at_equal_number import BASE, HEADS, AtEqualNumber, as_record, at_equal_number, rows_of
from harness.studies.contestants import REFERENCE, Contestant, chosen, refuse_overridden, registered, rules_of
from harness.studies.number_of_boxes import best_number, least_threshold, mean_kept
from harness.studies.options import request_of
from harness.studies.parsers import fair_parser
from harness.studies.survey import DEEPEST, Ranking, Survey, survey

CHOSEN_ON = 'val'
SHOWN = {'mean_proposals': 'per expression', 'referent_recall': 'referent recall', 'context_recall': 'context recall',
         'accuracy': 'REC', 'overall_iou': 'RES IoU'}
COSTS = ('proposals', 'option', 'value', 'per expression', 'ms', 'ms over greedy')


@dataclass(frozen=True)
class OperatingPoint:
    """The option value of one rule on one dataset, with its number of proposals and cost on val.

    Attributes:
        option: the option chosen on val; ``None``: the rule runs with its own options.
        value: of the option.
        proposals: mean number per expression on val.
        milliseconds: per expression on val, as if the rule ran alone; the time of the detector is not included.
        settings: the options that give a run the same rule.
    """

    option: str | None
    value: float | None
    proposals: float
    milliseconds: float
    settings: str


def main(argv: Sequence[str]) -> int:
    """Choose on val, run, write ``results.json``, ``fair.json`` and ``fair.md``, and print."""
    args = fair_parser().parse_args(argv)
    target = args.proposals_per_expression
    within('--proposals-per-expression', target, 1, DEEPEST)
    start, console = time.perf_counter(), Console(stderr=True, highlight=False, soft_wrap=True)
    contestants = chosen(args.proposals)
    if target is None:
        contestants[REFERENCE] = replace(Contestant(REFERENCE), option=None)
    elif all(contestant.option is None for contestant in contestants.values()):
        raise InputError(f'--proposals-per-expression {target:g}: has no effect, {", ".join(contestants)} compete as '
                         'they are; leave it out')
    if args.at_equal_number and BASE not in contestants:
        raise InputError(f'--at-equal-number: is the number of {BASE}, which does not compete; add --proposals {BASE}')
    refuse_overridden([parse_setting(text)[:2] for text in args.settings], contestants)
    prepared = prepare(request_of(
        args, splits=args.split and [*args.split, CHOSEN_ON], rules=registered(args.proposals, contestants),
        grounders=args.grounder, tasks=args.task or (['recall', 'rec'] if args.grounder else ['recall'])))
    with new_folder(args.out or named_by_time('study-fair-')) as out:
        rules = {name: rules_of(contestants, plugins.rules) for name, plugins in prepared.plan.plugins.items()}
        found = survey(on_val(prepared.plan), rules, lambda work: track(work, 'choose on val', console))
        choices = {name: choose(name, mine, contestants, found, target) for name, mine in rules.items()}
        plan = competing(prepared.plan, rules, args.split)
        outcome = run(plan, out, lambda work: track(work, 'all splits', console))
        equal: list[AtEqualNumber] = []
        if args.at_equal_number:
            ranked = survey(plan, rules, lambda work: track(work, 'at equal number', console))
            equal = at_equal_number(ranked, rules, contestants)
    notes = [*prepared.notes, *choice_notes(choices)]
    record = run_record(outcome, command=f'{program()} study fair {shlex.join(argv)}'.rstrip(),
                        options={k: v if isinstance(v, str | int | float | None) else str(v)
                                 for k, v in vars(args).items()},
                        seed=0, data=prepared.data, weights=prepared.weights, notes=notes,
                        wall=time.perf_counter() - start, images_in=image_folders(prepared.plan.datasets),
                        detector_seen=prepared.detector_seen,
                        passports=passports(prepared.plan.datasets, plan.expressions),
                        versions_of=versions(prepared.plan))
    write_results(out, outcome, record)
    write_text(out / 'fair.json', json.dumps({name: {rule: asdict(choice) for rule, choice in mine.items()}
                                              for name, mine in choices.items()}, indent=1) + '\n')
    text = as_markdown(choices, outcome.records)
    if equal:
        write_text(out / 'at-equal-number.json', json.dumps([as_record(line) for line in equal], indent=1) + '\n')
        text += '\n' + '\n\n'.join(_titled(title, HEADS, rows) for title, rows in rows_of(equal)) + '\n'
    write_text(out / 'fair.md', f'`{record["command"]}`\n\n{text}')
    print(text)
    for note in prepared.notes:
        print(f'note: {note}')
    print(f'{record["wall_seconds"]:.0f} s; everything is in {out}, and python -m reports reads it')
    return 0


def on_val(plan: Plan) -> Plan:
    """The part of a plan on which thresholds are chosen.

    Raises:
        InputError: a dataset has no val.
    """
    expressions = {key: es for key, es in plan.expressions.items() if key[1] == CHOSEN_ON and es}
    for name in plan.datasets:
        if (name, CHOSEN_ON) not in expressions:
            raise InputError(f'--dataset {name}: has no split {CHOSEN_ON} to choose thresholds on')
    return replace(plan, expressions=expressions)


def competing(plan: Plan, rules: Mapping[str, Mapping[str, Any]], splits: Sequence[str] | None) -> Plan:
    """The plan with the contestants instead of the registered rules, on the requested splits."""
    wanted = None if splits is None or 'all' in splits else {s.strip() for given in splits for s in given.split(',')}
    return replace(
        plan, ground_recall_only=True,
        expressions={key: es for key, es in plan.expressions.items() if wanted is None or key[1] in wanted},
        plugins={name: Plugins(dict(rules[name]), plugins.grounders) for name, plugins in plan.plugins.items()})


def choose(dataset: str, rules: Mapping[str, Any], contestants: Mapping[str, Contestant], found: Survey,
           target: float | None) -> dict[str, OperatingPoint]:
    """Set the option of every rule so that its number of proposals matches the reference, or ``target``."""
    scores = {name: [r.scores for r in found.rankings[dataset, name]] for name in rules}
    if target is None:
        target = mean_kept(rules[REFERENCE], scores[REFERENCE])
    choices = {}
    for name, rule in rules.items():
        option, value = contestants[name].option, None
        if option is not None:
            value = (best_number if option == 'top' else least_threshold)(rule, scores[name], target)
        rankings: Sequence[Ranking] = found.rankings[dataset, name]
        choices[name] = OperatingPoint(option, value, mean_kept(rule, scores[name]),
                               1000 * found.seconds[dataset, name] / max(len(rankings), 1),
                               contestants[name].settings(rule))
    return choices


def choice_notes(choices: Mapping[str, Mapping[str, OperatingPoint]]) -> Iterable[str]:
    """One note per operating point, for ``results.json``."""
    for dataset, mine in choices.items():
        for name, choice in mine.items():
            yield (f'{dataset} {name}: {choice.settings or "as it is"}; {choice.proposals:.2f} proposals on '
                   f'{CHOSEN_ON}, {choice.milliseconds:.2f} ms per expression')


def as_markdown(choices: Mapping[str, Mapping[str, OperatingPoint]], records: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: the chosen options and their cost, then one table per dataset and split."""
    parts = []
    for dataset, mine in choices.items():
        parts.append(_titled(f'{dataset}: chosen on {CHOSEN_ON}', COSTS, _costs(mine)))
        for split in dict.fromkeys(r['split'] for r in records if r['dataset'] == dataset):
            here = [r for r in records if (r['dataset'], r['split']) == (dataset, split)]
            columns = list(dict.fromkeys((m, r['grounder']) for m in SHOWN for r in here if r['metric'] == m))
            values = {(r['proposals'], r['metric'], r['grounder']): r['value'] for r in here}
            heads = [SHOWN[m] if grounder == '-' else f'{SHOWN[m]}, {grounder}' for m, grounder in columns]
            rows = [[name, *(_number(values.get((name, *column))) for column in columns)] for name in mine]
            parts.append(_titled(f'{dataset} {split} ({max(r["n"] for r in here)} expressions; %)',
                                 ['proposals', *heads], rows))
    return '\n\n'.join(parts) + '\n'


def _costs(mine: Mapping[str, OperatingPoint]) -> list[list[str]]:
    base = mine['greedy'].milliseconds if 'greedy' in mine else None
    return [[name, c.option or 'as it is', '' if c.value is None else f'{c.value:.4g}', f'{c.proposals:.2f}',
             f'{c.milliseconds:.2f}', '' if base is None else f'{c.milliseconds - base:+.2f}']
            for name, c in mine.items()]


def _number(value: float | None) -> str:
    return '—' if value is None else f'{value:.2f}'


def _titled(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = tabulate(rows, heads, 'github', disable_numparse=True, colalign=('left', *('right' for _ in heads[1:])))
    return f'**{title}**\n\n{table}'
