"""``run_benchmark.py data candidates``: boxes by Grounding DINO on the images of datasets, for ``--candidates``.

Its prompt is a list of categories, so that its boxes are those of an image, whatever the sentences, as any first
stage's are.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.arguments import add_device
from harness.commands.data_sources import add_sources, check_sources, chosen_of, datasets_of
from harness.data.coco_categories import COCO_CLASSES
from harness.errors import InputError
from harness.loading import loading
from harness.options import within
from harness.types import Dataset, ImageInfo

SUMMARY = 'write the boxes that Grounding DINO finds, for --candidates'
#: Pairs of box and category that are kept of an image, as mmdetection keeps them.
MOST = 300


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``data candidates``."""
    parser.add_argument('--model', type=Path, required=True, metavar='DIR',
                        help='the folder of a Grounding DINO or MM Grounding DINO of transformers')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help="COCO's detection results, a JSON file")
    parser.add_argument('--categories', type=Path, metavar='FILE',
                        help="what to look for, a name a line (default: the datasets' categories, else COCO's)")
    parser.add_argument('--most', type=int, default=MOST, metavar='N', help=f'boxes of an image (default: {MOST})')
    add_device(parser)
    add_sources(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file, and print how many boxes it has."""
    check_sources(args)
    within('--most', args.most, 1, 100_000)
    if not args.out.parent.is_dir():
        raise InputError(f'--out {args.out}: there is no folder {args.out.parent}; make it first')
    datasets = datasets_of(args)
    chosen = chosen_of(datasets, args.split, args.limit)
    images = _images(datasets, {name: [e.image_id for es in splits.values() for e in es]
                                for name, splits in chosen.items()})
    loading('torch')
    from adapters.clip.grounding_dino import load_grounding_dino
    from harness.commands.detector_conversion import read_classes
    from harness.device import pick_device
    from harness.evaluation.prepare import unpack_images
    model = load_grounding_dino(args.model, pick_device(args.device))
    found = tuple(dict.fromkeys(name for dataset in datasets.values() for name in dataset.categories)) or COCO_CLASSES
    categories = found if args.categories is None else tuple(read_classes(args.categories))
    prompt = model.prompt(categories)
    unpack_images(datasets.values(), print)
    print(f'{_write(args.out, images, categories, lambda pixels: model.detect(pixels, prompt, args.most))} boxes on '
          f'{len(images)} images: {args.out}')
    return 0


def _images(datasets: Mapping[str, Dataset], wanted: Mapping[str, Iterable[int]]) -> dict[int, ImageInfo]:
    """The images by their ids.

    Raises:
        InputError: two datasets have different images of one id.
    """
    images: dict[int, ImageInfo] = {}
    for name, numbers in wanted.items():
        for number in numbers:
            info = datasets[name].images[number]
            if images.setdefault(number, info).path != info.path:
                raise InputError(f'--dataset {name}: image {number} is another one in a dataset before it; write a '
                                 'file for each dataset, by --dataset')
    return images


def _write(out: Path, images: Mapping[int, ImageInfo], categories: tuple[str, ...], detect: Any) -> int:
    """Write the rows of all images, one image at a time; how many they are."""
    from harness.files.writing import ANOTHER_OUT, replacing
    from harness.progress import track
    count = 0
    with replacing(out, ANOTHER_OUT) as beside, beside.open('w', encoding='utf-8') as file:
        for info in track(list(images.values()), 'images'):
            for row in _rows(info, categories, detect):
                file.write(('[' if not count else ',\n') + row)
                count += 1
        file.write(']\n' if count else '[]\n')
    return count


def _rows(info: ImageInfo, categories: tuple[str, ...], detect: Any) -> Iterator[str]:
    from harness.boxes import xyxy_to_xywh
    from harness.detection.pictures import read_recorded
    boxes, labels, scores = detect(read_recorded(info).pixels)
    for box, label, score in zip(xyxy_to_xywh(boxes.double().cpu().numpy()).round(2).tolist(), labels.tolist(),
                                 scores.double().cpu().numpy().round(6).tolist(), strict=True):
        yield json.dumps({'image_id': info.image_id, 'category': categories[label], 'bbox': box, 'score': score})
