"""Weight files, checkpoints, features and word vectors."""
from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from harness.files.weights import Weights, load_weights, shipped_path
from harness.proposals.ref_nms_network import RefNMS
from tests.broken_inputs import sound
from tests.broken_inputs.damage import Content, damaged, dumped, pythonic, written
from tests.broken_inputs.sound import HEIGHT, WIDTH, damage_of, trials_of
from tests.broken_inputs.trials import Trial
from tests.test_convert import OPT

OUT = ('--out', 'out')
_SCALE = 1.5


@cache
def _shipped(name: str) -> Weights:
    return load_weights(shipped_path(name, None if name == 'detector' else 'mini-refcoco'))


def weights(name: str) -> Iterator[Trial]:
    """A shipped file with lies in its metadata, its tensors and its bytes."""
    own, meta = _shipped(name), _shortened(_shipped(name).meta)
    grounder = () if name in ('detector', 'ref-nms-b') else ('--grounder', name)
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--proposals', 'ref-nms-b' if name == 'ref-nms-b' else 'greedy',
            '--weights', f'{name}=w.safetensors', *OUT, *grounder)
    files = sound.refer()
    yield from trials_of('w.safetensors', meta, argv, files, write=partial(_file, own.tensors))
    for what, tensors in _lying(own.tensors):
        yield Trial(what, argv, {**files, 'w.safetensors': written(partial(_file, tensors, own.meta))})
    for other in ('detector', 'ref-nms-b', 'cmae', 'mattnet', 'nmtree'):
        if other != name:
            yield Trial(f'a file of {other}', argv, {**files, 'w.safetensors': _shipped(other).path.read_bytes()})


def _shortened(meta: dict[str, Any]) -> dict[str, Any]:
    """What a loader reads, and one of the fields that it does not."""
    return {key: value for key, value in meta.items() if key not in ('options', 'validation', 'attributes', 'epochs')}


def _file(tensors: dict[str, Tensor], said: Any) -> bytes:
    """A weight file that says ``said``."""
    return save(tensors, {'meta': dumped(said).decode('utf-8', 'surrogatepass')})


