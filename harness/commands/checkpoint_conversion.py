"""A checkpoint of an original program becomes a weight file: what ``convert`` does once its options have been read.

The checkpoint is read by :mod:`harness.files.torch_file`, which runs nothing of it. The results are
``OUT.safetensors``, which ``--weights`` takes, and ``OUT.json`` with its options, hashes and names. Where the
checkpoints come from:

=============  =====================================================  =================================================
``--as``       saved by                                               holds
=============  =====================================================  =================================================
``mattnet``    lichengunc/MAttNet ``tools/train.py: main``            ``{'model': JointMatching, 'opt': …}``
``cmae``       ChopinSharp/CM-Erase-REG ``tools/train.py``            the same
``nmtree``     daqingliu/NMTree ``tools/train.py: train``             a state dict; the widths are in its shapes
``ref-nms``    ChopinSharp/ref-nms ``tools/train_att_vanilla.py``,    a state dict, or ``{'model': state dict, …}``;
               ``tools/train_att_rank.py``                            the network is the same
``mask-rcnn``  lichengunc/mask-faster-rcnn ``lib/model/train_val.py:  a state dict
               snapshot``
``detector``   mmdet's model zoo, mmengine's Runner                   ``{'state_dict': …, 'meta': …}``
=============  =====================================================  =================================================
"""
from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from adapters.modular.metadata import CMAEMetadata, CMAEOpt, MAttNetMetadata, MAttNetOpt, ModularOpt
from adapters.modular.vocabulary import ModularVocabulary
from adapters.nmtree.metadata import NMTreeMetadata, opt_of
from adapters.nmtree.trees import TreeVocabulary
from adapters.originals.mattnet_data import words_in_order
from adapters.originals.ref_nms_data import read_vocabulary
from adapters.originals.writing import write_json
from grounders.nmtree import NMTree, NMTreeOptions
from harness.commands.detector_conversion import describe_detector, read_classes
from harness.data.coco_categories import COCO_CLASSES
from harness.detection.original_names import PAIRS, rename
from harness.detection.training_images import ORIGINALS, parse_trained_on
from harness.errors import InputError, shown
from harness.files import fields, torch_file
from harness.files.faults import fault
from harness.files.metadata import DetectorMetadata, Metadata, TwoStageMetadata, read_metadata
from harness.files.reading import parse_json, read_bytes
from harness.files.weights import Weights, check_numbers, differences, git_commit, save_weights
from harness.proposals.ref_nms_metadata import RefNMSMetadata
from harness.proposals.ref_nms_network import RefNMS

_LONGEST_OPTION = 1_000
_MOST_BLOCKS = 16
_SHARED = 4


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: tensors by their original names, options as plain JSON, the hash of the file, and all
    that the file holds."""

    path: Path
    state: dict[str, Tensor]
    opt: dict[str, Any] | None
    sha256: str
    whole: Any = None

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a file. The network is under ``'model'`` or ``'state_dict'``, or the whole file where neither is."""
        loaded = torch_file.load(path)
        whole = loaded if type(loaded) is dict else {}
        state = torch_file.state_dict(whole.get('model', whole.get('state_dict', loaded)), str(path))
        _check_numbers(state, path)
        opt = _plain_options(whole['opt'], path) if 'opt' in whole else None
        return cls(path, state, opt, _sha256(path), loaded)


@dataclass(frozen=True)
class WordFiles:
    """The files with the words of a network: ``--vocabulary``, and for Ref-NMS ``--vectors``."""

    vocabulary: Path | None = None
    vectors: Path | None = None


