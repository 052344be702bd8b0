"""On what networks run."""
from __future__ import annotations

import torch
from mmcv.ops import get_compiling_cuda_version

from harness.errors import InputError


def pick_device(wanted: str | None = None) -> str:
    """A device that is there; where nobody says which, a GPU if there is one that mmcv's operators were built for.

    Args:
        wanted: ``'cpu'``, ``'cuda'``, ``'cuda:1'``, …

    Raises:
        InputError: it is not there, or of no use.
    """
    built = get_compiling_cuda_version() != 'not available'
    if wanted is None:
        return 'cuda' if torch.cuda.is_available() and built else 'cpu'
    if wanted == 'cpu':
        return wanted
    there = ['cuda', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))] if torch.cuda.is_available() else []
    if wanted not in there:
        raise InputError(f'--device {wanted}: not available on this machine; use --device cpu'
                         f'{" or cuda" * bool(there)}')
    if not built:
        raise InputError(f'--device {wanted}: mmcv\'s operators were built without CUDA; install nvcc, remove .venv '
                         'and run make install, or use --device cpu')
    return wanted
