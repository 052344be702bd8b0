"""One part, whichever command asks for it: the options of its training, and the training on one dataset.

A finished part is not trained again.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import InputError
from harness.names import nearest
from harness.registry import GROUNDERS

#: Trainings of Ref-NMS: the loss, and the text that they read.
REF_NMS = {'ref-nms-b': ('binary', 'read'), 'ref-nms-r': ('ranking', 'read'), 'ref-nms-blind': ('binary', 'blind')}


def options_of(part: str, recipe: str | None, default: str, settings: Sequence[str]) -> Any:
    """The options of a part's training; ``None`` of a grounder whose recipe has none.

    Args:
        part: its name.
        recipe: the name of the recipe; ``None``: the ``default``.
        default: the recipe where none is named.
        settings: what differs from it, ``OPTION=VALUE``.

    Raises:
        InputError: the recipe or an option is unknown, or a value is wrong or has no effect.
    """
    if part in REF_NMS:
        from harness.training.ref_nms.options import RECIPES, refuse_without_effect, with_settings
        loss, text = REF_NMS[part]
        options = with_settings(_recipe(part, recipe or default, RECIPES)[loss].changed(text=text), settings)
        if (options.loss, options.text) != (loss, text):
            raise InputError(f'--set: {part} is trained by the {loss} loss with text={text}; name another part, one of '
                             f'{", ".join(REF_NMS)}')
        refuse_without_effect(settings, options)
        return options
    from harness.training import settings as of_recipes
    plugin = GROUNDERS.get(part)
    if not plugin.recipes:
        if settings or recipe:
            raise InputError(f'train {part}: its recipe has no options; leave --recipe and --set out')
        return None
    options = of_recipes.with_settings(_recipe(part, recipe or default, plugin.recipes), settings)
    of_recipes.refuse_without_effect(settings, options)
    return options


def _recipe(part: str, name: str, recipes: Mapping[str, Any]) -> Any:
    if name not in recipes:
        raise InputError(f'--recipe {name}: {part} has no such recipe{nearest(name, recipes)}; its recipes are '
                         f'{", ".join(recipes)}')
    return recipes[name]


def train_part(request: Any, options: Any, dry: bool, command: str) -> None:
    """Train one part on one dataset, or print what that would take."""
    training: Any
    estimate: Any
    if request.part in REF_NMS:
        from harness.commands import ref_nms_training as training
        from harness.training.ref_nms import dry_run as estimate
    else:
        from harness.commands import grounder_dry_run as estimate
        from harness.commands import grounder_training as training
    job, detector = training.prepared(request, options, dry)
    if dry:
        found = estimate.dry_run(job, detector)
        print(found.table)
        if found.refusal:
            raise InputError(found.refusal)
        return
    from harness.training.finished import finish, is_finished
    from harness.training.runner import console, is_main_process
    record = training.record_of(job)
    if is_finished(request.out, request.work, record):
        console.print(f'{request.part}: finished before, {request.out}')
        return
    start = time.monotonic()
    training.train(job, detector, command)
    if is_main_process():
        seconds = time.monotonic() - start
        finish(request.out, request.work, record, seconds)
        console.print(f'{request.part}: {request.out}, {request.out.stat().st_size / 1e6:.1f} MB, '
                      f'{seconds / 60:.1f} min')
