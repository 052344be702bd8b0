"""The check sees what was broken on purpose: the NMS threshold, the IoU convention, and one weight."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import harness.evaluation.predictions
import harness.proposals.greedy
from harness.boxes import rec_iou
from harness.files.weights import load_weights, save_weights, shipped_path
from run_benchmark import command_line
from tests.checked_runs import baseline_of, check


def measure(out: Path, *options: str) -> Path:
    """A run of CM-A-E on greedy proposals of a few scenes."""
    assert command_line(['--dataset', 'mini-refcoco', '--grounder', 'cmae', '--proposals', 'greedy', '--task',
                         'recall,rec', '--out', str(out), *options]) == 0
    return out


@pytest.fixture(scope='module')
def sound(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline with the committed one's tolerances, of a run of the code as it is."""
    folder = tmp_path_factory.mktemp('sound')
    tolerances = json.loads((Path(__file__).parents[1] / 'reports/baseline.json').read_text())['tolerances']
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('REFNMS_CACHE', str(small_cache))
        return baseline_of(measure(folder / 'run'), folder / 'baseline.json', tolerances)


def test_the_same_code_passes(sound: Path, small_benchmark: Path, tmp_path: Path,
                              capsys: pytest.CaptureFixture) -> None:
    assert check(capsys, measure(tmp_path / 'run'), sound)[:2] == (0, [])


def test_another_nms_threshold(sound: Path, small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    nms = harness.proposals.greedy.class_wise_nms
    monkeypatch.setattr(harness.proposals.greedy, 'class_wise_nms',
                        lambda boxes, labels, scores, iou, **how: nms(boxes, labels, scores, iou + 0.2, **how))
    code, moved, _ = check(capsys, measure(tmp_path / 'run'), sound)
    assert code == 1 and moved == ['rose by 0.40, tolerance 0.02: mean_proposals of greedy, mini-refcoco val']


def test_another_iou_convention(sound: Path, small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    """x + w taken for the last pixel: no figure of a few scenes need move, but the rows' own boxes tell."""
    def widened(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
        return rec_iou(predicted + [0, 0, 1, 1], gold + [0, 0, 1, 1])
    monkeypatch.setattr(harness.evaluation.predictions, 'rec_iou', widened)
    code, moved, _ = check(capsys, measure(tmp_path / 'run'), sound)
    assert code == 1 and moved == ['29 of 50 differ, first on line 1: IoU of chosen boxes by inclusive pixels']


def test_one_weight(sound: Path, small_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One number of CM-A-E's; its figures need not move, its file's hash does."""
    weights = load_weights(shipped_path('cmae', 'mini-refcoco'))
    next(iter(weights.tensors.values())).view(-1)[0] += 1
    save_weights(tmp_path / 'cmae.safetensors', weights.tensors, weights.meta)
    run = measure(tmp_path / 'run', '--weights', f'cmae={tmp_path / "cmae.safetensors"}')
    code, moved, _ = check(capsys, run, sound)
    assert code == 1 and moved == ['differs: cmae (mini-refcoco)']
