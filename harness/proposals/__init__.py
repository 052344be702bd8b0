"""Proposal rules: they choose, per expression, proposals among the candidates of an image. One rule per file.

Every module of this folder is imported, so that the rule in it is found by its name.
"""
import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
