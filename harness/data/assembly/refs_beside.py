"""REFER's refs beside a file of another form: the ids that the form lacks."""
from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.data.counts import SPLIT_BY
from harness.data.fingerprints import comparable
from harness.data.known import split_makers
from harness.types import FormRow


def refs_beside(path: Path) -> Path | None:
    """The refs that lie beside a file under REFER's name: the only ones there, or those of the published splits."""
    makers = split_makers(path.parent)
    usual = SPLIT_BY.get(path.parent.name)
    maker = makers[0] if len(makers) == 1 else usual if usual in makers else None
    found = [path.with_name(f'refs({maker}).{ending}') for ending in ('p', 'json')]
    return next((refs for refs in found if refs.is_file() and refs != path), None)


def with_ids(rows: Sequence[FormRow], image_ids: Sequence[int | None],
             refs: Iterable[FormRow]) -> tuple[list[FormRow], int]:
    """Rows with ref_id, sent_id, ann_id and words of the refs that they are, and how many of them are none.

    A row is known by image, sentence and annotation. Where it has no annotation, all refs of that sentence on the image
    have to be of one referent. Equal sentences of a referent are given out in order.

    Args:
        rows: of any form.
        image_ids: of the rows.
        refs: sentences as REFER has them.
    """
    known: dict[tuple[int, str], dict[int, deque[FormRow]]] = defaultdict(lambda: defaultdict(deque))
    for ref in refs:
        known[int(ref.image), comparable(ref.sent)][int(ref.ann_id or 0)].append(ref)
    found = [_with_ids(row, known.get((image_id or 0, comparable(row.sent)), {}))
             for row, image_id in zip(rows, image_ids, strict=True)]
    return found, sum(row.sent_id is None for row in found)


def _with_ids(row: FormRow, known: dict[int, deque[FormRow]]) -> FormRow:
    ann_id = row.ann_id if row.ann_id is not None or len(known) != 1 else next(iter(known))
    mine = known.get(-1 if ann_id is None else ann_id)
    if not mine:
        return row
    ref = mine.popleft()
    return replace(row, ref_id=ref.ref_id, sent_id=ref.sent_id, ann_id=ref.ann_id, tokens=row.tokens or ref.tokens)
