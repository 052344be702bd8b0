"""``run_benchmark.py study gamma``: the quality of the pseudo ground truth against the scene's truth, for each γ.

Contextual objects are guessed: every annotated object whose category is nearer than γ to a noun of the sentence. The
embedded benchmark knows which objects a sentence really speaks of; the published datasets do not.
"""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.evaluation.datasets import EMBEDDED
from harness.evaluation.result_folder import named_by_time, new_folder
from harness.files.writing import write_text
from harness.names import pick
from harness.registry import DATASETS, names
from harness.studies.options import DEFAULT, check_shared
from harness.studies.parsers import gamma_parser
from harness.types import Dataset
from harness.words.critical_objects import GammaQuality, choose_gamma, words_to_look_up
from harness.words.vectors import WordVectors, load_vectors

GAMMAS = tuple(round(0.2 + 0.05 * i, 2) for i in range(13))
HEADS = ('γ', 'guessed objects', 'objects: precision', 'recall', 'F1', 'categories: precision', 'recall', 'F1')
COLUMNS = ('dataset', 'split', 'gamma', 'guessed_objects', 'object_precision', 'object_recall', 'object_f1',
           'category_precision', 'category_recall', 'category_f1')
MEANING = (
    'Objects: the guessed contextual objects against those that the sentence speaks of; other objects of the '
    'referent\'s category count as guessed where it is named, for every γ. Categories: those above γ against those of '
    'the referent and the contextual objects; γ is chosen by them on train. All in percent.')


class SplitQuality(NamedTuple):
    """The quality of each γ, in ascending order, on one split with its numbers of expressions and objects."""

    dataset: str
    split: str
    expressions: int
    objects: int
    qualities: Sequence[GammaQuality]


def main(argv: Sequence[str]) -> int:
    """Write ``gamma.csv`` and ``gamma.md``, and print."""
    args = gamma_parser().parse_args(argv)
    check_shared(args)
    wanted = pick('--dataset', args.dataset or [DEFAULT], names(DATASETS), ())
    splits = list(dict.fromkeys(split.strip() for given in args.split or ['val'] for split in given.split(',')))
    parts = [part(name, split, args.data_root, args.limit) for name in wanted for split in splits]
    vectors = _vectors(args.vectors, parts)
    with new_folder(args.out or named_by_time('study-gamma-')) as out:
        found = [SplitQuality(data.name, split, len(data.expressions), spoken_of(data),
                       sorted(choose_gamma(data, vectors, split, GAMMAS), key=lambda q: q.gamma))
                 for data, split in parts]
        text = as_markdown(found, vectors)
        write_text(out / 'gamma.csv', as_csv(found))
        write_text(out / 'gamma.md', text)
    print(f'{text}\n{out / "gamma.csv"}')
    return 0


def part(name: str, split: str, root: Path | None, limit: int | None) -> tuple[Dataset, str]:
    """A dataset's split, cut to ``limit`` expressions.

    Raises:
        InputError: the dataset has no such split.
    """
    data = load_embedded(name, 'train') if split == 'train' and name in EMBEDDED else DATASETS.get(name)(root)
    if split not in data.splits:
        raise InputError(f'--split {split}: {name} has no such split; known are {", ".join(data.splits)}')
    return replace(data, expressions=data.split(split)[:limit]), split


def _vectors(path: Path | None, parts: Iterable[tuple[Dataset, str]]) -> WordVectors:
    if path is None:
        return load_vectors()
    words = (words_to_look_up(data.expressions, data.categories) for data, _ in parts)
    return load_vectors(path, set().union(*words))


def spoken_of(data: Dataset) -> int:
    """How many contextual objects the expressions mention; an object counts once per expression."""
    there = {a.ann_id for members in (data.annotations or {}).values() for a in members}
    return sum(len(there & set((e.truth or {}).get('context_ann_ids', ()))) for e in data.expressions)


def _guessed(quality: GammaQuality, objects: int) -> int:
    return round(quality.context_recall * objects / quality.context_precision) if quality.context_precision else 0


def _percent(quality: GammaQuality) -> list[float]:
    """Precision, recall and F1 of objects, then of categories."""
    precision, recall = quality.context_precision, quality.context_recall
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return [100 * value for value in (precision, recall, f1, quality.precision, quality.recall, quality.f1)]


def as_markdown(found: Sequence[SplitQuality], vectors: WordVectors) -> str:
    """Markdown: one table per dataset and split, one line per γ; the γ of the vectors is bold."""
    tables = []
    for name, split, expressions, objects, qualities in found:
        rows = [[f'**{q.gamma:.2f}**' if q.gamma == vectors.gamma else f'{q.gamma:.2f}', str(_guessed(q, objects)),
                 *(f'{value:.2f}' for value in _percent(q))] for q in qualities]
        table = tabulate(rows, HEADS, 'github', disable_numparse=True, colalign=('right',) * len(HEADS))
        tables.append(f'**{name} {split}: {expressions} expressions speak of {objects} contextual objects; '
                      f'{vectors.name}**\n\n{table}')
    return '\n\n'.join([*tables, MEANING]) + '\n'


def as_csv(found: Sequence[SplitQuality]) -> str:
    """The same numbers, unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    writer.writerows([one.dataset, one.split, q.gamma, _guessed(q, one.objects), *_percent(q)]
                     for one in found for q in one.qualities)
    return text.getvalue()
