"""Which expressions get a picture, as typed: ``right on greedy only``, ``suppressed on greedy with cmae``."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from harness.errors import InputError
from harness.names import nearest
from reports.failure_bins import NAMES
from reports.html.gallery import ShownAnswers
from reports.html.picture_options import FORMS

OUTCOMES = ('right', 'wrong', *NAMES[1:])


def wanted(text: str, answers: Mapping[str, Mapping[str, ShownAnswers]], found: Mapping[str, np.ndarray],
           rules: tuple[str, str | None]) -> tuple[np.ndarray, str | None]:
    """Which expressions a filter means, ``(expressions,)``, and the grounder that it names.

    Args:
        text: as typed. Without a grounder, any of them will do; where none answered, right is a proposed referent.
        answers: by grounder and rule.
        found: whether each rule proposes the referent, 1, 0 or -1.
        rules: the two that the page lays beside each other; ``only`` and ``changed`` are about both.

    Raises:
        InputError: it is none of :data:`reports.html.picture_options.FORMS`, or names what isn't there.
    """
    text, with_one, grounder = ' '.join(text.split()).partition(' with ')
    if with_one:
        _known('grounder', grounder, list(answers))
    sides = [_sides(mine) for name, mine in answers.items() if not with_one or name == grounder]
    sides = sides or [{rule: ((of >= 0, of == 1), None) for rule, of in found.items()}]
    masks = [_mask(text, mine, rules) for mine in sides]
    return np.logical_or.reduce(masks), grounder or None


#: By rule: whether there is an answer, whether it is right; and its bin where a grounder answered.
Sides = Mapping[str, tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]]


def _sides(mine: Mapping[str, ShownAnswers]) -> Sides:
    return {rule: ((of.bin >= 0, of.right.astype(bool)), of.bin) for rule, of in mine.items()}


def _mask(text: str, sides: Sides, rules: tuple[str, str | None]) -> np.ndarray:
    if text in ('changed', 'changed between rules'):
        (there, right), (other_there, other_right) = (_side(sides, rule)[0] for rule in rules)
        return there & other_there & (right != other_right)
    form = re.fullmatch(r'(\S+) on (.+?)( only)?', text)
    if form is None or (form[3] and form[1] not in ('right', 'wrong')):
        raise InputError(f'--only {text}: is no filter; write one of {"; ".join(FORMS)}')
    what, rule, only = form.groups()
    _known('outcome', what, OUTCOMES)
    (there, right), bins = _side(sides, rule)
    if what not in ('right', 'wrong'):
        if bins is None:
            raise InputError('--only: no grounder answered, so there are no bins; write right or wrong')
        return bins == NAMES.index(what)
    mask = there & (right == (what == 'right'))
    if only:
        other = next((name for name in rules if name != rule), None)
        other_there, other_right = _side(sides, other)[0]
        mask &= other_there & (right != other_right)
    return mask


def _side(sides: Sides, rule: str | None) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    if rule is None:
        raise InputError('--only: there is one rule only, so nothing to compare it with; '
                         'write right on RULE or wrong on RULE')
    _known('rule', rule, list(sides))
    return sides[rule]


def _known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f'--only: unknown {what} {name}{nearest(name, known)}; known are {", ".join(known) or "none"}')
