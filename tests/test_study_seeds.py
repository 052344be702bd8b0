"""``study seeds``: what is trained and evaluated, what is not done again, and the tables by hand."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.studies import seeds
from harness.studies.seeds import Entrant, Study, report
from harness.studies.spread import Spread, paired, spread
from harness.types import Dataset
from harness.weights import load_weights, shipped_path


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
    text = report({'greedy': runs(70), 'ref-nms-b': runs(80, 84), 'ref-nms-r': runs(78, 80)}, 'mini', [1, 2])
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
    (['--set', 'margn=0.2'], 'did you mean margin'),
    (['--set', 'margin=much'], 'number of at least 0'),
])
def test_bad_input_is_one_line(arguments: list[str], said: str, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, 'evaluated', lambda *_: {})
    with pytest.raises(InputError) as error:
        seeds.main([*arguments, '--out', str(tmp_path), '--grounder', 'none'])
    assert said in str(error.value) and '\n' not in str(error.value)


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
    with pytest.raises(InputError, match='other options'):
        seeds.main([*arguments, '--set', 'margin=0.3'])


def test_a_finished_run_of_other_weights_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study('mini-refcoco', [1], ['ref-nms-b'], [], [], 1, tmp_path, tmp_path / 'work')
    one, other = (shipped_path('ref-nms-b', name) for name in ('mini-refcoco', 'mini-refcocog'))
    done = []

    def run(_: Study, folder: Path, *others: Any) -> None:
        used = others[-1]
        done.append(next((path for path in (one, other) if load_weights(path).sha256 in str(used)), None))
        folder.mkdir(parents=True, exist_ok=True)
        records = [dict(split='val', task='recall', metric='referent_recall', grounder='-', value=1., proposals=name)
                   for name in ('greedy', 'ref-nms-b')]
        (folder / 'results.json').write_text(json.dumps({'records': records, 'run': {'weights': used}}))
    monkeypatch.setattr(Study, '_run', run)
    for weights in (one, one, other, other, one):
        study.evaluated(Entrant('ref-nms-b', 'ref-nms-b', 'ref-nms-b', weights))
    assert done == [one, other, one]
    for _ in range(2):
        study.evaluated(Entrant('greedy', 'greedy', 'greedy', None))
    assert done == [one, other, one, None]
