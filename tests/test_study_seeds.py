"""``study seeds``: what is trained and evaluated, what is not done again, and the tables by hand."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands.user_files import import_plugins
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.files.fingerprint import Record, keep
from harness.files.weights import load_weights, shipped_path
from harness.studies import seeds
from harness.studies.seeds import Entrant, Study, as_markdown
from harness.studies.spread import Spread, paired, spread
from harness.types import Dataset


@pytest.fixture(autouse=True, scope='module')
def grounders() -> None:
    import_plugins()


def test_spread_by_hand() -> None:
    assert spread([1, 2, 6]) == Spread(3, pytest.approx(7 ** 0.5), 3)
    assert spread([4]) == Spread(4, None, 1)
    assert spread([]) is None


def test_differences_are_paired_by_seed() -> None:
    assert paired([5, 7, 9], [4, 6, 8]) == Spread(1, 0, 3), 'every seed gains one, whatever the spread between seeds'
    assert paired([5, 7], [4]) == Spread(2, pytest.approx(2 ** 0.5), 2), 'one run beside each'
    with pytest.raises(ValueError, match='one by one'):
        paired([1, 2], [1, 2, 3])


def test_the_tables_by_hand() -> None:
    def runs(*values: float) -> list[dict]:
        return [{('val', 'recall', 'referent_recall', '-'): value} for value in values]
    text = as_markdown({'greedy': runs(70), 'ref-nms-b': runs(80, 84), 'ref-nms-r': runs(78, 80)}, 'mini', [1, 2])
    cells = [line.split('|') for line in text.splitlines() if line.startswith('|')]
    rows = {name.strip(): value.strip() for _, name, value, *_ in cells}
    assert rows['greedy'] == '70.00'
    assert rows['ref-nms-b'] == '82.00 ± 2.83'
    assert rows['ref-nms-b - ref-nms-r'] == '+3.00 ± 1.41'
    assert rows['ref-nms-b - greedy'] == '+12.00 ± 2.83'
    assert not any('blind' in row for row in rows)


@pytest.mark.parametrize('arguments, said', [
    (['--seeds', '1,x'], 'different whole numbers'),
    (['--seeds', '1,1'], 'different whole numbers'),
    (['--proposals-per-expression', '0'], 'from 1 to 100'),
    (['--variant', 'ref-nms-q'], 'ref-nms-r'),
    (['--dataset', 'refcoco'], 'mini-refcoco'),
    (['--seeds', '1,²'], 'different whole numbers'), (['--seeds', '1' * 400], 'different whole numbers'),
    (['--seeds', '4000001'], 'none over 4000000'), (['--limit', '0'], '--limit 0: must be from 1'),
    (['--proposals-per-expression', 'nan'], 'from 1 to 100'), (['--set', 'loss=ranking'], 'choose them by --variant'),
    (['--set', 'head=trained'], 'choose them by --variant'), (['--set', 'factor=0.5'], 'has no effect'),
    (['--set', 'margin=0.2', '--variant', 'ref-nms-b'], 'has no effect'), (['--set', 'delta_step=0'], '0.0001'),
    (['--set', 'margin=0.2', '--set', 'margin=0.3'], '--set margin: given twice'),
    (['--set', 'margn=0.2'], 'did you mean margin'),
    (['--set', 'margin=much'], 'must be a number'), (['--set', 'margin=-1'], 'greater than or equal to 0'),
])
def test_bad_input_is_one_line(arguments: list[str], said: str, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, 'run', lambda _: pytest.fail('it began'))
    with pytest.raises(InputError) as error:
        seeds.main([*arguments, '--out', str(tmp_path), '--grounder', 'none'])
    assert said in str(error.value) and '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_grounder_without_trained_weights_is_refused_before_any_training(tmp_path: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    class Untrained:
        control, weights, needs = False, 'untrained', ()
    monkeypatch.setattr(seeds, 'names', lambda _: ['untrained'])
    monkeypatch.setattr(seeds.GROUNDERS, 'get', lambda _: Untrained)
    monkeypatch.setattr(Study, 'run', lambda _: pytest.fail('it began'))
    with pytest.raises(InputError, match='--grounder untrained: its weights .*untrained-mini-refcoco.safetensors'):
        seeds.main(['--grounder', 'untrained', '--out', str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_grounder_without_the_weights_that_it_needs_of_another_is_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, 'shipped_path', lambda name, *_: tmp_path / f'{name}.safetensors')
    (tmp_path / 'nmtree.safetensors').touch()
    with pytest.raises(InputError, match='--grounder nmtree: its weights .*mattnet.safetensors are missing'):
        a_study(tmp_path, grounders=['nmtree']).check()


def test_the_whole_of_it_on_a_few_images(small_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture) -> None:
    """Trained on the few images of testB; a second start finds everything finished."""
    def load(name: str, part: str = 'eval') -> Dataset:
        dataset = load_embedded(name)
        if part == 'train':
            dataset.expressions = [replace(e, split='train') for e in dataset.split('testB')]
        return dataset
    monkeypatch.setattr(seeds, 'load_embedded', load)
    arguments = ['--seeds', '2', '--variant', 'ref-nms-r,ref-nms-blind', '--grounder', 'none', '--limit', '4', '--out',
                 str(tmp_path / 'out'), '--work', str(tmp_path / 'work'),
                 *(part for setting in ('epochs=1', 'batch_size=3', 'hidden=4', 'mlp=8')
                   for part in ('--set', setting))]
    assert seeds.main(arguments) == 0
    first = capsys.readouterr().out
    assert 'ref-nms-r - greedy' in first and '## context_recall' in first
    blind, ranking = (load_weights(tmp_path / f'out/weights/{name}-seed2.safetensors')
                      for name in ('ref-nms-blind', 'ref-nms-r'))
    assert blind.meta['text'] == 'blind' and blind.meta['loss'] == 'binary cross-entropy'
    assert ranking.meta['loss'] == 'ranking' and ranking.meta['options']['head'] == 'frozen'

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError('done twice')
    monkeypatch.setattr(seeds, 'train_ref_nms', never)
    assert seeds.main([*arguments, '--proposals-per-expression', '3']) == 0
    at_three = capsys.readouterr().out
    proposals = {name.strip(): float(val) for _, name, val, *_ in (
        line.split('|') for line in at_three.partition('## mean_proposals')[2].partition('##')[0].splitlines()
        if line.startswith('|') and not line.startswith(('|:', '|  '))) if ' - ' not in name}
    assert proposals.keys() >= {'greedy', 'greedy-swept', 'category-name', 'ref-nms-r', 'ref-nms-blind'}
    assert proposals.pop('greedy') == 2, 'on val, with its own threshold'
    assert all(2.5 <= number <= 3 for number in proposals.values())
    monkeypatch.setattr(Study, '_run', never)
    assert seeds.main(arguments) == 0
    assert capsys.readouterr().out == first
    with pytest.raises(InputError, match='other options, data or code: margin was 0.1, is 0.3; '):
        seeds.main([*arguments, '--set', 'margin=0.3'])
    with pytest.raises(InputError, match='dataset was mini-refcoco, is mini-refcoco\\+; '):
        seeds.main([*arguments, '--dataset', 'mini-refcoco+'])


@pytest.fixture
def done(small_benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the runs that were not skipped."""
    folders: list[str] = []

    def run(_: Study, folder: Path, record: Record, *others: Any) -> None:
        folders.append(folder.name)
        keep(folder, record)
        records = [dict(dataset='mini-refcoco', split='val', task='recall', metric='referent_recall', grounder='-',
                        proposals=name, value=float(len(folders)), n=2) for name in ('greedy', 'ref-nms-b')]
        (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {}}))
    monkeypatch.setattr(Study, '_run', run)
    return folders


