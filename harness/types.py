"""What flows through the harness: the few plain records that every stage reads or adds to.

Boxes are ``xyxy`` in image pixels wherever the harness computes (float32 tensors), and ``xywh`` only in annotation
and result files. The annotated boxes of an :class:`Expression` and an :class:`Annotation` stay the file's own
``xywh`` numbers in double precision, because metrics decide thresholds on them and must not round.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

XYWH = tuple[float, float, float, float]


@dataclass(frozen=True)
class Expression:
    """One sentence that refers to one object of one image.

    Attributes:
        dataset: name of the dataset, for instance ``'refcoco'``.
        split: name of the split, for instance ``'testB'``.
        image_id: the image it speaks of.
        sent_id: unique within the dataset; the line number where a file gives none.
        sent: the sentence as annotated.
        tokens: its words, as the dataset tokenised it.
        gt_xywh: the referent's annotated box, file digits, never clipped.
        ref_id: the referring instance, ``None`` where the file has none.
        ann_id: the referent's annotation, ``None`` where the file has none.
        category: the referent's category name, ``None`` where not available.
        truth: what a generated scene knows of the sentence beyond REFER's fields (``context_ann_ids``, ``logic``).
    """

    dataset: str
    split: str
    image_id: int
    sent_id: int
    sent: str
    tokens: tuple[str, ...]
    gt_xywh: XYWH
    ref_id: int | None = None
    ann_id: int | None = None
    category: str | None = None
    truth: dict[str, Any] | None = field(default=None, compare=False, hash=False)


@dataclass(frozen=True)
class Annotation:
    """One annotated object of an image, as ``instances.json`` has it.

    ``segmentation`` is COCO's: polygons, uncompressed or compressed run lengths, or ``None`` where not available.
    """

    ann_id: int
    image_id: int
    xywh: XYWH
    category: str
    segmentation: Any = field(default=None, compare=False, hash=False)
    attributes: dict[str, Any] | None = field(default=None, compare=False, hash=False)


@dataclass(frozen=True)
class ImageInfo:
    """One image: its size in pixels and where its file is or is expected (``None``: no image folder is known).

    ``folders`` are all that the file was looked for in.
    """

    image_id: int
    height: int
    width: int
    path: Path | None = None
    folders: tuple[Path, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FormRow:
    """One sentence as a form of the data has it (:class:`harness.plugins.DataForm`); ``None`` is what the form lacks.

    Attributes:
        where: file and row, for messages.
        sent: the sentence.
        box: the referent's, four numbers as the form writes them; ``None``: it is that of ``ann_id`` in a file of
            annotations.
        image: the image's file name or path, or COCO's id.
        size: the image's height and width in pixels.
        dataset, split: where a record says them, a published dataset by its usual name.
        tokens: the words of the sentence.
        segmentation: the referent's mask, any of COCO's.
        image_id: COCO's id of the image, where a record says it beside the name.
        undefined: why REC is not defined for this row (``'no target'``, ``'several targets'``).
        faulty: whether reviewers marked the label as faulty.
    """

    where: str
    sent: str
    box: Any
    image: str | int
    size: tuple[int, int] | None = None
    dataset: str | None = None
    split: str | None = None
    sent_id: int | None = None
    ref_id: int | None = None
    ann_id: int | None = None
    category: str | None = None
    tokens: tuple[str, ...] | None = None
    segmentation: Any = None
    undefined: str | None = None
    faulty: bool | None = None
    image_id: int | None = None


class Sample(NamedTuple):
    """The beginning of a file of data, by which its form is told.

    ``layout`` is ``'list'``, ``'lines'`` or ``'lists'`` of JSON (:mod:`harness.files.json_stream`), ``'parquet'``,
    ``'table'`` (values between tabs), ``'pickle'`` or ``'torch'``. ``first`` has the first record under ``''``, of a
    record of lists that of each list under its key; of a parquet file the names of its columns, of a table the values
    of its first line.
    """

    layout: str
    first: Mapping[str, Any]

    def has(self, *names: str, key: str = '') -> bool:
        """Whether the first record has these fields."""
        record = self.first.get(key)
        return isinstance(record, Mapping) and all(name in record for name in names)


@dataclass
class Dataset:
    """A set of expressions with whatever else its files provide.

    ``annotations`` is ``None`` where the files hold expressions alone (plain JSONL): then categories, masks and
    contextual objects are not available, and what needs them says so. ``referents`` are the annotations of referents
    where no other object is known: they have masks, and say nothing of other objects. ``file`` is where they stand, for
    messages; ``category_ids`` has the category of each of the files' ids. ``unpack`` writes the images that the files
    themselves hold to where their records say; with ``numbered_images`` their ids were made up by the reader. An
    ``embedded`` one was drawn by the project itself, and its splits are whole.
    """

    name: str
    images: dict[int, ImageInfo]
    expressions: list[Expression]
    annotations: dict[int, list[Annotation]] | None = None
    categories: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    data_hash: str = ''
    file: str = ''
    category_ids: dict[int, str] = field(default_factory=dict)
    referents: dict[int, list[Annotation]] | None = None
    unpack: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    numbered_images: bool = False
    embedded: bool = field(default=False, compare=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits in order of first appearance."""
        return tuple(dict.fromkeys(e.split for e in self.expressions))

    def with_masks(self) -> dict[int, list[Annotation]]:
        """The annotations that may have masks: of all objects of each image, or of referents alone."""
        return (self.referents if self.annotations is None else self.annotations) or {}

    def split(self, name: str) -> list[Expression]:
        return [e for e in self.expressions if e.split == name]

    def by_image(self, expressions: Sequence[Expression]) -> Iterator[tuple[ImageInfo, list[Expression]]]:
        """Group expressions by image, images in order of first appearance."""
        groups: dict[int, list[Expression]] = {}
        for expression in expressions:
            groups.setdefault(expression.image_id, []).append(expression)
        for image_id, members in groups.items():
            yield self.images[image_id], members


