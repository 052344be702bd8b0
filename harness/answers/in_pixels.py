"""From what answers say to boxes in pixels of their images, as everything else of the harness reads them."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.answers.coordinates import CONTRADICTED, System, over_range, system_of, to_pixels
from harness.answers.matching import Matched
from harness.answers.records import RawAnswer
from harness.boxes import Floats, xyxy_to_xywh
from harness.data.answers import OUTSIDE, Answer, Answers, name_of
from harness.errors import InputError
from harness.plugins import AnswerForm
from harness.types import Dataset, Expression

#: So many rows are named where a file is refused.
_NAMED = 3


@dataclass(frozen=True)
class Units:
    """What the numbers of a file are.

    Attributes:
        form: of the file.
        coordinates: what the user says they are, which counts before the form and the notation; ``None``: nothing.
        input_size: from sizes of images ``(n, 2)`` to sizes of the model's input, where the user says so.
    """

    form: AnswerForm
    coordinates: str | None = None
    input_size: Callable[[Floats], Floats] | None = None

    def of(self, one: RawAnswer, path: Path) -> str:
        """The system of an answer's numbers.

        Raises:
            InputError: nothing says it.
        """
        own = one.reading.coordinates
        name = own if one.reading.fixed else (self.coordinates or own or one.coordinates or self.form.coordinates)
        if name is None:
            raise InputError(f'{path}: {one.row}: nothing says what its numbers are; add --coordinates with pixels, '
                             'fraction, thousandths or another system (--list)')
        return name


def in_pixels(matched: Matched, datasets: Mapping[str, Dataset], units: Units, path: Path) -> tuple[Answers, list[str]]:
    """The answers with boxes xywh in pixels, by ``(dataset, sent_id)``, and notes.

    Raises:
        InputError: nothing says what the numbers are, they contradict it, or what it takes to make pixels of them is
            not known.
    """
    by_system: dict[str, list[tuple[Expression, RawAnswer]]] = defaultdict(list)
    answers = Answers(OUTSIDE, name_of(path), in_words=True)
    for e, one in matched.pairs:
        if one.reading.boxes:
            by_system[units.of(one, path)].append((e, one))
        else:
            answers.given[e.dataset, e.sent_id] = [Answer(kind=one.reading.kind, why=one.reading.why)]
    notes = []
    for name, pairs in by_system.items():
        system = system_of(name)
        notes.append(f'--answers {units.form.name}: {len(pairs)} answers are boxes in {system.what}')
        notes += _convert(answers, pairs, system, _Sides(pairs, datasets, units, system, path), path)
    return answers, notes


class _Sides:
    """The sizes of images and of the model's input for some answers."""

    def __init__(self, pairs: Sequence[tuple[Expression, RawAnswer]], datasets: Mapping[str, Dataset], units: Units,
                 system: System, path: Path) -> None:
        infos = [datasets[e.dataset].images[e.image_id] for e, _ in pairs]
        self.images = np.array([(i.width, i.height) if i.width else one.asked.size or (0, 0)
                                for i, (_, one) in zip(infos, pairs, strict=True)], np.float64)
        if system.name != 'pixels' and not self.images.all():
            unknown = int((~self.images.all(axis=1)).argmax())
            raise InputError(f'{path}: {pairs[unknown][1].row}: the size of its image is not known, and boxes in '
                             f'{system.name} need it; give the data, by --data-root DIR or --expressions FILE')
        self.inputs = self._inputs(pairs, units, system)

    def _inputs(self, pairs: Sequence[tuple[Expression, RawAnswer]], units: Units, system: System) -> Floats | None:
        if system.frame != 'input':
            return None
        if units.input_size is not None:
            return units.input_size(self.images)
        if all(one.input_size is not None for _, one in pairs):
            return np.array([one.input_size for _, one in pairs], np.float64)
        return None


def _convert(answers: Answers, pairs: Sequence[tuple[Expression, RawAnswer]], system: System, sides: _Sides,
             path: Path) -> list[str]:
    """Add answers of one system, and give notes on those over its range."""
    counts = [len(one.reading.boxes) for _, one in pairs]
    owner = np.repeat(np.arange(len(pairs)), counts)
    boxes = np.array([box for _, one in pairs for box in one.reading.boxes], np.float64)
    images, inputs = sides.images[owner], None if sides.inputs is None else sides.inputs[owner]
    first = np.cumsum([0, *counts[:-1]])
    over = over_range(boxes[first], system, sides.images, sides.inputs)
    notes = _over(over, pairs, boxes[first], system, path)
    xywh = xyxy_to_xywh(to_pixels(boxes, system, images, inputs))
    for (e, one), start, count in zip(pairs, first.tolist(), counts, strict=True):
        mine = [(x, y, w, h) for x, y, w, h in xywh[start:start + count].tolist()]
        answers.given[e.dataset, e.sent_id] = [Answer(mine[0], kind=one.reading.kind, why=one.reading.why,
                                                      boxes=tuple(mine))]
    return notes


def _over(over: np.ndarray, pairs: Sequence[tuple[Expression, RawAnswer]], boxes: Floats, system: System,
          path: Path) -> list[str]:
    """A note on boxes over the range of their system; too many of them contradict it."""
    rows = np.flatnonzero(over).tolist()
    if not rows:
        return []
    shown = '; '.join(f'{pairs[i][1].row} {[float(f"{n:g}") for n in boxes[i].tolist()]}' for i in rows[:_NAMED])
    what = f'{len(rows)} of {len(pairs)} boxes are over the range of {system.name} ({system.what}): {shown}'
    if len(rows) > CONTRADICTED * len(pairs):
        raise InputError(f'{path}: {what}; so they are something else, say what by --coordinates')
    return [f'{path.name}: {what}; they count as they are']
