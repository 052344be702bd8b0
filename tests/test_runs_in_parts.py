"""However a run is carried out, its files are the same: by several processes, in shards, or cut and gone on with."""
from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness.evaluation.one_image
import harness.evaluation.prepare
from harness.errors import InputError
from run_benchmark import command_line
from tests.runs_in_parts import boxes_from_outside, results_of, rows_of

GROUNDED = ['--grounder', 'cmae', '--proposals', 'greedy,ref-nms-b', '--device', 'cpu']
IMAGES = 12
fork = multiprocessing.get_context('fork')
LAUNCHED = re.compile('RANK|WORLD_SIZE|OMPI_|SLURM_')


@pytest.fixture(autouse=True)
def started_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever started the tests starts nothing here."""
    for name in filter(LAUNCHED.match, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture(scope='module')
def grounded(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole run of one process, with detector, rules, grounder and masks."""
    out = tmp_path_factory.mktemp('grounded') / 'out'
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv('REFNMS_CACHE', str(small_cache))
        assert command_line([*GROUNDED, '--workers', '1', '--out', str(out)]) == 0
    return out


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return [*boxes_from_outside(tmp_path), '--out', str(tmp_path / 'out')]


@pytest.fixture
def whole(options: list[str], tmp_path: Path) -> Path:
    assert command_line([*options[:-1], str(tmp_path / 'whole')]) == 0
    return tmp_path / 'whole'


def same(one: Path, other: Path) -> bool:
    return rows_of(one) == rows_of(other) and results_of(one) == results_of(other)


@pytest.mark.usefixtures('small_benchmark')
@pytest.mark.parametrize('workers', [2, 4])
def test_any_number_of_workers_write_the_same(workers: int, grounded: Path, tmp_path: Path) -> None:
    assert command_line([*GROUNDED, '--workers', str(workers), '--out', str(tmp_path / 'out')]) == 0
    assert same(tmp_path / 'out', grounded)


