"""What the names in a file of data mean: COCO's image id, a dataset and a split."""
from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from harness.data.rehearsal_mark import PREFIX

_COCO = re.compile(r'(?:COCO_(?:train|val)20\d\d_)?0*(\d{1,18})(?:_\d+)?')
#: In this order, since the name of one begins as that of another. Who made the splits, as in ``refs(unc).p``, says
#: nothing of the dataset.
_DATASETS = (('grefcoco', r'grefcoco|grefs'), ('refcoco+', r'refcoco(\+|[_-]?plus|p(?![a-z]))|unc(\+|[_-]?plus)'),
             ('refcocog', r'refcocog|gref'), ('refcoco', r'refcoco(?![a-z])|(?<![a-z(])unc(?![a-z+])'))
#: What stands before the name of a published dataset where another one is laid out as it is.
_OTHERS = ('mini-', PREFIX)
SPLITS = {'train': 'train', 'val': 'val', 'validation': 'val', 'testa': 'testA', 'testb': 'testB', 'test': 'test'}
_WORDS = re.compile(r'[a-zA-Z]+')
_SUFFIX = re.compile(r'(?:COCO_\w+?_)?\d{12}_(\d{1,15})')
#: How one of several files with the rows of one split is numbered, and folders that say nothing of what is in them.
_SHARD = re.compile(r'-\d{5}-of-\d{5}$|^\d{4,6}$')
_LAYOUT = re.compile(r'data|default|plain_text|snapshots|[0-9a-f]{40}|partial-.*')


def bare_name(image: str) -> str:
    """The name of an image's file, without its folders and without the number that REFER and MiniGPT append.

    >>> bare_name('train2014/COCO_train2014_000000581857_16.jpg')
    'COCO_train2014_000000581857.jpg'
    """
    name = PurePosixPath(image.replace('\\', '/')).name
    return re.sub(r'^(COCO_\w+?_\d{12})_\d+', r'\1', name)


def image_id_of(image: str | int) -> int | None:
    """COCO's id of an image, by its name; ``None`` where the name has none.

    >>> image_id_of('train2014/COCO_train2014_000000581857_16.jpg'), image_id_of('000000309.jpg'), image_id_of('a.jpg')
    (581857, 309, None)
    """
    if isinstance(image, int):
        return image
    match = _COCO.fullmatch(PurePosixPath(bare_name(image)).stem)
    return int(match[1]) if match else None


def suffix_of(image: str) -> int | None:
    """The number behind COCO's id in an image's name: the ann_id in RefCOCOg, another in RefCOCO and RefCOCO+.

    >>> suffix_of('COCO_train2014_000000581857_16.jpg'), suffix_of('COCO_train2014_000000581857.jpg')
    (16, None)
    """
    match = _SUFFIX.fullmatch(PurePosixPath(image.replace('\\', '/')).stem)
    return int(match[1]) if match else None


def unnumbered(path: Path) -> Path:
    """A file without its endings and its number among several that have the rows of one split.

    >>> [str(unnumbered(Path(name))) for name in ('data/val-00000-of-00002.parquet', 'default/test/0001.parquet')]
    ['data/val', 'default/test']
    """
    stem = _SHARD.sub('', path.name.split('.')[0])
    return path.parent / stem if stem else path.parent


def telling_folder(path: Path) -> str:
    """The name of the nearest folder around a file that says more than which part of a data set is in it.

    >>> telling_folder(Path('refcocop/data/val.json')), telling_folder(Path('refcocog/default/test/0000.parquet'))
    ('refcocop', 'refcocog')
    """
    return next((folder.name for folder in path.parents
                 if not _LAYOUT.fullmatch(folder.name) and folder.name.lower() not in SPLITS), '')


def dataset_in(text: str) -> str | None:
    """The dataset that a name means; REFER's ``refs(unc).p`` says who made the splits, and no dataset.

    >>> [dataset_in(name) for name in ('finetune_refcoco+_val', 'RefCOCOplus', 'refcocop', 'gref_umd', 'unc', 'mine')]
    ['refcoco+', 'refcoco+', 'refcoco+', 'refcocog', 'refcoco', None]
    >>> dataset_in('mini-refcoco_val'), dataset_in('grefs(unc)'), dataset_in('refs(unc)')
    ('mini-refcoco', 'grefcoco', None)
    """
    for name, pattern in _DATASETS:
        if (match := re.search(pattern, text.lower())) is not None:
            before = text.lower()[:match.start()]
            return next((other for other in _OTHERS if before.endswith(other)), '') + name
    return None


def split_in(text: str) -> str | None:
    """The split that a name means, by its last word that is one.

    >>> split_in('REC_refcoco_unc_testA'), split_in('validation-00000-of-00002'), split_in('all')
    ('testA', 'val', None)
    """
    found = [SPLITS[word.lower()] for word in _WORDS.findall(text) if word.lower() in SPLITS]
    return found[-1] if found else None


def without_split(text: str) -> str:
    """A name without the split at its end.

    >>> without_split('mine_testA'), without_split('mine')
    ('mine', 'mine')
    """
    name, _, last = text.rpartition('_')
    return name if name and last.lower() in SPLITS else text
