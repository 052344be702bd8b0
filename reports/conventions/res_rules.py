"""The rules of RES in use: what the masks of all answers come to.

An empty mask has no pixel in common with any other. Two empty masks, which no annotated referent of RefCOCO has, are no
hit and add nothing to sums; in means they are 0, unless a rule says otherwise.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reports.conventions.rule import Answers, Rule
from reports.statistics.outcomes import OUTCOMES, PRECISION_AT, Outcome, mask_iou, share

OVERALL = 'overall-iou'
_NOBODY = 'nobody that we know of'


def _overall(answers: Answers) -> Outcome:
    """Pixels in both masks over pixels in either, each summed over all answers."""
    return OUTCOMES['overall_iou'].of(answers.rows)


def _mean(iou: np.ndarray) -> Outcome:
    return Outcome(100 * iou, np.ones(len(iou)), np.ones(len(iou), bool))


def _mean_iou(answers: Answers) -> Outcome:
    return _mean(mask_iou(answers.rows))


def _mean_iou_empty(answers: Answers) -> Outcome:
    return _mean(np.where(answers.rows['mask_union'] == 0, 1.0, mask_iou(answers.rows)))


def _mean_iou_referent(answers: Answers) -> Outcome:
    """The mean over referents of the mean over their sentences."""
    weight = 1 / np.bincount(answers.referent)[answers.referent]
    return Outcome(100 * weight * mask_iou(answers.rows), weight, np.ones(len(weight), bool))


def _precision(at: float) -> Callable[[Answers], Outcome]:
    return lambda answers: share(mask_iou(answers.rows) >= at, np.ones(len(answers.rows), bool))


def _precision_over(at: float) -> Callable[[Answers], Outcome]:
    return lambda answers: share(mask_iou(answers.rows) > at, np.ones(len(answers.rows), bool))


RES_RULES = (
    Rule(OVERALL, 'ours: overall IoU, sum of intersections over sum of unions',
         'MAttNet, Ref-NMS, LAVT, CMPC, BRINet, UNINEXT, GLEE (oIoU)',
         ('lichengunc/MAttNet tools/eval_masks.py', 'ChopinSharp/MAttNet tools/eval_ref_masks.py',
          'yz93/LAVT-RIS test.py', 'spyflying/CMPC-Refseg trainval_model.py', 'fengguang94/BRINet code/main_BRI.py',
          'MasterBin-IIAU/UNINEXT detectron2/evaluation/coco_evaluation.py',
          'FoundationVision/GLEE detectron2/evaluation/coco_evaluation.py'), _overall, OVERALL, yes_no=False),
    Rule('ciou', 'cIoU: the same two sums by another name', 'mmdetection, LISA',
         ('open-mmlab/mmdetection mmdet/evaluation/metrics/refseg_metric.py', 'dvlab-research/LISA train_ds.py'),
         _overall, OVERALL, yes_no=False),
    Rule('mean-iou', 'mean IoU of the expressions; 0 of two empty masks',
         'mmdetection, LAVT, UNINEXT, GLEE (mIoU), CRIS (IoU), MCN',
         ('open-mmlab/mmdetection mmdet/evaluation/metrics/refseg_metric.py', 'yz93/LAVT-RIS test.py',
          'DerrickWang005/CRIS.pytorch engine/engine.py', 'luogen1996/MCN callbacks/eval.py'),
         _mean_iou, OVERALL, yes_no=False),
    Rule('mean-iou-empty', 'mean IoU of the expressions; 1 of two empty masks', 'LISA (gIoU)',
         ('dvlab-research/LISA train_ds.py',), _mean_iou_empty, OVERALL, yes_no=False),
    Rule('mean-iou-referent', 'mean over referents of the mean IoU of their sentences', _NOBODY, (),
         _mean_iou_referent, OVERALL, yes_no=False),
    *(Rule(f'pr@{x}', f'ours: Pr@{x}, IoU ≥ {x}', 'MAttNet, Ref-NMS, LAVT, SeqTR',
           ('lichengunc/MAttNet tools/eval_masks.py', 'ChopinSharp/MAttNet tools/eval_ref_masks.py',
            'yz93/LAVT-RIS test.py', 'seanzhuh/SeqTR seqtr/apis/test.py'), _precision(x), f'pr@{x}')
      for x in PRECISION_AT),
    *(Rule(f'pr-over@{x}', f'Pr@{x}, IoU > {x}', 'CRIS, MCN',
           ('DerrickWang005/CRIS.pytorch engine/engine.py', 'luogen1996/MCN callbacks/eval.py'),
           _precision_over(x), f'pr@{x}')
      for x in PRECISION_AT),
)
