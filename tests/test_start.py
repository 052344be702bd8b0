"""A command imports what it needs and no more: help, names and what is refused come before torch."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from harness.commands import checkpoint_conversion, convert
from harness.data.embedded_names import SPLITS
from harness.embedded.known import load_embedded
from harness.options import hint_of
from harness.registry import DATASETS, DETECTORS, GROUNDERS, METRICS, PROPOSAL_RULES, PluginRegistry, names
from harness.studies.parsers import PARSERS, STUDIES
from reports.drawing.formats import FORMATS
from reports.drawing.rendering import RENDERERS
from reports.rows.metrics import METRICS as METRIC_TITLES
from reports.statistics.outcomes import OUTCOMES

ROOT = Path(__file__).parents[1]
SLOW = ('torch', 'transformers', 'mmdet', 'mmcv', 'mmengine', 'spacy', 'cv2', 'pandas', 'scipy', 'matplotlib', 'plotly')
SLOW_OF = {'run_benchmark': SLOW, 'reports.__main__': (*SLOW, 'jinja2', 'pydantic')}
REPORTS = ('published', 'tables', 'compare', 'failures', 'check', 'html')
REGISTRIES = {registry.variable: registry for registry in (DATASETS, PROPOSAL_RULES, GROUNDERS, METRICS, DETECTORS)}
#: Flags that are asked for before a plug-in is imported.
FLAGS = ('control', 'needs_candidates', 'recipe')


def started(module: str, arguments: str, folder: Path) -> tuple[int, str, set[str]]:
    """Run a command line in a process of its own: exit code, what it printed, and the slow libraries it imported."""
    code = (f'import sys; import {module}\n'
            f'sys.argv[1:] = {arguments.split()!r}\n'
            f'code = 0\n'
            f'try: code = {module}.command_line(sys.argv[1:])\n'
            f'except SystemExit as end: code = end.code or 0\n'
            f'print("imported:", *sorted(set({SLOW_OF[module]!r}) & set(sys.modules)))\n'
            f'sys.exit(code)')
    done = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True,
                          env={'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'HOME': str(folder)})
    printed, _, imported = done.stdout.rpartition('imported:')
    return done.returncode, printed + done.stderr, set(imported.split())


@pytest.mark.parametrize('arguments', [
    '--help', '--list', 'show --help', 'train --help', 'train ref-nms --help', 'paper --help', 'study --help',
    *(f'study {name} --help' for name in STUDIES), 'convert --help', 'export --help',
    'check-data --help', 'merge --help', 'data --help', 'data candidates --help', 'demo --help'])
def test_help_and_names_import_nothing_slow(arguments: str, tmp_path: Path) -> None:
    code, printed, imported = started('run_benchmark', arguments, tmp_path)
    assert code == 0 and printed
    assert not imported


@pytest.mark.parametrize(('arguments', 'line'), [
    ('--nosuch', 'unrecognized arguments: --nosuch'),
    ('--split nonsense', '--split nonsense: unknown; known are val, testA, testB, test'),
    ('--grounder cmaee', '--grounder cmaee: unknown, did you mean cmae?'),
    ('--proposals greddy', '--proposals greddy: unknown, did you mean greedy?'),
    ('--dataset mini-refcoc', '--dataset mini-refcoc: unknown, did you mean mini-refcoco?'),
    ('--detector mmdet-c5', '--detector mmdet-c5: unknown, did you mean mmdet-c4?'),
    ('--task rce', '--task rce: unknown'),
    ('--limit 0', '--limit 0: must be at least 1'),
    ('--seed -1', '--seed -1: must be from 0'),
    ('--data-root nowhere', '--data-root nowhere: there is no such folder'),
    ('--set greedyy.threshold=1', '--set greedyy.…: there is no rule or grounder of that name'),
    ('--set greedy.threshold=7', '--set greedy.threshold=7: must be less than or equal to 1'),
    ('--set ref-nms-b-100.top=2.5', '--set ref-nms-b-100.top=2.5: must be a whole number'),
    ('--weights cmae', '--weights cmae: write NAME=FILE'),
    ('--grounder none --task rec', '--task: rec and res need a grounder'),
    ('--out a.file', '--out a.file: is a file; choose a folder'),
    ('--import none.py', '--import none.py: there is no such Python file'),
    ('--workers 0', '--workers 0: must be from 1 to 1024'),
    ('--shard 3/2', '--shard 3/2: must be I/N'),
    ('--shard 1/2', '--out: shard 1/2 needs a folder that all shards share'),
    ('merge . --import none.py', '--import none.py: there is no such Python file'),
    ('merge . --out a.file', '--out a.file: is a file; choose a folder'),
    ('show none.png cup', 'none.png: there is no such image'),
    ('show a.file cup', 'a.file: not a readable image'),
    ('show a.file cup --dataset-weights nosuch', '--dataset-weights nosuch: unknown'),
    ('nosuch', 'nosuch: there is no such command'),
    ('show a.png cup --grounder cmaee', '--grounder cmaee: unknown, did you mean cmae?'),
    ('train nosuch', 'train nosuch: unknown'),
    ('paper --data-root . --detector none', 'none: there is no such file; make one by "convert'),
    ('paper --data-root nowhere --detector a.file', '--data-root nowhere: there is no such folder'),
    ('paper --data-root . --detector a.file', '--data-root .: holds no dataset'),
    ('train cmae --seed -1', '--seed -1: must be from 0'),
    ('train ref-nms --config nosuch', '--config nosuch: unknown'),
    ('train ref-nms --set nosuch=1', 'nosuch'),
    ('study nosuch', 'study nosuch: there is no such study'),
    ('study fair --proposals nosuch', '--proposals nosuch: unknown'),
    ('study fair --grounder cmaee', '--grounder cmaee: unknown, did you mean cmae?'),
    ('study fair --set greedyy.threshold=1', '--set greedyy.…: there is no rule or grounder of that name'),
    ('study number --dataset nosuch', '--dataset nosuch: unknown'),
    ('study gamma --dataset nosuch', '--dataset nosuch: unknown'),
    ('study gamma --limit 0', '--limit 0: must be from 1'),
    ('study seeds --variant nosuch', '--variant nosuch: unknown'),
    ('study seeds --grounder cmaee', '--grounder cmaee: unknown, did you mean cmae?'),
    ('study fair --nosuch', 'unrecognized arguments: --nosuch'),
    ('convert in.pth out.safetensors --as nosuch', 'invalid choice'),
    ('convert in.pth out.pth --as cmae', 'out.pth: the output must be called something.safetensors'),
    ('convert in.pth out.safetensors --as mask-rcnn --vocabulary data.json', '--vocabulary: a detector has no words'),
    ('convert in.pth out.safetensors --as cmae', 'in.pth: there is no such file; check the path'),
    ('export nowhere --as nosuch', 'invalid choice'),
    ('check-data --data-root nowhere', '--data-root nowhere: there is no such folder'),
])
def test_what_is_refused_is_refused_before_anything_slow(arguments: str, line: str, tmp_path: Path) -> None:
    (tmp_path / 'a.file').write_text('x')
    code, printed, imported = started('run_benchmark', arguments, tmp_path)
    assert code == 2
    assert line in printed
    assert not imported


def test_check_data_reads_a_data_root_without_torch(small_benchmark: Path, tmp_path: Path) -> None:
    root = next(small_benchmark.glob('*/eval'), small_benchmark)
    code, printed, imported = started('run_benchmark', f'check-data --data-root {root}', tmp_path)
    assert code == 0 and 'mini-refcoco' in printed
    assert not imported


@pytest.mark.parametrize('arguments', ['--help', *(f'{name} --help' for name in REPORTS)])
def test_help_of_reports_imports_nothing_slow(arguments: str, tmp_path: Path) -> None:
    code, printed, imported = started('reports.__main__', arguments, tmp_path)
    assert code == 0 and printed
    assert not imported


@pytest.mark.parametrize(('arguments', 'line'), [
    ('nosuch', 'nosuch: no such report'),
    ('published --table 5', '--table 5: unknown; known are 1, 2, 3, 4'),
    ('tables . --format nosuch', 'invalid choice'),
    ('tables . --label Mine', '--label, --venue and --backbone: name a row of --like today or of --like paper'),
    ('tables nowhere', 'nowhere: there is no such file; give a run\'s folder or its results.json'),
    ('compare nowhere nowhere', 'nowhere: there is no such file; give a run\'s folder or its predictions.jsonl'),
    ('compare a b --metric nosuch', '--metric nosuch: unknown'),
    ('compare :greedy b', ':greedy: begin with a path'),
    ('failures nowhere', 'nowhere: there is no such file; give a run\'s folder or its predictions.jsonl'),
    ('failures . --from greedy', '--from and --to: give both'),
    ('failures . --list nosuch', '--list nosuch: unknown'),
    ('failures . --mask-iou 2', '2 is no IoU'),
    ('check nowhere', 'nowhere: there is no such file; give a run\'s folder or its results.json'),
    ('check . --update', '--update and --reason TEXT: give both or none'),
    ('check . --max-slowdown 0', '0 allows no time'),
    ('html . -o page.txt', '-o page.txt: the page is HTML'),
    ('html . -o page.html --images nowhere', '--images nowhere: there is no such folder'),
    ('html nowhere -o page.html', 'nowhere: there is no such file; give a run\'s folder or its results.json'),
])
def test_what_a_report_refuses_it_refuses_before_anything_slow(arguments: str, line: str, tmp_path: Path) -> None:
    code, printed, imported = started('reports.__main__', arguments, tmp_path)
    assert code == 2
    assert line in printed
    assert not imported


def test_names_that_are_known_before_the_reports_are_imported_are_theirs() -> None:
    assert tuple(RENDERERS) == FORMATS
    assert METRIC_TITLES.keys() == OUTCOMES.keys()


@pytest.mark.parametrize('variable', REGISTRIES)
def test_what_is_read_of_plug_in_files_is_what_they_register(variable: str) -> None:
    registry = REGISTRIES[variable]
    read = PluginRegistry(variable, registry.base, registry.locations)  # registers nothing, so that files are read
    registry.import_from_location()
    assert set(names(read)) <= set(registry.module_dict)
    for name in names(read):
        plugin = registry.get(name)
        assert read.listed[name].module == plugin.__module__
        assert read.summary(name) == registry.summary(name)
        for flag in FLAGS:
            if hasattr(registry.base, flag):
                assert bool(read.attribute(name, flag)) == bool(registry.attribute(name, flag)), (name, flag)
        for option, text in read.listed[name].hints.items():
            assert hint_of(text) in (Any, get_type_hints(plugin.__init__, include_extras=True)[option]), (name, option)


def test_every_registering_file_of_the_locations_is_read() -> None:
    for variable, registry in REGISTRIES.items():
        files = [path for room in ('harness', 'adapters') for path in (ROOT / room).rglob('*.py')
                 if f'\n@{variable}.register_module' in path.read_text()]
        assert {'.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in files} == {
            one.module for one in registry.listed.values()}


def test_a_name_of_the_project_is_taken_before_its_file_is_imported() -> None:
    code = ('from harness.errors import InputError\nfrom harness.registry import PROPOSAL_RULES\n'
            'class A: pass\n'
            'try: PROPOSAL_RULES.register_module(name="greedy")(A)\n'
            'except InputError as error: print(error)\n')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == (
        'greedy is already registered in PROPOSAL_RULES, by harness.proposals.greedy; choose another name\n')


def test_the_splits_that_are_checked_first_are_those_of_the_embedded_datasets(small_benchmark: Path) -> None:
    assert {name: load_embedded(name).splits for name in SPLITS} == SPLITS


def test_every_kind_of_checkpoint_that_can_be_asked_for_is_converted() -> None:
    assert tuple(checkpoint_conversion.KINDS) == convert.KINDS


def test_each_study_is_called_what_its_module_says() -> None:
    folder = ROOT / 'harness/studies'
    said = {path.stem: (ast.get_docstring(tree) or '').split('\n')[0].partition(': ')[2]
            for path in folder.glob('*.py') for tree in [ast.parse(path.read_text())]
            if path.stem != '__init__' and any(isinstance(node, ast.FunctionDef) and node.name == 'main'
                                               for node in tree.body)}
    assert said == STUDIES
    assert PARSERS.keys() == STUDIES.keys()
