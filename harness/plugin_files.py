"""What plug-in files register, read from their source without importing them.

Importing all plug-ins takes seconds, for torch and mmdet. Their names, the first lines of their docstrings, their
flags and the types of their options stand in the source, and are all that ``--list`` and the check of a name or an
option need.
"""
from __future__ import annotations

import ast
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Listed(NamedTuple):
    """A plug-in as its file describes it.

    Attributes:
        module: the file that registers it.
        summary: first line of its docstring.
        attributes: what the class itself sets: constants by value, and methods, each by its own name.
        hints: the type hints of its own constructor's parameters, as the file spells them.
    """

    module: str
    summary: str
    attributes: Mapping[str, Any]
    hints: Mapping[str, str]


def listed(registry: str, locations: Sequence[str]) -> dict[str, Listed]:
    """The plug-ins that ``@REGISTRY.register_module(name='…')`` would register, by name, in the order of importing.

    Args:
        registry: name of the variable that is the registry.
        locations: modules, or packages of which every module counts.
    """
    modules = [module for location in locations for module in _modules(location)]
    found: dict[str, Listed] = {}
    visited: set[str] = set()

    def visit(module: str) -> None:
        if module in visited:
            return
        visited.add(module)
        for node in ast.parse(_source(module)).body:
            for other in imported_by(node):
                if other in modules:
                    visit(other)
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                for name in _registered(node, registry):
                    summary = (ast.get_docstring(node) or '').split('\n')[0]
                    found[name] = Listed(module, summary, dict(_attributes(node)), dict(_hints(node)))

    for module in modules:
        visit(module)
    return found


def _modules(location: str) -> list[str]:
    """A module, or the modules of a package."""
    folder = _spec(location).submodule_search_locations
    return [location] if folder is None else [f'{location}.{module.name}' for module in pkgutil.iter_modules(folder)]


def _source(module: str) -> bytes:
    return Path(str(_spec(module).origin)).read_bytes()


def _spec(module: str) -> Any:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f'{module} is part of the project'
    return spec


def imported_by(node: ast.AST) -> Iterator[str]:
    """The names that an import statement may import as modules; none for any other node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f'{node.module}.{alias.name}' for alias in node.names)


def _registered(node: ast.ClassDef | ast.FunctionDef, registry: str) -> Iterator[str]:
    """The name that a decorator registers a class or function under."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f'{registry}.register_module':
            yield from (ast.literal_eval(keyword.value) for keyword in decorator.keywords if keyword.arg == 'name')


def _attributes(node: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, Any]]:
    for statement in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(statement, ast.FunctionDef):
            yield statement.name, statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            try:
                value = ast.literal_eval(statement.value)
            except ValueError:  # computed
                continue
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))


def _hints(node: ast.ClassDef | ast.FunctionDef) -> Iterator[tuple[str, str]]:
    for statement in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(statement, ast.FunctionDef) and statement.name == '__init__':
            for parameter in (*statement.args.args, *statement.args.kwonlyargs):
                if parameter.annotation is not None:
                    yield parameter.arg, ast.unparse(parameter.annotation)
