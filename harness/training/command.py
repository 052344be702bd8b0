"""``run_benchmark.py train``: every shipped weight file from seeds, in order, resumable.

A finished part is remembered in the work folder with the file's hash; the same command goes on where a killed one stopped.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.detection.detector import Detector
from harness.embedded.build import SPLIT_BY, part_folder
from harness.embedded.known import load_embedded
from harness.errors import InputError
from harness.names import pick
from harness.registry import GROUNDERS
from harness.training.detector import train_detector
from harness.training.features import AnnotatedFeatures, described_images
from harness.training.grounder import Material, train_grounder
from harness.training.ref_nms import ImageRegions, train_ref_nms
from harness.training.runner import console
from harness.types import Dataset
from harness.vectors import load_vectors
from harness.weights import SHIPPED, load_weights

WORK = Path('results') / 'training'


def main(argv: Sequence[str]) -> int:
    """Parse the options and train the parts asked for."""
    trainable = [name for name, plugin in GROUNDERS.module_dict.items() if hasattr(plugin, 'recipe')]
    parts = ['detector', 'ref-nms-b', *trainable]
    parser = argparse.ArgumentParser(prog='run_benchmark.py train', description=__doc__.split('\n')[0])
    parser.add_argument('part', nargs='+', help=f'all, or some of: {", ".join(parts)}')
    parser.add_argument('--dataset', action='append', metavar='NAME', help='datasets of Ref-NMS and grounders (default: all)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--out', type=Path, default=SHIPPED, metavar='DIR', help='where weights go (default: the shipped ones)')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR', help='checkpoints and logs (default: results/training)')
    args = parser.parse_args(argv)
    wanted = pick('train', args.part, parts, parts)
    datasets = pick('--dataset', args.dataset, SPLIT_BY, tuple(SPLIT_BY))
    session = Training(args.out, args.work, args.seed)
    if 'detector' in wanted:
        session.detector_file()
    for dataset in datasets:
        for part in wanted:
            if part == 'ref-nms-b':
                session.ref_nms_file(dataset)
            elif part in trainable:
                session.grounder_file(part, dataset)
    return 0


class Training:
    """The parts and what they share, each computed when first needed.

    Args:
        out: folder of the weight files.
        work: folder of checkpoints and of what is finished.
        seed: of everything random.
    """

    def __init__(self, out: Path, work: Path, seed: int) -> None:
        self.out, self.work, self.seed = out, work, seed

    def detector_file(self) -> Path:
        def train(path: Path, work: Path, command: str) -> Path:
            folder = part_folder('train')
            dataset = self.dataset('mini-refcoco', 'train')
            return train_detector(dataset, folder / dataset.name / 'instances.json', path, work, command=command,
                                  seed=self.seed)
        return self._part('detector', train)

    def ref_nms_file(self, name: str) -> Path:
        def train(path: Path, work: Path, command: str) -> Path:
            return train_ref_nms(self.dataset(name, 'train'), self.dataset(name, 'eval'), self.regions(name, 'train'),
                                 self.regions(name, 'eval'), self.detector, self.vectors, path, work, command=command,
                                 seed=self.seed)
        return self._part(f'ref-nms-b-{name}', train)

    def grounder_file(self, grounder: str, name: str) -> Path:
        def train(path: Path, work: Path, command: str) -> Path:
            train_set, val_set = self.dataset(name, 'train'), self.dataset(name, 'eval')
            material = Material(train_set, val_set, self.annotated(train_set, 'train'), self.annotated(val_set, 'val'),
                                self.vectors)
            return train_grounder(grounder, material, path, work, command=command, seed=self.seed)
        return self._part(f'{grounder}-{name}', train)
