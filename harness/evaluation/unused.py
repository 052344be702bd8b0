"""What somebody asks for counts, or is refused: an option without any effect on a run is a misunderstanding."""
from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.errors import InputError
from harness.evaluation.settings import CRITICAL_OBJECTS
from harness.names import nearest

#: What ``convert --as`` calls some networks, and under which name a run takes their weights.
CONVERTED = {'ref-nms': 'ref-nms-b', 'mask-rcnn': 'detector'}


#: When the options that are not names have an effect.
EFFECTS = {
    '--vectors': 'word vectors tell contextual objects, for recall where other objects are annotated, and classes for '
                 'the rule category-name',
    '--features': 'stored features are for rules or grounders that look at images',
    '--images': 'this file of expressions is read without images',
    '--data-root': 'it is where real datasets are, and none is evaluated',
    '--detector': 'no image is looked at',
    '--device': 'no network runs',
    '--store': 'no image is detected on',
    '--masks': 'they are for RES of a grounder\'s choice among --detections',
}


def refuse_unused(weights: Collection[str], taken: Collection[str], settings: Collection[str],
                  plugins: Collection[str], others: Mapping[str, tuple[object, bool]]) -> None:
    """Hold what was asked for against what a run makes use of, once all is loaded.

    Args:
        weights: names of ``--weights``.
        taken: names under which the run took weights.
        settings: names of ``--set``.
        plugins: the run's rules and grounders, and ``critical-objects`` where it looks for them.
        others: by option of :data:`EFFECTS`: what was given, ``None`` for nothing, and whether it has an effect.

    Raises:
        InputError: the first that has none, with the nearest name that has one.
    """
    for name in weights:
        if name in taken:
            continue
        if CONVERTED.get(name) in taken:
            raise InputError(f'--weights {name}: is what convert calls it; write --weights {CONVERTED[name]}=FILE')
        raise InputError(f'--weights {name}: nothing in this run takes weights of that name{nearest(name, taken)}; '
                         f'it takes {", ".join(sorted(taken)) or "none at all"}')
    for name in settings:
        if name not in plugins:
            what = 'no contextual objects are looked for' if name == CRITICAL_OBJECTS else f'{name} has no part'
            raise InputError(f'--set {name}.…: {what} in this run{nearest(name, plugins)}; leave it out')
    for option, (given, has_effect) in others.items():
        if given is not None and not has_effect:
            raise InputError(f'{option}: has no effect on this run: {EFFECTS[option]}; leave it out')
