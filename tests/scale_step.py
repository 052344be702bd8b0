"""One step of ``python -m tests.scale``, in its own process: ``python -m tests.scale_step STEP EXPRESSIONS OUT SIZE``.

The last line that it prints is what it took: wall and processor time in seconds, and most memory in MB.
"""
from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from tests.scale import Cost, Size

RULES = ['greedy', 'greedy-100', 'category-name']
GROUNDER = 'chance'


def main(name: str, expressions: str, out: str, size: str) -> None:
    """Do a step, and print its cost."""
    start, asked = time.perf_counter(), Size(**json.loads(size))
    if name == 'run':
        run(Path(expressions), Path(out), asked)
    else:
        report(name, out)
    print(json.dumps(cost(time.perf_counter() - start, asked.workers if name == 'run' else 0)))


def cost(wall: float, workers: int) -> Cost:
    """What this process and its workers have taken so far."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    processor = sum(used.ru_utime + used.ru_stime for used in (own, children))
    memory = own.ru_maxrss + (workers if workers > 1 else 0) * children.ru_maxrss
    return Cost(round(wall, 2), round(processor, 2), round(memory / 1024))


def run(expressions: Path, out: Path, size: Size) -> None:
    """A run on drawn candidates, with its ``results.json``."""
    from harness.evaluation.measure import Execution, measure
    from harness.evaluation.request import Readers, Request
    from harness.evaluation.results import write_results
    from tests.drawn_detector import detector_with, empty_maps

    detector_with(size.regions)
    with expressions.open(encoding='utf-8') as lines:
        sizes = {row['image_id']: (row['height'], row['width']) for row in map(json.loads, lines)}
    request = Request(expressions=expressions, rules=RULES, grounders=[GROUNDER], tasks=['recall', 'rec'],
                      detector='drawn', features=Path('drawn'), device='cpu')
    start = time.perf_counter()
    done = measure(request, Execution(out, size.workers), iter, {}, Readers(features=lambda path: empty_maps(sizes)))
    write_results(out, done.outcome, done.record('python -m tests.scale', {}, 0, time.perf_counter() - start))
    print(json.dumps(done.record('', {}, 0, 0)['seconds'], indent=1))


def report(name: str, out: str) -> None:
    """One of the reports on a run."""
    from reports.__main__ import main as reports

    words = {'tables': ['tables', out, '--ci'], 'html': ['html', out, '-o', f'{out}/report.html'],
             'check': ['check', out, '--against', f'{out}/results.json']}
    if reports(words[name]) != 0:
        raise SystemExit(f'{name}: failed')


if __name__ == '__main__':
    main(*sys.argv[1:])
