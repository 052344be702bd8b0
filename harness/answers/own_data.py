"""The data that a file of answers holds itself: image, true box and sentence beside each answer."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.answers.matching import Matched
from harness.answers.records import RawAnswer
from harness.boxes import XYXY
from harness.data.answers import name_of
from harness.data.assembly.names import dataset_in, image_id_of, split_in
from harness.data.box_forms import check_truth
from harness.data.plain import tokenize
from harness.errors import InputError
from harness.types import XYWH, Dataset, Expression, ImageInfo


def own_data(answers: Sequence[RawAnswer], path: Path) -> tuple[dict[str, Dataset], Matched]:
    """The rows of a file as datasets by name, one expression an answer, and the answers to them.

    Equal rows stay apart. Dataset and split are those of the file's name, where it tells them; otherwise the dataset is
    called as the file and the split ``all``. ``sent_id`` is the number of the row, from 1; a sentence that the form has
    not is empty, and an image without a COCO id is numbered below zero. An image of unknown size is 0 by 0 pixels.

    Raises:
        InputError: an answer has no true box beside it.
    """
    dataset, split = dataset_in(path.name) or name_of(path), split_in(path.name)
    numbers: dict[str, int] = {}
    infos: dict[str, dict[int, ImageInfo]] = {}
    matched = Matched()
    for number, one in enumerate(answers, start=1):
        truth = one.asked.truth
        if truth is None:
            raise InputError(f'{path}: has no true boxes to judge by; give the data that it was made on, by '
                             '--data-root DIR or --expressions FILE')
        image_id = _image_id(one, number, numbers)
        width, height = one.asked.size or (0, 0)
        name = one.asked.dataset or dataset
        known = infos.setdefault(name, {}).setdefault(image_id, ImageInfo(image_id, height, width))
        if (known.width, known.height) != (width, height):
            raise InputError(f'{path}: {one.row}: the size of image {image_id} differs from an earlier row\'s')
        sent = one.asked.sent or ''
        matched.pairs.append((Expression(
            dataset=name, split=one.asked.split or split or 'all', image_id=image_id,
            sent_id=number, sent=sent, tokens=tokenize(sent), gt_xywh=_xywh(truth), ann_id=one.asked.ann_id), one))
    return {name: _dataset(name, images, matched, path) for name, images in infos.items()}, matched


def _dataset(name: str, images: dict[int, ImageInfo], matched: Matched, path: Path) -> Dataset:
    expressions = [e for e, _ in matched.pairs if e.dataset == name]
    digest = hashlib.sha256(repr(expressions).encode()).hexdigest()
    dataset = Dataset(name, images, expressions, data_hash=digest, file=str(path))
    check_truth(dataset, str(path))
    return dataset


def _image_id(one: RawAnswer, number: int, numbers: dict[str, int]) -> int:
    """A COCO id, or a number below zero: of the image's name, or of the row where it has none."""
    name = one.asked.image
    if name is None:
        return -number
    found = image_id_of(name)
    return numbers.setdefault(name, -number) if found is None else found


def _xywh(box: XYXY) -> XYWH:
    x1, y1, x2, y2 = box
    return x1, y1, x2 - x1, y2 - y1
