"""What a rule of counting is, and what it is given."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from reports.statistics.outcomes import Outcome

#: The batch of Qwen-VL's evaluation, whose loader drops the last one if it is not full (``eval_mm/EVALUATION.md``).
BATCH_SIZE = 8


class Answers(NamedTuple):
    """The n answers of one grounder to one split, in the order of the file.

    Attributes:
        rows: a table as :func:`reports.rows.prediction_rows.read_predictions` gives it.
        box: ``(n, 4)`` the answers, xyxy in pixels with x2 = x + w; NaN where there is none.
        truth: ``(n, 4)`` the annotated boxes, the same.
        referent: ``(n,)`` the number of each row's referent: rows of one image, annotated box and, where it is known,
            ``ann_id`` have the same. RefCOCO val has an image with two objects in one box.
        batch_size: of the loader that drops its last batch.
    """

    rows: pd.DataFrame
    box: np.ndarray
    truth: np.ndarray
    referent: np.ndarray
    batch_size: int


@dataclass(frozen=True)
class Rule:
    """One way of counting.

    Attributes:
        name: by which published figures refer to it.
        title: how it counts.
        who: counts so.
        sources: repository and path of the code that does, read for this ledger.
        count: what it says of each answer; ``None`` where the rows lack what it needs.
        against: the rule of ours that it is compared with.
        needs: what the rows may lack.
        yes_no: each answer is right or wrong, so that one can tell which change.
        looks_at_truth: it chooses among answers by the truth, which no one has who uses a model.
    """

    name: str
    title: str
    who: str
    sources: tuple[str, ...]
    count: Callable[[Answers], Outcome | None]
    against: str
    needs: str = ''
    yes_no: bool = True
    looks_at_truth: bool = False


def answers_of(rows: pd.DataFrame, batch_size: int = BATCH_SIZE) -> Answers:
    """What the rules are given of the rows of one grounder, rule and split."""
    box, truth = (rows[[f'{name}_{side}' for side in 'xywh']].to_numpy(float) for name in ('box', 'gt'))
    names = ['image_id', 'ann_id', 'gt_x', 'gt_y', 'gt_w', 'gt_h']
    referent = rows.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
    return Answers(rows, _corners(box), _corners(truth), referent, batch_size)


def _corners(xywh: np.ndarray) -> np.ndarray:
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
