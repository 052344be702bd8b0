"""Merging shards: checked to be all shards of one run, and written as one process would have written them."""
from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from harness.data.answers import NO_GROUNDER
from harness.errors import InputError
from harness.evaluation.counters import Counters
from harness.evaluation.journal import FILES, JOURNAL, Entry, Header, Journal, open_run, read_journal
from harness.evaluation.one_image import Evaluated
from harness.files.fingerprint import differences, listed

_TOLD = 5


@dataclass(frozen=True)
class StoredShard:
    """A shard on disk."""

    folder: Path
    header: Header
    entries: list[Entry]


def find_shards(folders: Sequence[Path]) -> list[StoredShard]:
    """The shards in the given folders and in the folders directly below them.

    Raises:
        InputError: a folder holds no shard.
    """
    shards = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f'{folder}: there is no such folder; give the folders of the shards, or the one that '
                             'holds them')
        there = [folder] if (folder / JOURNAL).is_file() else sorted(
            (path.parent for path in folder.glob(f'*/{JOURNAL}')), key=lambda path: (len(path.name), path.name))
        if not there:
            raise InputError(f'{folder}: holds no {JOURNAL}, nor does a folder in it; give the folders of shards')
        for path in there:
            header, entries, _ = read_journal(path)
            if header is None:
                raise InputError(f'{path / JOURNAL}: is not the journal of a run; run this shard again')
            shards.append(StoredShard(path, header, entries))
    return shards


def check_shards(shards: Sequence[StoredShard]) -> None:
    """Check that shards make up one run.

    Raises:
        InputError: they belong to different runs, an image is in none or in two of them, or one is not finished.
    """
    first = shards[0]
    for shard in shards[1:]:
        if found := differences(first.header.plan, shard.header.plan):
            raise InputError(f'{shard.folder}: belongs to a different run than {first.folder}: {listed(found)}; give '
                             'the shards of one run')
    at: dict[int, Path] = {}
    for shard in shards:
        for number in shard.header.numbers:
            if number in at:
                raise InputError(f'{shard.folder}: image {number} of the plan is also in {at[number]}; give each shard '
                                 'once')
            at[number] = shard.folder
    if lacking := [number for number in range(first.header.images) if number not in at]:
        raise InputError(f'{first.header.images - len(lacking)} of {first.header.images} images are there; '
                         f'{_missing(shards) or f"image {lacking[0]} of the plan is in no shard"}; run what is '
                         'missing, or give its folder')
    for shard in shards:
        done = {entry.number for entry in shard.entries}
        if left := [number for number in shard.header.numbers if number not in done]:
            raise InputError(f'{shard.folder}: {len(left)} of its {len(shard.header.numbers)} images are not done; run '
                             'the command of this shard again, it continues where it stopped')


def _missing(shards: Sequence[StoredShard]) -> str:
    """The missing shards, as far as the others tell; empty if they do not."""
    there = {shard.header.shard for shard in shards if shard.header.shard is not None}
    counts = {shard.partition('/')[2] for shard in there}
    if len(counts) != 1:
        return ''
    count = int(counts.pop())
    missing = [f'{i}/{count}' for i in range(1, count + 1) if f'{i}/{count}' not in there]
    more = f' and {len(missing) - _TOLD} more' if len(missing) > _TOLD else ''
    return f'shard {", ".join(missing[:_TOLD])}{more} is missing' if missing else ''


def merge(shards: Sequence[StoredShard], out: Path, fresh: bool, say: Any) -> Header:
    """Write the rows of all shards into one folder, in the order of the plan.

    Args:
        shards: from :func:`find_shards`, checked by :func:`check_shards`.
        out: an empty or new folder.
        fresh: move an earlier run in it aside.
        say: called with a line that says where that was moved.

    Returns:
        The description of the whole run.

    Raises:
        InputError: a shard's rows are not those of its journal, or rows of an expression are missing or there twice.
    """
    first = shards[0].header
    header = replace(first, numbers=list(range(first.images)), shard=None)
    inside = [shard.folder.name for shard in shards if shard.folder.parent == out]
    with open_run(out, header, fresh, say, besides=inside) as journal:
        if journal.entries:
            raise InputError(f'--out {out}: holds a run; choose an empty or new folder, or move the run aside by '
                             '--fresh')
        expressions = 0
        for shard, entry, rows in _in_order(shards):
            _check_rows(shard, entry, rows[0])
            expressions += _expressions(entry.counters)
            _append(journal, entry, rows)
        if expressions != first.expressions:
            raise InputError(f'{shards[0].folder}: the shards have {expressions} expressions, the plan has '
                             f'{first.expressions}; run them again')
    return header


def _append(journal: Journal, entry: Entry, rows: Sequence[bytes]) -> None:
    journal.append(entry.number, Evaluated(bytearray(rows[0]), bytearray(rows[1]), entry.timing, entry.counters))


def _expressions(counters: Counters) -> int:
    return counters.expressions + sum(images.expressions for images in counters.left_out.values())


def _in_order(shards: Sequence[StoredShard]) -> Iterator[tuple[StoredShard, Entry, list[bytes]]]:
    """The shard, entry and rows of each image, in the order of the plan; each file is read once from start to end."""
    with ExitStack() as stack:
        files: list[list[BinaryIO]] = [
            [stack.enter_context((shard.folder / name).open('rb')) for name in FILES] for shard in shards]
        work = sorted((entry.number, i, entry) for i, shard in enumerate(shards)
                      for entry in sorted(shard.entries, key=lambda entry: entry.number))
        for _, i, entry in work:
            rows = [file.read(size) for file, size in zip(files[i], entry.sizes, strict=True)]
            for name, text, size, checksum in zip(FILES, rows, entry.sizes, entry.checksums, strict=True):
                if len(text) != size or zlib.crc32(text) != checksum:
                    raise InputError(f'{shards[i].folder / name}: is damaged: the rows of image {entry.number} of the '
                                     'plan are not those that were written; run the command of this shard again')
            yield shards[i], entry, rows


def _check_rows(shard: StoredShard, entry: Entry, text: bytes) -> None:
    """Refuse rows of an image if one for an expression, rule and grounder is missing, unexpected or there twice."""
    rows = [orjson.loads(line) for line in text.splitlines()]
    there = Counter((r['dataset'], r['split'], r['sent_id'], r['proposals'], r['grounder']) for r in rows)
    asked = {key[:3] for key in there}
    wanted = {(dataset, split, sent_id, rule, grounder) for dataset, split, sent_id in asked
              for rule, grounder in _pairs(shard.header.chosen_by.get(dataset, {}))}
    for what, keys in (('is missing', wanted - there.keys()), ('was not expected', there.keys() - wanted),
                       ('is there twice', {key for key, n in there.items() if n > 1})):
        for key in sorted(map(str, keys)):
            raise InputError(f'{shard.folder / FILES[0]}: {key} {what}; run this shard again')
    if len(asked) != entry.counters.expressions:
        raise InputError(f'{shard.folder / FILES[0]}: image {entry.number} of the plan has {len(asked)} expressions '
                         f'instead of {entry.counters.expressions}; run this shard again')


def _pairs(chosen_by: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:

    for rule, grounders in chosen_by.items():
        for grounder in grounders or [NO_GROUNDER]:
            yield rule, grounder
