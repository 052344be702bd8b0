"""Counts that a run keeps beside its figures: images, expressions, oddities, and images that cannot be used."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import InputError
from harness.files.image_header import NOT_READABLE

#: How many of the images that are left out are named.
_NAMED = 3


@dataclass
class LeftOut:
    """The images that cannot be used for one kind of reason.

    Attributes:
        images: their number.
        expressions: the number of their expressions.
        datasets: the names of their datasets.
        messages: what is wrong with the first few.
    """

    images: int = 0
    expressions: int = 0
    datasets: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def add(self, other: LeftOut) -> None:
        """Add further images of the same kind."""
        self.images += other.images
        self.expressions += other.expressions
        self.datasets = list(dict.fromkeys([*self.datasets, *other.datasets]))
        self.messages = [*self.messages, *other.messages][:_NAMED]

    def note(self, kind: str, of_images: int) -> str:
        """A note on these images in one line, which begins with their datasets as other notes do."""
        more = f'; and {self.images - len(self.messages)} more' if self.images > len(self.messages) else ''
        return (f'{", ".join(self.datasets)}: {self.images} of {of_images} images and their {self.expressions} '
                f'expressions are left out of all figures, {kind}: {"; ".join(self.messages)}{more}')


@dataclass
class Counters:
    """Counts of a run, or of some of its images; :meth:`add` sums them.

    Attributes:
        images: images that were evaluated.
        expressions: expressions that were evaluated.
        oddities: how often each oddity occurred, by a phrase that describes it.
        turned: how many photographs were or were not turned by their EXIF orientation, by a phrase that says which.
        left_out: images that cannot be used, by kind of reason.
    """

    images: int = 0
    expressions: int = 0
    oddities: Counter[str] = field(default_factory=Counter)
    turned: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def leave_out(self, error: InputError, datasets: Iterable[str], expressions: int) -> None:
        """Count an image that cannot be used, and all of its expressions."""
        kind = getattr(error, 'kind', NOT_READABLE)
        self.oddities[kind] += 1
        self.oddities['expressions left out with them'] += expressions
        self.left_out.setdefault(kind, LeftOut()).add(
            LeftOut(1, expressions, list(dict.fromkeys(datasets)), [str(error)]))

    def add(self, other: Counters) -> None:
        """Add the counts of other images of the run."""
        self.images += other.images
        self.expressions += other.expressions
        self.oddities.update(other.oddities)
        self.turned.update(other.turned)
        for kind, images in other.left_out.items():
            self.left_out.setdefault(kind, LeftOut()).add(images)

    @property
    def counts(self) -> dict[str, int]:
        """Every oddity that occurred, with its count."""
        return {what: n for what, n in (self.oddities + self.turned).items() if n}

    @property
    def notes(self) -> list[str]:
        """One line per kind of image that was left out."""
        images = self.images + sum(them.images for them in self.left_out.values())
        return [them.note(kind, images) for kind, them in self.left_out.items()]

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON, for :meth:`of_json`."""
        return {'images': self.images, 'expressions': self.expressions, 'oddities': dict(self.oddities),
                'turned': dict(self.turned), 'left_out': {kind: asdict(them) for kind, them in self.left_out.items()}}

    @classmethod
    def of_json(cls, counts: dict[str, Any]) -> Counters:
        """The counts that :meth:`as_json` wrote."""
        return cls(counts['images'], counts['expressions'], Counter(counts['oddities']), Counter(counts['turned']),
                   {kind: LeftOut(**images) for kind, images in counts['left_out'].items()})
