"""``paper``: its steps in order, what is done is not done again, and how it ends; no step is really run here."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest

from harness.commands import steps
from run_benchmark import command_line

ROOT = Path(__file__).parents[1]
PARTS = ('ref-nms-b', 'ref-nms-r', 'cmae', 'mattnet', 'nmtree')
DATASETS = {'refcoco': 'refs(unc).p', 'refcocog': 'refs(umd).p'}


class World:
    """A folder with two datasets and a detector, and in the place of processes the commands that would run in them.

    Attributes:
        called: the command of each step, without ``python``.
        fails: exit codes of steps whose command has a word.
        idle: words of commands that write nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.called = folder, []
        self.fails: dict[str, int] = {}
        self.idle: set[str] = set()
        for name, refs in DATASETS.items():
            (folder / name).mkdir()
            (folder / name / refs).write_text(f'refs of {name}')
            (folder / name / 'instances.json').write_text('{}')
        (folder / 'detector.safetensors').write_text('a detector')

    def call(self, command: Sequence[str], stdout: IO[bytes] | None = None) -> int:
        """In the place of ``steps._call``: writes what the command would, of the content that it depends on."""
        self.called.append(list(command))
        if stdout is not None:
            stdout.write(f'printed by {command[1]}'.encode())
        for word, code in self.fails.items():
            if word in command:
                return code
        if '--dry-run' not in command and not self.idle & set(command):
            for path in self.written(command):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.content(command))
        return 0

    def written(self, command: Sequence[str]) -> list[Path]:
        """The files that a command leaves."""
        if '-o' in command:
            return [Path(command[command.index('-o') + 1])]
        if '--out' not in command:
            return []
        out = Path(command[command.index('--out') + 1])
        if command[1] == 'train':
            return [out / f'{command[2]}-{command[command.index("--dataset") + 1]}.safetensors']
        return [out / 'results.json', out / 'predictions.jsonl']

    def content(self, command: Sequence[str]) -> str:
        name = command[command.index('--dataset') + 1] if '--dataset' in command else None
        refs = (self.folder / name / DATASETS[name]).read_text() if name else ''
        files = [Path(word.split('=')[2]) for word in command if word.startswith('--weights=')]
        return sha256(' '.join([*command, refs, *(file.read_text() for file in files)]).encode()).hexdigest()

    def paper(self, *more: str) -> int:
        """The exit code of the command; ``called`` holds its steps alone."""
        self.called.clear()
        return command_line(['paper', '--data-root', str(self.folder), '--detector',
                             str(self.folder / 'detector.safetensors'), '--out', str(self.folder / 'out'), *more])

    @property
    def names(self) -> list[str]:
        """Of the steps that were called."""
        return [' '.join(called(command)) for command in self.called]


def called(command: Sequence[str]) -> list[str]:
    """What a step is called in the record."""
    if command[0] == '-m':
        return ['page' if command[2] == 'html' else command[2]]
    if command[1] == 'check-data':
        return ['check-data']
    dataset = command[command.index('--dataset') + 1]
    if command[1] == 'train':
        return ['train', command[2], dataset]
    return ['recall' if values(command, '--grounder') == ['none'] else 'run', dataset]


def of_dataset(name: str) -> list[str]:
    return [*(f'train {part} {name}' for part in PARTS), f'run {name}', f'recall {name}']


ALL = ['check-data', *of_dataset('refcoco'), *of_dataset('refcocog'), 'tables', 'page']


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(steps, '_call', made.call)
    return made


def values(command: Sequence[str], option: str) -> list[str]:
    """What an option is given, as ``--option VALUE`` or ``--option=VALUE``."""
    return [*(after for word, after in zip(command, command[1:], strict=False) if word == option),
            *(word.removeprefix(f'{option}=') for word in command if word.startswith(f'{option}='))]


# The plan.

