"""Small runs to be cut and put together, and what of a run must be the same however it was carried out."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROW_FILES = ('predictions.jsonl', 'proposals.jsonl')
#: What of ``results.json`` tells how long something took, where it was written, and of which commit the tree was then.
OF_THE_MOMENT = ('seconds', 'throughput', 'wall_seconds', 'command', 'commit')


def boxes_from_outside(folder: Path, images: int = 20) -> list[str]:
    """Options of a run that needs no picture: recall of a few boxes, on images with one to four expressions."""
    rows = [{'dataset': 'refcoco', 'split': ('val', 'testA')[image % 2], 'image_id': image, 'height': 100,
             'width': 200, 'bbox': [10, 10, 40, 40], 'sent': f'cup {n}'}
            for image in range(1, images + 1) for n in range(image % 4 + 1)]
    (folder / 'e.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    boxes = {image: [[10, 10, 40, 40 - image % 30, 0.2], [150, 50, 40, 20, 0.9]][:image % 3]
             for image in range(1, images + 1)}
    (folder / 'c.json').write_text(json.dumps(boxes))
    return ['--expressions', str(folder / 'e.jsonl'), '--candidates', str(folder / 'c.json'), '--task', 'recall']


def rows_of(folder: Path) -> dict[str, bytes]:
    """The bytes of both files of rows."""
    return {name: (folder / name).read_bytes() for name in ROW_FILES}


def results_of(folder: Path) -> Mapping[str, Any]:
    """``results.json`` without what is of the moment, its folder among it."""
    results = json.loads((folder / 'results.json').read_text())
    run = {name: value for name, value in results['run'].items() if name not in OF_THE_MOMENT}
    run['options'] = {name: value for name, value in run['options'].items() if name != 'out'}
    return {**results, 'run': run}
