"""Rows of ``predictions.jsonl`` for the tests of reports, and whole runs' folders of them."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROW = {
    'dataset': 'mini-refcoco', 'split': 'val', 'image_id': 7, 'ref_id': 3, 'ann_id': 4, 'sent_id': 1,
    'sent': 'left cup', 'proposals': 'greedy', 'grounder': 'cmae', 'box': [10.0, 10.0, 20.0, 20.0], 'score': 0.5,
    'label': 'cup', 'rle': None, 'n_proposals': 5, 'iou': 1.0, 'mask_intersection': 80, 'mask_union': 100,
    'chosen_ann_id': 4, 'chosen_gt_label': 'cup', 'chosen_gt_iou': 1.0, 'best_candidate_iou': 0.9,
    'best_proposal_iou': 0.9, 'best_proposal_label': 'cup', 'context_hits': 1, 'n_context': 2,
    'gt_box': [10, 10, 20, 20], 'gt_label': 'cup', 'n_same_category': 2, 'image_size': [40, 30],
    'image_file': 'COCO_train2014_000000000007.png',
}

#: Fields of answers from outside, which a run of ours doesn't have.
OUTSIDE = ('answer', 'answer_why', 'answer_boxes')


def row(**changed: Any) -> dict[str, Any]:
    """A right answer on a 20 by 20 box, but for what is changed."""
    assert set(changed) <= {*ROW, *OUTSIDE}, set(changed) - set(ROW)
    return {**ROW, **changed}


def lost(**changed: Any) -> dict[str, Any]:
    """An answer to an expression whose referent was not proposed: wrong box, empty intersection."""
    return row(**{'iou': 0.1, 'best_proposal_iou': 0.3, 'mask_intersection': 0, 'chosen_ann_id': 9,
                  'chosen_gt_label': 'bowl', 'chosen_gt_iou': 0.8, **changed})


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A file of rows; its folder is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(r) + '\n' for r in rows), encoding='utf-8')
    return path
