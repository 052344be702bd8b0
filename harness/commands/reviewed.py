"""``--reviews FILE…`` of a run: its figures also without the labels that reviewers marked as faulty."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from reports.rows.reviews import Reviews


def reviews_of(files: Sequence[Path] | None) -> Reviews | None:
    """What the files say, read before a run, so that a wrong one stops nothing halfway.

    Raises:
        InputError: as of :func:`reports.rows.reviews.read_reviews`.
    """
    if not files:
        return None
    from reports.rows.reviews import read_reviews
    return read_reviews(files)


def show_reviewed(out: Path, reviews: Reviews) -> None:
    """Print the tables of a run's folder without the faulty labels, and write them to ``reviews.md`` in it."""
    from harness.files.writing import write_text
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import markdown, written
    from reports.rows.prediction_rows import read_predictions
    from reports.tables.reviewed import notes, reviewed_tables

    frame = read_predictions([out], ('rle',) if reviews.masks else ())
    try:
        listing = Listing(reviewed_tables(frame, reviews), notes())
    except InputError as error:
        print(f'note: {error}')
        return
    write_text(out / 'reviews.md', markdown(listing) + '\n')
    print(f'\n{written(listing)}\n\nwithout faulty labels: {out / "reviews.md"}')
