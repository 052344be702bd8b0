"""What a GPU changes, in results, speed and memory: ``python -m tests.gpu`` (at most 8 minutes; ``--device cuda``).

The same part of the embedded benchmark is run on the CPU, on the GPU, and on the GPU in bf16, each with one worker in
this process and without kept detections. Without a GPU that mmcv's operators were built for, it says so and ends.

Seconds by stage are as a run measures them: a GPU computes on while its process goes on, so that a stage's work may be
waited for, and counted, in the next one that needs a number. The sum over all stages is right.
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Collection
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from harness.detection.detector import Detector
from harness.detection.pictures import read_recorded
from harness.device import pick_device
from harness.evaluation.datasets import load_dataset
from harness.evaluation.precision import Changes, changes
from harness.files.weights import load_weights, shipped_path
from run_benchmark import command_line

#: Largest differences that are taken as rounding: of confidences, and of boxes in pixels.
TOLERANCE = {'confidence': 1e-4, 'box': 0.05}


@dataclass
class Ran:
    """A run: its name, lines of ``predictions.jsonl``, results, and most memory of the GPU in MB."""

    name: str
    lines: bytes
    results: dict[str, Any]
    memory: float | None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog='python -m tests.gpu', description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--device', default='auto', help='the GPU (default: auto)')
    parser.add_argument('--limit', type=int, default=600, help='expressions (default: 600)')
    parser.add_argument('--grounder', default='all', help='grounders (default: all)')
    args = parser.parse_args(argv)
    device = pick_device(args.device)
    if device == 'cpu' and args.device == 'auto':
        print("skipped: there is no GPU that mmcv's operators were built for")
        return 0
    name = torch.cuda.get_device_name(device) if device != 'cpu' else 'CPU'
    print(f'{name}, torch {torch.__version__}\n')
    faults = differences('cpu', device)
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(Path(folder) / str(i), label, args, *options) for i, (label, *options) in enumerate((
            ('CPU', '--device', 'cpu'), (name, '--device', device),
            (f'{name}, bf16', '--device', device, '--precision', 'bf16')))]
    print(speeds(runs))
    print()
    for other in runs[1:]:
        print(f'{other.name}: {said(changes(other.lines, runs[0].lines).values())}'
              + ('' if other.memory is None else f'; at most {other.memory:,.0f} MB of its memory'))
    for fault in faults:
        print(f'differs: {fault}')
    return 1 if faults else 0


def differences(one: str, other: str, images: int = 5) -> list[str]:
    """Candidates on both devices that differ by more than rounding: region by region, before any suppression."""
    weights = load_weights(shipped_path('detector'))
    detectors = [Detector(weights, device) for device in (one, other)]
    for detector in detectors:
        detector.prepare_to_run()
    found = []
    for info in list(load_dataset('mini-refcoco', None).images.values())[:images]:
        pixels = read_recorded(info).pixels
        first, second = (detector.features(pixels, info) for detector in detectors)
        for what, a, b in (('confidence', first.class_scores, second.class_scores),
                           ('box', first.class_boxes, second.class_boxes)):
            if a.shape != b.shape:
                found.append(f'image {info.image_id}: {len(a)} regions on {one}, {len(b)} on {other}')
                break
            most = float((a.cpu() - b.cpu()).abs().max())
            if most > TOLERANCE[what]:
                found.append(f'image {info.image_id}: {what} by {most:.2g}, more than {TOLERANCE[what]}')
    return found


def run(folder: Path, name: str, args: argparse.Namespace, *options: str) -> Ran:
    """A run in this process, so that its memory can be asked for."""
    on_gpu = torch.cuda.is_available() and '--device' in options and 'cpu' not in options
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    command = ['--grounder', args.grounder, '--dataset', 'mini-refcoco', '--split', 'testB', '--limit', str(args.limit),
               '--store', 'none', '--workers', '1', '--out', str(folder), *options]
    with redirect_stdout(StringIO()):
        if command_line(command):
            raise SystemExit(f'{name}: the run failed')
    return Ran(name, (folder / 'predictions.jsonl').read_bytes(), json.loads((folder / 'results.json').read_text()),
               torch.cuda.max_memory_allocated() / 1e6 if on_gpu else None)


def speeds(runs: list[Ran]) -> str:
    """Images per second, stage by stage."""
    stages = list(runs[0].results['run']['throughput'])
    rows = [[stage, *(one.results['run']['throughput'].get(stage, {}).get('images_per_second') for one in runs)]
            for stage in stages]
    images = runs[0].results['run']['images']
    rows.append(['whole run, with loading', *(images / one.results['run']['wall_seconds'] for one in runs)])
    return tabulate(rows, ['images/s', *(one.name for one in runs)], 'github', floatfmt='.1f')


def said(found: Collection[Changes]) -> str:
    """How many choices differ from those on the CPU."""
    return (f'{sum(one.other_box for one in found)} of {sum(one.compared for one in found)} choices differ from those '
            f'on the CPU, {sum(one.right_in_one for one in found)} answers are right in only one')


if __name__ == '__main__':
    sys.exit(main())
