"""A run at the size of the real benchmarks, simulated: ``python -m tests.scale``.

The 57,457 evaluation expressions of RefCOCO, RefCOCO+ and RefCOCOg, which are not part of the project, go through
three proposal rules, a grounder, the metrics, the tables, the page and the check. Candidates are drawn
(:mod:`tests.drawn_detector`), so that no images are needed. Each step runs in a process of its own, so that its memory
is its own; time and memory are printed against the number of expressions, candidates and words. A step that was
measured before is not repeated, so that a long measurement goes on where it was cut off. Measurements, not tests: they
depend on the machine. The figures of such a run mean nothing.
"""
from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get('REAL_DATA', ROOT / '../shared/real')) / 'refcoco_eval.jsonl.gz'
#: Images are dealt to so many portions by their id, whose first ones are measured.
PORTIONS = 8
STEPS = ('run', 'tables', 'html', 'check')


@dataclass(frozen=True)
class Size:
    """What is measured: eighths of the images, regions per image, how often each sentence is said, and processes."""

    eighths: int
    regions: int = 300
    words: int = 1
    workers: int = 1

    @property
    def folder(self) -> str:
        """Where its files go."""
        return f'{self.eighths}-eighths-{self.regions}-regions-{self.words}-times-{self.workers}-processes'


class Cost(NamedTuple):
    """What a step took: wall and processor time in seconds, and most memory in MB.

    The memory of worker processes is added up as if they shared nothing, which they do: the true peak is lower.
    """

    wall: float
    processor: float
    memory: float


#: What is measured, by the title of its table.
SERIES = {
    'expressions': [Size(eighths) for eighths in (1, 2, 4, 8)],
    'expressions, two processes': [Size(eighths, workers=2) for eighths in (1, 2, 4, 8)],
    'candidates': [Size(1, regions) for regions in (75, 150, 300)],
    'words': [Size(1, words=words) for words in (1, 2, 4)],
}


def main(argv: Sequence[str]) -> int:
    """Measure every size, and print a table per series."""
    parser = argparse.ArgumentParser(prog='python -m tests.scale', description='Time and memory at real scale.')
    parser.add_argument('--only', choices=SERIES, action='append', help='some of the series (default: all)')
    parser.add_argument('--most', type=int, default=PORTIONS, metavar='EIGHTHS', help='no more than so many eighths')
    parser.add_argument('--out', type=Path, default=ROOT / 'results/scale', metavar='DIR',
                        help='where runs and costs are kept, 3 GB in all (default: results/scale)')
    args = parser.parse_args(argv)
    if not REAL.is_file():
        print(f'{REAL} is not there: it holds the real expressions; set REAL_DATA to the folder that has it')
        return 0
    for title in args.only or SERIES:
        rows = [measure(size, args.out / size.folder) for size in SERIES[title] if size.eighths <= args.most]
        print(f'\nGrowth with {title}\n')
        print(table(rows), flush=True)
    return 0


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows of some sizes as Markdown; in brackets, processor time."""
    heads = ['expressions', 'images', 'regions', 'words', 'processes',
             *(f'{name}, {unit}' for name in STEPS for unit in ('s', 'MB')), 'run, CPU ms per expression', 'rows, MB']
    return tabulate(rows, headers=heads, tablefmt='github', stralign='right', disable_numparse=True)


def measure(size: Size, folder: Path) -> list[str]:
    """Every step of one size, as cells of the table; what is in the folder is not measured again."""
    rows = [said_often(row, size.words) for row in real_rows() if row['image_id'] % PORTIONS < size.eighths]
    folder.mkdir(parents=True, exist_ok=True)
    expressions, out = folder / 'expressions.jsonl', folder / 'out'
    expressions.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    costs = [step(name, expressions, out, size) for name in STEPS]
    written = sum(file.stat().st_size for file in out.glob('*.jsonl')) / 1e6
    images = len({(row['dataset'], row['split'], row['image_id']) for row in rows})
    words = sum(len(row['sent'].split()) for row in rows) / len(rows)
    return [f'{len(rows):,}', f'{images:,}', str(size.regions), f'{words:.1f}', str(size.workers),
            *(cell for cost in costs for cell in (f'{cost.wall:.0f} ({cost.processor:.0f})', f'{cost.memory:.0f}')),
            f'{1000 * costs[0].processor / len(rows):.1f}', f'{written:.0f}']


def real_rows() -> Iterator[dict[str, Any]]:
    """The real expressions."""
    with gzip.open(REAL, 'rt', encoding='utf-8') as lines:
        yield from map(json.loads, lines)


def said_often(row: dict[str, Any], times: int) -> dict[str, Any]:
    """An expression whose sentence is said several times in a row."""
    return {**row, 'sent': ' '.join([row['sent']] * times)}


def step(name: str, expressions: Path, out: Path, size: Size) -> Cost:
    """One step in a process of its own, which says what it took in the last line that it prints."""
    kept = out.with_name(f'{name}.json')
    if not kept.exists():
        done = subprocess.run([sys.executable, '-m', 'tests.scale_step', name, str(expressions), str(out),
                               json.dumps(asdict(size))], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f'{name}, {size}: {done.stderr or done.stdout}')
        kept.write_text(done.stdout.splitlines()[-1])
        print(f'{time.strftime("%H:%M:%S")} {name}, {size}: {kept.read_text()}', file=sys.stderr, flush=True)
    return Cost(*json.loads(kept.read_text()))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
