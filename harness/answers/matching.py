"""Which expression an answer is the answer to.

A file tells it in its own way (:data:`WAYS`), the same for all of its answers: the first way for which every answer has
what it takes. Where several expressions, or several answers, are told alike, they are taken in their order: equal rows
one after another, and sentences of one referent, whose true box is the same, so that no figure depends on it. An answer
to a referent as a whole counts for each of its sentences. What is left over on either side is listed.
"""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from harness.answers.records import RawAnswer
from harness.boxes import XYXY, corners
from harness.data.answers import first_few
from harness.data.assembly.names import image_id_of, suffix_of
from harness.data.fingerprints import comparable
from harness.errors import InputError
from harness.types import XYWH, Dataset, Expression

#: How far each side of a true box may be from the annotated one, in pixels: LBYL-Net cuts both corner and side.
NEAR = 2.


class Way(NamedTuple):
    """A way to tell an expression: what it is called, and the fields of :class:`~harness.answers.records.Asked`."""

    name: str
    takes: tuple[str, ...]


#: The ways, the surest first. An answer to a whole referent has no sentence of its own.
WAYS = (
    Way('sent_id', ('sent_id',)),
    Way('ann_id and sentence', ('ann_id', 'sent')),
    Way('image, sentence and true box', ('image', 'sent', 'truth')),
    Way('ann_id', ('ann_id',)),
    Way('image and sentence', ('image', 'sent')),
    Way('image and true box', ('image', 'truth')),
    Way('image and the order of its referents', ('image', 'group')),
    Way('size of the image, sentence and true box', ('size', 'sent', 'truth')),
    Way('size of the image and true box', ('size', 'truth')),
)


@dataclass
class Matched:
    """The answers by expression, and what is left over.

    Attributes:
        pairs: expressions with their answers.
        strange: answers to none of the expressions.
        unclear: answers to a sentence that is said of two objects of its image.
        repeated: answers to what an earlier one has answered.
        differing: those among them that say something else.
    """

    pairs: list[tuple[Expression, RawAnswer]] = field(default_factory=list)
    strange: list[RawAnswer] = field(default_factory=list)
    unclear: list[RawAnswer] = field(default_factory=list)
    repeated: list[RawAnswer] = field(default_factory=list)
    differing: list[RawAnswer] = field(default_factory=list)

    def add(self, other: Matched) -> None:
        """Add the answers of another dataset."""
        for name in ('pairs', 'strange', 'unclear', 'repeated', 'differing'):
            getattr(self, name).extend(getattr(other, name))

    @property
    def fits(self) -> Counter[tuple[str, str]]:
        """How many expressions of each (dataset, split) are answered."""
        return Counter((e.dataset, e.split) for e, _ in self.pairs)

    @property
    def notes(self) -> list[str]:
        """One line per kind of what is left over."""
        told = ((self.strange, 'answers are for none of the expressions'),
                (self.unclear, 'answers are left out, their sentence is said of two objects of the image and the file '
                               'has no true box'),
                (self.repeated, 'answers repeat an earlier one and are counted once'),
                (self.differing, 'of those that repeat an earlier one say something else; the first counts'))
        return [f'{len(them)} {what}: {first_few(one.row for one in them)}' for them, what in told if them]


def way_of(answers: Sequence[RawAnswer], datasets: Iterable[Dataset], path: Path) -> Way:
    """The way in which a file tells its expressions.

    Raises:
        InputError: there is none for which all answers, and the data, have what it takes.
    """
    told = {name for way in WAYS for name in way.takes if all(getattr(one.asked, name) is not None for one in answers)}
    if any(one.asked.whole for one in answers):
        told.discard('sent')
    if all(e.ann_id is None for dataset in datasets for e in dataset.expressions):
        told.discard('ann_id')
    for way in WAYS:
        if told.issuperset(way.takes):
            return way
    raise InputError(f'{path}: not every answer says what it is the answer to in a way that the data knows; each needs '
                     f'one of: {"; ".join(way.name for way in WAYS)}')


def match(answers: Sequence[RawAnswer], datasets: Mapping[str, Dataset], path: Path) -> Matched:
    """The answers of a file by expression.

    A file that names no datasets is of one: the one in which most of its answers are found.

    Raises:
        InputError: nothing is answered, or two datasets are answered alike.
    """
    way = way_of(answers, datasets.values(), path)
    by_dataset = {name: _match(way, [one for one in answers if one.asked.dataset in (None, name)], dataset)
                  for name, dataset in datasets.items()}
    most = max(len(found.pairs) for found in by_dataset.values())
    if not most:
        known = ', '.join(f'{name} ({", ".join(dataset.splits)})' for name, dataset in datasets.items())
        raise InputError(f'{path}: by {way.name}, its answers fit no split of {known}; the first is at '
                         f'{answers[0].row}; give the data that it was made on')
    if any(one.asked.dataset is not None for one in answers):
        together = Matched(strange=[one for one in answers if one.asked.dataset not in (None, *datasets)])
        for found in by_dataset.values():
            together.add(found)
        return together
    best = [name for name, found in by_dataset.items() if len(found.pairs) == most]
    if len(best) > 1:
        raise InputError(f'{path}: by {way.name}, its answers fit {" and ".join(best)} alike; add --dataset with '
                         'one of them')
    return by_dataset[best[0]]


def check_splits(matched: Matched, splits: Iterable[str], path: Path) -> None:
    """Refuse answers to other splits than those asked for.

    Raises:
        InputError: none of these is answered, or another split is answered by more; it says which.
    """
    fits, asked = matched.fits, set(splits)
    (dataset, split), most = fits.most_common(1)[0]
    if split not in asked and most > max((n for (_, other), n in fits.items() if other in asked), default=0):
        raise InputError(f'{path}: is not of --split {", ".join(sorted(asked))}: {most} of its {len(matched.pairs)} '
                         f'answers that fit are for {dataset} {split}; choose that split')


