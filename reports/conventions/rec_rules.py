"""The rules of REC in use: when is an answered box right, and which answers count.

Every source was read for this. A missing box is wrong by every rule, and thresholds are 0.5 throughout. The rows'
boxes have x2 = x + w, so that inclusive pixels (sides w and h, an overlap of one pixel or less is none) and plain areas
differ only in tiny boxes and in the last bit.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reports.conventions import overlaps
from reports.conventions.rule import Answers, Rule
from reports.statistics.outcomes import HIT_IOU, Outcome, share

#: The rule that others are compared with.
OURS = 'inclusive'
_NOBODY = 'nobody that we know of'


def _all(right: np.ndarray) -> Outcome:
    """Percent of all answers."""
    return share(right, np.ones(len(right), bool))


def _inclusive(answers: Answers) -> np.ndarray:
    return answers.rows['iou'].to_numpy() >= HIT_IOU


def _at_least(overlap: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Answers], Outcome]:
    return lambda answers: _all(overlap(answers.box, answers.truth) >= HIT_IOU)


def _over(overlap: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Answers], Outcome]:
    return lambda answers: _all(overlap(answers.box, answers.truth) > HIT_IOU)


def _cut_truth(answers: Answers) -> np.ndarray:
    """The annotated x, y, w and h each cut towards zero, and then x + w: xyxy."""
    xywh = np.trunc(answers.rows[[f'gt_{side}' for side in 'xywh']].to_numpy(float))
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)


def _with_cut_truth(answers: Answers) -> Outcome:
    return _all(overlaps.plain(answers.box, _cut_truth(answers)) >= HIT_IOU)


def _with_cut_answer(answers: Answers) -> Outcome:
    """The answer's four corners, x1, y1, x2, y2, cut towards zero."""
    return _all(overlaps.plain(np.trunc(answers.box), answers.truth) >= HIT_IOU)


def _sizes(answers: Answers) -> np.ndarray | None:
    """Width and height of each row's image, ``None`` unless all are known."""
    sizes = answers.rows[['image_w', 'image_h']].to_numpy(float)
    return None if np.isnan(sizes).any() else sizes


def _clipped(answers: Answers) -> Outcome | None:
    sizes = _sizes(answers)
    return None if sizes is None else _all(
        overlaps.plain(overlaps.clipped(answers.box, sizes), answers.truth) >= HIT_IOU)


def _clipped_with_cut_truth(answers: Answers) -> Outcome | None:
    sizes = _sizes(answers)
    return None if sizes is None else _all(overlaps.plain(
        overlaps.clipped(answers.box, sizes), overlaps.clipped(_cut_truth(answers), sizes)) > HIT_IOU)


def _first_sentence(answers: Answers) -> Outcome:
    """Each referent's first row in the file."""
    first = np.zeros(len(answers.referent), bool)
    first[np.unique(answers.referent, return_index=True)[1]] = True
    return share(_inclusive(answers), first)


def _by_referent(right: np.ndarray, referent: np.ndarray) -> Outcome:
    """Percent of referents: each row weighs one over the number of its referent's rows."""
    weight = 1 / np.bincount(referent)[referent]
    return Outcome(100 * weight * right, weight, np.ones(len(right), bool))


def _random_sentence(answers: Answers) -> Outcome:
    """The mean over referents of the share of their sentences that are right: what is expected of a random one."""
    return _by_referent(_inclusive(answers), answers.referent)


def _any_sentence(answers: Answers) -> Outcome:
    right = np.bincount(answers.referent, _inclusive(answers)) > 0
    return _by_referent(right[answers.referent], answers.referent)


def _every_sentence(answers: Answers) -> Outcome:
    wrong = np.bincount(answers.referent, ~_inclusive(answers)) > 0
    return _by_referent(~wrong[answers.referent], answers.referent)


def _distinct(answers: Answers) -> Outcome:
    """Of rows of one image, annotated box and sentence the first alone."""
    again = answers.rows['sent'].to_frame().assign(referent=answers.referent).duplicated()
    return share(_inclusive(answers), ~again.to_numpy())


def _readable(answers: Answers) -> Outcome | None:
    said = answers.rows['answer']
    return None if said.isna().all() else share(_inclusive(answers), ~said.isin(['empty', 'unreadable']))


def _full_batches(answers: Answers) -> Outcome:
    """The rows in the file's order, without those after the last full batch; one process, which drops one batch."""
    n = len(answers.rows)
    return share(_inclusive(answers), np.arange(n) < n - n % answers.batch_size)


def _same_object(answers: Answers) -> Outcome | None:
    """Whether the annotated object that is chosen is the referent, by id, among annotated boxes as proposals."""
    rows = answers.rows
    if not rows['proposals'].eq('ground-truth').all() or not rows['has_chosen'].all() or rows['ann_id'].isna().any():
        return None
    return _all((rows['chosen_ann_id'] == rows['ann_id']).to_numpy())


def _best_box(answers: Answers) -> Outcome | None:
    """The one of all boxes of an answer that fits the truth best."""
    if answers.rows['answer'].isna().all():
        return None
    right = overlaps.plain(answers.box, answers.truth) >= HIT_IOU
    given = answers.rows['answer_boxes'].tolist()
    several = [i for i, boxes in enumerate(given) if boxes is not None and len(boxes)]
    if several:
        boxes = np.concatenate([given[i] for i in several])
        owner = np.repeat(several, [len(given[i]) for i in several])
        corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
        right[owner[overlaps.plain(corners, answers.truth[owner]) >= HIT_IOU]] = True
    return _all(right)


_SIZE = 'the size of every image'
_WORDS = 'what came of a model\'s words, which answers from outside have'

