"""The weight files and folders of a run, each read once; those of the user replace shipped ones."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.evaluation.datasets import home
from harness.files.weight_folder import load_folder
from harness.files.weights import SHIPPED, Weights, load_weights, shipped_path


class WeightStore:
    """The weight files of a run, each read at its first use.

    Attributes:
        taken: the names under which weights were used.
    """

    def __init__(self, given: Mapping[str, Path]) -> None:
        self._given = given
        self._loaded: dict[Path, Weights] = {}
        self._used: dict[str, Path] = {}
        self.taken: set[str] = set()

    def get(self, name: str, dataset: str | None) -> Weights:
        """The weights of a name: the user's file for this dataset, or the one shipped for it or for its stand-in."""
        whose = None if dataset is None else dataset if name in self._given else home(dataset)
        path = self._given.get(name) or shipped_path(name, whose)
        self.taken.add(name)
        if path not in self._loaded:
            self._loaded[path] = load_weights(path).complete()
        self._used[name if whose is None else f'{name} ({whose})'] = path
        return self._loaded[path]

    def folder(self, name: str) -> Weights:
        """The user's folder of a name; none is shipped."""
        path = self._given[name]
        self.taken.add(name)
        if path not in self._loaded:
            self._loaded[path] = load_folder(path)
        self._used[name] = path
        return self._loaded[path]

    def missing(self, plugin: Any, dataset: str) -> Path | None:
        """The path of the weights that a plug-in needs for a dataset, if they are missing."""
        name = plugin.weights
        if name is None or name in self._given:
            return None
        path = shipped_path(name, home(dataset))
        return None if path.is_file() else path

    def uses_shipped(self) -> bool:
        """Whether any of the weights used are shipped ones."""
        return any(path.parent == SHIPPED for path in self._used.values())

    def provenance(self) -> dict[str, dict[str, Any]]:
        """The file, hash and training of each of the weights used, by name."""
        keys = ('command', 'seed', 'data_hash', 'git_commit', 'threshold')
        return {name: {'file': path.name, 'sha256': self._loaded[path].sha256,
                       **{k: v for k, v in self._loaded[path].meta.items() if k in keys}}
                for name, path in self._used.items()}
