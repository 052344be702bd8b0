"""Weight files: safetensors that say what they are, refused in one line when they are not."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.errors import InputError
from harness.files.weights import fill, load_weights, save_weights


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert text and '\n' not in text
    return text


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    tensors = {'model.a': torch.arange(3.), 'b': torch.ones(1)}
    save_weights(tmp_path / 'w.safetensors', tensors, {'kind': 'x', 'seed': 3})
    weights = load_weights(tmp_path / 'w.safetensors')
    assert weights.meta == {'kind': 'x', 'seed': 3}
    assert torch.equal(weights.under('model')['a'], torch.arange(3.))
    assert list(tmp_path.iterdir()) == [tmp_path / 'w.safetensors'], 'nothing half-written stays behind'
    assert len(weights.sha256) == 64


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / 'w.safetensors.part').mkdir()
    with pytest.raises(InputError) as error:
        save_weights(tmp_path / 'w.safetensors', {'a': torch.zeros(1)}, {})
    assert 'w.safetensors: cannot be written' in one_line(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_weights(tmp_path / 'none.safetensors')
    assert 'none.safetensors' in one_line(error)


@pytest.mark.parametrize('content', [b'', b'\x80\x02cos\nsystem\n.', b'\xff' * 64,
                                     (2**62).to_bytes(8, 'little') + b'{}'])
def test_other_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'w.safetensors'
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_weights(path)
    assert 'w.safetensors' in one_line(error)


@pytest.mark.parametrize('size', [1, 8, 40, 100, 140])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / 'w.safetensors'
    save_weights(path, {'a': torch.zeros(100)}, {'kind': 'x'})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError) as error:
        load_weights(path)
    one_line(error)


def test_a_file_without_our_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'w.safetensors'
    save_file({'a': torch.zeros(1)}, str(path))
    with pytest.raises(InputError) as error:
        load_weights(path)
    assert 'metadata' in one_line(error)


def test_weights_of_another_shape_are_refused_by_name() -> None:
    with pytest.raises(InputError) as error:
        fill(nn.Linear(2, 3), {'weight': torch.zeros(3, 5), 'extra': torch.zeros(1)}, Path('w.safetensors'))
    text = one_line(error)
    assert 'bias is missing' in text and 'extra is not part' in text and '(3, 5), not (3, 2)' in text


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('/dev/zero'), Path.mkdir])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / 'w.safetensors')
    with pytest.raises(InputError, match=r'w\.safetensors: is (not a regular file|a folder)') as error:
        load_weights(tmp_path / 'w.safetensors')
    one_line(error)
