"""The parameters of the originals' detector by the names they have here.

Source of the original names: ``lib/nets/resnet_v1.py`` of lichengunc/mask-faster-rcnn, whose whole state dict
``lib/model/train_val.py: snapshot`` saves (``res101_mask_rcnn_iter_*.pth``). Every name has its place, with three
exceptions: ImageNet's classifier ``resnet.fc``, which the detector never runs, is dropped; so are the background's rows
of ``bbox_pred_net`` and ``mask_pred_net``, because the background is no detection; and the batch norms' counters
``num_batches_tracked`` may be absent, as they are in files older than PyTorch 0.4.

Rows change places in two layers. ``cls_score_net`` has the background first and mmdet has it last.
``rpn_cls_score_net`` has the background's logits of all anchors and then the foreground's, mmdet has foreground and
background anchor by anchor.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from harness.data.coco_categories import COCO_CLASSES
from harness.errors import InputError
from harness.files.weights import first_of

_ANCHORS = 12
_CLASSES = 1 + len(COCO_CLASSES)

#: Where each module went, longest name first; ``None`` is dropped.
_MODULES: tuple[tuple[str, str | None], ...] = (
    ('resnet.layer4.', 'roi_head.shared_head.layer4.'),
    ('resnet.fc.', None),
    ('resnet.', 'backbone.'),
    ('rpn_net.', 'rpn_head.rpn_conv.'),
    ('rpn_cls_score_net.', 'rpn_head.rpn_cls.'),
    ('rpn_bbox_pred_net.', 'rpn_head.rpn_reg.'),
    ('cls_score_net.', 'roi_head.bbox_head.fc_cls.'),
    ('bbox_pred_net.', 'roi_head.bbox_head.fc_reg.'),
    ('mask_up_sampling.', 'roi_head.mask_head.upsample.'),
    ('mask_pred_net.', 'roi_head.mask_head.conv_logits.'),
)

#: What happens to the rows of a layer, by the original's name.
_ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    'rpn_cls_score_net': lambda rows: rows.unflatten(0, (2, _ANCHORS)).flip(0).transpose(0, 1).flatten(0, 1),
    'cls_score_net': lambda rows: rows.roll(-1, 0),
    'bbox_pred_net': lambda rows: rows[4:],
    'mask_pred_net': lambda rows: rows[1:],
}


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ('weight', 'bias', 'running_mean', 'running_var'):
        yield f'{name}.{part}', (width, )
    yield f'{name}.num_batches_tracked', ()


def _stage(name: str, in_channels: int, planes: int, blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A stage of bottleneck blocks, the first with a shortcut of its own."""
    for block in range(blocks):
        convolutions = ((planes, in_channels, 1, 1), (planes, planes, 3, 3), (4 * planes, planes, 1, 1))
        for number, shape in enumerate(convolutions, 1):
            yield f'{name}.{block}.conv{number}.weight', shape
            yield from _norm(f'{name}.{block}.bn{number}', shape[0])
        if block == 0:
            yield f'{name}.0.downsample.0.weight', (4 * planes, in_channels, 1, 1)
            yield from _norm(f'{name}.0.downsample.1', 4 * planes)
        in_channels = 4 * planes


def _original_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield 'resnet.conv1.weight', (64, 3, 7, 7)
    yield from _norm('resnet.bn1', 64)
    for number, (in_channels, planes, blocks) in enumerate(
            ((64, 64, 3), (256, 128, 4), (512, 256, 23), (1024, 512, 3)), 1):
        yield from _stage(f'resnet.layer{number}', in_channels, planes, blocks)
    for layer, shape in {
            'resnet.fc': (1000, 2048),
            'rpn_net': (512, 1024, 3, 3),
            'rpn_cls_score_net': (2 * _ANCHORS, 512, 1, 1),
            'rpn_bbox_pred_net': (4 * _ANCHORS, 512, 1, 1),
            'cls_score_net': (_CLASSES, 2048),
            'bbox_pred_net': (4 * _CLASSES, 2048),
            'mask_up_sampling': (2048, 256, 2, 2),
            'mask_pred_net': (_CLASSES, 256, 1, 1)}.items():
        yield f'{layer}.weight', shape
        yield f'{layer}.bias', (shape[1] if layer == 'mask_up_sampling' else shape[0], )


#: Every name of the original with its shape.
ORIGINAL_SHAPES: dict[str, tuple[int, ...]] = dict(_original_shapes())


def _ours(name: str) -> str | None:
    start, target = next(pair for pair in _MODULES if name.startswith(pair[0]))
    return None if target is None else target + name.removeprefix(start)


#: (original, ours), in the original's order, without what is dropped.
PAIRS: tuple[tuple[str, str], ...] = tuple((name, ours) for name in ORIGINAL_SHAPES if (ours := _ours(name)))
#: The original's names that have no place here.
DROPPED: tuple[str, ...] = tuple(name for name in ORIGINAL_SHAPES if _ours(name) is None)
_MAY_BE_ABSENT = frozenset(n for n in ORIGINAL_SHAPES if n.endswith('num_batches_tracked')) | frozenset(DROPPED)


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's state dict under our names, rows rearranged; what ``res101_c4`` loads.

    Raises:
        InputError: names the first few that are missing, are not the original's, or have another shape.
    """
    missing = [f'{n} is missing' for n in ORIGINAL_SHAPES if n not in state and n not in _MAY_BE_ABSENT]
    extra = [f'{n} is not part of this network' for n in state if n not in ORIGINAL_SHAPES]
    shapes = [f'{n} is {tuple(state[n].shape)}, not {shape}' for n, shape in ORIGINAL_SHAPES.items()
              if n in state and tuple(state[n].shape) != shape]
    wrong = [*first_of(missing, 'are missing'), *first_of(extra, 'are not part of it'),
             *first_of(shapes, 'are of another shape')]
    if wrong:
        raise InputError(f'not the state of the originals\' R101-C4 Mask R-CNN: {"; ".join(wrong)}; '
                         'give res101_mask_rcnn_iter_1250000.pth')
    renamed = {ours: (name.rpartition('.')[0], state[name]) for name, ours in PAIRS if name in state}
    return {ours: _ROWS[layer](tensor) if layer in _ROWS else tensor for ours, (layer, tensor) in renamed.items()}
