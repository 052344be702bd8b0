"""``run_benchmark.py train``: every shipped weight file from seeds, in order, resumable.

A finished part is remembered in the work folder with the file's hash; the same command goes on where a killed one
stopped.
"""
from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from harness.detection.detector import Detector
from harness.embedded.build import IMAGES, SPLIT_BY, part_folder
from harness.embedded.known import load_embedded
from harness.names import OneLineParser, pick
from harness.registry import GROUNDERS
from harness.training import ref_nms_command
from harness.training.detector import train_detector
from harness.training.features import AnnotatedFeatures, described_images
from harness.training.grounder import Material, train_grounder
from harness.training.image_regions import ImageRegions
from harness.training.options import EMBEDDED
from harness.training.pooled_regions import pooled_split
from harness.training.ref_nms import train_ref_nms
from harness.training.runner import console
from harness.types import Dataset
from harness.vectors import load_vectors
from harness.weights import SHIPPED, load_weights

WORK = Path('results') / 'training'
DETECTOR = 'detector.safetensors'
#: The losses and texts that are not shipped; draws depend on the seed alone.
FROZEN = {'ref-nms-r': EMBEDDED['ranking'].changed(head='frozen', draws='index'),
          'ref-nms-blind': EMBEDDED['binary'].changed(head='frozen', draws='index', text='blind')}


