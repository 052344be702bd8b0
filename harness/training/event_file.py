"""Scalars that TensorBoard reads, without its package: a backend for mmengine's ``Visualizer``.

The form: a file ``events.out.tfevents.*`` of TFRecords, each a length, its checksum, a protocol buffer ``Event``, its
checksum. Sources: ``tensorflow/core/lib/io/record_writer.h`` (framing, masked CRC-32C), ``tensorflow/core/util/
event.proto`` and ``tensorflow/core/framework/summary.proto`` (field numbers) of tensorflow/tensorflow.
"""
from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.visualization.vis_backend import BaseVisBackend


class EventFileBackend(BaseVisBackend):
    """Writes every scalar to one event file per start, under ``tf_logs`` in its folder."""

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self._path: Path | None = None

    def _init_env(self) -> None:
        self._append(_event(file_version='brain.Event:2'))

    @property
    def experiment(self) -> EventFileBackend:
        """The object that mmengine offers as the experiment: this backend."""
        return self

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Append one scalar."""
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None,
                    **kwargs: Any) -> None:
        """Append the scalars of one step; values that are not numbers are left out."""
        if self._path is None:
            self._init_env()
        for name, value in scalar_dict.items():
            if isinstance(value, int | float | torch.Tensor):
                self._append(_event(step=int(scalar_dict.get('step', step)), name=name, value=float(value)))

    def _append(self, event: bytes) -> None:
        if self._path is None:
            folder = Path(self._save_dir) / 'tf_logs'
            folder.mkdir(parents=True, exist_ok=True)
            self._path = folder / f'events.out.tfevents.{time.time():.6f}.{os.getpid()}'
        length = struct.pack('<Q', len(event))
        with self._path.open('ab') as file:
            file.write(length + _masked(length) + event + _masked(event))


def _event(step: int = 0, file_version: str | None = None, name: str = '', value: float = 0.) -> bytes:
    """An ``Event``: wall_time = 1 (double), step = 2 (varint), file_version = 3, summary = 5."""
    head = b'\x09' + struct.pack('<d', time.time()) + b'\x10' + _varint(step)
    if file_version is not None:
        return head + b'\x1a' + _bytes(file_version.encode())
    scalar = b'\x0a' + _bytes(name.encode()) + b'\x15' + struct.pack('<f', value)  # tag = 1, simple_value = 2
    return head + b'\x2a' + _bytes(b'\x0a' + _bytes(scalar))


def _bytes(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7f:
        parts.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes([*parts, number])


def crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli) of the content."""
    crc = 0xffffffff
    for byte in content:
        crc = _table()[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return crc ^ 0xffffffff


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff)


@cache
def _table() -> tuple[int, ...]:
    def entry(number: int) -> int:
        for _ in range(8):
            number = number >> 1 ^ (0x82f63b78 if number & 1 else 0)
        return number
    return tuple(map(entry, range(256)))
