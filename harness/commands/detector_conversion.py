"""A checkpoint of any two-stage mmdet detector becomes a weight file: ``convert --as detector --config NAME``.

Model-zoo files and what mmengine's own Runner saves are read by :mod:`harness.files.torch_file`, which runs nothing of
them. The config is Python and is run as such, once, here; the file that is written describes the network in JSON.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmdet
from mmengine.config import Config

from harness.data.coco_categories import COCO_CLASSES
from harness.detection.detector import build_network
from harness.detection.model_config import config_of, described
from harness.detection.two_stage_parts import last_stage
from harness.errors import InputError, shown
from harness.files.weights import check_network
from harness.names import nearest

#: Before the name of one of mmdet's own configs.
OF_MMDET = 'mmdet::'


def read_config(name: str) -> Config:
    """The config of that name in the installed mmdet (``mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py``), or of the
    user's own file.

    Raises:
        InputError: there is none, or it cannot be run.
    """
    path = _of_mmdet(name.removeprefix(OF_MMDET)) if name.startswith(OF_MMDET) else Path(name)
    if not path.is_file():
        raise InputError(f"--config {name}: there is no such file; give one, or the name of one of mmdet's own after "
                         f'{OF_MMDET}')
    try:
        config = Config.fromfile(path)
    except Exception as error:  # whatever the code of a config may raise
        what = ' '.join(str(error).split())[:200]
        raise InputError(f'--config {name}: cannot be run ({type(error).__name__}: {what}); fix the config') from None
    if not isinstance(config.get('model'), dict):
        raise InputError(f'--config {name}: has no model; give the config of a detector')
    return config


def _of_mmdet(name: str) -> Path:
    """The file of one of the installed mmdet's configs, which stays among them."""
    root = Path(mmdet.__file__).parent / '.mim' / 'configs'
    path = (root / name).resolve()
    if root.resolve() in path.parents and path.is_file():
        return path
    known = [str(file.relative_to(root)) for file in root.rglob('*.py')]
    raise InputError(f'--config {OF_MMDET}{name}: the installed mmdet has no such config{nearest(name, known)}')


def describe_detector(tensors: Mapping[str, Any], loaded: Any, path: Path, config: str,
                      classes: Sequence[str] | None) -> dict[str, Any]:
    """The metadata of a detector's file.

    Args:
        tensors: of the checkpoint, by name.
        loaded: all of the checkpoint.
        path: its file, for messages.
        config: see :func:`read_config`.
        classes: names in the order of the network's classes; ``None``: as the checkpoint says, else COCO's.

    Raises:
        InputError: the config describes no two-stage detector, the checkpoint is of another config, or it is not known
            what its classes are called.
    """
    description = described(read_config(config), f'--config {config}')
    fix = f'give the config that the checkpoint was trained with, not {config}'
    network: Any = check_network(lambda: build_network(config_of(description)), tensors, path, fix, fix)
    count = last_stage(network.roi_head.bbox_head).num_classes
    names = list(classes or _classes_of(loaded) or (COCO_CLASSES if count == len(COCO_CLASSES) else ()))
    if len(names) != count:
        has = f'{len(names)} names are given' if names else 'the checkpoint does not say what they are called'
        raise InputError(f'{path}: its network has {count} classes, but {has}; give --classes FILE, one name per line')
    return {'kind': 'detector', **description, 'classes': names}


def _classes_of(loaded: Any) -> tuple[str, ...]:
    """The class names in a checkpoint's ``meta``: of mmengine's Runner, or of mmdet 2."""
    meta = loaded.get('meta') if type(loaded) is dict else None
    if type(meta) is not dict:
        return ()
    dataset = meta.get('dataset_meta')
    dataset = dataset if type(dataset) is dict else {}
    names = dataset.get('classes') or dataset.get('CLASSES') or meta.get('CLASSES') or ()
    return tuple(names) if type(names) in (list, tuple) and all(type(name) is str for name in names) else ()


def read_classes(path: Path) -> list[str]:
    """The names in a file, one per line.

    Raises:
        InputError: it cannot be read, or a line has no name.
    """
    try:
        names = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'--classes {path}: cannot be read ({error}); give a text file, one name per line') from None
    for number, name in enumerate(names, start=1):
        if not name.strip() or not name.isprintable():
            raise InputError(f'--classes {path}: line {number}: {shown(name)} is no name; give one name per line')
    return names