@dataclass
class ImageFeatures:
    """What is computed once for an image, whatever the number of its expressions.

    Attributes:
        info: the image.
        scale: network-input pixels per image pixel.
        feature_map: ``(1, C, h, w)`` the stride-16 C4 map, or the level of a pyramid with that stride.
        class_boxes: ``(R, K, 4)`` xyxy image pixels, one box a region and class, before NMS, clipped to the image.
        class_scores: ``(R, K)`` class confidences without the background; minus infinity where a box is not of a class,
            and so no candidate (:mod:`harness.detection.outside`).
        classes: the K category names.
        detector: whoever pools, runs the head and predicts masks on ``feature_map``.
        annotations: the image's annotated objects, ``None`` where not available.
        seen: what the detector keeps of the image for itself, such as further levels of a pyramid.
        pixels: ``(H, W, 3)`` uint8 BGR, what it was detected on; ``None`` where no picture was read.
    """

    info: ImageInfo
    scale: float
    feature_map: Any
    class_boxes: Any
    class_scores: Any
    classes: tuple[str, ...]
    detector: Any
    annotations: list[Annotation] | None = None
    seen: Any = field(default=None, repr=False)
    pixels: Any = field(default=None, repr=False)
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)

    def once(self, compute: Callable[..., Any], *arguments: Any) -> Any:
        """``compute(self, *arguments)``, computed at the first call and remembered.

        What is asked for and what it is made from is all there is to tell results apart, so no two can be mixed up.
        ``compute`` is a function, or a method of whoever alone may see its result: a bound method is another one for
        each object.
        """
        key = compute, *arguments
        if key not in self._memo:
            self._memo[key] = compute(self, *arguments)
        return self._memo[key]

    def pool(self, boxes: Any) -> Any:
        """``(n, 4)`` xyxy image pixels to ``(n, C, 7, 7)`` crops of the C4 map (``pool5``)."""
        return self.detector.pool(self, boxes)

    def head(self, pooled: Any) -> Any:
        """``(n, C, 7, 7)`` crops to ``(n, F, 7, 7)`` features of the detector's last stage (``fc7``)."""
        return self.detector.head(pooled)
