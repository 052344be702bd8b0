"""Where plug-ins are found by name.

A plug-in is a class in a file of its own that registers itself under the name users type::

    from harness.plugins import Rule
    from harness.registry import PROPOSAL_RULES

    @PROPOSAL_RULES.register_module(name='greedy')
    class Greedy(Rule):
        ...

Importing the file is all it takes: ``--proposals greedy`` then finds it, ``--list`` prints it with the first line of
its docstring, and no other file is edited. The registries are mmengine's; ``locations`` are imported at the first
look-up, so the command line need not know any plug-in.

What each registry holds:

``DATASETS``        functions ``load(root) -> Dataset``
``PROPOSAL_RULES``  classes that derive from :class:`harness.plugins.Rule`
``GROUNDERS``       from :class:`harness.plugins.Grounder`
``METRICS``         from :class:`harness.plugins.Metric`
``DETECTORS``       from :class:`harness.plugins.Detector`

These base classes say what is asked of each, and a class is held against its base when it registers.
"""
from __future__ import annotations

from typing import Any

from mmengine.registry import Registry

from harness.errors import InputError
from harness.plugins import Detector, Grounder, Metric, Rule, conforming


class PluginRegistry(Registry):
    """Plug-ins of one kind under names that can be printed, classes among them held against the base of that kind.

    Args:
        kind: in messages.
        base: the base class; ``None`` where plug-ins are functions.
        locations: modules that register plug-ins, imported at the first look-up.
    """

    def __init__(self, kind: str, base: type | None, locations: list[str]) -> None:
        super().__init__(kind, locations=locations)
        self.base = base

    def _register_module(self, module: Any, module_name: str | list[str] | None = None, force: bool = False) -> None:
        name = module_name if isinstance(module_name, str) else module.__name__
        if not name.isprintable():
            raise InputError(f'registers {name!r}, a name that cannot be printed; choose another')
        if self.base is not None and (force or name not in self.module_dict):  # mmengine refuses one that is taken
            module = conforming(self.base, module, name)
            module.name = name
        super()._register_module(module, name, force)


DATASETS = PluginRegistry('dataset', None, ['harness.data.known', 'harness.embedded.known'])
PROPOSAL_RULES = PluginRegistry('proposal rule', Rule, ['harness.proposals'])
GROUNDERS = PluginRegistry('grounder', Grounder, ['harness.evaluation.controls', 'adapters.registered'])
METRICS = PluginRegistry('metric', Metric, ['harness.metrics'])
DETECTORS = PluginRegistry('detector', Detector, ['harness.detection.detector'])


def names(registry: Any) -> list[str]:
    """Registered names, in order of registration."""
    registry.import_from_location()
    return list(registry.module_dict)
