"""Importing this module registers the grounders of the adapters: it imports every module of their packages."""
from __future__ import annotations

import importlib
import pkgutil

import adapters.modular
import adapters.nmtree

for _package in (adapters.modular, adapters.nmtree):
    for _module in pkgutil.iter_modules(_package.__path__):
        importlib.import_module(f'{_package.__name__}.{_module.name}')
