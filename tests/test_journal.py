"""A run's files: whatever ends a run, the same command goes on, and what comes out is as if nothing had been."""
from __future__ import annotations

import errno
import fcntl
import itertools
import multiprocessing
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.evaluation import journal as module
from harness.evaluation.counters import Counters, LeftOut
from harness.evaluation.journal import FILES, JOURNAL, Entry, Header, open_run, read_journal
from harness.evaluation.one_image import Evaluated
from harness.evaluation.timing import Stage, Timing

NAMES = (*FILES, JOURNAL)
HEADER = Header({'seed': 0, 'limit': None, 'data.refcoco': 'ab' * 32}, {'command': 'a run'},
                {'refcoco': {'greedy': ['cmae']}}, ['rec'], 4, 8, [0, 1, 2, 3])


def an_image(number: int) -> Evaluated:
    """Rows of different lengths; image 2 cannot be read and has none."""
    counters = Counters(1, 2)
    if number == 2:
        counters = Counters()
        counters.leave_out(InputError('no picture'), ['refcoco'], 2)
        return Evaluated(counters=counters)
    row = orjson.dumps({'image': number, 'text': 'é' * number}) + b'\n'
    return Evaluated(bytearray(row * 2), bytearray(row), Timing({'detect': Stage(0.1 / (number + 3), 1)}), counters)


