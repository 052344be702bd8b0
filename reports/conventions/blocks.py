"""Ledgers as tables: to be read, or to be worked on further."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from reports.conventions.ledger import Example, Ledger, Line
from reports.drawing.listing import Block

#: The proposals of answers that need none.
NO_PROPOSALS = '-'
TASKS = {'rec': 'REC accuracy (%)', 'res': 'RES (%)'}
_LONGEST = 40


def blocks(ledgers: Sequence[Ledger], drawn: bool) -> list[Block]:
    """A table a ledger.

    Args:
        ledgers: in their order.
        drawn: for people, with heads in words; else for programs, with everything that is known of a rule.
    """
    return [_block(ledger, drawn) for ledger in ledgers]


def notes(ledgers: Sequence[Ledger], batch_size: int) -> list[str]:
    """What is to be known of all tables: how to read them, and the code in which each rule was read."""
    used = [line.rule for ledger in ledgers for line in ledger.lines]
    return [
        'Points: difference to ours. Right → wrong and wrong → right: expressions that ours and the rule both count '
        'and judge differently. Rows that a rule leaves out are in neither. A missing box is wrong by every rule.',
        f'Batches of {batch_size}, in the order of the file.',
        *(f'{rule.name}: {"; ".join(rule.sources)}.' for rule in dict.fromkeys(used) if rule.sources)]


def title(ledger: Ledger) -> str:
    """What stands over a ledger's table."""
    proposals = '' if ledger.proposals == NO_PROPOSALS else f' with {ledger.proposals}'
    return f'{TASKS[ledger.task]} of {ledger.grounder}{proposals} on {ledger.dataset} {ledger.split}, by every rule'


def lacking(lines: Sequence[Line]) -> list[str]:
    """The rules that can't be applied and what the rows lack, a remark for each thing that is lacking."""
    needs: dict[str, list[str]] = {}
    for line in lines:
        if line.rows is None:
            needs.setdefault(line.rule.needs, []).append(line.rule.name)
    return [f'Not available: {", ".join(names)}, for want of {what}' for what, names in needs.items()]


def said(examples: Sequence[Example]) -> str:
    """Expressions by id and words."""
    return '; '.join(f'{example.sent_id} “{_short(example.sentence)}”' for example in examples)


def _block(ledger: Ledger, drawn: bool) -> Block:
    keys = {name: getattr(ledger, name) for name in ('dataset', 'split', 'grounder', 'proposals', 'task')}
    table = pd.DataFrame(_drawn(ledger.lines) if drawn else _records(ledger.lines))
    counts = [name for name in table if name in ('rows', 'right → wrong', 'wrong → right', 'right_to_wrong',
                                                 'wrong_to_right')]
    return Block(title(ledger), table.astype(dict.fromkeys(counts, 'Int64')), keys, lacking(ledger.lines))


def _drawn(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield {'rule': line.rule.name, 'what is right': line.rule.title, '%': line.value, 'points': line.difference,
               'rows': line.rows, 'right → wrong': line.to_wrong, 'wrong → right': line.to_right,
               'who counts so': line.rule.who, 'for example': said(line.examples)}


def _records(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield {'rule': line.rule.name, 'title': line.rule.title, 'who': line.rule.who,
               'sources': '; '.join(line.rule.sources), 'value': line.value, 'against': line.rule.against,
               'difference': line.difference, 'rows': line.rows, 'right_to_wrong': line.to_wrong,
               'wrong_to_right': line.to_right, 'looks_at_truth': line.rule.looks_at_truth,
               'lacks': line.rule.needs if line.rows is None else '', 'examples': said(line.examples)}


def _short(sentence: str) -> str:
    return sentence if len(sentence) <= _LONGEST else f'{sentence[:_LONGEST - 1]}…'