def a_study(out: Path, **changes: Any) -> Study:
    return replace(Study('mini-refcoco', [1], ['ref-nms-b'], [], [], None, out, out / 'work'), **changes)


def greedy_of(study: Study) -> float:
    value, = study.evaluated(Entrant('greedy', 'greedy', 'greedy', None)).values()
    return value


def test_a_finished_run_of_other_weights_is_done_again(tmp_path: Path, done: list[str]) -> None:
    one, other = (shipped_path('ref-nms-b', name) for name in ('mini-refcoco', 'mini-refcocog'))
    often = []
    for weights in (one, one, other, other, one):
        a_study(tmp_path).evaluated(Entrant('ref-nms-b', 'ref-nms-b', 'ref-nms-b', weights))
        often.append(len(done))
    assert often == [1, 1, 2, 2, 3]
    for _ in range(2):
        greedy_of(a_study(tmp_path))
    assert len(done) == 4


def test_a_look_s_figures_are_not_the_study_s(tmp_path: Path, done: list[str], capsys: pytest.CaptureFixture) -> None:
    assert [greedy_of(a_study(tmp_path, limit=limit)) for limit in (2, 2, None, None, 2)] == [1, 1, 2, 2, 3]
    assert sorted(path.name for path in (tmp_path / 'runs').iterdir()) == ['greedy', 'greedy.1', 'greedy.2']
    said = capsys.readouterr().err
    assert 'held another run (limit was 2, is None): it is now greedy.1' in said
    assert 'held another run (limit was None, is 2): it is now greedy.2' in said


@pytest.mark.parametrize('change', [dict(dataset='mini-refcoco+'), dict(grounders=['cmae']), dict(number=3.)])
def test_another_dataset_grounder_or_number_is_another_run(tmp_path: Path, done: list[str], change: dict) -> None:
    assert greedy_of(a_study(tmp_path)) == 1
    assert greedy_of(a_study(tmp_path, **change)) == 2


def test_a_run_that_says_not_what_shaped_it_is_done_again_and_kept(tmp_path: Path, done: list[str]) -> None:
    old = tmp_path / 'runs/greedy'
    old.mkdir(parents=True)
    (old / 'results.json').write_text('{"records": [], "run": {"weights": {}}}')
    assert greedy_of(a_study(tmp_path)) == 1
    assert (tmp_path / 'runs/greedy.1/results.json').exists()


def test_the_title_says_that_a_look_is_one() -> None:
    runs = [{('val', 'recall', 'referent_recall', '-'): 1.}]
    assert 'the first 2 expressions of each split' in as_markdown({'greedy': runs}, 'mini', [1], limit=2)
    assert 'first' not in as_markdown({'greedy': runs}, 'mini', [1])


def test_all_grounders_are_those_with_weights_and_none_stands_alone() -> None:
    assert seeds._grounders(['all'], 'mini-refcoco') == seeds._grounders(None, 'mini-refcoco') != []
    assert seeds._grounders(['none'], 'mini-refcoco') == []
    with pytest.raises(InputError, match='is no grounder at all'):
        seeds._grounders(['cmae,none'], 'mini-refcoco')
