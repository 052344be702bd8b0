"""Shards put together: proven to be one whole run, and written as one process would have written them."""
from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.evaluation.journal import Entry, read_journal
from run_benchmark import command_line
from tests.runs_in_parts import ROW_FILES, boxes_from_outside, results_of, rows_of

IMAGES = 20


@pytest.fixture(scope='module')
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return boxes_from_outside(tmp_path_factory.mktemp('data'), IMAGES)


@pytest.fixture(scope='module')
def whole(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    assert command_line([*options, '--out', str(out)]) == 0
    return out


@pytest.fixture(scope='module')
def finished(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of three shards."""
    out = tmp_path_factory.mktemp('shards') / 'out'
    for i in (3, 1, 2):
        assert command_line([*options, '--out', str(out), '--shard', f'{i}/3']) == 0
    return out


@pytest.fixture
def shards(finished: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / 'out'))


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that is refused, and gives its one line."""
    def run(*argv: object) -> str:
        capsys.readouterr()
        assert command_line(list(map(str, argv))) == 2
        line: str = capsys.readouterr().err.strip().splitlines()[-1]
        return line
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_a_shard_leaves_rows_and_a_journal_in_a_folder_of_its_own(finished: Path) -> None:
    assert sorted(contents(finished)) == [f'shard-{i}-of-3/{name}' for i in (1, 2, 3) for name in
                                          ('journal.jsonl', 'predictions.jsonl', 'proposals.jsonl')]


def test_shards_merge_to_what_one_process_writes(shards: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(['merge', str(shards)]) == 0
    assert 'Recall' in capsys.readouterr().out
    assert rows_of(shards) == rows_of(whole)
    assert results_of(shards) == results_of(whole)
    tables = [(folder / 'tables.md').read_text().split('**Seconds by stage**')[0].splitlines()[4:]
              for folder in (shards, whole)]
    assert tables[0] == tables[1] and len(tables[0]) > 9


def test_the_command_that_is_recorded_is_that_of_the_whole(shards: Path, whole: Path) -> None:
    command_line(['merge', str(shards)])
    commands = [json.loads((folder / 'results.json').read_text())['run']['command'] for folder in (shards, whole)]
    assert '--shard' not in commands[0]
    assert re.sub(r'--out \S+', '', commands[0]) == re.sub(r'--out \S+', '', commands[1])


@pytest.mark.parametrize('count', [1, 2, IMAGES, IMAGES + 5])
def test_any_number_of_shards_will_do(count: int, options: list[str], whole: Path, tmp_path: Path) -> None:
    for i in range(1, count + 1):
        assert command_line([*options, '--out', str(tmp_path / 'out'), '--shard', f'{i}/{count}']) == 0
    assert command_line(['merge', str(tmp_path / 'out')]) == 0
    assert rows_of(tmp_path / 'out') == rows_of(whole) and results_of(tmp_path / 'out') == results_of(whole)


@pytest.mark.parametrize('order', [(1, 2, 3), (3, 1, 2)])
def test_the_folders_of_shards_may_be_anywhere_in_any_order(order: tuple[int, ...], shards: Path, whole: Path,
                                                            tmp_path: Path) -> None:
    moved = [shutil.move(shards / f'shard-{i}-of-3', tmp_path / f'machine {i}') for i in order]
    assert command_line(['merge', *map(str, moved), '--out', str(tmp_path / 'new/merged')]) == 0
    assert rows_of(tmp_path / 'new/merged') == rows_of(whole)


def test_folders_that_hold_shards_may_be_given_together(shards: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / 'other').mkdir()
    shutil.move(shards / 'shard-2-of-3', tmp_path / 'other/shard-2-of-3')
    assert command_line(['merge', str(shards), str(tmp_path / 'other'), '--out', str(tmp_path / 'merged')]) == 0
    assert rows_of(tmp_path / 'merged') == rows_of(whole)


def test_the_folder_of_the_run_is_the_same_by_any_name(shards: Path, whole: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shards)
    assert command_line(['merge', '.', '--out', str(shards)]) == 0
    assert rows_of(shards) == rows_of(whole)


def test_one_whole_run_may_be_merged_to_another_folder(whole: Path, tmp_path: Path) -> None:
    assert command_line(['merge', str(whole), '--out', str(tmp_path / 'out')]) == 0
    assert rows_of(tmp_path / 'out') == rows_of(whole)


def test_a_merge_can_be_repeated_and_goes_on_where_it_was_cut(shards: Path, whole: Path) -> None:
    assert command_line(['merge', str(shards)]) == 0
    assert command_line(['merge', str(shards)]) == 0
    assert rows_of(shards) == rows_of(whole)
    for name in (*ROW_FILES, 'journal.jsonl'):
        text = (shards / name).read_bytes()
        (shards / name).write_bytes(text[:len(text) // 2])
    (shards / 'results.json').unlink()
    assert command_line(['merge', str(shards)]) == 0
    assert rows_of(shards) == rows_of(whole) and results_of(shards) == results_of(whole)


def test_a_shard_that_was_done_afresh_counts_and_the_one_moved_aside_does_not(options: list[str], shards: Path,
                                                                              whole: Path) -> None:
    assert command_line([*options, '--out', str(shards), '--shard', '2/3', '--fresh']) == 0
    assert (shards / 'shard-2-of-3.1').is_dir()
    assert command_line(['merge', str(shards)]) == 0
    assert rows_of(shards) == rows_of(whole)


def test_an_earlier_merge_in_another_folder_is_moved_aside_by_fresh(shards: Path, whole: Path, tmp_path: Path,
                                                                    refused: Refused) -> None:
    for _ in range(2):
        assert command_line(['merge', str(shards), '--out', str(tmp_path / 'merged'), '--fresh']) == 0
    assert rows_of(tmp_path / 'merged') == rows_of(tmp_path / 'merged.1') == rows_of(whole)
    assert 'would move the shards in' in refused('merge', shards, '--fresh')
    assert len(list(shards.iterdir())) == 3


@pytest.mark.parametrize(('missing', 'said'), [
    ((2,), 'shard 2/3 is missing'), ((1, 3), 'shard 1/3, 3/3 is missing')])
def test_missing_shards_are_named(missing: tuple[int, ...], said: str, shards: Path, refused: Refused) -> None:
    for i in missing:
        shutil.rmtree(shards / f'shard-{i}-of-3')
    line = refused('merge', shards)
    assert said in line and re.search(rf'error: \d+ of {IMAGES} images are there', line)
    assert not (shards / 'journal.jsonl').exists(), 'nothing is written'


def test_of_many_missing_shards_the_first_are_named(options: list[str], tmp_path: Path, refused: Refused) -> None:
    command_line([*options, '--out', str(tmp_path / 'out'), '--shard', '3/9'])
    assert 'shard 1/9, 2/9, 4/9, 5/9, 6/9 and 3 more is missing' in refused('merge', tmp_path / 'out')


def test_a_shard_that_is_given_twice_is_named(shards: Path, refused: Refused, tmp_path: Path) -> None:
    shutil.copytree(shards / 'shard-2-of-3', shards / 'a copy')
    assert re.search(r'shard-2-of-3: image \d+ of the plan is in .*a copy too; give each shard once',
                     refused('merge', shards))
    assert 'too; give each shard once' in refused('merge', *[shards / 'shard-1-of-3'] * 2, '--out', tmp_path / 'x')


def test_shards_of_another_division_are_refused(options: list[str], shards: Path, refused: Refused) -> None:
    command_line([*options, '--out', str(shards), '--shard', '1/2'])
    assert 'too; give each shard once' in refused('merge', shards)
    shutil.rmtree(shards / 'shard-1-of-3')
    shutil.rmtree(shards / 'shard-2-of-3')
    line = refused('merge', shards)
    assert 'give each shard once' in line or re.search(r'image \d+ of the plan is in none', line)


def test_a_shard_of_another_run_is_refused_by_what_differs(options: list[str], shards: Path, refused: Refused) -> None:
    shutil.rmtree(shards / 'shard-2-of-3')
    assert command_line([*options, '--out', str(shards), '--shard', '2/3', '--seed', '7']) == 0
    line = refused('merge', shards)
    assert 'shard-2-of-3: is of another run than' in line and 'seed was 0, is 7' in line


def test_a_whole_run_of_other_options_in_the_folder_stays(options: list[str], shards: Path, refused: Refused,
                                                          tmp_path: Path) -> None:
    assert command_line([*options, '--out', str(tmp_path / 'x'), '--seed', '7']) == 0
    for path in (tmp_path / 'x').iterdir():
        shutil.copy(path, shards)
    before = contents(shards)
    line = refused('merge', shards)
    assert 'holds another run: seed was 7, is 0' in line
    assert contents(shards) == before


def test_an_unfinished_shard_is_named(shards: Path, options: list[str], whole: Path, refused: Refused) -> None:
    journal = shards / 'shard-2-of-3/journal.jsonl'
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b''.join(lines[:-2]))
    assert f'shard-2-of-3: 2 of its {len(lines) - 1} images are not done; give the command of this shard again' in (
        refused('merge', shards))
    assert not (shards / 'journal.jsonl').exists()
    assert command_line([*options, '--out', str(shards), '--shard', '2/3']) == 0
    assert command_line(['merge', str(shards)]) == 0 and rows_of(shards) == rows_of(whole)


@pytest.mark.parametrize('name', ROW_FILES)
def test_damaged_rows_are_named_and_done_again(name: str, shards: Path, options: list[str], whole: Path,
                                               refused: Refused) -> None:
    path = shards / 'shard-1-of-3' / name
    text = path.read_bytes()
    for damaged in (text[:-1], text.replace(b'refcoco', b'refcocp', 1), b'', text[:100] + text[101:], text + b'{}\n',
                    text + text):
        path.write_bytes(damaged)
        line = refused('merge', shards)
        assert f'shard-1-of-3/{name}: ' in line and 'give the command of this shard again' in line
        assert not (shards / 'predictions.jsonl').exists(), 'nothing is written'
    path.unlink()
    assert name in refused('merge', shards)
    assert command_line([*options, '--out', str(shards), '--shard', '1/3']) == 0
    assert command_line(['merge', str(shards)]) == 0 and rows_of(shards) == rows_of(whole)


def rewrite(shard: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the first image's predictions, its journal in agreement, as a fault in the program might."""
    header = (shard / 'journal.jsonl').read_bytes().splitlines(keepends=True)[0]
    _, entries = read_journal(shard)
    text = (shard / 'predictions.jsonl').read_bytes()
    size = entries[0].sizes[0]
    rows = b''.join(change(text[:size].splitlines(keepends=True)))
    first = Entry(entries[0].number, (len(rows), entries[0].sizes[1]), (zlib.crc32(rows), entries[0].checksums[1]),
                  entries[0].timing, entries[0].counters)
    (shard / 'predictions.jsonl').write_bytes(rows + text[size:])
    (shard / 'journal.jsonl').write_bytes(header + b''.join(entry.line() for entry in [first, *entries[1:]]))


@pytest.mark.parametrize(('change', 'said'), [
    (lambda rows: rows[1:], 'expressions instead of'),
    (lambda rows: [rows[0], *rows], 'is there twice'),
    (lambda rows: [rows[0].replace(b'"given"', b'"greedy"'), *rows], 'is there that nobody asked for'),
    (lambda rows: [rows[0].replace(b'"given"', b'"greedy"'), *rows[1:]], 'is missing'),
    (lambda rows: [re.sub(rb'"sent_id":\d+', b'"sent_id":77777', rows[0]), *rows], 'expressions instead of'),
    (lambda rows: [], 'expressions instead of')], ids=['missing', 'doubled', 'extra', 'renamed', 'foreign', 'none'])
def test_rows_that_are_not_those_of_the_plan_are_refused(change: Callable[[list[bytes]], list[bytes]], said: str,
                                                         shards: Path, refused: Refused) -> None:
    rewrite(shards / 'shard-1-of-3', change)
    line = refused('merge', shards)
    assert 'shard-1-of-3/predictions.jsonl' in line and said in line and 'do this shard again' in line
    assert not (shards / 'predictions.jsonl').exists()


def test_an_image_that_is_twice_in_a_journal_is_refused(shards: Path, refused: Refused) -> None:
    shard = shards / 'shard-1-of-3'
    for name in (*ROW_FILES, 'journal.jsonl'):
        lines = (shard / name).read_bytes()
        if name == 'journal.jsonl':
            (shard / name).write_bytes(lines + b''.join(lines.splitlines(keepends=True)[1:]))
        else:
            (shard / name).write_bytes(lines * 2)
    assert re.search(r'image \d+ of the plan is in it twice', refused('merge', shards))


@pytest.mark.parametrize(('files', 'said'), [
    (None, 'there is no such folder'), ({}, 'no folder in it holds the journal.jsonl of a shard'),
    ({'x/journal.jsonl': ''}, 'is not the journal of a run'), ({'x/journal.jsonl': '[]\n'}, 'is not the journal'),
    ({'x/journal.jsonl': '{"colour": 1}\n'}, 'is not the journal of a run')])
def test_what_is_no_shard_is_refused(files: dict[str, str] | None, said: str, tmp_path: Path, refused: Refused) -> None:
    if files is not None:
        (tmp_path / 'out/x').mkdir(parents=True)
    for name, text in (files or {}).items():
        (tmp_path / 'out' / name).write_text(text)
    assert said in refused('merge', tmp_path / 'out')


def test_a_whole_run_alone_in_its_folder_is_no_shard(whole: Path, refused: Refused) -> None:
    before = contents(whole)
    assert 'no folder in it holds the journal.jsonl of a shard' in refused('merge', whole)
    assert contents(whole) == before


def test_several_folders_need_one_for_the_whole(shards: Path, refused: Refused) -> None:
    assert 'add --out DIR, the folder of the merged run' in refused('merge', *shards.iterdir())


def test_a_folder_with_other_files_is_not_merged_into(shards: Path, refused: Refused, tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.tex').write_text('years of work')
    assert 'holds other files' in refused('merge', shards, '--out', tmp_path / 'mine')
    assert contents(tmp_path / 'mine') == {'thesis.tex': b'years of work'}


METRIC = '''
from harness.plugins import Metric
from harness.registry import METRICS
@METRICS.register_module(name='rows-counted')
class RowsCounted(Metric):
    """How many rows there are."""
    task = 'recall'
    names = ('rows',)
    def __init__(self):
        self.reset()
    def reset(self):
        self.n = 0
    def process(self, rows):
        self.n += len(rows)
    def compute(self):
        return {'rows': (float(self.n), self.n)}
'''


def test_metrics_of_ones_own_are_asked_for(options: list[str], tmp_path: Path, refused: Refused,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.registry import METRICS

    METRICS.import_from_location()
    monkeypatch.setattr(METRICS, 'module_dict', dict(METRICS.module_dict))
    (tmp_path / 'mine.py').write_text(METRIC)
    mine = ['--import', str(tmp_path / 'mine.py')]
    for i in (1, 2):
        assert command_line([*options, *mine, '--out', str(tmp_path / 'out'), '--shard', f'{i}/2']) == 0
        METRICS.module_dict.pop('rows-counted')
    assert re.search(r'--import: the shards were run with the metrics .*rows-counted; give the same files',
                     refused('merge', tmp_path / 'out'))
    assert command_line(['merge', str(tmp_path / 'out'), *mine]) == 0
    assert 'rows' in {r['metric'] for r in json.loads((tmp_path / 'out/results.json').read_text())['records']}