def _lying(tensors: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    names = list(tensors)
    for name in (names[0], names[len(names) // 2], names[-1]):
        own = tensors[name]
        changed: dict[str, Tensor | None] = {
            'left out': None, 'of another shape': own.new_zeros(*own.shape, 2), 'empty': own.new_zeros(0),
            'a single number': own.new_zeros(()), 'whole numbers': own.long(), 'true and false': own > 0,
            'twice as precise': own.double()}
        for value in (float('nan'), float('inf'), float('-inf'), 1e30, -1e30):
            if own.is_floating_point():
                spoilt = own.clone()
                spoilt.view(-1)[-1] = value
                changed[f'with {value}'] = spoilt
        for what, tensor in changed.items():
            rest = {key: value for key, value in tensors.items() if key != name}
            yield f'{name} {what}', rest if tensor is None else {**rest, name: tensor}
    for extra in ('extra', 'a.b.c', 'a\nb', '\x1b[2J', 'x' * 10_000):
        yield f'one more, {extra[:9]!r}', {**tensors, extra: torch.zeros(1)}
    yield 'none of them', {}
    yield 'ten thousand more', {**tensors, **{f'more.{i}': torch.zeros(0) for i in range(10_000)}}


def head_features() -> Iterator[Trial]:
    """``<image_id>.h5`` of both images, and of one beside a sound one."""
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--detections', 'd.json', '--features', 'feats', '--grounder',
            'mattnet', *OUT)
    files: dict[str, Content] = {**sound.refer(), 'd.json': dumped(sound.MATTNET)}
    whole = _head()
    yield Trial('sound', argv, {**files, 'feats/7.h5': whole, 'feats/8.h5': whole}, sound=True)
    for what, content in [*_lying_heads(), *damaged(whole)]:
        yield Trial(f'{what}, both', argv, {**files, 'feats/7.h5': content, 'feats/8.h5': content})
        yield Trial(f'{what}, one of two', argv, {**files, 'feats/7.h5': content, 'feats/8.h5': whole})


def _head(head: Any = None, im_info: Any = None, **options: Any) -> bytes:
    """A map as the embedded detector makes it; ``options`` as :meth:`h5py.Group.create_dataset` takes them."""
    shape = (1, 96, -(-int(HEIGHT * _SCALE) // 16), -(-int(WIDTH * _SCALE) // 16))
    stream = io.BytesIO()
    with h5py.File(stream, 'w') as file:
        file.create_dataset('head', data=np.random.default_rng(0).random(shape, np.float32) if head is None else head,
                            **options)
        file.create_dataset('im_info', data=np.array([[HEIGHT * _SCALE, WIDTH * _SCALE, _SCALE]], np.float32)
                            if im_info is None else im_info)
    return stream.getvalue()


def _lying_heads() -> Iterator[tuple[str, bytes]]:
    rows, columns = -(-int(HEIGHT * _SCALE) // 16), -(-int(WIDTH * _SCALE) // 16)
    for channels in (0, 1, 95, 97, 1024, 5000):
        yield f'{channels} channels', _head(np.zeros((1, channels, rows, columns), np.float32))
    for value in (np.nan, np.inf, -np.inf, 1e38, -1e38):
        yield f'numbers of {value}', _head(np.full((1, 96, rows, columns), value, np.float32))
    for dtype in ('f8', 'f2', '>f4', 'i8', 'u1', bool, complex, 'S4'):
        yield f'numbers of type {dtype}', _head(np.zeros((1, 96, rows, columns), dtype))
    for shape in ((96, rows, columns), (2, 96, rows, columns), (1, 96, rows, 0), (1, 96, 200, 200), (1, 96, 1, 1), ()):
        yield f'a map of {shape}', _head(np.zeros(shape, np.float32))
    sides = HEIGHT * _SCALE, WIDTH * _SCALE
    for scale in (0, -1.5, np.nan, np.inf, 1e-30, 1e30, 0.75, 3):
        yield f'scale {scale}', _head(im_info=np.array([[*sides, scale]], np.float32))
    for height in (0, -144, np.nan, np.inf, 1e9, 1):
        yield f'height {height}', _head(im_info=np.array([[height, sides[1], _SCALE]], np.float32))
    for info in ([], [[]], [*sides, _SCALE], [[*sides]], [[*sides, _SCALE]] * 2, [['a', 'b', 'c']]):
        yield f'im_info {info}', _head(im_info=np.array(info, 'S4' if "'a'" in str(info) else np.float32))
    yield 'packed', _head(compression='gzip')
    yield 'in chunks', _head(chunks=True)


def vectors() -> Iterator[Trial]:
    """Word vectors in their three forms."""
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--candidates', 'c.json', '--task', 'recall', '--set',
            'critical-objects.gamma=0.5', *OUT, '--vectors')
    files: dict[str, Content] = {**sound.refer(), 'c.json': dumped(sound.CANDIDATES)}
    text = b'red 0.5 -1e-3\ndog 1 2\ncup 3 4\n'
    yield Trial('sound', (*argv, 'v.txt'), {**files, 'v.txt': text}, sound=True)
    yield from damage_of('v.txt', text, (*argv, 'v.txt'), files)
    for line in (b'', b'dog', b'dog 1', b'dog 1 2 3', b'dog  1 2', b'dog 1 nan', b'dog 1 inf', b'dog 1 1e999',
                 b'dog 1 x', b'dog 1 ' + b'9' * 400, b'\xff 1 2', b'dog\t1\t2', b' 1 2', b'\0 1 2', b'd ' * 10_000):
        yield Trial(f'line {line[:12]!r}', (*argv, 'v.txt'), {**files, 'v.txt': text + line + b'\n'})
    words, table = np.array(['red', 'dog', 'cup']), np.eye(3, dtype=np.float32)
    both = dict(words=words, vectors=table)
    yield from damage_of('v.npz', _npz(**both), (*argv, 'v.npz'), files)
    changes: dict[str, dict[str, Any]] = {
        'sound': {}, 'no vectors': dict(vectors=None), 'no words': dict(words=None),
        'fewer words': dict(words=words[:2]), 'words that are numbers': dict(words=table),
        'whole numbers': dict(vectors=np.eye(3, dtype=int)),
        'text': dict(vectors=words), 'NaN': dict(vectors=np.full((3, 3), np.nan)),
        'one line': dict(vectors=table[0]),
        'objects': dict(words=words.astype(object)), 'none': dict(words=words[:0], vectors=table[:0]),
        'no numbers': dict(vectors=table[:, :0]), 'complex': dict(vectors=table * 1j),
        'a word': dict(words=np.array('red'))}
    for what, arrays in changes.items():
        given = {key: value for key, value in {**both, **arrays}.items() if value is not None}
        yield Trial(f'npz: {what}', (*argv, 'v.npz'), {**files, 'v.npz': _npz(**given)}, sound=what == 'sound')
    record = {'words': ['red', 'dog', 'cup'], 'gamma': '0.5', 'name': 'mine'}
    yield from trials_of('v.safetensors', record, (*argv, 'v.safetensors'), files, write=_shipped_vectors)


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _shipped_vectors(said: Any) -> bytes:
    """Safetensors' metadata are texts by name: text as it is, anything else as JSON."""
    named = said if isinstance(said, dict) else {'words': said}
    return save({'vectors': torch.eye(3)}, {key: value if isinstance(value, str) else dumped(value).decode()
                                            for key, value in named.items()})


def checkpoints() -> Iterator[Trial]:
    """``convert``, of a state dict and of a model with options, in both layouts of ``torch.save``."""
    yield next(checkpoint_words())
    small = {'in_channels': 6, 'planes': 2, 'blocks': 2, 'word_dim': 5, 'hidden': 3, 'mlp': 4}
    state = RefNMS(**small).state_dict()  # type: ignore[arg-type]
    argv = ('convert', 'in.pth', 'out.safetensors', '--as')
    for new in (False, True):
        data = _saved(state, new)
        yield from damage_of('in.pth', data, (*argv, 'ref-nms'))
        for what, tensors in _lying(dict(state)):
            yield Trial(what, (*argv, 'ref-nms'), {'in.pth': written(partial(_saved, tensors, new))})
        for kind in ('mattnet', 'cmae', 'nmtree', 'mask-rcnn'):
            yield Trial(f'as {kind}', (*argv, kind), {'in.pth': data})
        yield from (Trial(trial.what, trial.argv, trial.files) for trial in trials_of(
            'in.pth', {'model': {'weight': [1]}, 'opt': OPT}, (*argv, 'mattnet'), write=partial(_model, new=new)))


def _saved(value: Any, new: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


def _model(value: Any, new: bool) -> bytes:
    value = pythonic(value)
    if isinstance(value, dict) and value.get('model') == {'weight': [1]}:
        value = {**value, 'model': {'weight': torch.ones(1)}}
    return _saved(value, new)


def checkpoint_words() -> Iterator[Trial]:
    """The files that ``convert`` takes a network's words from."""
    small = {'in_channels': 6, 'planes': 2, 'blocks': 2, 'word_dim': 5, 'hidden': 3, 'mlp': 4}
    words, table = b'<unk>\ndog\nred\n', io.BytesIO()
    np.save(table, np.eye(3, 5, dtype=np.float32))
    argv = ('convert', 'in.pth', 'out.safetensors', '--as', 'ref-nms', '--vocabulary', 'std_vocab_x.txt')
    files: dict[str, Content] = {'in.pth': _saved(RefNMS(**small).state_dict(), True),  # type: ignore[arg-type]
                                 'std_vocab_x.txt': words, 'std_glove_x.npy': table.getvalue()}
    yield Trial('sound', argv, files, sound=True)
    yield from damage_of('std_vocab_x.txt', words, argv, files)
    yield from damage_of('std_glove_x.npy', table.getvalue(), argv, files)
    for what, array in {'NaN': np.full((3, 5), np.nan), 'another width': np.eye(3, 4), 'fewer': np.eye(2, 5),
                        'whole numbers': np.eye(3, 5, dtype=int), 'text': np.array([['a'] * 5] * 3),
                        'one line': np.ones(5), 'none': np.ones((0, 5)), 'objects': np.array([[None] * 5] * 3)}.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=True)
        yield Trial(f'npy: {what}', argv, {**files, 'std_glove_x.npy': stream.getvalue()})


def trees() -> Iterator[Trial]:
    """NMTree's trees and features in the place of parser and MAttNet."""
    argv = ('--expressions', 'e.jsonl', '--detections', 'd.json', '--grounder', 'nmtree', '--set', 'nmtree.trees=t.pth',
            '--set', 'nmtree.features=f.pth', *OUT)
    seen = {sent: torch.ones(boxes, 400) for sent, boxes in ((31, 2), (32, 2), (33, 1))}
    known = {31: {'tree': {(1, 'dog', 'NOUN', 'NN', 'ROOT'): [{(0, 'red', 'ADJ', 'JJ', 'amod'): []}]},
                  'tokens': ['red', 'dog'], 'tags': ['JJ', 'NN'], 'deps': ['amod', 'ROOT']}}
    files: dict[str, Content] = {**sound.plain(), 'd.json': dumped(sound.MATTNET), 'f.pth': _saved(seen, True)}
    yield from trials_of('t.pth', known, argv, files, write=lambda value: _saved(pythonic(value), False))
    files['t.pth'] = _saved(known, False)
    yield from damage_of('f.pth', _saved(seen, True), argv, files)
    for what, rows in {'NaN': torch.full((2, 400), torch.nan), 'another width': torch.ones(2, 399),
                       'fewer': torch.ones(1, 400), 'one line': torch.ones(400), 'none': torch.ones(0, 400),
                       'whole numbers': torch.ones(2, 400).long(), 'a list': [[1.0]], 'nothing': None,
                       'complex': torch.ones(2, 400) * 1j}.items():
        yield Trial(f'features: {what}', argv, {**files, 'f.pth': _saved({**seen, 31: rows}, True)})