@dataclass(frozen=True)
class DetectorFiles:
    """What describes a detector of mmdet: ``--config``, a name or file, the file of ``--classes``, and
    ``--trained-on``."""

    config: str
    classes: Path | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class Converted:
    """Tensors under our names, the metadata that the network is built from again, and (original, our) names."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    names: list[tuple[str, str]]


def convert(path: Path, out: Path, kind: str, words: WordFiles, detector: DetectorFiles | None = None) -> str:
    """Convert and write; gives what was mapped, a line per tensor and a summary.

    Args:
        path: the checkpoint.
        out: where the weights go; a JSON file goes beside them.
        kind: among :data:`KINDS`.
        words: the files with the words of the network.
        detector: what describes a detector of mmdet.

    Raises:
        InputError: the checkpoint is not of that kind, is damaged, or does not fit the words.
    """
    checkpoint = Checkpoint.read(path)
    converted = KINDS[kind](checkpoint, words if detector is None else detector)
    if 'lacks' not in converted.meta:
        read_metadata(Weights(path, converted.tensors, converted.meta, checkpoint.sha256), METADATA[kind],
                      'give the checkpoint that --as names, and the words that it was trained on')
    write(checkpoint, converted, out, kind)
    lines = [table(checkpoint, converted.names),
             f'{len(converted.names)} tensors: {out}, described by {out.with_suffix(".json")}']
    if lacking := converted.meta.get('lacks'):
        lines.append(f'before it can be run, it still lacks {lacking}')
    return '\n'.join(lines)


def write(checkpoint: Checkpoint, converted: Converted, out: Path, kind: str) -> None:
    """Write ``out``, and beside it a JSON file with options, hashes and names."""
    source = {'file': checkpoint.path.name, 'sha256': checkpoint.sha256}
    meta = {**converted.meta, 'source': source, 'git_commit': git_commit(), 'torch': torch.__version__,
            'command': f'python run_benchmark.py convert {source["file"]} {out.name} --as {kind}'}
    tensors = {name: tensor.clone() for name, tensor in converted.tensors.items()}  # none may share storage
    save_weights(out, tensors, meta)
    write_json(out.with_suffix('.json'), {
        'kind': meta['kind'], 'opt': meta.get('opt', meta.get('model', {})), 'input': source,
        'output': {'file': out.name, 'sha256': _sha256(out)}, 'names': dict(converted.names)})


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def table(checkpoint: Checkpoint, names: Sequence[tuple[str, str]]) -> str:
    """One line per tensor: original name, our name, shape."""
    left = max(len(original) for original, _ in names)
    right = max(len(ours) for _, ours in names)
    return '\n'.join(f'{original:{left}} → {ours:{right}}  {tuple(checkpoint.state[original].shape)}'
                     for original, ours in names)


# What each kind of checkpoint becomes.

def _modular(kind: str, schema: type[ModularOpt], checkpoint: Checkpoint, words: WordFiles) -> Converted:
    """MAttNet or CM-A-E, under their own names."""
    if checkpoint.opt is None:
        raise InputError(f"{checkpoint.path}: has no options: a checkpoint of --as {kind} holds 'model' and 'opt'")
    # The options of MAttNet lack the id of the unknown word, which its vocabulary gives.
    opt = _options(schema, {'unk_token': 0, **checkpoint.opt}, checkpoint.path)
    meta: dict[str, Any] = {'kind': kind, 'opt': checkpoint.opt}
    if words.vocabulary is None:
        meta['lacks'] = 'its words; convert it again with --vocabulary data.json'
    else:
        vocabulary = _mattnet_words(words.vocabulary, checkpoint.opt)
        if len(vocabulary) != opt.vocabulary_size:
            raise InputError(f'{words.vocabulary}: has {len(vocabulary)} words, the network {opt.vocabulary_size}; '
                             'give the data.json that it was trained on')
        meta['vocabulary'] = vocabulary.to_json()
        meta['opt'] = {'unk_token': vocabulary.unknown_word, **checkpoint.opt}
    _check_fits(checkpoint, opt.network)
    return Converted(checkpoint.state, meta, [(name, name) for name in checkpoint.state])


def _options(schema: type[ModularOpt], opt: Mapping[str, Any], path: Path) -> ModularOpt:
    """What a checkpoint's options say of its network."""
    try:
        return schema.model_validate(opt)
    except ValidationError as error:
        raise InputError(f'{path}: its options: {fault(error)}; give the checkpoint that --as names') from None


