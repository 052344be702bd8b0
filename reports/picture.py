"""Proposals drawn into their images, two rules side by side, as rows (d) and (e) of the paper's Figure 5.

Red: a proposal that hits the referent (IoU > 0.5). Blue: another one. Dashed yellow: the box that the grounder chose,
with a tick or a cross in the title.
"""
# ruff: noqa: E402
from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import InputError, exit_code

if __name__ == '__main__':  # before what a Python without the packages cannot import
    sys.exit(exit_code(lambda: import_module('reports.picture').main(), 'interrupted',
                       'check the path, its permissions and free space'))

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from harness.boxes import annotated_iou
from harness.data.rows import PredictionRow, ProposalsRow, read_rows
from harness.files.image_header import read_header, turned
from harness.names import OneLineParser, at_least

RED, BLUE, YELLOW = '#d62728', '#1f77b4', '#ffd21f'
Row = dict[str, Any]


#: The fields that are looked at of a row of either file.
PROPOSALS = ('dataset', 'proposals', 'sent_id', 'boxes')
PREDICTION = ('dataset', 'split', 'grounder', 'proposals', 'sent', 'sent_id', 'image_id', 'iou', 'gt_box', 'box',
              'image_size')


def changed(results: Path, rules: Sequence[str], grounder: str, split: str, dataset: str) -> list[dict[str, Row]]:
    """Expressions that the first rule gets wrong and the second right, each with its rows by rule."""
    by_sentence: dict[int, dict[str, Row]] = {}
    for _, row in read_rows(results / 'predictions.jsonl', PredictionRow, *PREDICTION):
        if (row['dataset'], row['split'], row['grounder']) == (dataset, split, grounder) and row['proposals'] in rules:
            by_sentence.setdefault(row['sent_id'], {})[row['proposals']] = row
    first, second = rules
    return [both for both in by_sentence.values()
            if len(both) == 2 and (both[first]['iou'] or 0) < 0.5 <= (both[second]['iou'] or 0)]


def draw(results: Path, images: Path, out: Path, *, rules: Sequence[str] = ('greedy', 'ref-nms-b'),
         grounder: str = 'cmae', dataset: str = 'mini-refcoco', split: str = 'testB', count: int = 4,
         skip: int = 0) -> None:
    """Draw some of the expressions that changed from wrong to right.

    Args:
        results: a run's folder.
        images: folder of its images.
        out: the picture.
        rules: the rule on top and the one below.
        count: columns.
        skip: how many expressions to leave out first; at most one expression per image is drawn.

    Raises:
        InputError: no expression changed, an image or its proposals are not there, or the picture can't be written.
    """
    one_per_image = list({both[rules[0]]['image_id']: both for both in changed(
        results, rules, grounder, split, dataset)}.values())[skip:skip + count]
    if not one_per_image:
        raise InputError(f'{results}: nothing of {grounder} on {dataset} {split} that {rules[0]} gets wrong and '
                         f'{rules[1]} right is left; check --dataset, --split, --grounder and --skip')
    wanted = {both[rules[0]]['sent_id'] for both in one_per_image}
    proposals = read_rows(results / 'proposals.jsonl', ProposalsRow, *PROPOSALS)
    boxes = {(row['sent_id'], row['proposals']): row['boxes'] for _, row in proposals
             if row['dataset'] == dataset and row['sent_id'] in wanted and row['proposals'] in rules}
    figure = Figure(figsize=(3.1 * len(one_per_image), 6.2), layout='constrained')
    axes = figure.subplots(len(rules), len(one_per_image), squeeze=False)
    for column, both in enumerate(one_per_image):
        picture = _picture(images, both[rules[0]]['image_id'], both[rules[0]].get('image_size'))
        for line, rule in enumerate(rules):
            if (proposed := boxes.get((both[rule]['sent_id'], rule))) is None:
                raise InputError(f'{results / "proposals.jsonl"}: lacks sentence {both[rule]["sent_id"]} of '
                                 'predictions.jsonl; give the folder of a whole run')
            _panel(axes[line][column], picture, both[rule], proposed, rule)
    try:
        figure.savefig(out, dpi=110)
    except ValueError as error:
        raise InputError(f'--out {out}: {str(error).split(";")[0]}; name it .png or .svg') from None


def _picture(folder: Path, image_id: int, size: Sequence[int] | None) -> np.ndarray:
    """``(height, width, 3)``, turned as the run turned it; ``size`` is the recorded width and height."""
    file = next(folder.glob(f'*{image_id:012d}.*'), None)
    if file is None:
        raise InputError(f'--images {folder}: has no image {image_id:012d}; give the folder of the run\'s images')
    read_header(file)
    try:
        with Image.open(file, formats=('PNG', 'JPEG')) as image:
            return np.asarray(turned(image, None if size is None else (size[1], size[0])).convert('RGB'))
    except (OSError, ValueError, SyntaxError):
        raise InputError(f'{file}: not a readable image; fetch it again') from None


def _panel(axes: Axes, picture: Any, row: Row, boxes: Sequence[Sequence[float]], rule: str) -> None:
    axes.imshow(picture)
    axes.set_axis_off()
    mark = '✓' if (row['iou'] or 0) >= 0.5 else '✗'
    axes.set_title(f'“{row["sent"]}”\n{rule} {mark}', fontsize=9, color='#222222')
    for box in boxes:
        hit = annotated_iou(box, row['gt_box']) > 0.5
        axes.add_patch(_rectangle(box, RED if hit else BLUE, linewidth=2.2 if hit else 1.2))
    if row.get('box') is not None:
        axes.add_patch(_rectangle(row['box'], YELLOW, linewidth=2, linestyle='--'))


def _rectangle(box: Sequence[float], color: str, **style: Any) -> Rectangle:
    return Rectangle((box[0], box[1]), box[2], box[3], fill=False, edgecolor=color, **style)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m reports.picture RESULTS --images DIR -o FILE``."""
    parser = OneLineParser(prog='python -m reports.picture', allow_abbrev=False,
                           description='Draw proposals into their images.')
    parser.add_argument('results', type=Path, help='a run\'s folder')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument('-o', '--out', type=Path, required=True, help='the picture, .png or .svg')
    parser.add_argument('--dataset', default='mini-refcoco')
    parser.add_argument('--split', default='testB')
    parser.add_argument('--grounder', default='cmae')
    parser.add_argument('--count', type=at_least(1), default=4, help='expressions (default: 4)')
    parser.add_argument('--skip', type=at_least(0), default=0, help='expressions to leave out first (default: 0)')
    args = parser.parse_args(argv)
    draw(args.results, args.images, args.out, dataset=args.dataset, split=args.split, grounder=args.grounder,
         count=args.count, skip=args.skip)
    return 0