def go_on(folder: Path, header: Header = HEADER, most: int | None = None, **options: Any) -> list[int]:
    """Do what is left, or the first of it; gives what was done."""
    with open_run(folder, header, **{'say': lambda line: None, **options}) as journal:
        numbers = journal.left[:most]
        for number in numbers:
            journal.append(number, an_image(number))
    return numbers


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing has cut."""
    folder = tmp_path_factory.mktemp('whole')
    assert go_on(folder) == [0, 1, 2, 3]
    return contents(folder)


@contextmanager
def folder_of(files: dict[str, bytes]) -> Iterator[Path]:
    with TemporaryDirectory() as name:
        for file, text in files.items():
            (Path(name) / file).write_bytes(text)
        yield Path(name)


def test_a_run_is_rows_and_a_journal_of_what_it_is_and_of_each_image(whole: dict[str, bytes]) -> None:
    assert set(whole) == set(NAMES)
    head, *lines = map(orjson.loads, whole[JOURNAL].splitlines())
    assert head == orjson.loads(orjson.dumps(HEADER))
    assert [line['number'] for line in lines] == [0, 1, 2, 3] and lines[2]['sizes'] == [0, 0]
    assert [sum(sizes) for sizes in zip(*(line['sizes'] for line in lines), strict=True)] == [
        len(whole[name]) for name in FILES]


def test_a_run_in_pieces_is_the_run_in_one(tmp_path: Path, whole: dict[str, bytes]) -> None:
    done = [go_on(tmp_path / 'a/b', most=1) for _ in range(6)]
    assert done == [[0], [1], [2], [3], [], []]
    assert contents(tmp_path / 'a/b') == whole


def test_what_is_torn_is_cut_at_every_byte_of_every_file(whole: dict[str, bytes]) -> None:
    for name in NAMES:
        for size in range(len(whole[name])):
            if name == JOURNAL and size <= whole[JOURNAL].index(b'\n'):
                continue  # a torn header: see below
            with folder_of({**whole, name: whole[name][:size]}) as folder:
                go_on(folder)
                assert contents(folder) == whole, (name, size)


CUTS = st.tuples(*[st.floats(0, 1)] * 3)


@settings(max_examples=100)
@given(CUTS, st.lists(st.binary(max_size=9), min_size=3, max_size=3), st.integers(1, 4))
@example((1, 1, 1), [b'', b'', b'{"number":4}\n'], 4)
@example((1, 1, 1), [b'', b'', b'\n\n'], 1)
@example((1, 1, 1), [b'x', b'', b'{'], 2)
def test_files_that_are_torn_anywhere_and_end_in_anything_are_gone_on_with(
        whole: dict[str, bytes], cuts: tuple[float, ...], ends: list[bytes], most: int) -> None:
    """Also where the run is cut again and again afterwards."""
    head = whole[JOURNAL].index(b'\n') + 1
    torn = {name: text[:max(int(cut * len(text)), head if name == JOURNAL else 0)] + end
            for (name, text), cut, end in zip(((n, whole[n]) for n in NAMES), cuts, ends, strict=True)}
    with folder_of(torn) as folder:
        for _ in range(5):
            go_on(folder, most=most)
        assert contents(folder) == whole


def test_a_run_that_was_cut_while_it_wrote_its_header_begins_anew(whole: dict[str, bytes]) -> None:
    for size in range(whole[JOURNAL].index(b'\n') + 1):
        with folder_of({JOURNAL: whole[JOURNAL][:size], **dict.fromkeys(FILES, b'')}) as folder:
            assert go_on(folder) == [0, 1, 2, 3] and contents(folder) == whole


def test_the_header_is_on_disk_before_the_first_row(tmp_path: Path) -> None:
    with open_run(tmp_path / 'run', HEADER):
        assert read_journal(tmp_path / 'run') == (Header(**orjson.loads(orjson.dumps(HEADER))), [])


def test_a_part_without_any_image_says_what_it_is_too(tmp_path: Path) -> None:
    nothing = Header(HEADER.plan, images=4, numbers=[], shard='5/5')
    assert go_on(tmp_path / 'run', nothing) == []
    header, entries = read_journal(tmp_path / 'run')
    assert header is not None and header.shard == '5/5' and not entries


@pytest.mark.parametrize('name', FILES)
def test_damaged_rows_are_done_again_with_all_behind_them(name: str, whole: dict[str, bytes]) -> None:
    _, entries = read_of(whole)
    first = entries[0].sizes[FILES.index(name)]
    for at, left in ((0, [0, 1, 2, 3]), (first, [1, 2, 3]), (len(whole[name]) - 1, [3])):
        damaged = bytearray(whole[name])
        damaged[at] ^= 1
        with folder_of({**whole, name: bytes(damaged)}) as folder:
            assert go_on(folder) == left
            assert contents(folder) == whole


def read_of(files: dict[str, bytes]) -> tuple[Header | None, list[Entry]]:
    with folder_of(files) as folder:
        return read_journal(folder)


TEXT = st.text(max_size=5)
COUNTS = st.dictionaries(TEXT, st.integers(0, 2**53), max_size=3)
LEFT_OUT = st.builds(LeftOut, st.integers(0, 9), st.integers(0, 9), st.lists(TEXT, max_size=2),
                     st.lists(TEXT, max_size=3))


@given(st.builds(Evaluated, st.binary().map(bytearray), st.binary().map(bytearray),
                 st.dictionaries(TEXT, st.builds(Stage, st.floats(0, 1e6), st.integers(0, 9))).map(Timing),
                 st.builds(lambda n, a, b, c: Counters.of_json(
                     {'images': n, 'expressions': n, 'oddities': a, 'turned': b, 'left_out': c}),
                     st.integers(0, 9), COUNTS, COUNTS,
                     st.dictionaries(TEXT, LEFT_OUT, max_size=2).map(lambda d: {k: vars(v) for k, v in d.items()}))))
def test_an_entry_is_read_as_it_was_written(image: Evaluated) -> None:
    entry = Entry.of(3, (image.predictions, image.proposals), image)
    assert Entry.of_line(entry.line()) == entry
    assert Entry.of_line(entry.line()).line() == entry.line(), 'where a file is cut follows from it'


@pytest.mark.parametrize(('changed', 'said'), [
    ({'seed': 1}, 'seed was 0, is 1'), ({'limit': 60}, 'limit was None, is 60'),
    ({'data.refcoco': 'cd' * 32}, 'data.refcoco was abababababab, is cdcdcdcdcdcd'),
    ({'set.greedy.threshold': 0.5}, 'set.greedy.threshold was not there, is 0.5')])
def test_another_run_is_refused_by_what_differs_and_touches_nothing(
        changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    go_on(tmp_path / 'run', most=2)
    before = contents(tmp_path / 'run')
    with pytest.raises(InputError) as error:
        go_on(tmp_path / 'run', Header({**HEADER.plan, **changed}, numbers=[0]))
    assert said in str(error.value) and '--fresh' in str(error.value) and '\n' not in str(error.value)
    assert contents(tmp_path / 'run') == before
    assert go_on(tmp_path / 'run') == [2, 3]


def test_another_shard_is_another_run(tmp_path: Path) -> None:
    go_on(tmp_path / 'run', most=1)
    with pytest.raises(InputError, match='shard was none, is 1/2'):
        go_on(tmp_path / 'run', Header(HEADER.plan, numbers=[0], shard='1/2'))


def test_what_is_said_of_a_run_may_differ(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """A command line in other words is the same run: what it was called first is kept."""
    go_on(tmp_path / 'run', most=1)
    go_on(tmp_path / 'run', Header(HEADER.plan, {'command': 'other words'}))
    assert contents(tmp_path / 'run') == whole


def test_of_another_run_that_has_not_done_one_image_nothing_is_kept(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """It was killed while it read weights, say."""
    for rows in (b'', b'{"torn'):
        with folder_of({JOURNAL: orjson.dumps(Header({'seed': 9})) + b'\n', FILES[0]: rows, FILES[1]: b''}) as folder:
            assert go_on(folder) == [0, 1, 2, 3] and contents(folder) == whole


@pytest.mark.parametrize('files', [{FILES[0]: b'a row\n'}, {FILES[1]: b'a row\n'}, {FILES[0]: b'a row', JOURNAL: b''},
                                   {FILES[0]: b'a row', JOURNAL: b'no header\n'}, {FILES[0]: b'a', JOURNAL: b'[1]\n'},
                                   {FILES[0]: b'a row', JOURNAL: b'{"colour": 1}\n'}])
def test_rows_without_a_journal_are_not_touched(files: dict[str, bytes]) -> None:
    with folder_of(files) as folder:
        with pytest.raises(InputError, match='holds an earlier run, which does not say how to go on|other files'):
            go_on(folder)
        assert {name: text for name, text in contents(folder).items() if text or name in files} == files


def test_a_folder_with_other_files_is_refused_and_an_empty_one_taken(tmp_path: Path, whole: dict[str, bytes]) -> None:
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.tex').write_text('years of work')
    with pytest.raises(InputError, match='holds other files'):
        go_on(tmp_path / 'mine')
    assert contents(tmp_path / 'mine') == {'thesis.tex': b'years of work'}
    (tmp_path / 'empty').mkdir()
    go_on(tmp_path / 'empty')
    assert contents(tmp_path / 'empty') == whole


def test_results_and_notes_beside_a_run_do_not_hinder_it(tmp_path: Path) -> None:
    go_on(tmp_path, most=2)
    (tmp_path / 'results.json').write_text('{}')
    assert go_on(tmp_path) == [2, 3] and (tmp_path / 'results.json').exists()


def fails(folder: Path, error: BaseException, after: int = 0, **options: Any) -> None:
    with pytest.raises(type(error)), open_run(folder, HEADER, **{'say': lambda line: None, **options}) as journal:
        for number in range(after):
            journal.append(number, an_image(number))
        raise error


@pytest.mark.parametrize('error', [InputError('no'), KeyboardInterrupt()], ids=['error', 'ctrl-c'])
def test_a_run_of_which_no_row_comes_leaves_all_as_it_was(error: BaseException, tmp_path: Path) -> None:
    fails(tmp_path / 'a/b', error)
    assert not list(tmp_path.iterdir())
    (tmp_path / 'empty').mkdir()
    fails(tmp_path / 'empty', error)
    assert not list((tmp_path / 'empty').iterdir())
    go_on(tmp_path / 'run')
    before = contents(tmp_path / 'run')
    said: list[str] = []
    fails(tmp_path / 'run', error, fresh=True, say=said.append)
    assert contents(tmp_path / 'run') == before and not said
    assert sorted(path.name for path in tmp_path.iterdir()) == ['empty', 'run']


def test_a_run_that_fails_behind_its_first_rows_keeps_them(tmp_path: Path, whole: dict[str, bytes]) -> None:
    fails(tmp_path / 'run', InputError('no'), after=2)
    assert go_on(tmp_path / 'run') == [2, 3] and contents(tmp_path / 'run') == whole


def test_a_folder_that_another_run_uses_too_is_left_to_it(tmp_path: Path) -> None:
    """Shards make the folder of the whole together, and one of them may fail."""
    with pytest.raises(KeyboardInterrupt), open_run(tmp_path / 'run/shard-1-of-2', HEADER):
        go_on(tmp_path / 'run/shard-2-of-2')
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / 'run').iterdir()] == ['shard-2-of-2']


def test_fresh_moves_the_earlier_run_aside_and_says_where(tmp_path: Path, whole: dict[str, bytes]) -> None:
    said: list[str] = []
    go_on(tmp_path / 'run', most=3, fresh=True, say=said.append)
    assert not said, 'there was none'
    earlier = contents(tmp_path / 'run')
    for i in (1, 2):
        assert go_on(tmp_path / 'run', Header({'seed': i}, numbers=[0]), fresh=True, say=said.append) == [0]
    assert said == [f'{tmp_path / "run"} held an earlier run: it is now {tmp_path / "run"}.{i}' for i in (1, 2)]
    assert contents(tmp_path / 'run.1') == earlier
    assert go_on(tmp_path / 'run.1') == [3] and contents(tmp_path / 'run.1') == whole, 'it can still go on there'


def hold(folder: Path, done: int, pipe: Any) -> None:
    """Keep a run open in another process."""
    with open_run(folder, HEADER) as journal:
        for number in range(done):
            journal.append(number, an_image(number))
        pipe.send('open')
        pipe.recv()
        for number in journal.left:
            journal.append(number, an_image(number))


@contextmanager
def held(folder: Path, done: int) -> Iterator[None]:
    ours, theirs = multiprocessing.get_context('fork').Pipe()
    process = multiprocessing.get_context('fork').Process(target=hold, args=(folder, done, theirs))
    process.start()
    assert ours.recv() == 'open'
    yield
    ours.send('go on')
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize('fresh', [False, True], ids=['', 'fresh'])
@pytest.mark.parametrize('earlier', [0, 1])
@pytest.mark.parametrize('done', [0, 2])
def test_two_runs_in_one_folder_are_not(done: int, earlier: int, fresh: bool, tmp_path: Path,
                                        whole: dict[str, bytes]) -> None:
    """The second is refused, whether the first is new or goes on, has rows or none yet; and does it no harm."""
    if earlier:
        go_on(tmp_path / 'run', most=0)
    with held(tmp_path / 'run', done):
        for header in (HEADER, Header({'seed': 5}, numbers=[0])):
            with pytest.raises(InputError, match='another process is writing this run; wait for it'):
                go_on(tmp_path / 'run', header, fresh=fresh)
    assert contents(tmp_path / 'run') == whole
    assert go_on(tmp_path / 'run') == [] and [path.name for path in tmp_path.iterdir()] == ['run']


def test_a_run_that_goes_on_is_locked_too(tmp_path: Path, whole: dict[str, bytes]) -> None:
    go_on(tmp_path / 'run', most=1)
    with held(tmp_path / 'run', 0), pytest.raises(InputError, match='another process'):
        go_on(tmp_path / 'run')
    assert contents(tmp_path / 'run') == whole


def test_where_files_cannot_be_locked_a_run_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            whole: dict[str, bytes]) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(fcntl, 'lockf', no_locks)
    go_on(tmp_path / 'run')
    assert contents(tmp_path / 'run') == whole


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can be longer, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_what_is_whole_stays_and_the_run_goes_on_afterwards(whole: dict[str, bytes]) -> None:
    longest = max(map(len, whole.values()))
    for size in itertools.chain(range(0, longest, 7), [longest - 1]):
        with TemporaryDirectory() as name:
            folder = Path(name) / 'run'
            said = 'run: cannot be written .*; free some space and give the same command again, it goes on from here'
            with room_for(size), pytest.raises(InputError, match=said):
                go_on(folder)
            if folder.exists():
                _, entries = read_journal(folder)
                for number, entry in enumerate(entries):
                    assert entry.number == number
            go_on(folder)
            assert contents(folder) == whole, size


def test_a_disk_that_is_full_at_once_leaves_nothing(tmp_path: Path) -> None:
    with room_for(0), pytest.raises(InputError, match='cannot be written'):
        go_on(tmp_path / 'new/run')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', NAMES)
def test_a_folder_in_the_place_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / 'run' / name).mkdir(parents=True)
    with pytest.raises((InputError, OSError)):
        go_on(tmp_path / 'run')
    assert (tmp_path / 'run' / name).is_dir()


def test_a_write_in_pieces_is_one_write(tmp_path: Path, whole: dict[str, bytes],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it is given."""
    append = module.append_whole

    class Slow:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, text: memoryview) -> int:
            return int(self.file.write(text[:3]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)
    monkeypatch.setattr(module, 'append_whole', lambda file, *others: append(Slow(file), *others))  # type: ignore
    go_on(tmp_path / 'run')
    assert contents(tmp_path / 'run') == whole


def test_a_run_can_be_moved_between_two_pieces(tmp_path: Path, whole: dict[str, bytes]) -> None:
    go_on(tmp_path / 'run', most=2)
    shutil.move(tmp_path / 'run', tmp_path / 'elsewhere')
    assert go_on(tmp_path / 'elsewhere') == [2, 3] and contents(tmp_path / 'elsewhere') == whole
    assert os.listdir(tmp_path) == ['elsewhere']
