"""Recall at each split's own number of proposals: a threshold for every rule and split, beside that chosen on val.

A threshold that is chosen on val lets rules propose unequally many boxes on other splits. Here each rule's threshold is
set on the split itself, to propose as many boxes as greedy does there. Only boxes are counted for that, never hits.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.studies.contestants import REFERENCE, Contestant
from harness.studies.number_of_boxes import best_number, least_threshold, mean_kept
from harness.studies.survey import Ranking, Survey

#: The rule whose number all others get.
BASE = 'greedy'


class Recall(NamedTuple):
    """Of a rule on a split, with one threshold: proposals per expression, and recall in percent; that of contextual
    objects is ``None`` where none are known."""

    proposals: float
    referent: float
    context: float | None


class AtEqualNumber(NamedTuple):
    """A rule on a split: its value of the option that says how much it proposes, with val's and with its own."""

    dataset: str
    split: str
    rule: str
    value_of_val: float | None
    on_val: Recall
    value: float | None
    own: Recall


def at_equal_number(found: Survey, rules: Mapping[str, Mapping[str, Any]],
                    contestants: Mapping[str, Contestant]) -> list[AtEqualNumber]:
    """Every rule on every split, with the threshold that it has and with its own.

    Args:
        found: the rankings of all splits.
        rules: by dataset and name, with the thresholds chosen on val; they are set back to them.
        contestants: by name.
    """
    lines = []
    for dataset, mine in rules.items():
        splits = dict.fromkeys(one.expression.split for one in found.rankings[dataset, BASE])
        for split in splits:
            rankings = {name: [one for one in found.rankings[dataset, name] if one.expression.split == split]
                        for name in mine}
            target = mean_kept(mine[BASE], [one.scores for one in rankings[BASE]])
            lines += [_line(dataset, split, name, rule, _option(name, contestants), rankings[name], target)
                      for name, rule in mine.items()]
    return lines


def _option(name: str, contestants: Mapping[str, Contestant]) -> str | None:
    """What says how much a rule proposes; the reference, which has its own threshold on val, is given another here."""
    return Contestant(REFERENCE).option if name == REFERENCE else contestants[name].option


def _line(dataset: str, split: str, name: str, rule: Any, option: str | None, rankings: Sequence[Ranking],
          target: float) -> AtEqualNumber:
    before, kept = recall(rule, rankings), (getattr(rule, 'threshold', None), getattr(rule, 'top', None))
    value_of_val = None if option is None else getattr(rule, option)
    if option is None or name == BASE:
        return AtEqualNumber(dataset, split, name, value_of_val, before, value_of_val, before)
    choose = best_number if option == 'top' else least_threshold
    value = choose(rule, [one.scores for one in rankings], target)
    after = recall(rule, rankings)
    rule.threshold, rule.top = kept
    return AtEqualNumber(dataset, split, name, value_of_val, before, value, after)


def recall(rule: Any, rankings: Sequence[Ranking]) -> Recall:
    """What a rule finds with the threshold that it has."""
    kept = [rule.kept(one.scores) for one in rankings]
    referent = [0 <= one.referent < n for one, n in zip(rankings, kept, strict=True)]
    context = [sum(0 <= place < n for place in one.context) / len(one.context)
               for one, n in zip(rankings, kept, strict=True) if one.context]
    return Recall(sum(kept) / len(kept), 100 * sum(referent) / len(referent),
                  100 * sum(context) / len(context) if context else None)


#: The columns of the table.
HEADS = ('proposals', "val's", 'boxes', 'referent', 'context', 'own', 'boxes', 'referent', 'context')


def rows_of(lines: Sequence[AtEqualNumber]) -> Iterator[tuple[str, list[list[str]]]]:
    """A title and the rows of a table, for each dataset and split."""
    for dataset, split in dict.fromkeys((line.dataset, line.split) for line in lines):
        mine = [line for line in lines if (line.dataset, line.split) == (dataset, split)]
        yield (f'{dataset} {split}: with the threshold chosen on val, and with one for {BASE}\'s number here',
               [[line.rule, _value(line.value_of_val), *_recall(line.on_val), _value(line.value), *_recall(line.own)]
                for line in mine])


def as_record(line: AtEqualNumber) -> dict[str, Any]:
    """A line for JSON."""
    return {**line._asdict(), 'on_val': line.on_val._asdict(), 'own': line.own._asdict()}


def _value(value: float | None) -> str:
    return 'as it is' if value is None else f'{value:.4g}'


def _recall(found: Recall) -> list[str]:
    return [f'{found.proposals:.2f}', f'{found.referent:.2f}', '—' if found.context is None else f'{found.context:.2f}']
