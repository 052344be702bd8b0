"""Shards put together: proven to be all of one run, each image once, and written as one process would have written."""
from __future__ import annotations

import re
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
from harness.evaluation.run import NO_IMAGE
from harness.files.fingerprint import differences, listed

_TOLD = 5


@dataclass(frozen=True)
class Part:
    """A shard on disk."""

    folder: Path
    header: Header
    entries: list[Entry]


def find_parts(folders: Sequence[Path], out: Path) -> list[Part]:
    """The shards in some folders, or in those that they hold; what ``out`` itself holds is the whole.

    Raises:
        InputError: a folder is none of a run and holds none.
    """
    parts = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f'{folder}: there is no such folder; give those of the shards, or the one that holds them')
        is_part = (folder / JOURNAL).is_file() and folder.resolve() != out.resolve()
        there = [folder] if is_part else _shards_in(folder)
        if not there:
            raise InputError(f'{folder}: no folder in it holds the {JOURNAL} of a shard; give the folders of shards, '
                             'or the one that holds them')
        for path in there:
            header, entries = read_journal(path)
            if header is None:
                raise InputError(f'{path / JOURNAL}: is not the journal of a run; do this shard again')
            parts.append(Part(path, header, entries))
    return parts


def _shards_in(folder: Path) -> list[Path]:
    """The folders of shards in a folder, without those that ``--fresh`` moved aside."""
    there = {path.parent.name: path.parent for path in folder.glob(f'*/{JOURNAL}')}
    aside = {name for name in there if re.sub(r'\.\d+$', '', name) in there.keys() - {name}}
    return sorted((path for name, path in there.items() if name not in aside),
                  key=lambda path: (len(path.name), path.name))


def check_parts(parts: Sequence[Part]) -> None:
    """Hold shards against each other.

    Raises:
        InputError: they are of different runs, or an image is in none of them, or in two.
    """
    first = parts[0]
    for part in parts[1:]:
        if found := differences(first.header.plan, part.header.plan):
            raise InputError(f'{part.folder}: is of another run than {first.folder}: {listed(found)}; give the shards '
                             'of one run')
    at: dict[int, Path] = {}
    for part in parts:
        for number in part.header.numbers:
            if number in at:
                raise InputError(f'{part.folder}: image {number} of the plan is in {at[number]} too; give each shard '
                                 'once')
            at[number] = part.folder
    if lacking := [number for number in range(first.header.images) if number not in at]:
        raise InputError(f'{first.header.images - len(lacking)} of {first.header.images} images are there; '
                         f'{_missing(parts) or f"image {lacking[0]} of the plan is in none"}; run what is missing, or '
                         'give its folder')
    for part in parts:
        done = Counter(entry.number for entry in part.entries)
        if more := done - Counter(part.header.numbers):
            raise InputError(f'{part.folder / JOURNAL}: image {min(more)} of the plan is in it twice, or is none of '
                             'this shard; do this shard again with --fresh')
        if left := [number for number in part.header.numbers if number not in done]:
            raise InputError(f'{part.folder}: {len(left)} of its {len(part.header.numbers)} images are not done; give '
                             'the command of this shard again, it goes on')


def _missing(parts: Sequence[Part]) -> str:
    """Which shards are missing, as far as the others say."""
    there = {part.header.shard for part in parts if part.header.shard is not None}
    counts = {shard.partition('/')[2] for shard in there}
    if len(counts) != 1:
        return ''
    count = int(counts.pop())
    missing = [f'{i}/{count}' for i in range(1, count + 1) if f'{i}/{count}' not in there]
    more = f' and {len(missing) - _TOLD} more' if len(missing) > _TOLD else ''
    return f'shard {", ".join(missing[:_TOLD])}{more} is missing' if missing else ''


