"""Trained weights on disk: safetensors with their provenance in the file's own metadata.

The harness opens no other weight format. ``meta`` holds what is needed to build the network again (options,
vocabulary, calibrated threshold) and where the file comes from (command, seed, data hash, git commit).
"""
from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.errors import InputError, shown
from harness.files.archives import archive_fault
from harness.files.reading import parse_json, require_regular
from harness.files.shipped import SHIPPED
from harness.files.writing import replacing
from harness.program import program

Network = TypeVar('Network', bound=nn.Module)
Loaded = TypeVar('Loaded')
_BELONGS = 'give the file that belongs here'
_MAKES_WEIGHTS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


class _Weightless(TorchFunctionMode):
    """Lets networks be made without memory for their weights, which are laid out on the device ``meta``.

    What networks compute while they are made, such as the rates of dropout, layer by layer, stays on the CPU:
    ``torch.device('meta')`` would lose it.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in _MAKES_WEIGHTS and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return function(*args, **kwargs)


@dataclass(eq=False)
class Weights:
    """One weight file, read. ``sha256`` is the whole file's."""

    path: Path
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    sha256: str

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with ``prefix.``, the prefix taken off."""
        return {k[len(prefix) + 1:]: v for k, v in self.tensors.items() if k.startswith(prefix + '.')}

    def complete(self) -> Weights:
        """Itself.

        Raises:
            InputError: something is missing without which it can't be run, as ``convert`` wrote into it.
        """
        if 'lacks' in self.meta:
            raise InputError(f'{self.path}: lacks {" ".join(str(self.meta["lacks"]).split())[:200]}')
        return self


#: What was loaded from weights that are in use, by how it was loaded.
_SHARED: WeakKeyDictionary[Weights, dict[Callable[[Weights], Any], Any]] = WeakKeyDictionary()


def shipped_path(name: str, dataset: str | None = None) -> Path:
    """Where the project ships weights: ``detector.safetensors``, ``cmae-mini-refcoco.safetensors``, …"""
    return SHIPPED / (f'{name}.safetensors' if dataset is None else f'{name}-{dataset}.safetensors')


def load_weights(path: Path) -> Weights:
    """Read a safetensors file.

    Raises:
        InputError: the file is missing, is no safetensors file, is truncated, or has no metadata of ours.
    """
    require_regular(path)
    if not path.is_file():
        raise InputError(f'{path}: there is no such weight file; '
                         f'train it with "{program()} train all" or name one with --weights')
    try:
        with safe_open(str(path), framework='pt') as file:
            raw = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        said = archive_fault(path) or f'not a readable safetensors file ({error}); fetch or train it again'
        raise InputError(f'{path}: {said}') from None
    if 'meta' not in raw:
        raise InputError(f'{path}: its metadata does not say what it is; use a file that "train" or "convert" wrote')
    meta = parse_json(raw['meta'].encode(), f'{path}: its metadata')
    if not isinstance(meta, dict):
        raise InputError(f'{path}: its metadata is not a record; use a file that "train" or "convert" wrote')
    return Weights(path, tensors, meta, hashlib.sha256(path.read_bytes()).hexdigest())


def save_weights(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write beside, then rename: a killed write leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as beside:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, str(beside),
                      metadata={'meta': json.dumps(dict(meta), sort_keys=True)})
            beside.chmod(0o644)
    except SafetensorError as error:  # what a full disk is to it
        raise InputError(f'{path}: cannot be written ({error}); free some space or choose another folder') from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load ``tensors`` into ``module``; every name, shape and number type has to fit, and every number be one.

    Raises:
        InputError: names the first few missing, unexpected or misshapen tensors, or the first that is not all numbers.
    """
    own = module.state_dict()
    check_fits(tensors, own, path)
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in tensors.items()}, strict=False)


def built(make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path) -> Network:
    """The network that ``make`` gives, filled, in evaluation mode.

    It is laid out without memory first, so that options which a file claims take no more than its tensors do.

    Raises:
        InputError: ``make`` fails, or as :func:`fill`.
    """
    check_network(make, tensors, path, f'train weights with "{program()} train all" or name others with --weights')
    network = make()
    fill(network, tensors, path)
    return network.eval()


