"""Refusing options that have no effect on a run, since whoever gave them expected one."""
from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.errors import InputError
from harness.evaluation.settings import CRITICAL_OBJECTS
from harness.names import nearest

#: Networks by their names for ``convert --as``, where a run takes their weights under another name.
CONVERTED = {'ref-nms': 'ref-nms-b', 'mask-rcnn': 'detector'}


#: Why an option can have no effect on a run.
EFFECTS = {
    '--vectors': 'word vectors are used for recall of contextual objects, if other objects are annotated, and by the '
                 'rule category-name',
    '--features': 'stored features are used by rules and grounders that look at images, and none does',
    '--images': 'this file of expressions is used without images',
    '--data-root': 'it holds real datasets, and none is evaluated',
    '--detector': 'no detector runs',
    '--precision': 'no network detects',
    '--device': 'no network runs',
    '--store': 'no image is detected on',
    '--masks': 'they are used for RES of a grounder that chooses among --detections',
}


def refuse_unused(weights: Collection[str], taken: Collection[str], settings: Collection[str],
                  plugins: Collection[str], others: Mapping[str, tuple[object, bool]]) -> None:
    """Refuse what has no effect on a run, once everything is loaded.

    Args:
        weights: the names given by ``--weights``.
        taken: the names under which the run took weights.
        settings: the names given by ``--set``.
        plugins: the rules and grounders of the run, and ``critical-objects`` if it looks for contextual objects.
        others: for options of :data:`EFFECTS`, the value given (``None`` for none) and whether it has an effect.

    Raises:
        InputError: the first option without effect, with the nearest name that has one.
    """
    for name in weights:
        if name in taken:
            continue
        if CONVERTED.get(name) in taken:
            raise InputError(f'--weights {name}: is a name for convert only; write --weights {CONVERTED[name]}=FILE')
        raise InputError(f'--weights {name}: nothing in this run takes weights of that name{nearest(name, taken)}; '
                         f'it takes {", ".join(sorted(taken)) or "none at all"}')
    for name in settings:
        if name not in plugins:
            what = 'looks for no contextual objects' if name == CRITICAL_OBJECTS else f'does not use {name}'
            raise InputError(f'--set {name}.…: this run {what}{nearest(name, plugins)}; leave it out')
    for option, (given, has_effect) in others.items():
        if given is not None and not has_effect:
            raise InputError(f'{option}: has no effect on this run: {EFFECTS[option]}; leave it out')