REC_RULES = (
    Rule(OURS, 'ours: inclusive pixels, IoU ≥ 0.5', 'MAttNet, NMTree, CM-A-E, Ref-NMS, GroundVLP',
         ('lichengunc/MAttNet lib/models/eval_dets_utils.py', 'daqingliu/NMTree utils/eval_utils.py',
          'xh-liu/CM-Erase-REG lib/models/eval_dets_utils.py', 'ChopinSharp/MAttNet lib/models/eval_ref_utils.py',
          'om-ai-lab/GroundVLP models/albef/engine.py'),
         lambda answers: _all(_inclusive(answers)), OURS),
    Rule('inclusive-over', 'inclusive pixels, IoU > 0.5', 'VLM-R1', ('om-ai-lab/VLM-R1 src/eval/test_rec_r1.py',),
         lambda answers: _all(answers.rows['iou'].to_numpy() > HIT_IOU), OURS),
    Rule('plain', 'plain areas, IoU ≥ 0.5', 'mmdetection, Qwen-VL, InternVL, lmms-eval (bbox_rec), SeqTR',
         ('open-mmlab/mmdetection mmdet/evaluation/metrics/refexp_metric.py',
          'QwenLM/Qwen-VL eval_mm/evaluate_grounding.py',
          'OpenGVLab/InternVL internvl_chat/eval/refcoco/evaluate_grounding.py',
          'EvolvingLMMs-Lab/lmms-eval lmms_eval/tasks/refcoco/utils_rec.py', 'seanzhuh/SeqTR seqtr/apis/test.py'),
         _at_least(overlaps.plain), OURS),
    Rule('plain-over', 'plain areas, IoU > 0.5', 'ReCLIP, UNINEXT, GLEE',
         ('allenai/reclip main.py, interpreter.py', 'MasterBin-IIAU/UNINEXT detectron2/evaluation/coco_evaluation.py',
          'FoundationVision/GLEE detectron2/evaluation/coco_evaluation.py'),
         _over(overlaps.plain), OURS),
    Rule('pixel-corners-over', 'both corners are pixels that count (sides of x2 − x1 + 1), IoU > 0.5', 'MiniGPT-v2',
         ('Vision-CAIR/MiniGPT-4 eval_scripts/eval_ref.py, minigpt4/common/eval_utils.py',),
         _over(overlaps.of_pixel_corners), OURS),
    Rule('giou', 'GIoU ≥ 0.5, plain areas', 'MDETR', ('ashkamath/mdetr datasets/refexp.py',),
         _at_least(overlaps.generalized), OURS),
    Rule('cut-truth', 'annotated x, y, w, h cut to whole pixels before x + w; plain areas, IoU ≥ 0.5', 'TransVG',
         ('djiajunustc/TransVG datasets/data_loader.py, utils/eval_utils.py',), _with_cut_truth, OURS),
    Rule('cut-truth-clipped-over', 'the same, answer and annotated box clipped to the image, IoU > 0.5', 'FAOA, ReSC',
         ('zyang-ur/onestage_grounding dataset/referit_loader.py, train_yolo.py',
          'zyang-ur/ReSC dataset/data_loader.py, train.py'), _clipped_with_cut_truth, OURS, _SIZE),
    Rule('cut-answer', 'the answer\'s corners cut to whole pixels; plain areas, IoU ≥ 0.5', _NOBODY, (),
         _with_cut_answer, OURS),
    Rule('clipped', 'the answer clipped to the image; plain areas, IoU ≥ 0.5', 'VLMEvalKit',
         ('open-compass/VLMEvalKit vlmeval/dataset/refcoco.py',), _clipped, OURS, _SIZE),
    Rule('first-sentence', 'one sentence a referent: its first row', 'VisionReasoner (its sets without _all)',
         ('JIA-Lab-research/VisionReasoner README.md',), _first_sentence, OURS),
    Rule('random-sentence', 'one sentence a referent: expected of a random one', 'SeqTR',
         ('seanzhuh/SeqTR seqtr/datasets/pipelines/loading.py',), _random_sentence, OURS),
    Rule('any-sentence', 'a referent is right if any of its sentences is', _NOBODY, (), _any_sentence, OURS),
    Rule('every-sentence', 'a referent is right if all of its sentences are', _NOBODY, (), _every_sentence, OURS),
    Rule('distinct', 'equal rows (image, annotated box, sentence) counted once, by the first answer', _NOBODY, (),
         _distinct, OURS),
    Rule('readable', 'empty and unreadable answers left out', _NOBODY, (), _readable, OURS, _WORDS),
    Rule('full-batches', 'the last batch dropped unless it is full', 'Qwen-VL',
         ('QwenLM/Qwen-VL eval_mm/evaluate_grounding.py',), _full_batches, OURS),
    Rule('same-object', 'the chosen annotated object is the referent', 'MAttNet, CM-A-E, NMTree on annotated boxes',
         ('lichengunc/MAttNet lib/models/eval_easy_utils.py', 'daqingliu/NMTree utils/eval_utils.py'),
         _same_object, OURS, 'annotated boxes as proposals, with the ids of the chosen ones'),
    Rule('best-box', 'the best of all boxes of an answer: LOOKS AT THE TRUTH; plain areas, IoU ≥ 0.5',
         'lmms-eval (refcoco_grounding), VisionReasoner (> 0.5)',
         ('EvolvingLMMs-Lab/lmms-eval lmms_eval/tasks/refcoco_grounding/utils.py',
          'JIA-Lab-research/VisionReasoner evaluation/evaluation_segmentation.py'),
         _best_box, OURS, _WORDS, looks_at_truth=True),
)
