"""Whether mmcv's operators compute what plain torch does, on small random inputs; ends with one line where not."""
from __future__ import annotations

import sys
from collections.abc import Callable

try:
    import torch
    from mmcv.ops import nms, roi_align  # which loads every operator
except ImportError as error:
    sys.exit(f'error: mmcv\'s operators do not load: {error}')


def plain_nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> list[int]:
    """Indices of the boxes that greedy suppression keeps, by falling score."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        overlap = (torch.minimum(boxes[kept, 2:], boxes[index, 2:])
                   - torch.maximum(boxes[kept, :2], boxes[index, :2])).clamp(min=0).prod(dim=1)
        if not (overlap / (areas[kept] + areas[index] - overlap) > threshold).any():
            kept.append(index)
    return kept


def plain_roi_align(features: torch.Tensor, rois: torch.Tensor, size: int, scale: float, samples: int) -> torch.Tensor:
    """RoIAlign of Mask R-CNN, half-pixel aligned: the mean of bilinear samples in each of ``size`` × ``size`` bins."""
    height, width = features.shape[-2:]
    steps = (torch.arange(size * samples, dtype=features.dtype) + 0.5) / (size * samples)
    pooled = []
    for image, x1, y1, x2, y2 in rois * rois.new_tensor([1, *[scale] * 4]) - rois.new_tensor([0, *[0.5] * 4]):
        y, x = torch.meshgrid(y1 + steps * (y2 - y1), x1 + steps * (x2 - x1), indexing='ij')
        grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
        sampled = torch.nn.functional.grid_sample(features[int(image)][None], grid[None], padding_mode='border',
                                                  align_corners=True)
        inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
        pooled.append(torch.nn.functional.avg_pool2d(sampled * inside, samples))
    return torch.cat(pooled)


def random_boxes(number: int, side: float, generator: torch.Generator) -> torch.Tensor:
    """``(number, 4)`` boxes xyxy, some of them over the edges of a ``side`` × ``side`` image."""
    corner = torch.rand(number, 2, generator=generator, dtype=torch.float64) * side - 0.1 * side
    extent = torch.rand(number, 2, generator=generator, dtype=torch.float64) * 0.6 * side + 1
    return torch.cat([corner, corner + extent], dim=1)


def check_nms(nms: Callable) -> None:
    generator = torch.Generator().manual_seed(0)
    for threshold in (0.3, 0.5, 0.7):
        boxes, scores = random_boxes(200, 100, generator).float(), torch.rand(200, generator=generator)
        found, expected = nms(boxes, scores, threshold)[1].tolist(), plain_nms(boxes, scores, threshold)
        if found != expected:
            sys.exit(f'error: mmcv\'s nms keeps other boxes than plain torch at threshold {threshold}: '
                     f'{len(found)} of 200, not {len(expected)}')


def check_roi_align(roi_align: Callable) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 3, 20, 30, generator=generator, dtype=torch.float64, requires_grad=True)
    images = torch.arange(12, dtype=torch.float64)[:, None] % 2
    rois = torch.cat([images, random_boxes(12, 80, generator)], dim=1)
    found = roi_align(features, rois, (5, 5), 0.25, 2, 'avg', True)
    expected = plain_roi_align(features, rois, 5, 0.25, 2)
    weights = torch.rand(expected.shape, generator=generator, dtype=torch.float64)
    for what, mine, plain in (('result', found, expected), ('gradient', *(
            torch.autograd.grad((pooled * weights).sum(), features)[0] for pooled in (found, expected)))):
        if not torch.allclose(mine, plain):
            sys.exit(f'error: the {what} of mmcv\'s roi_align differs from plain torch by up to '
                     f'{(mine - plain).abs().max():.3g}')


if __name__ == '__main__':
    check_nms(nms)
    check_roi_align(roi_align)
