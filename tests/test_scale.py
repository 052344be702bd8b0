"""The simulated run at real scale: what it draws, and that it says where the real expressions are missing."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.types import ImageInfo
from tests import scale, scale_step
from tests.drawn_detector import draw

ROW = {'dataset': 'refcoco', 'split': 'val', 'height': 60, 'width': 80, 'bbox': [10, 10, 20, 20], 'sent': 'left dog'}


def test_candidates_are_drawn_by_image_within_it_and_sparse() -> None:
    info = ImageInfo(7, 480, 640)
    boxes, scores = draw(np.random.default_rng(7), 300, 80, info)
    assert boxes.shape == (300, 80, 4) and scores.shape == (300, 80)
    assert (boxes[..., :2] <= boxes[..., 2:]).all() and (boxes >= 0).all()
    assert (boxes <= torch.tensor([640, 480, 640, 480])).all()
    assert (scores.sum(1) < 1.01).all() and ((scores > 0.001).sum(1) <= 3).all()
    for again, first in zip(draw(np.random.default_rng(7), 300, 80, info), (boxes, scores), strict=True):
        assert torch.equal(again, first)


def test_missing_expressions_are_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(scale, 'REAL', tmp_path / 'none.jsonl.gz')
    assert scale.main([]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f'{tmp_path / "none.jsonl.gz"} is not there')


def test_every_step_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expressions, size = tmp_path / 'e.jsonl', json.dumps({'eighths': 1, 'regions': 20})
    expressions.write_text(''.join(json.dumps({**ROW, 'image_id': n}) + '\n' for n in (1, 1, 2)))
    for name in scale.STEPS:
        scale_step.main(name, str(expressions), str(tmp_path / 'out'), size)
        assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 3
    rows = (tmp_path / 'out/predictions.jsonl').read_text().splitlines()
    assert len(rows) == 3 * len(scale_step.RULES)
