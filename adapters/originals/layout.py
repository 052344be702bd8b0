"""Where the originals keep their files, under the root of each repository, and how they name them.

Sources: ``tools/eval_dets.py`` and ``tools/prepro.py`` of lichengunc/MAttNet; ``tools/eval_ref.py`` and
``tools/eval_ref_masks.py`` of ChopinSharp/CM-Erase-REG; ``README.md``, ``data/README.md`` and
``tools/save_matt_dets.py`` of ChopinSharp/ref-nms; ``data/README.md``, ``tools/eval_det.py`` and
``utils/eval_utils.py`` of daqingliu/NMTree.
"""
from __future__ import annotations

from harness.data.counts import SPLIT_BY as PUBLISHED
from harness.data.embedded_names import SPLIT_BY as EMBEDDED

#: Who made the splits of each dataset.
SPLIT_BY = {**PUBLISHED, **EMBEDDED}
#: The evaluated splits in the originals' order (``utils/constants.py`` of ChopinSharp/ref-nms), the training one first.
SPLITS = ('train', 'val', 'testA', 'testB', 'test')
#: Network, training set and tag of the originals' detector, as their file names have it.
DETECTOR = 'res101_coco_minus_refer_notime'


def dataset_splitby(name: str) -> str:
    """``refcoco_unc`` for ``refcoco``; a dataset of the user's own is ``<name>_own``."""
    return f'{name}_{SPLIT_BY.get(name, "own")}'


def matt_dets(m: str, tid: str, name: str) -> str:
    """A file of detections by sentence; the 0 says that a threshold chose them, not a number."""
    return f'matt_dets_{m}_{tid}_{dataset_splitby(name)}_0.json'


def proposals(m: str, tid: str, name: str, ending: str) -> str:
    """The file of Ref-NMS's proposals; ``ending`` is ``pkl``, as in the original, or ``json``."""
    return f'proposals_{m}_{name}_{tid}.{ending}'


def ctxdb(name: str) -> str:
    """The file of contextual objects."""
    return f'std_ctxdb_{dataset_splitby(name)}.json'


def results(m: str, tid: str, split: str) -> str:
    """The results that ``eval_ref`` saves for one split."""
    return f'{m}_{tid}_{split}.json'