def _mattnet_words(path: Path, opt: Mapping[str, Any]) -> ModularVocabulary:
    """``word_to_ix`` of ``data.json``, or of the JSON that is saved with a checkpoint and has no ``label_length``."""
    record = parse_json(read_bytes(path), str(path))
    words = words_in_order(record, 'word_to_ix', str(path))
    usual = 20 if str(opt.get('dataset')).startswith('refcocog') else 10
    longest = fields.integer(record, 'label_length', str(path)) if 'label_length' in record else usual
    try:
        return ModularVocabulary(words, longest)
    except ValueError as error:
        raise InputError(f"{path}: 'word_to_ix' is no vocabulary of MAttNet: {error}") from None


def _nmtree(checkpoint: Checkpoint, words: WordFiles) -> Converted:
    """NMTree, under its own names; its options are read off the shapes of its tensors."""
    def size(name: str, dimension: int) -> int:
        tensor = checkpoint.state.get(name, torch.empty(1, 2))
        return tensor.shape[dimension] if tensor.dim() == 2 else 2

    options = NMTreeOptions(**{f'{part}_{what}': size(f'{part}_embedding.weight', dimension)
                               for part in ('word', 'tag', 'dep') for dimension, what in enumerate(('count', 'dim'))},
                            visual_dim=size('single_score.W.weight', 1),
                            memory_dim=size('sbj_attn_logit.weight', 1) // 2)
    meta: dict[str, Any] = {'kind': 'nmtree', 'opt': opt_of(options)}
    _check_fits(checkpoint, lambda: NMTree(options))
    if words.vocabulary is None:
        meta['lacks'] = 'its words; convert it again with --vocabulary data_dep.json'
    else:
        vocabulary = _tree_words(words.vocabulary)
        if any(count > getattr(options, name) for name, count in vocabulary.sizes.items()):
            raise InputError(f'{words.vocabulary}: has more words, tags or labels than the network; give the '
                             'data_dep.json that it was trained on')
        meta |= vocabulary.to_json()
    return Converted(checkpoint.state, meta, [(name, name) for name in checkpoint.state])


def _tree_words(path: Path) -> TreeVocabulary:
    record = parse_json(read_bytes(path), str(path))
    for key in ('word_to_ix', 'tag_to_ix', 'dep_to_ix'):
        fields.required(record, key, str(path))
    try:
        return TreeVocabulary.from_json(record)
    except (TypeError, ValueError) as error:
        raise InputError(f'{path}: is no data_dep.json of NMTree: {error}') from None


def _ref_nms(checkpoint: Checkpoint, words: WordFiles) -> Converted:
    """Ref-NMS: the names of the network are ours after ``model.``; the vectors of its words are one more tensor."""
    def size(name: str, dimension: int) -> int:
        tensor = checkpoint.state.get(name)
        return tensor.shape[dimension] if tensor is not None and tensor.dim() > dimension else 4

    blocks = {name.split('.')[1] for name in checkpoint.state if name.startswith('head.')}
    model: dict[str, Any] = {'in_channels': size('head.0.conv1.weight', 1), 'planes': size('head.0.conv1.weight', 0),
             'blocks': min(_MOST_BLOCKS, len(blocks)),
             'word_dim': size('rnn.weight_ih_l0', 1), 'hidden': size('rnn.weight_hh_l0', 1),
             'mlp': size('vis_r_fc.0.weight', 0)}
    meta: dict[str, Any] = {'kind': 'ref-nms', 'model': model}
    tensors = {f'model.{name}': tensor for name, tensor in checkpoint.state.items()}
    _check_fits(checkpoint, lambda: RefNMS(**model))
    if words.vocabulary is None:
        meta['lacks'] = 'its words; convert it again with --vocabulary std_vocab_….txt'
    else:
        beside = words.vocabulary.with_name(words.vocabulary.name.replace('std_vocab', 'std_glove')).with_suffix('.npy')
        vocabulary = read_vocabulary(words.vocabulary, words.vectors or beside)
        if vocabulary.vectors.shape[1] != model['word_dim']:
            raise InputError(f'{words.vectors or beside}: has vectors of {vocabulary.vectors.shape[1]} numbers, the '
                             f'network takes {model["word_dim"]}; give those that it was trained on')
        meta['vocabulary'], tensors['words'] = list(vocabulary.words), vocabulary.vectors
    return Converted(tensors, meta, [(name, f'model.{name}') for name in checkpoint.state])


def _mask_rcnn(checkpoint: Checkpoint, words: WordFiles) -> Converted:
    """The detector, under mmdet's names and with some rows in another order."""
    try:
        tensors = rename(checkpoint.state)
    except InputError as error:
        raise InputError(f'{checkpoint.path}: {error}') from None
    return Converted(tensors, {'kind': 'detector', 'config': 'res101_c4', 'classes': list(COCO_CLASSES),
                               'trained_on': ORIGINALS},
                     [(original, ours) for original, ours in PAIRS if original in checkpoint.state])


def _detector(checkpoint: Checkpoint, files: DetectorFiles) -> Converted:
    """A detector of mmdet, under its own names."""
    classes = None if files.classes is None else read_classes(files.classes)
    meta = describe_detector(checkpoint.state, checkpoint.whole, checkpoint.path, files.config, classes)
    trained_on = None if files.trained_on is None else parse_trained_on(files.trained_on)
    names = [(name, name) for name in checkpoint.state]
    return Converted(checkpoint.state, {**meta, 'config_name': files.config, 'trained_on': trained_on}, names)


KINDS: dict[str, Callable[[Checkpoint, Any], Converted]] = {
    'mattnet': partial(_modular, 'mattnet', MAttNetOpt), 'cmae': partial(_modular, 'cmae', CMAEOpt), 'nmtree': _nmtree,
    'ref-nms': _ref_nms, 'mask-rcnn': _mask_rcnn, 'detector': _detector}
#: The schema that a loader holds the metadata against.
METADATA: dict[str, type[Metadata]] = {
    'mattnet': MAttNetMetadata, 'cmae': CMAEMetadata, 'nmtree': NMTreeMetadata, 'ref-nms': RefNMSMetadata,
    'mask-rcnn': DetectorMetadata, 'detector': TwoStageMetadata}


# Checks.

def _check_numbers(state: Mapping[str, Tensor], path: Path) -> None:
    """Names fit on a line, numbers are finite, and all together is no more than a file of this size can hold;
    parameters can share storage, so some more is allowed."""
    if sum(tensor.nbytes for tensor in state.values()) > _SHARED * path.stat().st_size:
        raise InputError(f'{path}: names more tensors than a file of its size can hold')
    for name in state:
        if not name.isprintable():
            raise InputError(f'{path}: {shown(name)} is no name of a tensor')
    check_numbers(state, path)


def _check_fits(checkpoint: Checkpoint, network: Callable[[], nn.Module]) -> None:
    """Tensors and network have the same names and shapes; until that is known, claimed sizes take no memory."""
    try:
        with torch.device('meta'):
            own = network().state_dict()
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError, OverflowError) as error:
        what = ' '.join(str(error).split())[:200]
        raise InputError(f'{checkpoint.path}: its options make no network ({what}); give the '
                         'checkpoint that --as names') from None
    if wrong := differences(checkpoint.state, own):
        raise InputError(f'{checkpoint.path}: does not fit the network: {"; ".join(wrong)}; give the checkpoint that '
                         '--as names')


def _plain_options(opt: Any, path: Path) -> dict[str, Any]:
    """``opt`` as plain JSON; a namespace becomes a record of its names and values."""
    opt = opt.state if type(opt) is torch_file.InertObject else opt
    if type(opt) is not dict:
        raise InputError(f"{path}: 'opt' must be options by name, not of type {type(opt).__name__}")
    for name, value in opt.items():
        values = value if type(value) in (list, tuple) and len(value) <= _LONGEST_OPTION else (value,)
        if type(name) is not str or not all(map(_is_plain, values)):
            raise InputError(f"{path}: its option {shown(str(name))} is no number, text or short list of these")
    return opt


def _is_plain(value: Any) -> bool:
    if type(value) is str:
        return len(value) <= _LONGEST_OPTION
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) is bool or (type(value) is int and abs(value) < 1 << 53)
