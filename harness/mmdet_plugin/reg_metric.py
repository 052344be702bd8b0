"""The harness's own metrics in mmengine's loop: ``val_evaluator = dict(type='REGMetric')``.

Each sentence becomes a row as in ``predictions.jsonl``, and the metrics of :data:`harness.registry.METRICS` count the
rows, so that their conventions are those of every other figure here. How mmdet's ``RefExpMetric`` and ``RefSegMetric``
differ is in ``docs/mmdet.md``.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import METRICS as MMDET_METRICS
from mmengine.evaluator import BaseMetric
from pycocotools import mask as coco_mask
from torch import Tensor

from harness.boxes import Floats, best_iou, rec_iou, xywh_to_xyxy, xyxy_to_xywh
from harness.data.box_forms import check_form
from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes
from harness.metrics.mask_overlap import mask_overlap
from harness.registry import METRICS

GROUNDER = 'best score'
#: What is counted of sentences besides the figures.
COUNTED = ('without_proposals', 'without_words', 'cut')


@MMDET_METRICS.register_module()
class REGMetric(BaseMetric):
    """Recall of referents, REC accuracy and RES overall IoU of any mmdet model that grounds sentences.

    A data sample has ``expressions``, one ``InstanceData`` per sentence (see
    :class:`~harness.mmdet_plugin.grounding_detector.GroundingDetector`), or ``text`` of one string and
    ``pred_instances`` (mmdet's own grounding models). All boxes of a sentence are its proposals, and the one with the
    best score is its answer, the first among equals. The truth is one row per sentence of ``gt_masks`` or
    ``gt_instances`` (``masks``, ``bboxes``), in pixels of the image as it was read, so ``LoadAnnotations`` comes after
    ``Resize``. Without boxes, a mask's own are taken. Where a sample has ``greedy``, proposals by confidence alone,
    their figures are ``greedy_…`` (recall and REC).

    Besides the figures (percent) it gives how many ``expressions`` there were, and how many of them were
    ``without_proposals``, ``without_words`` or ``cut`` because they are longer than is read.

    Args:
        ann_file: MDETR's annotations, whose boxes are then the truth, with all their digits.
        tasks: among ``'recall'``, ``'rec'``, ``'res'``; RES is given where there are masks.
        collect_device: mmengine's.
        prefix: of the names, ``reg`` by default.
    """

    default_prefix = 'reg'

    def __init__(self, ann_file: str | None = None, tasks: Sequence[str] = ('recall', 'rec', 'res'),
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        if wrong := set(tasks) - {'recall', 'rec', 'res'}:
            raise InputError(f'REGMetric: tasks={sorted(wrong)[0]!r} is unknown; write recall, rec or res')
        self.tasks = tuple(tasks)
        self.gold = None if ann_file is None else read_mdetr_boxes(Path(ann_file))

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of a batch, one list per image, since mmengine counts images when several processes run."""
        self.results += [self._rows(sample) for sample in data_samples]

    def _rows(self, sample: Mapping[str, Any]) -> list[dict[str, Any]]:
        expressions = expressions_of(sample)
        masks = _true_masks(sample) if 'res' in self.tasks else None
        boxes = self._true_boxes(sample, masks)
        if len(boxes) != len(expressions):
            raise InputError(f'REGMetric: {_name(sample)} has {len(expressions)} sentences but {len(boxes)} annotated '
                             'objects; give one for each sentence')
        rows = [row(own, box, None if masks is None else masks[number])
                for number, (own, box) in enumerate(zip(expressions, boxes, strict=True))]
        greedy = sample.get('greedy') or []
        return rows + [row(own, box, None) | {'proposals': 'greedy'} for own, box in zip(greedy, boxes, strict=False)]

    def _true_boxes(self, sample: Mapping[str, Any], masks: np.ndarray | None) -> Floats:
        """``(E, 4)`` xywh."""
        if self.gold is not None:
            if sample.get('img_id') not in self.gold:
                raise InputError(f'REGMetric: ann_file has no {_name(sample)}; give the file of this dataset')
            return self.gold[sample['img_id']]
        objects = sample.get('gt_instances') or {}
        if 'bboxes' in objects:
            boxes = objects['bboxes']
            return xyxy_to_xywh(_array(getattr(boxes, 'tensor', boxes)))
        masks = _true_masks(sample) if masks is None else masks
        if masks is None:
            raise InputError(f'REGMetric: {_name(sample)} has neither gt_instances.bboxes nor gt_masks; add '
                             'LoadAnnotations after Resize, or give ann_file')
        return coco_mask.toBbox([_encoded(mask) for mask in masks]).reshape(-1, 4)

    def compute_metrics(self, results: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, float]:
        """``{name: value}``; a metric without anything to count is left out.

        Counts are floats too: mmengine's logger writes ``null`` into its JSON for whole numbers.
        """
        rows: dict[str, list[Mapping[str, Any]]] = {'model': [], 'greedy': []}
        for of_image in results:
            for one in of_image:
                rows[one['proposals']].append(one)
        counts = Counter(name for one in rows['model'] for name in COUNTED if one[name])
        return {**self._figures(rows['model']), 'expressions': float(len(rows['model'])),
                **{name: float(counts[name]) for name in COUNTED},
                **{f'greedy_{name}': value for name, value in self._figures(rows['greedy']).items()}}

    def _figures(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The figures of the metrics of all tasks, where there is something to count."""
        METRICS.import_from_location()
        figures: dict[str, float] = {}
        for metric_of in METRICS.module_dict.values():
            if metric_of.task in self.tasks:
                metric = metric_of()
                metric.process(rows)
                figures.update({name: value for name, (value, _) in metric.compute().items() if value is not None})
        return figures


def expressions_of(sample: Mapping[str, Any]) -> list[Any]:
    """The proposals of each sentence, as mappings.

    Raises:
        InputError: the model gave no proposals.
    """
    if sample.get('expressions') is not None:
        return list(sample['expressions'])
    if isinstance(sample.get('text'), str) and sample.get('pred_instances') is not None:
        return [sample['pred_instances']]
    raise InputError(f'REGMetric: {_name(sample)} has neither expressions nor pred_instances of one text; the model '
                     "must be a GroundingDetector, or 'text' be a string and in meta_keys of PackDetInputs")


def row(proposals: Any, gold: Floats, mask: np.ndarray | None) -> dict[str, Any]:
    """The row of one sentence, as the metrics read it.

    Args:
        proposals: ``bboxes`` (n, 4) xyxy, ``scores`` (n,), maybe ``masks`` (n, H, W).
        gold: the referent's box, xywh.
        mask: the referent's, ``(H, W)``.
    """
    boxes, scores = _array(proposals['bboxes']).reshape(-1, 4), _array(proposals['scores'])
    if np.isnan(scores).any():
        raise InputError('REGMetric: some scores are not numbers; check the model\'s weights')
    best = int(scores.argmax()) if len(scores) else None
    box = None if best is None else xyxy_to_xywh(boxes[best])[0]
    overlap, union = (None, None) if mask is None else _overlap(proposals, best, mask)
    words = getattr(proposals, 'words', None)
    return {
        'proposals': 'model', 'grounder': GROUNDER, 'box': box, 'n_proposals': len(boxes),
        'best_proposal_iou': float(best_iou(xywh_to_xyxy(gold), boxes)[0]),
        'iou': 0.0 if box is None else float(rec_iou(box[None], gold[None])[0]),
        'mask_intersection': overlap, 'mask_union': union,
        'without_proposals': not len(boxes), 'without_words': words is not None and not words,
        'cut': bool(getattr(proposals, 'left_out', 0)),
    }


def _overlap(proposals: Any, best: int | None, mask: np.ndarray) -> tuple[int | None, int | None]:
    """Pixels in both and in either; an answer without any box is an empty mask."""
    if best is None:
        return 0, int(mask.sum())
    if 'masks' not in proposals:
        return None, None
    answer = _array(proposals['masks'][best])
    if answer.shape != mask.shape:
        raise InputError(f'REGMetric: a predicted mask is {answer.shape}, the annotated one {mask.shape}; put '
                         'LoadAnnotations after Resize')
    return mask_overlap(_encoded(answer), _encoded(mask))


def _true_masks(sample: Mapping[str, Any]) -> np.ndarray | None:
    """``(E, H, W)`` of ``gt_masks`` or ``gt_instances.masks``, ``None`` where there are none."""
    masks = sample.get('gt_masks')
    if masks is None:
        masks = (sample.get('gt_instances') or {}).get('masks')
    return None if masks is None else masks.to_ndarray() if hasattr(masks, 'to_ndarray') else _array(masks)


def read_mdetr_boxes(path: Path) -> dict[int, Floats]:
    """``(n, 4)`` xywh of each image of MDETR's annotations, where an image stands for one sentence.

    Raises:
        InputError: the file is missing or holds other content, or its boxes do not look like ``xywh`` pixels.
    """
    where = f'REGMetric: ann_file {path}'
    content = parse_json(read_bytes(path), where)
    try:
        sizes = {fields.integer(image, 'id', 'an image'): _recorded_size(image)
                 for image in fields.items(content, 'images', 'it')}
        rows = fields.items(content, 'annotations', 'it')
        owners = [fields.integer(row, 'image_id', 'an annotation') for row in rows]
        numbers = [fields.box(row, 'bbox', 'an annotation', may_be_empty=True) for row in rows]
        if strange := set(owners) - sizes.keys():
            raise InputError(f'an annotation is of image {min(strange)}, which is not there')
    except InputError as error:
        raise InputError(f'{where}: not annotations as MDETR has them ({error}); give finetune_refcoco_val.json or the '
                         'like') from None
    check_form(numbers, [sizes[image_id] for image_id in owners], where)
    boxes: dict[int, list[Any]] = {image_id: [] for image_id in sizes}
    for image_id, box in zip(owners, numbers, strict=True):
        boxes[image_id].append(box)
    return {image_id: np.array(own, np.float64).reshape(-1, 4) for image_id, own in boxes.items()}


def _recorded_size(image: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height, 0 by 0 where they are not recorded."""
    if image.get('width') is None or image.get('height') is None:
        return 0, 0
    height, width = fields.image_size(image, 'an image')
    return width, height


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _encoded(mask: np.ndarray) -> dict[str, Any]:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def _name(sample: Mapping[str, Any]) -> str:
    return f'image {sample.get("img_path") or sample.get("img_id", "?")}'
