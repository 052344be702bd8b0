"""Reviewed labels: which labels reviewers marked as faulty, and masks that were drawn again.

Two kinds of files are read, told apart by what they hold: Ref-L4's ``*_reviewed.json``, in MDETR's form, with a verdict
on each sentence (JierunChen/Ref-L4), and RefCOCO-M's parquet, with a new mask for each referent (moondream/refcoco-m).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.data.assembly.files import data_files
from harness.data.assembly.names import image_id_of
from harness.data.fingerprints import comparable
from harness.errors import InputError

#: What a review knows an expression by: image and sentence; those of several referents also by annotation.
Sentence = tuple[int, str]


@dataclass(frozen=True)
class Reviews:
    """What reviewers say.

    ``faulty`` has each reviewed sentence by image, words and annotation (``None`` where the file does not say it), and
    ``of_any`` by image and words alone, for answers that do not say whose they are; ``masks`` has the new mask of each
    sentence's referent by image and words, with the image's height and width.
    """

    faulty: dict[tuple[int, str, int | None], bool]
    of_any: dict[Sentence, bool]
    masks: dict[Sentence, tuple[Any, tuple[int, int]]]

    def faults(self, frame: pd.DataFrame) -> np.ndarray:
        """``(n,)`` of each row of predictions: 1 faulty, 0 not, NaN not reviewed."""
        keys = _keys(frame)
        known = {key: self._verdict(*key) for key in dict.fromkeys(keys)}
        return np.array([known[key] for key in keys], float)

    def _verdict(self, image_id: int, sent: str, ann_id: int | None) -> float:
        if ann_id is None:
            said = self.of_any.get((image_id, sent))
        else:
            said = self.faulty.get((image_id, sent, ann_id), self.faulty.get((image_id, sent, None)))
        return np.nan if said is None else float(said)


def read_reviews(paths: Sequence[Path]) -> Reviews:
    """What some files say.

    Raises:
        InputError: a file is of no form that is known, or says nothing of labels or masks.
    """
    faulty: dict[tuple[int, str, int | None], bool] = {}
    of_any: dict[Sentence, bool] = {}
    masks: dict[Sentence, tuple[Any, tuple[int, int]]] = {}
    for path in paths:
        for file in data_files([path], '--reviews').files:
            before = len(faulty), len(masks)
            twice: set[Sentence] = set()
            for row in file.rows():
                image_id, sent = image_id_of(row.image), comparable(row.sent)
                if image_id is None:
                    raise InputError(f'{row.where}: its image {row.image} has no COCO id')
                if row.faulty is not None:
                    # A sentence that comes twice is faulty where either is.
                    faulty[image_id, sent, row.ann_id] = faulty.get((image_id, sent, row.ann_id), False) or row.faulty
                    of_any[image_id, sent] = of_any.get((image_id, sent), False) or row.faulty
                elif row.segmentation is not None and row.size is not None:
                    if (image_id, sent) in masks:
                        twice.add((image_id, sent))
                    masks[image_id, sent] = row.segmentation, row.size
            for key in twice:  # of two referents it is not known which is meant
                del masks[key]
            if (len(faulty), len(masks)) == before:
                raise InputError(f"--reviews {file.path}: says nothing of labels; give a file with 'caption_quality', "
                                 "as Ref-L4's reviewed files have it, or with masks, as RefCOCO-M has them")
    return Reviews(faulty, of_any, masks)


def _keys(frame: pd.DataFrame) -> list[tuple[int, str, int | None]]:
    words = {sent: comparable(sent) for sent in frame['sent'].unique()}
    return [(int(image_id), words[sent], None if np.isnan(ann_id) else int(ann_id)) for image_id, sent, ann_id in
            zip(frame['image_id'], frame['sent'], frame['ann_id'].to_numpy(float), strict=True)]


def sentences(frame: pd.DataFrame) -> list[Sentence]:
    """Image and words of each row of predictions."""
    return [key[:2] for key in _keys(frame)]
