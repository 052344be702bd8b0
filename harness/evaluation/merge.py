"""Merging shards: checked to be all shards of one run, and written as one process would have written them."""
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
from harness.evaluation.plan_record import CHANGED
from harness.evaluation.run import NO_IMAGE
from harness.files.fingerprint import differences, listed

_TOLD = 5


@dataclass(frozen=True)
class StoredShard:
    """A shard on disk."""

    folder: Path
    header: Header
    entries: list[Entry]


def find_shards(folders: Sequence[Path], out: Path) -> list[StoredShard]:
    """The shards in the given folders and in the folders directly below them; ``out`` itself is the merged run.

    Raises:
        InputError: a folder holds no shard.
    """
    shards = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f'{folder}: there is no such folder; give those of the shards, or the one that holds them')
        is_shard = (folder / JOURNAL).is_file() and folder.resolve() != out.resolve()
        there = [folder] if is_shard else _shards_in(folder)
        if not there:
            raise InputError(f'{folder}: no folder in it holds the {JOURNAL} of a shard; give the folders of shards, '
                             'or the one that holds them')
        for path in there:
            header, entries = read_journal(path)
            if header is None:
                raise InputError(f'{path / JOURNAL}: is not the journal of a run; do this shard again')
            shards.append(StoredShard(path, header, entries))
    return shards


def _shards_in(folder: Path) -> list[Path]:
    """The folders of shards below a folder, without those that ``--fresh`` moved aside."""
    there = {path.parent.name: path.parent for path in folder.glob(f'*/{JOURNAL}')}
    aside = {name for name in there if re.sub(r'\.\d+$', '', name) in there.keys() - {name}}
    return sorted((path for name, path in there.items() if name not in aside),
                  key=lambda path: (len(path.name), path.name))


def check_shards(shards: Sequence[StoredShard]) -> None:
    """Check that shards make up one run.

    Raises:
        InputError: they belong to different runs, an image is in none or in two of them, or one is not finished.
    """
    first = shards[0]
    for shard in shards[1:]:
        if found := differences(_anywhere(first.header.plan), _anywhere(shard.header.plan)):
            raise InputError(f'{shard.folder}: is of another run than {first.folder}: {listed(found)}; give the shards '
                             'of one run')
    at: dict[int, Path] = {}
    for shard in shards:
        for number in shard.header.numbers:
            if number in at:
                raise InputError(f'{shard.folder}: image {number} of the plan is in {at[number]} too; give each shard '
                                 'once')
            at[number] = shard.folder
    if lacking := [number for number in range(first.header.images) if number not in at]:
        raise InputError(f'{first.header.images - len(lacking)} of {first.header.images} images are there; '
                         f'{_missing(shards) or f"image {lacking[0]} of the plan is in none"}; run what is missing, or '
                         'give its folder')
    for shard in shards:
        done = Counter(entry.number for entry in shard.entries)
        if more := done - Counter(shard.header.numbers):
            raise InputError(f'{shard.folder / JOURNAL}: image {min(more)} of the plan is in it twice, or is none of '
                             'this shard; do this shard again with --fresh')
        if left := [number for number in shard.header.numbers if number not in done]:
            raise InputError(f'{shard.folder}: {len(left)} of its {len(shard.header.numbers)} images are not done; '
                             'give the command of this shard again, it goes on')


def _anywhere(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a plan that is the same on every machine."""
    return {name: value for name, value in plan.items() if name != CHANGED}


def _missing(shards: Sequence[StoredShard]) -> str:
    """The missing shards, as far as the others tell; empty if they do not."""
    there = {shard.header.shard for shard in shards if shard.header.shard is not None}
    counts = {name.partition('/')[2] for name in there}
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
        out: an empty or new folder, the folder of the shards, or one in which a merge of the same was interrupted.
        fresh: move an earlier run in it aside.
        say: called with a line that says where that was moved.

    Returns:
        The description of the whole run.

    Raises:
        InputError: a shard's rows are not those of its journal, or rows of an expression are missing or there twice;
            nothing has been written then.
    """
    inside = [path.parent.name for path in out.glob(f'*/{JOURNAL}')]
    if fresh and any(shard.folder.resolve().parent == out.resolve() for shard in shards):
        raise InputError(f'--fresh: would move the shards in {out} aside too; give another folder by --out DIR')
    _check_whole(shards)
    first = shards[0].header
    header = replace(first, numbers=list(range(first.images)), shard=None)
    with open_run(out, header, fresh, say, besides=inside) as journal:
        left = set(journal.left)
        for _, entry, rows in _in_order(shards):
            if entry.number in left:
                _append(journal, entry, rows)
    return header


def _check_whole(shards: Sequence[StoredShard]) -> None:
    """Read all rows, and refuse them if they are not those of one whole run."""
    first, expressions, images = shards[0], 0, 0
    for shard, entry, rows in _in_order(shards):
        _check_rows(shard, entry, rows[0])
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


def _in_order(shards: Sequence[StoredShard]) -> Iterator[tuple[StoredShard, Entry, list[bytes]]]:
    """The shard, entry and rows of each image, in the order of the plan; each file is read once from start to end."""
    with ExitStack() as stack:
        files: list[list[BinaryIO]] = [
            [stack.enter_context((shard.folder / name).open('rb')) for name in FILES] for shard in shards]
        work = sorted(((i, entry) for i, shard in enumerate(shards) for entry in shard.entries),
                      key=lambda one: one[1].number)
        for i, entry in work:
            rows = [file.read(size) for file, size in zip(files[i], entry.sizes, strict=True)]
            for name, text, size, checksum in zip(FILES, rows, entry.sizes, entry.checksums, strict=True):
                if len(text) != size or zlib.crc32(text) != checksum:
                    raise InputError(f'{shards[i].folder / name}: is damaged, its rows of image {entry.number} of the '
                                     'plan are not those that were written; give the command of this shard again')
            yield shards[i], entry, rows
        for shard, mine in zip(shards, files, strict=True):
            for name, file in zip(FILES, mine, strict=True):
                if file.read(1):
                    raise InputError(f'{shard.folder / name}: holds more rows than its journal tells of; give the '
                                     'command of this shard again, which cuts them off')


def _check_rows(shard: StoredShard, entry: Entry, text: bytes) -> None:
    """Refuse the rows of an image if one for an expression, rule and grounder is missing, unexpected or there twice."""
    rows = [orjson.loads(line) for line in text.splitlines()]
    there = Counter((r['dataset'], r['split'], r['sent_id'], r['proposals'], r['grounder']) for r in rows)
    asked = {key[:3] for key in there}
    wanted = {(dataset, split, sent_id, rule, grounder) for dataset, split, sent_id in asked
              for rule, grounder in _pairs(shard.header.chosen_by.get(dataset, {}))}
    for what, keys in (('is missing', wanted - there.keys()), ('is there that nobody asked for', there.keys() - wanted),
                       ('is there twice', {key for key, n in there.items() if n > 1})):
        for key in sorted(map(str, keys)):
            raise InputError(f'{shard.folder / FILES[0]}: {key} {what}; do this shard again')
    if len(asked) != entry.counters.expressions:
        raise InputError(f'{shard.folder / FILES[0]}: image {entry.number} of the plan has {len(asked)} expressions '
                         f'instead of {entry.counters.expressions}; do this shard again')


def _pairs(chosen_by: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for rule, grounders in chosen_by.items():
        for grounder in grounders or [NO_GROUNDER]:
            yield rule, grounder