@pytest.mark.usefixtures('small_benchmark')
def test_shards_of_workers_that_were_cut_merge_to_the_same(grounded: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    for i in (1, 2):
        assert command_line([*GROUNDED, '--workers', str(i), '--shard', f'{i}/2', '--out', str(out)]) == 0
    for name in ('predictions.jsonl', 'proposals.jsonl', 'journal.jsonl'):
        path = out / 'shard-2-of-2' / name
        path.write_bytes(path.read_bytes()[:-1000])
    assert command_line(['merge', str(out)]) == 2
    assert command_line([*GROUNDED, '--shard', '2/2', '--out', str(out)]) == 0
    assert command_line(['merge', str(out)]) == 0
    assert same(out, grounded)


@pytest.mark.usefixtures('small_benchmark')
def test_a_run_that_was_cut_goes_on_whatever_the_number_of_workers(grounded: Path, tmp_path: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    out = Path(shutil.copytree(grounded, tmp_path / 'out'))
    journal = (out / 'journal.jsonl').read_bytes().splitlines(keepends=True)
    (out / 'journal.jsonl').write_bytes(b''.join(journal[:6]) + journal[6][:-9])
    for name in ('results.json', 'tables.md'):
        (out / name).unlink()
    capsys.readouterr()
    assert command_line([*GROUNDED, '--workers', '2', '--out', str(out)]) == 0
    assert f'5 of {IMAGES} images were done before; --fresh starts again' in capsys.readouterr().err
    assert same(out, grounded)


@pytest.mark.parametrize('workers', ['0', '-1', '1025', 'two'])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: str, options: list[str], tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line([*options, '--workers', workers]) == 2
    assert '--workers' in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('shard', ['0/2', '3/2', '1', 'a/b'])
def test_a_shard_that_makes_no_sense_is_refused(shard: str, options: list[str], tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line([*options, '--shard', shard]) == 2
    assert f'error: --shard {shard}: must be I/N' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_shard_needs_the_folder_of_the_whole(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line([*options[:-2], '--shard', '1/2']) == 2
    assert 'error: --out: shard 1/2 needs a folder that all shards share' in capsys.readouterr().err


def test_the_same_command_again_does_nothing_anew(options: list[str], whole: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line(options) == 0

    def never(*_: object) -> None:
        pytest.fail('an image was done again')
    monkeypatch.setattr(harness.evaluation.one_image, 'prediction_rows', never)
    assert command_line(options) == 0
    assert '20 of 20 images were done before' in capsys.readouterr().err
    assert same(tmp_path / 'out', whole)


def test_other_options_in_the_same_folder_are_refused_and_fresh_moves_aside(
        options: list[str], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(options) == 0
    capsys.readouterr()
    assert command_line([*options, '--limit', '3']) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'holds another run' in error and 'limit was None, is 3' in error and '--fresh' in error
    assert same(tmp_path / 'out', whole)
    assert command_line([*options, '--limit', '3', '--fresh']) == 0
    assert same(tmp_path / 'out.1', whole) and not same(tmp_path / 'out', whole)


def test_how_a_run_is_carried_out_makes_no_other_run(options: list[str], tmp_path: Path) -> None:
    for how in ([], ['--workers', '2'], ['--workers', '4']):
        assert command_line([*options, *how]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ['out']
    recorded = json.loads((tmp_path / 'out/results.json').read_text())['run']['options']
    assert not recorded.keys() & {'workers', 'shard', 'fresh'}


def test_an_edited_file_makes_another_run(options: list[str], tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(options) == 0
    (tmp_path / 'c.json').write_text((tmp_path / 'c.json').read_text().replace('0.9', '0.8'))
    assert command_line(options) == 2
    assert 'files.candidates was ' in capsys.readouterr().err


KILLED = '''
import os, signal
from harness.plugins import Rule
from harness.registry import PROPOSAL_RULES
from harness.proposals.greedy import Greedy
@PROPOSAL_RULES.register_module(name='deadly')
class Deadly(Greedy):
    """Kills the worker that is at image IMAGE, unless a file says not to."""
    def __call__(self, image, expressions):
        if image.info.path.name == 'IMAGE' and not os.path.exists('SPARE'):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(image, expressions)
'''


def test_a_worker_that_is_killed_ends_the_run_in_one_line_and_it_goes_on(
        small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.registry import PROPOSAL_RULES

    deadly = sorted((small_benchmark / 'images/train2014').iterdir())[5]
    (tmp_path / 'deadly.py').write_text(KILLED.replace('IMAGE', deadly.name).replace('SPARE', str(tmp_path / 'spare')))
    run = ['--import', str(tmp_path / 'deadly.py'), '--proposals', 'deadly', '--grounder', 'none', '--workers', '2',
           '--out', str(tmp_path / 'out')]
    try:
        assert command_line(run) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert deadly.name in error and 'killed by SIGKILL' in error and 'it continues from here' in error
        PROPOSAL_RULES.module_dict.pop('deadly')
        (tmp_path / 'spare').touch()
        assert command_line(run) == 0
        assert json.loads((tmp_path / 'out/results.json').read_text())['run']['images'] == IMAGES
    finally:
        PROPOSAL_RULES.module_dict.pop('deadly', None)


def test_an_image_that_fails_in_a_worker_fails_as_without(options: list[str], tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    write = harness.evaluation.one_image.prediction_rows

    def fails(truths: list, *rest: object) -> list:
        if truths[0].expression.image_id == 9:
            raise InputError('image 9 is wrong')
        return write(truths, *rest)  # type: ignore[arg-type]
    rows = []
    for workers in (1, 2, 4):
        with monkeypatch.context() as patched:
            patched.setattr(harness.evaluation.one_image, 'prediction_rows', fails)
            assert command_line([*options, '--fresh', '--workers', str(workers)]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == 'error: image 9 is wrong'
        rows.append(rows_of(tmp_path / 'out'))
    assert rows[0] == rows[1] == rows[2] and rows[0]['predictions.jsonl']


def unreadable(folder: Path, images: int, lost: int) -> list[str]:
    """Options of a run on images of which so many cannot be read."""
    from PIL import Image

    (folder / 'images').mkdir()
    rows = [{'dataset': 'refcoco', 'split': 'val', 'image_id': i, 'height': 60, 'width': 80, 'bbox': [10, 10, 40, 40],
             'sent': 'cup'} for i in range(1, images + 1)]
    (folder / 'e.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    for i in range(1, images + 1):
        Image.new('RGB', (80, 60), (i, 0, 0)).save(folder / f'images/{i}.jpg')
        if i <= lost:
            text = (folder / f'images/{i}.jpg').read_bytes()
            (folder / f'images/{i}.jpg').write_bytes(text[:len(text) // 2])
    return ['--expressions', str(folder / 'e.jsonl'), '--images', str(folder / 'images'), '--grounder', 'none',
            '--proposals', 'greedy', '--out', str(folder / 'out')]


@pytest.mark.usefixtures('small_benchmark')
def test_a_shard_may_have_none_but_unreadable_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = unreadable(tmp_path, 3, 1)
    assert command_line([*run[:-1], str(tmp_path / 'whole')]) == 0
    for i in (1, 2, 3):
        assert command_line([*run, '--shard', f'{i}/3']) == 0
    assert command_line(['merge', str(tmp_path / 'out')]) == 0
    assert same(tmp_path / 'out', tmp_path / 'whole')
    assert '1 of 3 images and their 1 expressions are left out' in capsys.readouterr().out


@pytest.mark.usefixtures('small_benchmark')
def test_shards_without_one_readable_image_do_not_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(harness.evaluation.prepare, 'check_images', lambda *_: None)
    run = unreadable(tmp_path, 2, 2)
    for i in (1, 2):
        assert command_line([*run, '--shard', f'{i}/2']) == 0
    assert command_line(['merge', str(tmp_path / 'out')]) == 2
    assert 'none of the images could be read' in capsys.readouterr().err


@pytest.mark.usefixtures('small_benchmark')
def test_images_may_be_copied_to_other_machines_but_not_changed_while_a_run_goes_on(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = unreadable(tmp_path, 2, 0)
    assert command_line([*run[:-1], str(tmp_path / 'whole')]) == 0
    assert command_line([*run, '--shard', '1/2']) == 0
    os.utime(tmp_path / 'images/1.jpg', (1, 1))
    assert command_line([*run, '--shard', '1/2']) == 2
    assert 'holds another run: times of the images was' in capsys.readouterr().err
    assert command_line([*run, '--shard', '2/2']) == 0
    assert command_line(['merge', str(tmp_path / 'out')]) == 0
    assert same(tmp_path / 'out', tmp_path / 'whole')


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not LAUNCHED.match(name)}


SAYS_WHERE_IT_IS = 'import json, os, sys; open(sys.argv[1] + os.environ["RANK"], "w").write(json.dumps({**os.environ}))'


def begun(environment: dict[str, str], options: list[str]) -> None:
    """A run in an environment, by a process whose exit code is the run's."""
    os.environ.update(environment)
    sys.exit(command_line(options))


def test_torchrun_starts_shards(options: list[str], whole: Path, tmp_path: Path) -> None:
    """Two at a time. They are copies of this process, where all is imported, in the environments of torchrun's own."""
    torchrun = shutil.which('torchrun', path=str(Path(sys.executable).parent)) or shutil.which('torchrun')
    if torchrun is None:
        pytest.skip('there is no torchrun')
    done = subprocess.run([torchrun, '--nproc-per-node', '2', '--master-port', '0', '--no-python', sys.executable, '-c',
                           SAYS_WHERE_IT_IS, str(tmp_path / 'rank')], capture_output=True, text=True,
                          env=clean_environment())
    assert done.returncode == 0, done.stderr
    shards = [fork.Process(target=begun, args=(json.loads((tmp_path / f'rank{rank}').read_text()), options))
              for rank in range(2)]
    for shard in shards:
        shard.start()
    for shard in shards:
        shard.join()
    assert [shard.exitcode for shard in shards] == [0, 0]
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['shard-1-of-2', 'shard-2-of-2']
    assert command_line(['merge', str(tmp_path / 'out')]) == 0
    assert same(tmp_path / 'out', whole)


def test_the_jobs_of_an_array_are_shards(options: list[str], whole: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``sbatch --array=1-3``, each of two tasks by srun; one of them twice, as a job that was put back."""
    for name, value in {'ARRAY_TASK_MIN': 1, 'ARRAY_TASK_MAX': 3, 'ARRAY_TASK_STEP': 1, 'ARRAY_TASK_COUNT': 3,
                        'STEP_NUM_TASKS': 2}.items():
        monkeypatch.setenv(f'SLURM_{name}', str(value))
    for job, task in ((3, 1), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1), (2, 1)):
        monkeypatch.setenv('SLURM_ARRAY_TASK_ID', str(job))
        monkeypatch.setenv('SLURM_PROCID', str(task))
        assert command_line(options) == 0
    assert 'shard 4/6: ' in capsys.readouterr().out
    assert len(list((tmp_path / 'out').glob('shard-*-of-6'))) == 6
    assert command_line(['merge', str(tmp_path / 'out')]) == 0
    assert same(tmp_path / 'out', whole)


def test_an_environment_that_contradicts_itself_is_refused_and_a_shard_of_ones_own_counts(
        options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('RANK', '5')
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert command_line(options) == 2
    assert 'RANK=5 of WORLD_SIZE=2' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    assert command_line([*options, '--shard', '1/3']) == 0
    assert (tmp_path / 'out/shard-1-of-3').is_dir()
