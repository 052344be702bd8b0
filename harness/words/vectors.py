"""Word vectors: GloVe's own text form, ``.npz`` pairs of words and vectors, and the shipped subset.

``python -m harness.words.vectors subset NPZ OUT --top 12000`` makes the shipped file from the 6B 100-d set.
"""
# ruff: noqa: E402
from __future__ import annotations

import json
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tokenize import TokenError

from harness.errors import InputError, exit_code, shown

if __name__ == '__main__':  # before what a Python without the packages cannot import
    sys.exit(exit_code(lambda: import_module('harness.words.vectors').main(), 'interrupted',
                       'check the path, its permissions and free space'))

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.files.archives import archive_fault
from harness.files.reading import require_regular
from harness.files.writing import replacing
from harness.names import OneLineParser, at_least
from harness.options import within

SHIPPED = Path(__file__).parents[1] / 'embedded' / 'weights' / 'glove-6b-100d.safetensors'
UNKNOWN = '<unk>'
PUBLISHED_GAMMA = {'glove.840B.300d': 0.4}  # Ref-NMS, "Implementation Details"


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A set of words with a vector each.

    Attributes:
        name: which set, for instance ``'glove.840B.300d'``; γ belongs to it.
        words: V words, each once.
        vectors: ``(V, D)`` float32.
        gamma: the similarity over which a noun names a COCO category with these vectors; ``None`` if not chosen yet.
    """

    name: str
    words: tuple[str, ...]
    vectors: Tensor
    gamma: float | None = None

    @cached_property
    def index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def rows(self, words: Iterable[str]) -> Tensor:
        """``(n, D)`` vectors of words that all have one (``KeyError`` otherwise)."""
        return self.vectors[torch.tensor([self.index[word] for word in words], dtype=torch.int64)]


class WordEmbedding:
    """A trained network's words: index 0 is ``<unk>`` with the zero vector and stands for all the others.

    Source: ref-nms ``tools/build_vocab.py`` and ``tools/build_refdb.py``.

    Args:
        words: V words, ``<unk>`` first.
        vectors: ``(V, D)``.
    """

    def __init__(self, words: Sequence[str], vectors: Tensor) -> None:
        self.words = tuple(words)
        self.vectors = vectors
        self._index = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], vectors: WordVectors, at_least: int = 2) -> WordEmbedding:
        """The sorted words that occur ``at_least`` times in the tokenised sentences and have a vector."""
        counts = Counter(word for tokens in sentences for word in tokens)
        words = sorted(word for word, n in counts.items() if n >= at_least and word in vectors.index)
        return cls([UNKNOWN, *words], torch.cat((torch.zeros(1, vectors.vectors.shape[1]), vectors.rows(words))))

    def ids(self, tokens: Sequence[str], longest: int | None = None) -> Tensor:
        """``(length,)`` int64; a wordless sentence is one ``<unk>``."""
        return torch.tensor([self._index.get(word, 0) for word in tokens[:longest]] or [0], dtype=torch.int64)

    def __call__(self, tokens: Sequence[str], longest: int | None = None) -> Tensor:
        """``(length, D)`` vectors of the sentence's words."""
        return self.vectors[self.ids(tokens, longest)]


def load_vectors(path: str | Path = SHIPPED, wanted: Collection[str] | None = None) -> WordVectors:
    """Read word vectors; the form is told by the file's ending.

    Args:
        path: ``.safetensors`` (the shipped form), ``.npz`` with ``words`` (V,) and ``vectors`` (V, D), or else GloVe's
            text: a word and D numbers a line, single spaces between. Text is read as a stream, so that of millions of
            words only the wanted ones are held.
        wanted: words to keep; ``None`` keeps all.

    Raises:
        InputError: the file is missing or is not what its ending says; for text, with the line.
    """
    path = Path(path)
    require_regular(path)
    if path.suffix != '.npz' and path.is_file() and (archive := archive_fault(path)) is not None:
        raise InputError(f'{path}: {archive}')
    read = {'.safetensors': _read_shipped, '.npz': _read_npz}.get(path.suffix, _read_text)
    try:
        with np.errstate(over='ignore'):  # it is infinite then, and refused
            found = read(path, wanted)
    except (OSError, zipfile.BadZipFile, SafetensorError, EOFError) as error:
        raise InputError(f'{path}: cannot read word vectors: {error}') from error
    if not bool(torch.isfinite(found.vectors).all()):
        raise InputError(f'{path}: some vectors have entries that are not finite numbers; get the file again')
    return found


def _read_text(path: Path, wanted: Collection[str] | None) -> WordVectors:
    rows: dict[str, np.ndarray] = {}
    dimensions = 0
    with open(path, 'rb') as lines:
        for number, line in enumerate(lines, 1):
            try:
                spelling, _, numbers = line.rstrip(b'\n').partition(b' ')
                dimensions = dimensions or numbers.count(b' ') + 1
                if not numbers or numbers.count(b' ') + 1 != dimensions:
                    raise ValueError(f'expected a word and {dimensions} numbers with single spaces between')
                word = spelling.decode()
                if (wanted is None or word in wanted) and word not in rows:
                    rows[word] = np.array(numbers.split(b' '), dtype=np.float32)
            except ValueError as error:
                raise InputError(f'{path}, line {number}: not GloVe text: {shown(str(error))}') from error
    if not dimensions:
        raise InputError(f'{path}: no word vectors in it; expected GloVe text, one word a line')
    vectors = np.stack(list(rows.values())) if rows else np.zeros((0, dimensions), np.float32)
    return WordVectors(path.stem, tuple(rows), torch.from_numpy(vectors), PUBLISHED_GAMMA.get(path.stem))


