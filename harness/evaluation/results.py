"""``results.json``: the measured records and their provenance."""
from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.data.passport import Passports
from harness.data.results import RunRecord, SeenImages, Throughput, as_json
from harness.evaluation.outcome import Outcome
from harness.evaluation.plan_record import versions
from harness.evaluation.timing import Stage
from harness.files.weights import git_commit
from harness.files.writing import write_text
from harness.registry import METRICS

CONVENTIONS = {
    'predicted boxes': 'xywh with w = x2 - x1 (tools/save_matt_dets.py of ref-nms)',
    'recall': 'IoU > 0.5 by plain areas, the gold box being x, y, x+w, y+h (utils/hit_rate_utils.py of ref-nms)',
    'context_recall': 'a mean over the expressions that have contextual objects',
    'accuracy': 'IoU >= 0.5, both end pixels count (lib/models/eval_dets_utils.py of MAttNet)',
    'accuracy_strict': 'IoU > 0.5 as the paper says, the same inclusive IoU',
    'overall_iou': 'sum of intersections over sum of unions, in pixels',
    'pr@X': 'share of expressions with mask IoU >= X (tools/eval_masks.py of MAttNet)',
}


def run_record(outcome: Outcome, *, command: str, options: Mapping[str, Any], seed: int, data: Mapping[str, str],
               weights: Mapping[str, Mapping[str, Any]], notes: list[str], wall: float,
               images_in: Mapping[str, str] | None = None,
               detector_seen: Mapping[str, Mapping[str, SeenImages]] | None = None,
               passports: Passports | None = None, versions_of: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The ``run`` part of ``results.json``, declared by :class:`harness.data.results.RunRecord`; ``images_in`` holds
    the image folder of each dataset, ``detector_seen`` what the detector was trained on, ``passports`` what the rows of
    each split are, for reports to show; ``versions_of`` are those of what computed it, where a rule or a grounder needs
    more than every run does."""
    seen = {name: dict(splits) for name, splits in (detector_seen or {}).items()}
    shown: dict[str, Any] = {'detector_seen': seen, 'passports': passports}
    record = RunRecord(
        command=command, options=dict(options), seed=seed, commit=git_commit(),
        versions=dict(versions_of or versions()),
        machine=f'{platform.machine()}, {os.cpu_count()} processors',
        data=dict(data), images_in=dict(images_in or {}), **{k: v for k, v in shown.items() if v},
        weights={k: dict(v) for k, v in weights.items()}, conventions=conventions(),
        seconds={k: round(v.seconds, 3) for k, v in outcome.timing.stages.items()},
        throughput={k: throughput(v) for k, v in outcome.timing.stages.items() if v.images},
        wall_seconds=round(wall, 3),
        images=outcome.counters.images, expressions=outcome.counters.expressions,
        counts=outcome.counters.counts, notes=[*outcome.counters.notes, *notes])
    return record.model_dump(exclude_unset=True)


def conventions() -> dict[str, str]:
    """How each metric counts; for a user's own metric, the first line of its docstring."""
    own = [metric for metric in METRICS.module_dict.values() if not metric.__module__.startswith('harness.')]
    return {**CONVENTIONS, **{name: (metric.__doc__ or name).strip().split('\n')[0]
                              for metric in own for name in metric.names}}


def throughput(stage: Stage) -> Throughput:
    """The numbers of images and expressions that went through a stage, in all and per second."""
    done = {'images': stage.images, 'expressions': stage.expressions}
    rates = {f'{what}_per_second': round(n / stage.seconds, 1) for what, n in done.items() if n}
    return Throughput.model_validate({**done, **rates})


def write_results(out: Path, outcome: Outcome, run: Mapping[str, Any]) -> Path:
    """Write ``out/results.json``, whole or not at all."""
    path = out / 'results.json'
    write_text(path, as_json(outcome.records, run))
    return path
