"""The rules that studies compare, each with the option that says how much it proposes."""
from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import InputError
from harness.names import pick
from harness.plugins import Rule
from harness.registry import PROPOSAL_RULES, names

REFERENCE = 'ref-nms-b'


@dataclass(frozen=True)
class Contestant:
    """A registered rule with the options under which it is compared.

    Attributes:
        rule: its registered name.
        option: the option that is varied to change the number of proposals; ``None``: none is.
        changes: values of its other options.
    """

    rule: str
    option: str | None = 'threshold'
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, rule: Any) -> str:
        """The ``--set`` options that turn the registered rule into this one."""
        options = dict(self.changes) | ({} if self.option is None else {self.option: getattr(rule, self.option)})
        return ' '.join(f'--set {self.rule}.{key}={value}' for key, value in options.items())


CONTESTANTS = {
    'greedy': Contestant('greedy', None),
    'greedy-swept': Contestant('greedy'),
    'greedy-top-n': Contestant('greedy-top-n', 'top'),
    'soft-nms': Contestant('soft-nms'),
    'soft-nms-gaussian': Contestant('soft-nms', changes={'method': 'gaussian'}),
    'class-agnostic': Contestant('class-agnostic'),
    'confidence': Contestant('confidence'),
    'category-name': Contestant('category-name'),
    'category-name-0.1': Contestant('category-name', changes={'others': 0.1}),
    'relatedness': Contestant('relatedness'),
    'additive': Contestant('additive'),
    'ref-nms-blind': Contestant('ref-nms-blind'),
    'ref-nms-r': Contestant('ref-nms-r'),
    REFERENCE: Contestant(REFERENCE),
    'oracle': Contestant('oracle'),
}


def chosen(wanted: Sequence[str] | None) -> dict[str, Contestant]:
    """The contestants of ``--proposals``, by default all; other registered rules compete by their threshold, if any.

    Raises:
        InputError: a name is unknown.
    """
    others = {name: Contestant(name, 'threshold' if _can_be_swept(PROPOSAL_RULES.get(name)) else None)
              for name in names(PROPOSAL_RULES) if name not in CONTESTANTS}
    known = CONTESTANTS | others
    return {name: known[name] for name in pick('--proposals', wanted, known, tuple(CONTESTANTS))}


def refuse_overridden(settings: Iterable[tuple[str, str]], contestants: Mapping[str, Contestant],
                      also: Sequence[str] = ()) -> None:
    """Refuse an option that the study itself sets for every contestant of a rule.

    Args:
        settings: names of rules or grounders, each with an option.
        contestants: by name.
        also: options that have no effect on any rule in this study.

    Raises:
        InputError: an option has no effect.
    """
    for name, option in settings:
        mine = [one for one in contestants.values() if one.rule == name]
        if mine and (option in also or all(option == one.option or option in one.changes for one in mine)):
            raise InputError(f'--set {name}.{option}: has no effect, the study sets it itself; leave it out')


def _can_be_swept(rule: Any) -> bool:
    return rule.kept is not Rule.kept and 'threshold' in inspect.signature(rule).parameters


def registered(wanted: Sequence[str] | None, contestants: Mapping[str, Contestant]) -> list[str]:
    """The rules to prepare, in the form of ``--proposals`` of a run; ``all`` leaves out rules without weights."""
    if wanted is None or 'all' in ','.join(wanted).split(','):
        return ['all']
    return list(dict.fromkeys(contestant.rule for contestant in contestants.values()))


def rules_of(contestants: Mapping[str, Contestant], rules: Mapping[str, Any]) -> dict[str, Any]:
    """One rule object per contestant whose registered rule is available.

    Args:
        contestants: by name.
        rules: registered rules by name, with their weights.
    """
    found = {}
    for name, contestant in contestants.items():
        if contestant.rule in rules:
            found[name] = copy.copy(rules[contestant.rule])
            for key, value in contestant.changes.items():
                setattr(found[name], key, value)
    return found
