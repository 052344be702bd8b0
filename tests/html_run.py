"""A small made-up run with two rules and one grounder, for the tests of the HTML report."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tests.prediction_files import lost, row, write

RULES = ('greedy', 'ref-nms-b')
#: The fields that a row without a grounder has nothing in.
ANSWER = ('iou', 'box', 'score', 'label', 'chosen_ann_id', 'chosen_gt_label', 'chosen_gt_iou', 'mask_intersection',
          'mask_union')


class Said(NamedTuple):
    """An expression: for each rule how many proposals it gets, which of them hits the referent (-1: none), and whether
    the grounder is right."""

    sent_id: int
    image_id: int
    sent: str
    greedy: tuple[int, int, bool]
    ref_nms: tuple[int, int, bool]
    split: str = 'val'


#: greedy: 2.5 proposals, 2 of 4 referents, 2 right. ref-nms-b: 2 proposals, 3 of 4 referents, 2 right, others in part.
FOUR = (
    Said(1, 7, 'left cup', (2, -1, False), (3, 2, True)),
    Said(2, 7, '<script>alert(1)</script>', (4, 0, True), (1, 0, True)),
    Said(3, 8, 'cup" onclick="alert(2)" </script>\u2028<!-- &amp;', (1, -1, False), (2, 1, False)),
    Said(4, 8, 'big cup', (3, 2, True), (2, -1, False)),
)


def write_run(folder: Path, said: Sequence[Said] = FOUR, *, dataset: str = 'mini-refcoco', grounder: str = 'cmae',
              rules: Sequence[str] = RULES, images: bool = True, run: Mapping[str, Any] | None = None) -> Path:
    """A run's folder with all its files and images, 40 by 30 pixels each; ``grounder`` may be ``'-'``."""
    answers = [(s, rule, *of_rule) for s in said for rule, of_rule in zip(rules, (s.greedy, s.ref_nms), strict=False)]
    predictions, proposals = [], []
    for s, rule, length, rank, right in answers:
        found = {'best_proposal_iou': 0.9 if rank >= 0 else 0.3}
        made = row if right else lost
        image = f'COCO_train2014_{s.image_id:012d}.png'
        keys = {'dataset': dataset, 'split': s.split, 'image_id': s.image_id, 'sent_id': s.sent_id, 'proposals': rule}
        answer = dict.fromkeys(ANSWER) if grounder == '-' else {'score': s.sent_id / 10}
        predictions.append(made(**{**found, **keys, 'sent': s.sent, 'grounder': grounder, 'n_proposals': length,
                                   'image_file': image, **answer}))
        words = len(s.sent.split())
        proposals.append({**keys, 'boxes': [[float(k), 2.0, 10.0, 8.0] for k in range(length)],
                          'labels': ['cup'] * length,
                          'hits': ['referent' if k == rank else 'context' if k == 0 else None for k in range(length)],
                          'confidence': [0.9 - 0.1 * k / max(length, 1) for k in range(length)], 'relatedness': None,
                          'word_attention': [round(1 / words, 5)] * words if rule.startswith('ref-nms') else None})
    write(folder / 'predictions.jsonl', predictions)
    write(folder / 'proposals.jsonl', proposals)
    if images:
        for image_id in {s.image_id for s in said}:
            picture = Image.new('RGB', (40, 30), (30 * image_id % 255, 120, 90))
            picture.save(folder / f'COCO_train2014_{image_id:012d}.png')
    (folder / 'results.json').write_text(json.dumps({
        'records': list(_records(answers, dataset, grounder)),
        'run': {'command': f'python run_benchmark.py --out {folder.name}', 'commit': 'c0ffee', 'seed': 0,
                'machine': 'made up', 'versions': {'python': '3.11'}, 'data': {dataset: 'da7a'},
                'images_in': {dataset: str(folder)} if images else {},
                'weights': {'detector': {'file': 'd.safetensors', 'sha256': 'feed'}}, 'notes': ['a note'],
                'conventions': {'recall': 'IoU > 0.5'}, 'seconds': {'detect': 3.0, 'ground': 1.0}, 'wall_seconds': 5.0,
                'throughput': {'detect': {'images': 2, 'images_per_second': 0.7}}, **(run or {})}}))
    return folder


def _records(answers: Sequence[tuple], dataset: str, grounder: str) -> list[dict[str, Any]]:
    records = []
    for split, rule in dict.fromkeys((s.split, rule) for s, rule, *_ in answers):
        mine = [(length, rank >= 0, right) for s, r, length, rank, right in answers if (s.split, r) == (split, rule)]
        columns = [sum(column) / len(mine) for column in zip(*mine, strict=True)]
        base = {'dataset': dataset, 'split': split, 'proposals': rule, 'n': len(mine)}
        records += [{**base, 'metric': 'mean_proposals', 'grounder': '-', 'value': columns[0]},
                    {**base, 'metric': 'referent_recall', 'grounder': '-', 'value': 100 * columns[1]}]
        if grounder != '-':
            records.append({**base, 'metric': 'accuracy', 'grounder': grounder, 'value': 100 * columns[2]})
    return records