def main(argv: Sequence[str]) -> int:
    """Parse the options and train the parts asked for; ``ref-nms`` has a command line of its own."""
    if argv and argv[0] == 'ref-nms':
        return ref_nms_command.main(argv[1:])
    trainable = [name for name, plugin in GROUNDERS.module_dict.items() if hasattr(plugin, 'recipe')]
    parts = ['detector', 'ref-nms-b', *trainable]
    parser = OneLineParser(prog='run_benchmark.py train', description=__doc__.split('\n')[0])
    parser.add_argument('part', nargs='+', help=f'all, or some of: {", ".join(parts)}; or else {", ".join(FROZEN)}, '
                        'which are not shipped; or "ref-nms --help": Ref-NMS with any option on any dataset')
    parser.add_argument('--dataset', action='append', metavar='NAME',
                        help='datasets of Ref-NMS and grounders (default: all)')
    parser.add_argument('--seed', type=int, default=1, help='seed of everything random (default: 1)')
    parser.add_argument('--out', type=Path, default=SHIPPED, metavar='DIR',
                        help='where weights go (default: over the shipped ones)')
    parser.add_argument('--work', type=Path, default=WORK, metavar='DIR',
                        help='checkpoints and logs (default: results/training)')
    args = parser.parse_args(argv)
    wanted = parts if 'all' in args.part else pick('train', args.part, [*parts, *FROZEN], parts)
    datasets = pick('--dataset', args.dataset, SPLIT_BY, tuple(SPLIT_BY))
    training = Training(args.out, args.work, args.seed)
    if 'detector' in wanted:
        training.detector_file()
    for dataset in datasets:
        for part in wanted:
            if part == 'ref-nms-b':
                training.ref_nms_file(dataset)
            elif part in FROZEN:
                training.frozen_file(part, dataset)
            elif part in trainable:
                training.grounder_file(part, dataset)
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
        self.vectors = load_vectors()
        self._passes: dict[str, tuple[ImageRegions, AnnotatedFeatures]] = {}

    def detector_file(self) -> None:
        """Train the detector that all datasets share."""
        folder = part_folder('train')
        self._part('detector', lambda path, work, command: train_detector(
            folder / 'mini-refcoco' / 'instances.json', folder / IMAGES, path, work, command=command, seed=self.seed))

    def ref_nms_file(self, name: str) -> None:
        """Train Ref-NMS on one dataset and calibrate its threshold."""
        self._part(f'ref-nms-b-{name}', lambda path, work, command: train_ref_nms(
            self._dataset(name, 'train'), self._dataset(name, 'eval'), self._regions(name, 'train'),
            self._regions(name, 'val'), self.detector, self.vectors, path, work, command=command, seed=self.seed))

    def frozen_file(self, part: str, name: str) -> None:
        """Train another Ref-NMS on one dataset: the shipped recipe, but with the detector's head frozen."""
        def train(path: Path, work: Path, command: str) -> Path:
            seen, seen_of_val = (pooled_split(
                self._dataset(name, folder), split, self.detector, self.vectors,
                self.work / f'pooled-{name}-{split}.safetensors', detector_hash=_sha256(self.out / DETECTOR),
                dtype=torch.float16 if split == 'train' else torch.float32)
                for split, folder in (('train', 'train'), ('val', 'eval')))
            return train_ref_nms(self._dataset(name, 'train'), self._dataset(name, 'eval'), seen, seen_of_val,
                                 self.detector, self.vectors, path, work, command=command, seed=self.seed,
                                 options=FROZEN[part])
        self._part(f'{part}-{name}', train)

    def grounder_file(self, grounder: str, name: str) -> None:
        """Train a grounder on one dataset's annotated boxes."""
        def train(path: Path, work: Path, command: str) -> Path:
            material = Material(self._dataset(name, 'train'), self._dataset(name, 'eval'),
                                self._annotated(name, 'train'), self._annotated(name, 'val'), self.vectors,
                                lambda other: load_weights(self.out / f'{other}-{name}.safetensors'))
            return train_grounder(grounder, material, path, work, command=command, seed=self.seed)
        self._part(f'{grounder}-{name}', train)

    @cached_property
    def detector(self) -> Detector:
        return Detector(load_weights(self.out / DETECTOR))

    def _part(self, name: str, train: Callable[[Path, Path, str], Path]) -> None:
        """Run ``train(path, work, command)`` unless this very file is already finished."""
        path, work = self.out / f'{name}.safetensors', self.work / f'{name}-seed{self.seed}'
        done = work / 'finished.json'
        if path.exists() and done.exists() and json.loads(done.read_text()).get('sha256') == _sha256(path):
            console.print(f'{name}: finished before, {path}')
            return
        start = time.monotonic()
        part, _, dataset = name.partition('-mini-')
        command = f'python run_benchmark.py train {part}' + (f' --dataset mini-{dataset}' if dataset else '')
        train(path, work, f'{command} --seed {self.seed}')
        seconds = time.monotonic() - start
        done.write_text(json.dumps({'sha256': _sha256(path), 'seconds_of_the_last_start': round(seconds)}) + '\n')
        console.print(f'{name}: {path}, {path.stat().st_size / 1e6:.1f} MB, {seconds / 60:.1f} min')

    @cache  # noqa: B019 (one Training lives as long as its process)
    def _dataset(self, name: str, part: str) -> Dataset:
        return load_embedded(name, part)

    def _regions(self, name: str, split: str) -> dict[int, dict[str, Any]]:
        """What Ref-NMS sees of a split's images; float32 where the threshold is chosen, as in a later run."""
        return self._seen(name, split)[0].collected()

    def _annotated(self, name: str, split: str) -> dict[str, Any]:
        """What grounders see of a split's annotated boxes."""
        return self._seen(name, split)[1].collected()

    def _seen(self, name: str, split: str) -> tuple[ImageRegions, AnnotatedFeatures]:
        """Both, from one pass of the detector; datasets that share images share what was seen of them."""
        dataset = self._dataset(name, 'train' if split == 'train' else 'eval')
        if split not in self._passes:
            self._passes[split] = (ImageRegions(torch.float16 if split == 'train' else torch.float32),
                                   AnnotatedFeatures())
        regions, annotated = self._passes[split]
        for image in described_images(dataset, split, self.detector, except_for=regions.collected()):
            regions.add(image)
            annotated.add(image)
        return regions, annotated


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