def check_network(make: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path, fix: str,
                  fix_weights: str = _BELONGS) -> Network:
    """The network that ``make`` gives, without memory for its weights, once ``tensors`` are known to be them.

    Raises:
        InputError: ``make`` fails (what to do is ``fix``), or as :func:`fill` (``fix_weights``).
    """
    try:
        with _Weightless():
            network = make()
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError, OverflowError) as error:
        what = ' '.join(str(error).split())[:200]
        raise InputError(f'{path}: its options make no network ({type(error).__name__}: {what}); {fix}') from error
    check_fits(tensors, network.state_dict(), path, fix_weights)
    return network


def shared(weights: Weights, load: Callable[[Weights], Loaded]) -> Loaded:
    """``load(weights)``, called once while these weights are in use: plug-ins with the same weights share a network."""
    loaded = _SHARED.setdefault(weights, {})
    if load not in loaded:
        loaded[load] = load(weights)
    return loaded[load]


def moved_to(network: Network, device: torch.device) -> Network:
    """The network on a device; looked at first, since to move what is there already costs as much as a small layer."""
    there = next(network.parameters(), None)
    return network if there is None or there.device == device else network.to(device)


def check_fits(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path, fix: str = _BELONGS) -> None:
    """``tensors`` are a network's ``own``, all of them numbers.

    Raises:
        InputError: as :func:`fill`.
    """
    if wrong := differences(tensors, own):
        raise InputError(f'{path}: weights of another network: {"; ".join(wrong)}; {fix}')
    check_numbers(tensors, path)


def differences(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """What keeps ``tensors`` from being a network's ``own``: the first few that are missing, too many, of another shape
    or number type, and how many more there are of each; the counters of batch norms may be absent."""
    both = [(k, tensors[k], own[k]) for k in own if k in tensors]
    missing = [f'{k} is missing' for k in own if k not in tensors and not k.endswith('num_batches_tracked')]
    extra = [f'{k} is not part of this network' for k in tensors if k not in own]
    shapes = [f'{k} is {tuple(a.shape)}, not {tuple(b.shape)}' for k, a, b in both if a.shape != b.shape]
    types = [f'{k} holds {a.dtype}, not {b.dtype}' for k, a, b in both if (a.dtype in _FLOATS) != (b.dtype in _FLOATS)]
    return [*first_of(missing, 'are missing'), *first_of(extra, 'are not part of it'),
            *first_of(shapes, 'are of another shape'), *first_of(types, 'hold other numbers')]


def first_of(faults: Sequence[str], rest: str, most: int = 3) -> list[str]:
    """The first few faults of a kind, printable, and how many more there are."""
    more = [f'{len(faults) - most} more {rest}'] if len(faults) > most else []
    return [*map(shown, faults[:most]), *more]


def check_numbers(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Every tensor is finite in single precision, and a batch norm's variance never negative, whose root is taken.

    Raises:
        InputError: names the first that is not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype in _FLOATS and not bool(torch.isfinite(tensor.float()).all()):
            raise InputError(f'{path}: {shown(name)} holds numbers that are not finite; fetch or train it again')
        if name.endswith('running_var') and bool((tensor < 0).any()):
            raise InputError(f'{path}: {shown(name)} holds negative variances; fetch or train it again')


def provenance(command: str, seed: int, data_hash: str) -> dict[str, Any]:
    """The part of a weight file's metadata that says where it comes from."""
    return {'command': command, 'seed': seed, 'data_hash': data_hash, 'git_commit': git_commit(),
            'torch': torch.__version__}


def git_commit() -> str:
    """The checkout's commit, with ``+changes`` when the tree differs from it.

    ``unknown`` outside a checkout, also where the project is installed inside another repository.
    """
    root = Path(__file__).resolve().parents[2]
    try:
        top, head = subprocess.run(['git', 'rev-parse', '--show-toplevel', 'HEAD'], cwd=root, capture_output=True,
                                   text=True, check=True).stdout.splitlines()
        if Path(top).resolve() != root:
            return 'unknown'
        dirty = subprocess.run(['git', 'status', '--porcelain', '-uno'], cwd=root, capture_output=True, text=True,
                               check=True)
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return head + ('+changes' if dirty.stdout.strip() else '')
