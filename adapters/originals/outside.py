"""Expressions and answers from outside, in any known layout: the harness's own, or the originals' files."""
from __future__ import annotations

import re
from pathlib import Path

from adapters.originals.mattnet_data import read_dataset
from adapters.originals.ref_nms_data import read_refdb, read_words
from adapters.originals.results import is_results, read_results
from harness.data.answers import Answers, read_answers
from harness.data.plain import load_expressions
from harness.files.reading import read_bytes
from harness.types import Dataset

_PREPARED = re.compile(rb'\s*\{.*"(refs|anns|images|sentences)"\s*:\s*\[', re.S)
_REFDB = re.compile(rb'\s*\{.*"dataset_splitby"\s*:', re.S)


def read_expressions(path: Path, images: Path | None = None) -> dict[str, Dataset]:
    """The datasets of a file by name: plain expressions, ``data.json`` of MAttNet and CM-A-E, ``data_dep.json`` of
    NMTree, or ``std_refdb_*.json`` of Ref-NMS with its ``std_vocab_*.txt`` beside it.

    Raises:
        InputError: as the reader of that layout.
    """
    data = read_bytes(path)
    first_line = data.split(b'\n', 1)[0]
    if _REFDB.match(first_line):
        refdb = read_refdb(path)
        dataset = refdb.dataset(read_words(path.with_name(f'std_vocab_{refdb.dataset_splitby}.txt')))
        return {dataset.name: dataset}
    if _PREPARED.match(first_line):
        dataset = read_dataset(path, None, images)
        return {dataset.name: dataset}
    return load_expressions(path, images)


def layout_of(path: Path) -> str:
    """The layout of a file of answers, by its first signs: ``ours``, ``coco`` or ``originals``."""
    data = read_bytes(path)
    if is_results(data):
        return 'originals'
    return 'coco' if data.lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'[') else 'ours'


def read_outside_answers(path: Path) -> list[Answers]:
    """The answers in a file, one set per rule and grounder.

    Raises:
        InputError: as :func:`harness.data.answers.read_answers` and :func:`adapters.originals.results.read_results`.
    """
    return [read_results(path)] if is_results(read_bytes(path)) else read_answers(path)
