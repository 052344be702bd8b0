"""Sentences as MAttNet's own parser took them apart: ``sents.json`` of lichengunc/refer-parser2.

Source: ``parse_atts.py`` there writes ``cache/parsed_atts/<dataset>_<split_by>/sents.json``, a list of ``{sent_id,
sent, tokens, parse, raw, atts, left}``. ``atts`` has lists of words for r1 to r8: r1 is the head noun, r2 colours, r3
sizes, r4 places in the image, r5 relations, r6 related objects, r7 other adjectives; ``['none']`` stands for no word.
``tools/prepro.py: build_att_vocab`` of lichengunc/MAttNet takes r1, r2 and r7 as attributes.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.files import fields
from harness.files.reading import parse_json, read_bytes

#: The types of words that are attributes.
TYPES = ('r1', 'r2', 'r7')
NO_WORD = 'none'


def read_parsed(path: str | Path) -> dict[int, tuple[str, ...]]:
    """The attribute words of each sentence of a ``sents.json``, by ``sent_id``.

    Raises:
        InputError: the file is missing or not as described, or a ``sent_id`` comes twice.
    """
    rows = parse_json(read_bytes(path), str(path))
    if not isinstance(rows, list):
        raise InputError(f'{path}: must be a list of parsed sentences (sents.json of refer-parser2), not '
                         f'{fields.kind(rows)}')
    if not rows:
        raise InputError(f'{path}: has no sentence')
    where = [f'{path}: [{i}]' for i in range(len(rows))]
    ids = [fields.integer(row, 'sent_id', place) for row, place in zip(rows, where, strict=True)]
    fields.unique(ids, 'sent_id', str(path))
    return {sent_id: _attributes(row, place) for sent_id, row, place in zip(ids, rows, where, strict=True)}


def _attributes(row: Any, where: str) -> tuple[str, ...]:
    words = fields.required(row, 'atts', where)
    found = (word for kind in TYPES for word in fields.words(words, kind, f'{where}: atts'))
    return tuple(dict.fromkeys(word for word in found if word != NO_WORD))
