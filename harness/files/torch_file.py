"""Reading what ``torch.save`` wrote without PyTorch's own reader: tensors and plain data come out, nothing is executed.

:mod:`harness.files.torch_zip` reads the present layout, :mod:`harness.files.torch_legacy` the one before PyTorch 1.6.
Memory is bounded by the file's size.
"""
from __future__ import annotations

import mmap
from contextlib import closing
from pathlib import Path
from typing import Any

from torch import Tensor

from harness.errors import InputError, shown
from harness.files.archives import archive_fault
from harness.files.reading import require_file
from harness.files.torch_legacy import load_legacy
from harness.files.torch_objects import InertObject
from harness.files.torch_zip import load_zip

_MAX_NAMES = 100_000
_MAX_NAME = 1_000


def load(path: str | Path) -> Any:
    """The object in a file that ``torch.save`` wrote, under Python 2 too (its ``str`` is read as latin-1).

    Gives plain data as :func:`harness.files.safe_pickle.load` does, an ``OrderedDict`` as a dict, tensors on the CPU,
    objects of other classes as :class:`InertObject`, and functions and classes that are only mentioned as
    :class:`~harness.files.pickle_values.Global`. A short flat tuple may be a key if it is the only key of its dict.

    Raises:
        InputError: the file is missing, cut short or damaged, claims more than it holds, or contains anything else,
            which the message names.
    """
    path = Path(path)
    require_file(path)
    if not path.stat().st_size:
        raise InputError(f'{path}: is empty; fetch it again')
    try:
        with path.open('rb') as file:
            zipped = file.read(4) == b'PK\x03\x04'
            if not zipped and (archive := archive_fault(path)) is not None:
                raise InputError(f'{path}: is not a pickle: it {archive}')
            with closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as data:
                return load_zip(path, len(data)) if zipped else load_legacy(data, str(path))
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror or error}); '
                         'check the path and its permissions') from None
    except (MemoryError, RuntimeError):  # PyTorch raises the latter when memory runs out
        raise InputError(f'{path}: is too large for the memory of this machine') from None


def state_dict(loaded: Any, where: str) -> dict[str, Tensor]:
    """The parameters and persistent buffers of a network by their dotted names.

    Args:
        loaded: a state dict itself, or a pickled ``nn.Module`` as an :class:`InertObject`.
        where: the file, for messages.

    Raises:
        InputError: it is neither.
    """
    if type(loaded) is InertObject:
        return _collected(loaded, where)
    if type(loaded) is dict and loaded and all(type(k) is str and type(v) is Tensor for k, v in loaded.items()):
        return loaded
    raise InputError(f"{where}: holds no network, neither a module nor tensors by name; give the checkpoint of a model")


def _collected(network: InertObject, where: str) -> dict[str, Tensor]:
    """The tensors that ``nn.Module.state_dict`` would give, in the same order."""
    found: dict[str, Tensor] = {}
    waiting, seen = [('', network)], 0
    while waiting:
        prefix, module = waiting.pop()
        state = module.state if type(module.state) is dict else {}
        if not {'_parameters', '_buffers', '_modules'} <= state.keys():
            raise InputError(f'{where}: {shown(prefix + module.name)} is not a torch module; '
                             'give the checkpoint of a model')
        parameters, buffers, modules = (_named(state[kind], where) for kind in ('_parameters', '_buffers', '_modules'))
        seen += 1 + len(parameters) + len(buffers) + len(modules)
        if seen > _MAX_NAMES or len(prefix) > _MAX_NAME:
            raise InputError(f'{where}: its modules contain one another endlessly, so it is not a network')
        temporary = state.get('_non_persistent_buffers_set')
        kept = [one for one in buffers if type(temporary) is not set or one[0] not in temporary]
        for name, tensor in (*parameters, *kept):
            if type(tensor) is Tensor:
                found[prefix + name] = tensor
            elif tensor is not None:
                raise InputError(f'{where}: {shown(prefix + name)} is of type {type(tensor).__name__}, not a tensor')
        for name, inner in reversed(modules):
            if type(inner) is InertObject:
                waiting.append((f'{prefix}{name}.', inner))
            elif inner is not None:
                raise InputError(f'{where}: {shown(prefix + name)} is of type {type(inner).__name__}, not a module')
    return found


def _named(members: Any, where: str) -> list[tuple[str, Any]]:
    if type(members) is not dict or any(type(name) is not str or len(name) > _MAX_NAME for name in members):
        raise InputError(f'{where}: the members of a module must have names; it is not a network')
    return list(members.items())
