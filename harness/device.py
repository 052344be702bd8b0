"""On what networks run."""
from __future__ import annotations

import os

import torch
from mmcv.ops import get_compiling_cuda_version

from harness.errors import InputError


def pick_device(wanted: str | None = None) -> str:
    """A device that is there.

    Args:
        wanted: ``'cpu'``, ``'cuda'``, ``'cuda:1'``, …; ``None`` and ``'auto'`` for a GPU if there is one that mmcv's
            operators were built for, of several the one that the launcher means for this process.

    Raises:
        InputError: it is not there, or of no use.
    """
    built = get_compiling_cuda_version() != 'not available'
    if wanted in (None, 'auto'):
        return _gpu_of_this_process() if torch.cuda.is_available() and built else 'cpu'
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


def without_tf32() -> None:
    """Let fp32 be fp32: a GPU's convolutions would else round what they take to the 10 bits of TF32."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def _gpu_of_this_process() -> str:
    """``cuda``, or one of several by the number that torchrun or Slurm gives a process on its machine."""
    local = next((os.environ[name] for name in ('LOCAL_RANK', 'SLURM_LOCALID') if name in os.environ), '')
    number = torch.cuda.device_count()
    return f'cuda:{int(local) % number}' if number > 1 and local.isdecimal() else 'cuda'