def _read_npz(path: Path, wanted: Collection[str] | None) -> WordVectors:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(archive.getinfo(f'{name}.npy').file_size for name in ('words', 'vectors'))
            if unpacked > (16 << 20) + 64 * path.stat().st_size:
                raise InputError(f'{path}: unpacks to {unpacked} bytes, far more than word vectors do; save it anew')
        with np.load(path, allow_pickle=False) as arrays:
            words, vectors = arrays['words'], arrays['vectors']
    except (KeyError, ValueError, TypeError, MemoryError, RuntimeError, NotImplementedError, zlib.error,
            struct.error, TokenError) as error:
        raise InputError(f'{path}: expected arrays "words" and "vectors" without pickled objects: '
                         f'{" ".join(str(error).split())[:200]}') from error
    if not (isinstance(words, np.ndarray) and isinstance(vectors, np.ndarray)):
        raise InputError(f'{path}: its "words" and "vectors" are no arrays; save them with numpy.savez')
    if words.dtype.kind != 'U' or words.ndim != 1 or vectors.dtype.kind != 'f' or vectors.ndim != 2 \
            or len(words) != len(vectors):
        raise InputError(f'{path}: expected text "words" (V,) and floating "vectors" (V, D), got '
                         f'{words.dtype} {words.shape} and {vectors.dtype} {vectors.shape}')
    return _checked(path, path.stem, words.tolist(), torch.from_numpy(vectors.astype(np.float32)), wanted)


def _read_shipped(path: Path, wanted: Collection[str] | None) -> WordVectors:
    with safe_open(path, framework='pt') as file:
        try:
            metadata = file.metadata() or {}
            words, vectors = json.loads(metadata['words']), file.get_tensor('vectors').float()
            if not isinstance(words, list) or vectors.dim() != 2 or len(words) != len(vectors):
                raise ValueError('words and vectors differ in number')
            if not all(isinstance(word, str) for word in words) or not metadata['name'].isprintable():
                raise ValueError('words, and the name of the set, are text')
            return _checked(path, metadata['name'], words, vectors, wanted, _cosine(metadata.get('gamma')))
        except (KeyError, ValueError, RecursionError) as error:
            raise InputError(f'{path}: not word vectors as `python -m harness.words.vectors subset` writes them: '
                             f'{shown(str(error))}') from error


def _cosine(gamma: str | None) -> float | None:
    if gamma is not None and not -1 <= float(gamma) <= 1:
        raise ValueError(f'gamma {gamma} is not between -1 and 1')
    return None if gamma is None else float(gamma)


def _checked(path: Path, name: str, words: list[str], vectors: Tensor, wanted: Collection[str] | None,
             gamma: float | None = None) -> WordVectors:
    if len(set(words)) != len(words):
        twice = Counter(words).most_common(1)[0][0]
        raise InputError(f'{path}: the word {shown(twice)!r} has more than one vector; keep one')
    if wanted is not None:
        chosen = [i for i, word in enumerate(words) if word in wanted]
        words, vectors = [words[i] for i in chosen], vectors[chosen]
    return WordVectors(name, tuple(words), vectors, gamma)


def save_vectors(path: str | Path, vectors: WordVectors, **metadata: str) -> None:
    """Write the shipped form: float16 vectors, words and the rest in the metadata; beside, then renamed."""
    path = Path(path)
    described = {'name': vectors.name, 'words': json.dumps(vectors.words, ensure_ascii=False), **metadata}
    if vectors.gamma is not None:
        described['gamma'] = str(vectors.gamma)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            save_file({'vectors': vectors.vectors.half().contiguous()}, beside, metadata=described)
    except (OSError, SafetensorError) as error:
        raise InputError(f'{path}: cannot write word vectors: {error}') from error


def main(arguments: Sequence[str] | None = None) -> int:
    parser = OneLineParser(prog='python -m harness.words.vectors', description=__doc__.splitlines()[0])
    subset = parser.add_subparsers(dest='command', required=True).add_parser(
        'subset', help='keep the most frequent words of a set whose words come most frequent first')
    subset.add_argument('source', metavar='NPZ', type=Path)
    subset.add_argument('out', metavar='OUT', type=Path)
    subset.add_argument('--top', type=at_least(1), default=12000, help='how many words (default: %(default)s)')
    subset.add_argument('--name', default='glove.6B.100d', help='name of the set (default: %(default)s)')
    subset.add_argument('--also', nargs='*', default=[], metavar='WORD', help='further words, however rare')
    subset.add_argument('--gamma', type=float, help='similarity over which a noun names a category, if known')
    options = parser.parse_args(arguments)
    within('--gamma', options.gamma, -1, 1)
    every = load_vectors(options.source)
    missing = [word for word in options.also if word not in every.index]
    if missing:
        raise InputError(f'{options.source}: has no vector for {", ".join(missing)}')
    words = tuple(dict.fromkeys([*every.words[:options.top], *options.also]))
    save_vectors(options.out, WordVectors(options.name, words, every.rows(words), options.gamma),
                 source='GloVe, Pennington, Socher and Manning 2014, Wikipedia 2014 + Gigaword 5, 6B tokens, 100 '
                        'dimensions, rounded to float16',
                 licence='Public Domain Dedication and License v1.0',
                 command=f'python -m harness.words.vectors subset {options.source.name} {options.out.name} '
                         f'--top {options.top} --name {options.name} --gamma {options.gamma} '
                         f'--also {" ".join(options.also)}')
    print(f'{options.out}: {len(words)} words')
    return 0
