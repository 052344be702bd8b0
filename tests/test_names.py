"""Names that people type."""
from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.names import OneLineParser, pick

KNOWN = ('greedy', 'greedy-100', 'ref-nms-b')


def test_the_default_is_what_is_meant_when_nothing_is_given() -> None:
    assert pick('--proposals', None, KNOWN, ('greedy',)) == ['greedy']


def test_repeated_and_comma_separated_names_are_the_same() -> None:
    assert pick('--proposals', ['ref-nms-b,greedy', 'greedy'], KNOWN, ()) == ['ref-nms-b', 'greedy']


def test_all_means_every_known_one() -> None:
    assert pick('--proposals', ['all'], KNOWN, ()) == list(KNOWN)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r'--proposals ref-nms: unknown, did you mean ref-nms-b\?'):
        pick('--proposals', ['ref-nms'], KNOWN, ())


@pytest.mark.parametrize('argv', [['--out', '\0'], ['--out=a\0b'], ['a\0b']])
def test_a_nul_is_refused_wherever_it_stands(argv: list[str]) -> None:
    parser = OneLineParser()
    parser.add_argument('--out', type=Path)
    with pytest.raises(InputError, match=r'\\x00.*: holds a NUL'):
        parser.parse_args(argv)


def test_a_name_beside_all_is_looked_up_too() -> None:
    assert pick('--proposals', ['all,greedy'], KNOWN, ()) == list(KNOWN)
    with pytest.raises(InputError, match=r'--proposals gredy: unknown, did you mean greedy\?'):
        pick('--proposals', ['all,gredy'], KNOWN, ())


@pytest.mark.parametrize('nothing', ['', ' , '])
def test_no_name_at_all_is_refused(nothing: str) -> None:
    with pytest.raises(InputError, match='--proposals: names nothing; known are greedy, greedy-100, ref-nms-b'):
        pick('--proposals', [nothing], KNOWN, ('greedy',))
