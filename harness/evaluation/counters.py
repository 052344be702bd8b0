"""What a run counts beside its figures: images, expressions, oddities, and images that cannot be used."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import InputError
from harness.files.image_header import NOT_READABLE

_NAMED = 3  # of many images that are left out


@dataclass
class LeftOut:
    """Images that cannot be used for one kind of reason: their number, their expressions and datasets, and messages
    about the first few."""

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
        """One line about them, which begins with their datasets as other notes do."""
        more = f'; and {self.images - len(self.messages)} more' if self.images > len(self.messages) else ''
        return (f'{", ".join(self.datasets)}: {self.images} of {of_images} images and their {self.expressions} '
                f'expressions are left out and count in no figure, {kind}: {"; ".join(self.messages)}{more}')


@dataclass
class Counters:
    """Counts of a run or of a part of it; those of parts add up (:meth:`add`).

    Attributes:
        images: images that were evaluated.
        expressions: expressions that were evaluated.
        oddities: what was met on the way, by a phrase that says what.
        turned: what was done about the EXIF orientation of photographs, by a phrase.
        left_out: images that cannot be used, by kind of reason.
    """

    images: int = 0
    expressions: int = 0
    oddities: Counter[str] = field(default_factory=Counter)
    turned: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def leave_out(self, error: InputError, datasets: Iterable[str], expressions: int) -> None:
        """Count an image that cannot be used, with all of its expressions."""
        kind = getattr(error, 'kind', NOT_READABLE)
        self.oddities[kind] += 1
        self.oddities['expressions left out with them'] += expressions
        self.left_out.setdefault(kind, LeftOut()).add(
            LeftOut(1, expressions, list(dict.fromkeys(datasets)), [str(error)]))

    def add(self, other: Counters) -> None:
        """Add the counts of another part of the run."""
        self.images += other.images
        self.expressions += other.expressions
        self.oddities.update(other.oddities)
        self.turned.update(other.turned)
        for kind, images in other.left_out.items():
            self.left_out.setdefault(kind, LeftOut()).add(images)

    @property
    def counts(self) -> dict[str, int]:
        """Every oddity that was met at all."""
        return {what: n for what, n in (self.oddities + self.turned).items() if n}

    @property
    def notes(self) -> list[str]:
        """One line per kind of image that was left out."""
        images = self.images + sum(them.images for them in self.left_out.values())
        return [them.note(kind, images) for kind, them in self.left_out.items()]

    def as_json(self) -> dict[str, Any]:
        """What :meth:`of_json` reads."""
        return {'images': self.images, 'expressions': self.expressions, 'oddities': dict(self.oddities),
                'turned': dict(self.turned), 'left_out': {kind: asdict(them) for kind, them in self.left_out.items()}}

    @classmethod
    def of_json(cls, counts: dict[str, Any]) -> Counters:
        """What :meth:`as_json` gave."""
        return cls(counts['images'], counts['expressions'], Counter(counts['oddities']), Counter(counts['turned']),
                   {kind: LeftOut(**images) for kind, images in counts['left_out'].items()})
