"""Values of options are held against the annotations of the constructor that takes them."""
from __future__ import annotations

from typing import Any, Literal

import pytest

from harness.errors import InputError
from harness.options import Count, CountOrNone, Number, Positive, Share, check_options


class Rule:
    def __init__(self, weights: dict, threshold: Share | None = None, top: Count = 100, others: CountOrNone = 0,
                 step: Positive = 0.1, method: Literal['linear', 'gaussian'] = 'linear', shuffle: bool = False,
                 score: Number = 0, name: str = 'x', free=None) -> None: ...


@pytest.mark.parametrize('option, value', [
    ('threshold', None), ('threshold', 0), ('threshold', 1), ('threshold', 0.65), ('top', 1), ('others', 0),
    ('step', 1e-9), ('method', 'gaussian'), ('shuffle', True), ('score', -3), ('name', '7'), ('free', object)])
def test_a_value_that_fits_passes(option: str, value: Any) -> None:
    check_options(Rule, {option: value}, '--set rule')


@pytest.mark.parametrize('option, value, wanted', [
    ('threshold', 'abc', 'a number'), ('threshold', 1.01, 'less than or equal to 1'), ('threshold', [0.5], 'a number'),
    ('threshold', float('nan'), 'a finite number'), ('threshold', True, 'a number'),
    ('top', 2.5, 'a whole number'), ('top', True, 'a whole number'), ('top', '5', 'a whole number'),
    ('top', 0, 'greater than or equal to 1'), ('top', 10 ** 400, 'less than or equal to 1000000000'),
    ('others', -1, 'greater than or equal to 0'), ('step', 0, 'greater than 0'), ('step', float('inf'), 'finite'),
    ('step', 10 ** 400, 'number'), ('method', 'cubic', "'linear' or 'gaussian'"), ('shuffle', 1, 'True or False'),
    ('name', 7, 'text')])
def test_a_value_that_does_not_fit_is_refused_with_what_is_wanted(option: str, value: Any, wanted: str) -> None:
    with pytest.raises(InputError, match=rf'--set rule\.{option}=.*: must be .*{wanted}') as refused:
        check_options(Rule, {option: value}, '--set rule')
    assert len(str(refused.value)) < 300 and '\n' not in str(refused.value)
