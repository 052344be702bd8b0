"""A slice of the broken inputs that ``python -m tests.broken_inputs`` feeds by the thousand, and the rule itself."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.broken_inputs import trials
from tests.broken_inputs.__main__ import ENTRY_POINTS, chosen
from tests.broken_inputs.damage import WRONG, Raw, broken, damaged, dumped, pythonic
from tests.broken_inputs.trials import Trial, tried

#: So many of each entry point, beside what is sound, and fewer where each one reads networks.
MOST, FEWER = 9, 3
NETWORKS = ('weights of', 'head features', 'images', 'settings', 'trainings', 'masks of')


@pytest.mark.parametrize('name', ENTRY_POINTS)
def test_a_broken_input_ends_in_a_clean_run_or_in_one_line(name: str) -> None:
    most = FEWER if name.startswith(NETWORKS) else MOST
    verdicts = [(trial, tried(trial)) for trial in chosen(name, most)]
    assert [f'{trial.what}: {verdict.why}' for trial, verdict in verdicts if verdict.kind == 'wrong'] == []
    assert any(verdict.kind == 'refused' for trial, verdict in verdicts) or name == 'check-data'
    assert any(verdict.kind == 'accepted' for trial, verdict in verdicts if trial.sound)


def test_there_are_thousands_of_them_and_the_same_ones_each_time() -> None:
    sizes = {name: len(chosen(name, None)) for name in ('expressions', 'refs.p', 'settings', 'images')}
    assert all(size > 200 for size in sizes.values()) and sum(sizes.values()) > 3_000
    assert [trial.what for trial in chosen('refs.p', 20)] == [trial.what for trial in chosen('refs.p', 20)]


# What the rule says of programs that break it.

def behaves(monkeypatch: pytest.MonkeyPatch, program: object, seconds: float = 5, sound: bool = False) -> str:
    """The verdict on a program in the place of ours."""
    monkeypatch.setitem(trials._PROGRAMS, 'run', program)
    verdict = tried(Trial('it', [], {'in/a': b'x'}, sound=sound), seconds)
    return f'{verdict.kind}: {verdict.why}'


def says(line: str, code: int = 2, twice: bool = False) -> object:
    def program(argv: Sequence[str]) -> int:
        os.write(2, (line + '\n').encode() * (1 + twice))
        return code
    return program


def test_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert behaves(monkeypatch, says('error: a: is no file')) == 'refused: error: a: is no file'
    assert behaves(monkeypatch, says('reading …', code=0)) == 'accepted: '


@pytest.mark.parametrize(('program', 'why'), [
    (says('usage: no'), '0 lines begin'), (says('error: a', twice=True), '2 lines begin'),
    (says('error: \x1b[2J'), 'not printable'), (says('error: ' + 'x' * 2_000), 'of 2007 signs'),
    (says('error: a\nmore'), 'more is said behind'), (says('error: a', code=0), 'exit code 0 with an error'),
    (says('libpng warning: no', code=0), 'a library speaks: libpng'), (says('a', code=3), 'exit code 3'),
    (lambda argv: {}['a'], 'KeyError at test_broken_inputs.py'), (lambda argv: 1 // 0, 'ZeroDivisionError'),
    (lambda argv: os.system('touch fired'), 'something of the file was executed'),
    (lambda argv: Path('in', 'b').write_bytes(b'') or says('error: a')(argv), 'left behind: in/b'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_what_is_wrong(monkeypatch: pytest.MonkeyPatch, program: object, why: str) -> None:
    verdict = behaves(monkeypatch, program)
    assert verdict.startswith('wrong: ') and why in verdict


def test_what_does_not_end_or_takes_all_memory_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(argv: Sequence[str]) -> int:
        while True:
            try:
                os.listdir('.')
            except Exception:  # nobody takes the alarm for an error of theirs
                continue

    def greedy(argv: Sequence[str]) -> int:
        return len(bytearray(10**12))

    def waiting(argv: Sequence[str]) -> int:
        os.mkfifo('pipe')
        return len(Path('pipe').read_bytes())

    assert 'took more than 0.2 s' in behaves(monkeypatch, forever, seconds=0.2)
    assert 'MemoryError' in behaves(monkeypatch, greedy)
    assert 'took more than 0.2 s' in behaves(monkeypatch, waiting, seconds=0.2)


def test_what_is_sound_has_to_be_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert behaves(monkeypatch, says('error: a'), sound=True) == 'wrong: sound, but exit code 2: error: a'


# What the generator makes.

def test_a_record_is_broken_at_each_of_its_places() -> None:
    made = {what: make() for what, make in broken({'a': [1, 2, 3], 'b': 'x'})}
    assert made['a.2 = null'] == {'a': [1, 2, None], 'b': 'x'} and 'a.1 = null' not in made
    assert made['b left out'] == {'a': [1, 2, 3]} and made['a.0 left out'] == {'a': [2, 3], 'b': 'x'}
    assert made['all = no text'] == '' and made['a: a member twice']['a'] == [1, 2, 3, 3]
    assert made["all: key '-1'"] == {'-1': [1, 2, 3], 'b': 'x'}
    assert len([name for name in made if name.startswith('b = ')]) == len(WRONG)


def test_numbers_beyond_json_are_written_as_they_are() -> None:
    assert dumped({'a': Raw('1e999', float('inf')), 'b': 'é'}) == b'{"a": 1e999, "b": "\\u00e9"}'
    assert pythonic({'a': [Raw('1e999', float('inf'))]}) == {'a': [float('inf')]}


def test_a_file_is_damaged_in_many_ways(tmp_path: Path) -> None:
    made = dict(damaged(b'0123456789'))
    assert made['cut at 50%'] == b'01234' and made['without its last byte'] == b'012345678'
    assert made['a byte changed at 20%'] == b'01\xcd3456789'
    for what, begins in (('gzip', b'\x1f\x8b'), ('a zip', b'PK')):
        made[what](tmp_path / what)
        assert (tmp_path / what).read_bytes().startswith(begins)
    made['a pipe'](tmp_path / 'pipe')
    assert (tmp_path / 'pipe').is_fifo()


def test_a_reader_that_no_command_calls_is_tried_too() -> None:
    trial = Trial('it', ('harness.files.reading.read_bytes', 'a'), {'a': b''}, 'read')
    assert tried(trial).kind == 'accepted'
    assert tried(Trial('it', trial.argv, {}, 'read')).why.startswith('error: a: there is no such file')