def _match(way: Way, answers: Sequence[RawAnswer], dataset: Dataset) -> Matched:
    if way.takes == ('image', 'group'):
        return _by_order(answers, dataset)
    told = _Teller(way, dataset)
    expressions: dict[Hashable, list[Expression]] = defaultdict(list)
    for e in dataset.expressions:
        expressions[told.expression(e)].append(e)
    by_key: dict[Hashable, list[RawAnswer]] = defaultdict(list)
    found = Matched()
    for one in answers:
        key = told.answer(one)
        if key is None or key not in expressions:
            found.strange.append(one)
        else:
            by_key[key].append(one)
    for key, mine in by_key.items():
        if 'truth' not in way.takes and way.takes[0] == 'image' and len({e.gt_xywh for e in expressions[key]}) > 1:
            found.unclear += mine
        else:
            _in_order(found, expressions[key], mine)
    return found


def _in_order(found: Matched, expressions: Sequence[Expression], answers: Sequence[RawAnswer]) -> None:
    """Put answers to expressions that are told alike."""
    if answers[0].asked.whole:
        found.pairs += [(e, answers[0]) for e in expressions]
        more = answers[1:]
    else:
        found.pairs += zip(expressions, answers, strict=False)
        more = answers[len(expressions):]
    found.repeated += more
    found.differing += [one for one in more if one.reading.boxes[:1] != answers[0].reading.boxes[:1]]


def _by_order(answers: Sequence[RawAnswer], dataset: Dataset) -> Matched:
    """Answers whose file has a name for a referent: by ``ann_id`` where all names end in one, else in order."""
    referents: dict[int, dict[Hashable, list[Expression]]] = defaultdict(lambda: defaultdict(list))
    for e in dataset.expressions:
        referents[e.image_id][e.ann_id if e.ann_id is not None else e.gt_xywh].append(e)
    groups: dict[int | None, dict[str, list[RawAnswer]]] = defaultdict(lambda: defaultdict(list))
    for one in answers:
        groups[image_id_of(one.asked.image or '')][one.asked.group or ''].append(one)
    found = Matched()
    by_ann_id = all(suffix_of(name) in referents[image] for image, names in groups.items() if image in referents
                    for name in names)
    for image, names in groups.items():
        of_image = referents.get(image, {}) if image is not None else {}
        if by_ann_id and of_image:
            for name, mine in names.items():
                _in_order(found, of_image[suffix_of(name)], mine)
        elif len(of_image) == len(names):
            for mine, theirs in zip(names.values(), of_image.values(), strict=True):
                _in_order(found, theirs, mine)
        else:
            found.strange += [one for mine in names.values() for one in mine]
    return found


class _Teller:
    """What tells expressions and answers apart, in one way and dataset: equal keys are told alike."""

    def __init__(self, way: Way, dataset: Dataset) -> None:
        self.way = way
        self.infos = dataset.images
        self.names = {info.path.name: i for i, info in dataset.images.items() if info.path is not None}
        self.place: Callable[[Expression], Hashable] = self._size if way.takes[0] == 'size' else _image
        self.truths = _Truths(dataset.expressions, self.place) if 'truth' in way.takes else None

    def expression(self, e: Expression) -> Hashable:
        """The key of an expression."""
        of: dict[str, Callable[[], Hashable]] = {
            'sent_id': lambda: e.sent_id, 'ann_id': lambda: e.ann_id, 'sent': lambda: comparable(e.sent),
            'image': lambda: e.image_id, 'size': lambda: self._size(e), 'truth': lambda: e.gt_xywh}
        return tuple(of[name]() for name in self.way.takes)

    def answer(self, one: RawAnswer) -> Hashable | None:
        """The key of an answer; ``None`` where no expression can have it."""
        asked = one.asked
        values: dict[str, Hashable] = {'sent_id': asked.sent_id, 'ann_id': asked.ann_id, 'size': asked.size}
        if asked.sent is not None:
            values['sent'] = comparable(asked.sent)
        if asked.image is not None:
            values['image'] = self.names.get(PurePath(asked.image).name, image_id_of(asked.image))
        if self.truths is not None and asked.truth is not None:
            values['truth'] = self.truths.nearest(values[self.way.takes[0]], asked.truth)
        key = tuple(values.get(name) for name in self.way.takes)
        return None if None in key else key

    def _size(self, e: Expression) -> tuple[int, int]:
        info = self.infos[e.image_id]
        return info.width, info.height


def _image(e: Expression) -> int:
    return e.image_id


class _Truths:
    """The annotated boxes of a place: an image, or all images of a size."""

    def __init__(self, expressions: Iterable[Expression], place: Callable[[Expression], Hashable]) -> None:
        boxes: dict[Hashable, dict[XYWH, None]] = defaultdict(dict)
        for e in expressions:
            boxes[place(e)][e.gt_xywh] = None
        self.boxes = {key: list(mine) for key, mine in boxes.items()}
        self.corners = {key: np.array([corners(box) for box in mine]) for key, mine in self.boxes.items()}

    def nearest(self, place: Hashable, box: XYXY) -> XYWH | None:
        """The annotated box nearest to one x1, y1, x2, y2; ``None`` where none is within :data:`NEAR`."""
        if place not in self.boxes:
            return None
        distance = np.abs(self.corners[place] - np.array(box)).max(axis=1)
        best = int(distance.argmin())
        return self.boxes[place][best] if distance[best] <= NEAR else None
