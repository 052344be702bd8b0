"""The description of an mmdet network inside a weight file: plain JSON, of which nothing is ever executed.

A config of mmdet is Python, and its parts are named by strings that a registry looks up. mmengine's registries import
what they do not know by its dotted name, and parts read files that they are told of. So a description is held
against what mmdet has registered before anything is built of it: every ``type`` is the plain name of a part, and no
text in it is a path or an address.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS

from harness.errors import InputError, shown
from harness.names import nearest

#: Parts of a config that training alone needs, that name weights to begin with, or a package to look parts up in.
LEFT_OUT = frozenset({'init_cfg', 'pretrained', 'train_cfg', '_scope_'})
#: The steps of a test pipeline between reading and packing that a description may have.
STEPS = frozenset({'Resize', 'FixScaleResize', 'Pad'})
#: Parts that mmcv finds by name without a registry; it evaluates the names of the suppressions.
_OF_MMCV = frozenset({'RoIAlign', 'RoIPool', 'nms', 'soft_nms'})
_MOST_PARTS = 20_000
_DEEPEST = 40
#: No width, number of classes, or size of an image in a config is larger.
_LARGEST = 100_000


def described(config: Mapping[str, Any], where: str = 'the config') -> dict[str, Any]:
    """The ``model`` and ``pipeline`` of a resolved mmdet config, as JSON; ``where`` names it in messages.

    Raises:
        InputError: it is no two-stage detector, or has a step that changes images in an unknown way.
    """
    model = _plain(config['model'])
    tested = config.get('test_dataloader') or {}
    pipeline = tested.get('dataset', {}).get('pipeline') or config.get('test_pipeline') or ()
    steps = [_plain(step) for step in pipeline
             if not str(step['type']).rpartition('.')[2].startswith(('Load', 'PackDetInputs'))]
    description = {'model': model, 'pipeline': steps}
    check_description(description, where)
    return description


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if key not in LEFT_OUT}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def check_description(description: Mapping[str, Any], where: str) -> None:
    """Refuse what does not describe a two-stage network made of mmdet's own parts.

    Args:
        description: ``model`` and ``pipeline``.
        where: the file or config, for messages.

    Raises:
        InputError: names the first part that is not allowed.
    """
    model, pipeline = description.get('model'), description.get('pipeline')
    if not isinstance(model, dict) or not isinstance(pipeline, list):
        raise InputError(f'{where}: describes no mmdet network; give a file that "convert --as detector" wrote')
    registries = (MODELS, TASK_UTILS, ROOT_MODELS, ROOT_TASK_UTILS)
    known = _OF_MMCV.union(*(registry.module_dict for registry in registries))
    for number, (key, value) in enumerate(_walk(model)):
        if number > _MOST_PARTS:
            raise InputError(f'{where}: its network has more parts than any; give another file')
        _check_value(key, value, known, where)
    cls = MODELS.module_dict.get(str(model.get('type')).rpartition('.')[2])
    if cls is None or not issubclass(cls, TwoStageDetector) or not model.get('roi_head') or not model.get('rpn_head'):
        raise InputError(f'{where}: {shown(str(model.get("type")))} is not a two-stage detector with regions of its '
                         'own, which Ref-NMS needs; give a Faster, Mask or Cascade R-CNN')
    for step in pipeline:
        if not isinstance(step, dict) or str(step.get('type')).rpartition('.')[2] not in STEPS:
            what = step.get('type') if isinstance(step, dict) else step
            raise InputError(f'{where}: its test pipeline has {shown(str(what))}, but only {", ".join(sorted(STEPS))} '
                             'are understood; take a config that resizes in one of these ways')
        for key, value in _walk(step):
            _check_value(key, value, STEPS, where)


def _check_value(key: str, value: Any, known: frozenset[str], where: str) -> None:
    if key in LEFT_OUT:
        raise InputError(f'{where}: its network has {key}, which a detector\'s file leaves out; convert the checkpoint '
                         'again')
    if key == 'type' and not isinstance(value, str):
        raise InputError(f'{where}: its network has a type that is not the name of a part; convert the checkpoint '
                         'again')
    if isinstance(value, str):
        if key == 'type' and value.removeprefix('mmdet.') not in known:
            raise InputError(f'{where}: mmdet has no part called {shown(value)}{nearest(value, sorted(known))}; '
                             'install the mmdet that the config was made for')
        if not value.isprintable() or any(sign in value for sign in '/\\:'):
            raise InputError(f'{where}: its network has {key} {shown(value)}, a path or an address; '
                             'convert the checkpoint again')
    elif isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise InputError(f'{where}: its network has {key} {value}, larger than any; convert the checkpoint again')


def _walk(value: Any, key: str = '', depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with its value, inner ones too."""
    if depth > _DEEPEST:
        raise InputError('a description of a network is nested too deeply; convert the checkpoint again')
    yield key, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, str(name), depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _walk(inner, key, depth + 1)


def config_of(description: Mapping[str, Any]) -> Config:
    """The config that a checked description stands for: of a network that is not trained, from
    ``{'img': (H, W, 3) uint8 BGR}`` on."""
    steps = ({name: tuple(value) if isinstance(value, list) else value for name, value in step.items()}
             for step in description['pipeline'])
    packed = {'type': 'PackDetInputs', 'meta_keys': ('img_shape', 'ori_shape', 'scale_factor')}
    return Config({'model': {**description['model'], 'train_cfg': None},
                   'test_pipeline': [{'type': 'LoadImageFromNDArray'}, *steps, packed]})