def test_the_steps_of_two_datasets_come_in_order(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.paper() == 0
    assert world.names == ALL
    out = world.folder / 'out'
    assert capsys.readouterr().out == f'tables: {out}/tables.md\npage:   {out}/report.html\n'
    assert (out / 'tables.md').read_text() == 'printed by reports'
    assert (out / 'data.txt').read_text() == 'printed by check-data'


def test_a_training_takes_the_detector_and_what_it_learns_with_and_a_run_takes_all(world: World) -> None:
    world.paper('--dataset', 'refcoco')
    taken = {name: [w.split('=')[0] for w in values(command, '--weights')]
             for name, command in zip(world.names, world.called, strict=True)}
    assert taken['train ref-nms-r refcoco'] == taken['train cmae refcoco'] == ['detector']
    assert taken['train nmtree refcoco'] == ['detector', 'mattnet']
    assert taken['run refcoco'] == ['detector', *PARTS]
    assert taken['recall refcoco'] == ['detector', 'ref-nms-b', 'ref-nms-r'], 'others would have no effect'
    run, recall = world.called[world.names.index('run refcoco'):][:2]
    assert values(run, '--proposals') == ['greedy,ref-nms-b,ref-nms-r']
    assert values(run, '--grounder') == ['cmae,mattnet,nmtree']
    assert values(recall, '--proposals') == ['greedy-100,ref-nms-b-100,ref-nms-r-100']
    assert world.called[-1][3:5] == values(run, '--out') + values(recall, '--out')
    assert world.called[-2][:2] == ['-m', 'reports'] and '--ci' in world.called[-2]
    assert values(world.called[-2], '--like') == ['paper']


def test_a_grounder_comes_with_those_that_it_learns_with(world: World) -> None:
    world.paper('--dataset', 'refcoco', '--grounder', 'nmtree')
    assert world.names[3:5] == ['train mattnet refcoco', 'train nmtree refcoco']
    assert 'train cmae refcoco' not in world.names


def test_options_reach_the_steps_that_have_them(world: World) -> None:
    vectors = world.folder / 'glove.txt'
    vectors.write_text('a 1 2')
    world.paper('--limit', '7', '--seed', '3', '--recipe', 'embedded', '--device', 'cpu', '--vectors', str(vectors),
                '--images', str(world.folder), '--set', 'cmae.erase_epochs=2', '--set', 'ref-nms-b.epochs=1')
    for name, command in zip(world.names, world.called, strict=True):
        training, run = name.startswith('train '), name.startswith(('run ', 'recall '))
        assert values(command, '--limit') == (['7'] if run else []), name
        assert values(command, '--seed') == (['3'] if training else []), name
        assert values(command, '--recipe') == (['embedded'] if training else []), name
        for option, value in (('--device', 'cpu'), ('--vectors', str(vectors)), ('--images', str(world.folder))):
            assert values(command, option) == ([value] if training or run else []), name
        own = {'cmae': ['erase_epochs=2'], 'ref-nms-b': ['epochs=1']}
        assert values(command, '--set') == (own.get(command[2], []) if training else []), name


# Again.

def test_what_is_done_is_not_done_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.paper()
    capsys.readouterr()
    assert world.paper() == 0
    assert world.names == []
    assert capsys.readouterr().err.splitlines() == [
        f'[{number}/{len(ALL)}] {name}: done before' for number, name in enumerate(ALL, start=1)]


def test_other_annotations_are_a_reason_for_what_depends_on_them_alone(world: World) -> None:
    world.paper()
    (world.folder / 'refcoco/refs(unc).p').write_text('other refs')
    assert world.paper() == 0
    assert world.names == ['check-data', *of_dataset('refcoco'), 'tables', 'page']


def test_another_detector_is_a_reason_for_everything(world: World) -> None:
    world.paper()
    (world.folder / 'detector.safetensors').write_text('another detector')
    assert world.paper() == 0
    assert world.names == ALL


def test_an_output_that_is_missing_is_made_again(world: World) -> None:
    world.paper()
    (world.folder / 'out/report.html').unlink()
    (world.folder / 'out/weights/mattnet-refcocog.safetensors').unlink()
    assert world.paper() == 0
    assert world.names == ['train mattnet refcocog', 'page'], 'the weights are the same again'


def test_a_finished_run_of_other_options_is_moved_aside_and_an_unfinished_one_goes_on(world: World) -> None:
    world.paper('--dataset', 'refcoco', '--limit', '7')
    assert '--fresh' not in world.called[world.names.index('run refcoco')]
    world.paper('--dataset', 'refcoco')
    assert world.names == ['run refcoco', 'recall refcoco', 'tables', 'page']
    assert world.called[0][-1] == world.called[1][-1] == '--fresh'
    (world.folder / 'out/runs/refcoco/results.json').unlink()
    world.paper('--dataset', 'refcoco')
    assert '--fresh' not in world.called[0]


def test_a_file_is_read_once_however_many_steps_depend_on_it(world: World,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = steps.sha256_of
    monkeypatch.setattr(steps, 'sha256_of', lambda path: read.append(str(path)) or digest(path))
    world.paper()
    assert read.count(str(world.folder / 'detector.safetensors')) == 1
    assert len(read) == len(set(read))


# How it ends.

def test_a_step_that_fails_stops_with_its_code_and_one_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.fails['cmae'] = 2
    assert world.paper() == 2
    assert world.names[-1] == 'train cmae refcoco'
    assert capsys.readouterr().err.splitlines()[-1] == (
        '[4/17] train cmae refcoco: stopped with code 2; fix what it says, and the same command goes on from here')
    world.fails.clear()
    assert world.paper() == 0
    assert world.names == ALL[3:]


def test_what_a_failed_step_printed_is_shown_and_is_no_output(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.fails['check-data'] = 1
    assert world.paper() == 1
    assert 'printed by check-data' in capsys.readouterr().err
    assert not (world.folder / 'out/data.txt').exists()


def test_a_step_that_leaves_nothing_is_not_taken_for_done(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.idle.add('mattnet')
    assert world.paper() == 2
    assert 'mattnet-refcoco.safetensors: train mattnet refcoco has ended without writing it' in capsys.readouterr().err


@pytest.mark.parametrize('damaged', ['{', '[]', '{"tables": 3}', '\0'])
def test_a_damaged_record_is_one_line(damaged: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / 'out').mkdir()
    (world.folder / 'out/steps.json').write_text(damaged)
    assert world.paper() == 2
    said = capsys.readouterr().err
    assert said.startswith(f'error: {world.folder}/out/steps.json: ') and said.count('\n') == 1
    assert world.called == []


def test_what_is_interrupted_ends_with_130_and_says_that_it_goes_on(world: World,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    world.fails['nmtree'] = 130
    assert world.paper() == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        '[6/17] train nmtree refcoco: interrupted; the same command goes on from here')


def test_an_interrupted_step_is_waited_for(tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of a terminal; the step keeps what it has done before the command ends."""
    heeding = 'import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n'  # as in a terminal
    step = (heeding + 'import time\ntry:\n print("began", flush=True)\n time.sleep(60)\nexcept KeyboardInterrupt:\n'
            f' time.sleep(0.5)\n open({str(tmp_path / "kept")!r}, "w").close()')
    caller = heeding + f'import sys; from harness.commands import steps; sys.exit(steps._call(["-c", {step!r}]))'
    process = subprocess.Popen([sys.executable, '-c', caller], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == 'began\n'
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert (tmp_path / 'kept').exists()


def test_a_step_that_a_signal_ends_has_the_code_of_a_shell() -> None:
    assert steps._call(['-c', 'import os; os.kill(os.getpid(), 9)']) == 137


def test_a_dry_run_lists_the_steps_with_what_trainings_take_and_writes_nothing(
        world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.paper('--dry-run') == 0
    assert world.names == [name for name in ALL if name.startswith('train ')]
    assert all(command[-1] == '--dry-run' for command in world.called)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('] ')[1] for line in lines if line.startswith('[')] == ALL
    assert lines.count('    printed by train') == 2 * len(PARTS)
    assert not (world.folder / 'out').exists()


def test_a_dry_run_estimates_only_what_is_left(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.paper('--dataset', 'refcoco')
    before = (world.folder / 'out/steps.json').read_text()
    capsys.readouterr()
    assert world.paper('--dry-run', '--dataset', 'refcoco') == 0
    assert world.called == []
    assert capsys.readouterr().out.count('done before') == 1 + len(of_dataset('refcoco')) + 2
    assert (world.folder / 'out/steps.json').read_text() == before


def test_the_record_names_each_step_with_its_command_and_hashes(world: World) -> None:
    world.paper('--dataset', 'refcoco')
    record = json.loads((world.folder / 'out/steps.json').read_text())
    assert list(record) == ['check-data', *of_dataset('refcoco'), 'tables', 'page']
    of = record['train nmtree refcoco']['of']
    assert of['command'][:3] == ['run_benchmark.py', 'train', 'nmtree']
    assert of['inputs'][str(world.folder / 'refcoco/refs(unc).p')] == sha256(b'refs of refcoco').hexdigest()


# What is refused.

@pytest.mark.parametrize(('more', 'said'), [
    (['--set', 'detector.lr=1'], '--set detector.lr=1: write NAME.OPTION=VALUE with one of ref-nms-b, ref-nms-r, cmae'),
    (['--set', 'lr=1'], '--set lr=1: write NAME.OPTION=VALUE'),
    (['--set', 'mattnt.lr=1'], 'did you mean mattnet?'),
    (['--grounder', 'cmae', '--set', 'nmtree.lr=1'], '--set nmtree.lr=1: write NAME.OPTION=VALUE'),
    (['--set', 'nmtree.lrr=1'], 'did you mean lr?'),
    (['--set', 'ref-nms-r.margin=high'], 'margin=high'),
    (['--set', 'ref-nms-b.margin=0.2'], 'margin'),
    (['--dataset', 'mini-refcoco'], 'has none of that name; it has refcoco, refcocog'),
    (['--dataset', 'refcoc'], 'did you mean refcoco?'),
    (['--grounder', 'mattnt'], 'did you mean mattnet?'),
    (['--recipe', 'paper'], 'invalid choice'),
    (['--detector', 'none.safetensors'], 'none.safetensors: there is no such file; make one by "convert'),
    (['--vectors', 'none.txt'], 'none.txt: there is no such file'),
    (['--limit', '0'], '--limit 0: must be from 1'),
    (['--out', __file__], 'is a file; choose a folder'),
    (['--split-by', 'nobody'], '--split-by nobody')])
def test_what_is_wrong_is_one_line_before_the_first_step(more: list[str], said: str, world: World,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert world.paper(*more) == 2
    line = capsys.readouterr().err
    assert said in line and line.count('\n') == 1
    assert world.called == [] and not (world.folder / 'out').exists()


def test_a_dataset_that_is_left_out_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / 'refcocog/instances.json').unlink()
    assert world.paper() == 0
    assert 'left out refcocog, for want of instances.json' in capsys.readouterr().err
    assert not any('refcocog' in name for name in world.names)
