"""Where plug-ins are found by name.

A plug-in is a class in a file of its own that registers itself under the name users type::

    from harness.plugins import Rule
    from harness.registry import PROPOSAL_RULES

    @PROPOSAL_RULES.register_module(name='greedy')
    class Greedy(Rule):
        ...

That is all it takes: ``--proposals greedy`` then finds it, ``--list`` prints it with the first line of its docstring,
and no other file is edited. A file in one of the ``locations`` of a registry is read for the names that it registers
(:mod:`harness.plugin_files`) and imported when one of them is asked for: names are known at once, and a run loads the
plug-ins that it uses. A file of one's own registers when it is imported (``--import``).

The registries are not mmengine's, which would import all plug-ins to know their names. They are used alike
(``register_module``, ``get``), and what mmdet's configs ask for by name is registered with mmdet itself
(:mod:`harness.mmdet_plugin`).

What each registry holds:

``DATASETS``        functions ``load(root) -> Dataset``
``PROPOSAL_RULES``  classes that derive from :class:`harness.plugins.Rule`
``GROUNDERS``       from :class:`harness.plugins.Grounder`
``METRICS``         from :class:`harness.plugins.Metric`
``DETECTORS``       from :class:`harness.plugins.Detector`
``DATA_FORMS``      from :class:`harness.plugins.DataForm`
``ANSWER_FORMS``    from :class:`harness.plugins.AnswerForm`
``FORM_WRITERS``    from :class:`harness.plugins.FormWriter`

These base classes say what is asked of each, and a class is held against its base when it registers.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

from harness.errors import InputError
from harness.plugin_files import Listed, listed
from harness.plugins import AnswerForm, DataForm, Detector, FormWriter, Grounder, Metric, Rule, conforming


class PluginRegistry:
    """Plug-ins of one kind under names that can be printed, classes among them held against the base of that kind.

    Args:
        variable: what the registry is called where plug-ins register.
        base: the base class; ``None`` where plug-ins are functions.
        locations: modules that register plug-ins, or packages of such modules.

    Attributes:
        module_dict: what has been registered so far, by name.
    """

    def __init__(self, variable: str, base: type | None, locations: list[str]) -> None:
        self.variable, self.base, self.locations = variable, base, locations
        self.module_dict: dict[str, Any] = {}

    @cached_property
    def listed(self) -> dict[str, Listed]:
        """The plug-ins of the locations, imported or not."""
        return listed(self.variable, self.locations)

    def register_module(self, name: str | None = None) -> Callable[[Any], Any]:
        """A decorator that registers a class or function, by default under its own name."""
        def register(plugin: Any) -> Any:
            self._register(plugin, plugin.__name__ if name is None else name)
            return plugin
        return register

    def _register(self, plugin: Any, name: str) -> None:
        """
        Raises:
            InputError: the name is taken or cannot be printed, or the class does not keep to its base.
        """
        if not name.isprintable():
            raise InputError(f'registers {name!r}, a name that cannot be printed; choose another')
        taken_by = self.module_dict[name] if name in self.module_dict else self._listed_elsewhere(name, plugin)
        if taken_by is not None:
            raise InputError(f'{name} is already registered in {self.variable}, by '
                             f'{getattr(taken_by, "__module__", taken_by)}; choose another name')
        if self.base is not None:
            plugin = conforming(self.base, plugin, name)
            plugin.name = name
        self.module_dict[name] = plugin

    def _listed_elsewhere(self, name: str, plugin: Any) -> str | None:
        """The module of the locations, other than the plug-in's own, that registers a name."""
        if plugin.__module__ in {one.module for one in self.listed.values()} or name not in self.listed:
            return None
        return self.listed[name].module

    def get(self, name: str) -> Any:
        """A plug-in; the file that registers it is imported if need be.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self.module_dict and name in self.listed:
            importlib.import_module(self.listed[name].module)
        return self.module_dict[name]

    def import_from_location(self) -> None:
        """Import every plug-in of the locations."""
        for name in self.listed:
            self.get(name)

    def summary(self, name: str) -> str:
        """First line of a plug-in's docstring."""
        if name not in self.module_dict:
            return self.listed[name].summary
        return (self.module_dict[name].__doc__ or '').strip().split('\n')[0]

    def attribute(self, name: str, attribute: str) -> Any:
        """An attribute of a plug-in's class, without importing it: what its own file sets, or else the base's."""
        if name in self.module_dict:
            return getattr(self.module_dict[name], attribute)
        return self.listed[name].attributes.get(attribute, getattr(self.base, attribute))


DATASETS = PluginRegistry('DATASETS', None, ['harness.data.known', 'harness.embedded.known'])
PROPOSAL_RULES = PluginRegistry('PROPOSAL_RULES', Rule, ['harness.proposals', 'adapters.clip'])
GROUNDERS = PluginRegistry('GROUNDERS', Grounder, ['harness.evaluation.controls', 'adapters.modular',
                                                   'adapters.nmtree', 'adapters.clip'])
METRICS = PluginRegistry('METRICS', Metric, ['harness.metrics'])
DATA_FORMS = PluginRegistry('DATA_FORMS', DataForm, ['harness.data.forms'])
FORM_WRITERS = PluginRegistry('FORM_WRITERS', FormWriter, ['harness.data.writers'])
DETECTORS = PluginRegistry('DETECTORS', Detector, ['harness.detection.detector', 'harness.detection.two_stage'])
ANSWER_FORMS = PluginRegistry('ANSWER_FORMS', AnswerForm, ['harness.answers.forms'])


def names(registry: PluginRegistry) -> list[str]:
    """Names of all plug-ins, those of the locations first."""
    return list(dict.fromkeys([*registry.listed, *registry.module_dict]))
