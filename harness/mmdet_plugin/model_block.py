"""What a config's ``model`` says, checked, and the Ref-NMS that its ``ref_nms`` block describes."""
from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from torch import nn

from harness.errors import InputError
from harness.files.weights import load_weights
from harness.mmdet_plugin.box_features import BOX_FEATURES
from harness.mmdet_plugin.words import all_words
from harness.names import nearest
from harness.proposals.ref_nms_network import RefNMS, load_ref_nms
from harness.words.vectors import WordEmbedding

#: What a ``ref_nms`` block may say beside ``weights``; the rest is in the file.
BESIDE_WEIGHTS = ('threshold', 'nms_iou', 'delta', 'delta_step')


def check_model(ref_nms: Mapping[str, Any] | None, box_features: str, detector: Mapping[str, Any]) -> dict[str, Any]:
    """The ``ref_nms`` block of a model, once the model is known to be able to have one.

    Raises:
        InputError: there is no block, or the detector is not a two-stage one.
    """
    if not ref_nms:
        raise InputError("model: has no ref_nms; add ref_nms=dict(type='RefNMS', …), or take the detector's own type")
    if ref_nms.get('type') not in ('RefNMS', RefNMS):
        raise InputError(f"model.ref_nms: type={ref_nms.get('type')!r} is not Ref-NMS; write "
                         "ref_nms=dict(type='RefNMS', …)")
    if not detector.get('roi_head'):
        raise InputError('model: a one-stage detector (no roi_head), where Ref-NMS has no regions to pool; take a '
                         'two-stage config, for instance mmdet::_base_/models/faster-rcnn_r50_fpn.py')
    if detector.get('test_cfg') is None:
        raise InputError('model: has no test_cfg; take that of the detector\'s config')
    if box_features not in BOX_FEATURES:
        raise InputError(f"model.box_features={box_features!r}: is unknown; write 'crops' or 'head'")
    known = inspect.signature(TwoStageDetector.__init__).parameters
    for name in detector:
        if name not in known:
            raise InputError(f'model.{name}: unknown to a two-stage detector{nearest(name, known)}; leave it out')
    return dict(ref_nms)


def check_classes(roi_head: Any) -> None:
    """Refuse box and mask heads with different numbers of classes.

    Raises:
        InputError: the numbers differ.
    """
    parts = [part for part in (roi_head.bbox_head, getattr(roi_head, 'mask_head', None)) if part is not None]
    heads = [head for part in parts for head in (part if isinstance(part, nn.ModuleList) else [part])]
    counts = {head.num_classes for head in heads if not getattr(head, 'class_agnostic', False)}
    if len(counts) > 1:
        raise InputError(f'model.roi_head: its heads have different num_classes ({", ".join(map(str, counts))}); '
                         'write the same number in bbox_head and mask_head')


def build_ref_nms(block: dict[str, Any], inputs: int, of_head: bool,
                  vectors: str | None) -> tuple[RefNMS, WordEmbedding]:
    """Build the network of a block, with its vocabulary.

    Args:
        block: the ``ref_nms`` block.
        inputs: channels of the features of a box.
        of_head: the features come from the head of the detector, so the network has no residual stage.
        vectors: file of word vectors where the block names no weights; ``None`` is the shipped one.

    Raises:
        InputError: something does not fit.
    """
    if 'weights' in block:
        network, vocabulary = _trained(block)
    else:
        vocabulary = all_words(vectors)
        own = dict(in_channels=4, planes=inputs // 4, blocks=1) if of_head else dict(in_channels=inputs)
        network = _built({**own, 'word_dim': vocabulary.vectors.shape[1], **block})
    if of_head:
        network.head = nn.Identity()
    _check_sizes(network, vocabulary, inputs, of_head)
    return network, vocabulary


def _check_sizes(network: RefNMS, vocabulary: WordEmbedding, inputs: int, of_head: bool) -> None:
    takes = network.features if of_head else network.head[0].conv1.in_channels
    if takes != inputs:
        fitting = f'planes={inputs // 4}' if of_head else f'in_channels={inputs}'
        raise InputError(f'model.ref_nms: takes {takes} channels, but the detector gives {inputs}; set {fitting}, or '
                         'take weights trained on this detector')
    if network.rnn.input_size != vocabulary.vectors.shape[1]:
        raise InputError(f'model.ref_nms: word_dim={network.rnn.input_size}, but the word vectors have '
                         f'{vocabulary.vectors.shape[1]} numbers; set word_dim to that, or give others as vectors=FILE')


def _built(block: dict[str, Any]) -> RefNMS:
    try:
        return MODELS.build(block)
    except (TypeError, ValueError) as error:
        raise InputError(f'model.ref_nms: {error}; its options are those of RefNMS') from error


def _trained(block: Mapping[str, Any]) -> tuple[RefNMS, WordEmbedding]:
    """The network of a weight file, with the options that the block adds."""
    file = load_weights(Path(block['weights'])).complete()
    network, vocabulary = load_ref_nms(file)
    network.threshold = file.meta.get('threshold')
    for name, value in block.items():
        if name in BESIDE_WEIGHTS:
            setattr(network, name, value)
        elif name not in ('type', 'weights') and file.meta['model'].get(name) != value:
            raise InputError(f'model.ref_nms: {name}={value} is not what {file.path} was trained with; leave it out')
    return network, vocabulary