def merge(parts: Sequence[Part], out: Path, fresh: bool, say: Any) -> Header:
    """Write the rows of all shards into one folder, in the order of the plan.

    Args:
        parts: of :func:`find_parts`, checked by :func:`check_parts`.
        out: an empty or new folder, that of the shards, or one in which a merge of the same was cut off.
        fresh: an earlier run in it is moved aside.
        say: is told where.

    Returns:
        What the whole is.

    Raises:
        InputError: a shard's rows are not those that its journal tells of, or of an expression rows are missing or
            double; nothing has been written then.
    """
    inside = [path.parent.name for path in out.glob(f'*/{JOURNAL}')]
    if fresh and any(part.folder.resolve().parent == out.resolve() for part in parts):
        raise InputError(f'--fresh: would move the shards in {out} aside too; give another folder by --out DIR')
    _check_whole(parts)
    first = parts[0].header
    header = replace(first, numbers=list(range(first.images)), shard=None)
    with open_run(out, header, fresh, say, besides=inside) as journal:
        left = set(journal.left)
        for _, entry, rows in _in_order(parts):
            if entry.number in left:
                _append(journal, entry, rows)
    return header


def _check_whole(parts: Sequence[Part]) -> None:
    """Read all rows, and refuse those that are not one whole run."""
    first, expressions, images = parts[0], 0, 0
    for part, entry, rows in _in_order(parts):
        _check_rows(part, entry, rows[0])
        expressions += _expressions(entry.counters)
        images += entry.counters.images
    if expressions != first.header.expressions:
        raise InputError(f'{first.folder}: the shards have {expressions} expressions, the plan has '
                         f'{first.header.expressions}; do them again')
    if first.header.images and not images:
        raise InputError(NO_IMAGE)


def _append(journal: Journal, entry: Entry, rows: Sequence[bytes]) -> None:
    journal.append(entry.number, Evaluated(bytearray(rows[0]), bytearray(rows[1]), entry.timing, entry.counters))


def _expressions(counters: Counters) -> int:
    return counters.expressions + sum(images.expressions for images in counters.left_out.values())


def _in_order(parts: Sequence[Part]) -> Iterator[tuple[Part, Entry, list[bytes]]]:
    """Every image's shard, entry and rows, in the order of the plan; each file is read once, from beginning to end."""
    with ExitStack() as stack:
        files: list[list[BinaryIO]] = [
            [stack.enter_context((part.folder / name).open('rb')) for name in FILES] for part in parts]
        work = sorted(((i, entry) for i, part in enumerate(parts) for entry in part.entries),
                      key=lambda one: one[1].number)
        for i, entry in work:
            rows = [file.read(size) for file, size in zip(files[i], entry.sizes, strict=True)]
            for name, text, size, checksum in zip(FILES, rows, entry.sizes, entry.checksums, strict=True):
                if len(text) != size or zlib.crc32(text) != checksum:
                    raise InputError(f'{parts[i].folder / name}: is damaged, its rows of image {entry.number} of the '
                                     'plan are not those that were written; give the command of this shard again')
            yield parts[i], entry, rows
        for part, mine in zip(parts, files, strict=True):
            for name, file in zip(FILES, mine, strict=True):
                if file.read(1):
                    raise InputError(f'{part.folder / name}: holds more rows than its journal tells of; give the '
                                     'command of this shard again, which cuts them off')


def _check_rows(part: Part, entry: Entry, text: bytes) -> None:
    """Refuse rows of an image that lack an expression, rule or grounder, or have one twice."""
    rows = [orjson.loads(line) for line in text.splitlines()]
    there = Counter((r['dataset'], r['split'], r['sent_id'], r['proposals'], r['grounder']) for r in rows)
    asked = {key[:3] for key in there}
    wanted = {(dataset, split, sent_id, rule, grounder) for dataset, split, sent_id in asked
              for rule, grounder in _pairs(part.header.chosen_by.get(dataset, {}))}
    for what, keys in (('is missing', wanted - there.keys()), ('is there that nobody asked for', there.keys() - wanted),
                       ('is there twice', {key for key, n in there.items() if n > 1})):
        for key in sorted(map(str, keys)):
            raise InputError(f'{part.folder / FILES[0]}: {key} {what}; do this shard again')
    if len(asked) != entry.counters.expressions:
        raise InputError(f'{part.folder / FILES[0]}: image {entry.number} of the plan has {len(asked)} expressions '
                         f'instead of {entry.counters.expressions}; do this shard again')


def _pairs(chosen_by: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for rule, grounders in chosen_by.items():
        for grounder in grounders or [NO_GROUNDER]:
            yield rule, grounder
