"""Weights that another library keeps as a folder of files."""
from __future__ import annotations

import hashlib
from pathlib import Path

from harness.errors import InputError
from harness.files.reading import require_regular
from harness.files.weights import Weights

#: Endings of the files that may be read: weights, options, words.
READ = ('.safetensors', '.json', '.txt')
#: Endings of weights that can run code when they are opened. They never are.
PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl')


def load_folder(path: Path) -> Weights:
    """A folder as weights: its ``sha256`` is that of the names and contents of all files that may be read.

    It has no tensors and says nothing of itself: whoever knows the library reads the folder.

    Raises:
        InputError: there is no such folder, or it holds no safetensors file, or one of its files is no file.
    """
    if not path.is_dir():
        what = 'is a file, a folder is needed' if path.exists() else 'there is no such folder'
        raise InputError(f'{path}: {what}; give the folder that holds config.json and model.safetensors')
    files = sorted(file for file in path.iterdir() if file.suffix in (*READ, *PICKLES))
    for file in files:
        require_regular(file)
    if not any(file.suffix == '.safetensors' for file in files):
        pickled = [file.name for file in files if file.suffix in PICKLES]
        why = f'its weights are a pickle ({pickled[0]}), which can run code' if pickled else 'holds no weights'
        raise InputError(f'{path}: {why}; fetch model.safetensors of the same model into it')
    return Weights(path, {}, {}, _fingerprint([file for file in files if file.suffix in READ]))


def _fingerprint(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        with file.open('rb') as opened:
            whole.update(f'{file.name} {hashlib.file_digest(opened, "sha256").hexdigest()}\n'.encode())
    return whole.hexdigest()
