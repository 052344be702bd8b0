"""One page with everything in it, that opens offline.

It is made from result files alone: ``results.json``, and where they lie beside it ``predictions.jsonl`` and
``proposals.jsonl``, and the images. What is missing is left out, and the page says so.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from harness.data.embedded_names import EMBEDDED
from harness.data.rehearsal_mark import NOTE, is_rehearsal
from harness.data.results import Throughput
from harness.errors import InputError
from harness.names import nearest
from reports.failure_bins import BINS, MASK_IOU, titles
from reports.failures import bins, counted, remarks
from reports.headroom import RIGHT, STEPS
from reports.html.filters import wanted
from reports.html.gallery import (
    Expressions,
    answers_of,
    expressions_of,
    found_by_rule,
    order_of_sample,
    payload,
    read_answers,
    sample,
)
from reports.html.headroom_section import Headroom, headroom
from reports.html.ledger_tables import Elsewhere, elsewhere
from reports.html.page import render
from reports.html.picture_options import SAMPLE
from reports.html.proposal_rows import Proposals, read_proposals
from reports.html.recall_curve import curves
from reports.html.summary import Summary, summary
from reports.html.thumbnails import Thumbnail, Thumbnails
from reports.rows.results_files import Results, Run, beside, read_runs
from reports.statistics.outcomes import rows_of
from reports.tables.layout import Table
from reports.tables.paper_tables import left_out, paper_tables
from reports.tables.passport_notes import passports_in
from reports.tables.plain_tables import plain_tables
from reports.tables.record_intervals import RecordIntervals, said_of_intervals
from reports.tables.seen_images import seen_in


class Report(NamedTuple):
    """The page as HTML, and one line for each thing that it lacks."""

    html: str
    lacks: list[str]


def html_report(paths: Sequence[Path], images: Mapping[str, Path] | None = None,
                title: str = 'Referring expression grounding', pictures: int = SAMPLE,
                only: str | None = None) -> Report:
    """Make the page.

    Args:
        paths: runs' folders or ``results.json`` files, merged.
        images: folders of images by dataset, ``''`` for every dataset; in the place of those that the results name.
        title: of the page.
        pictures: the largest number of expressions that have a picture.
        only: which expressions, as :func:`reports.html.filters.wanted` takes it; ``None``: a sample of all.

    Raises:
        InputError: a file is damaged, the runs can't be merged, or ``only`` means nothing.
    """
    results = read_runs(paths)
    measured = dict.fromkeys(record['dataset'] for record in results.records)
    for name in images or {}:
        if name and name not in measured:
            raise InputError(f'--images {name}=…: the results have no such dataset{nearest(name, measured)}; they have '
                             f'{", ".join(measured)}')
    lacks: list[str] = []
    predictions_files = _beside(results, 'predictions.jsonl', 'failures, gallery and intervals', lacks)
    predictions = read_answers(predictions_files) if predictions_files else None
    whole = len(predictions_files) == len(results.runs)
    tables = [_shown(table) for table in paper_tables(results, RecordIntervals(results) if whole else None)]
    said = summary(results.records, predictions)
    gallery: dict[str, Any] = {}
    figures: dict[str, Any] = {'curves': [], 'bins': []}
    counts, counted_elsewhere, points = None, Elsewhere([], 0), Headroom([], [])
    if predictions is not None:
        expressions = expressions_of(predictions)
        thumbnails = Thumbnails(_folders(results, images or {}))
        gallery, proposals = _gallery(results, predictions, expressions, said, thumbnails, pictures, only, lacks)
        if proposals is not None and len(proposals.expression):
            figures['curves'] = [_plain(split, rule, found) for split, rule, found in curves(
                proposals, expressions.split, expressions.table['image_id'].to_numpy(), list(expressions.splits))]
        counts = _failures(predictions)
        points = headroom(predictions)
        counted_elsewhere = elsewhere(predictions, said.rules, thumbnails if pictures else None)
    if counts is not None:
        figures['bins'] = [{'dataset': d, 'grounder': g, 'rule': r, 'counts': row}
                           for (d, g, r), row in zip(counts.index, counts.to_numpy().tolist(), strict=True)]
    figures |= {'headroom': points.waterfalls, 'headroomSteps': [*(step.title for step in STEPS), RIGHT]}
    figures['binNames'] = [{'name': b.name, 'title': said_, 'color': b.color}
                           for b, said_ in zip(BINS, titles(MASK_IOU), strict=True)]
    datasets = list(dict.fromkeys(r['dataset'] for r in results.records))
    embedded = [name for name in datasets if name in EMBEDDED]
    values = {
        'title': title, 'results': results, 'summary': said, 'tables': tables,
        'left_out': left_out([shown.table for shown in tables]),
        'plain': plain_tables(results.records, seen=seen_in(run.run for run in results.runs),
                              passports=passports_in(run.run for run in results.runs)),
        'embedded': embedded, 'rehearsals': list(filter(is_rehearsal, datasets)), 'rehearsal_note': NOTE,
        'lacks': lacks, 'counts': counts, 'elsewhere': counted_elsewhere,
        'headroom': points,
        'bins': list(zip(BINS, titles(MASK_IOU), strict=True)),
        'remarks': remarks(rows_of('accuracy', predictions)) if counts is not None and predictions is not None else [],
        'sizes': _sizes(results), 'costs': list(map(_cost, results.runs)), 'figures': figures,
        'gallery': {**gallery, 'rules': list(said.rules), 'embedded': embedded}, 'only': only,
        'pictured': sum(thumb is not None for thumb in gallery.get('thumb', ())),
    }
    return Report(render(values), lacks)


class Shown(NamedTuple):
    """A table, whether it is one of the first that people look at, and its notes: how to read it and where it comes
    from, what its intervals are, and what limits it."""

    table: Table
    first: bool
    reading: Sequence[str]
    intervals: Sequence[str]
    warnings: Sequence[str]


def _shown(table: Table) -> Shown:
    """A table, and whether it is among the first; the accuracy of the user's own datasets is in Table 2 already."""
    published = any(cell.published is not None for line in table.lines for cell in line.cells)
    first = table.name in (('1', '2', '3', '4') if published else ('1', '2'))
    intervals = said_of_intervals(table)
    limits = [note for note in table.notes[2:] if note not in intervals]
    return Shown(table, first, table.notes[:2], intervals, limits)


def _beside(results: Results, name: str, makes: str, lacks: list[str]) -> list[Path]:
    files = [beside(run, name) for run in results.runs]
    lacks += [f'There is no {name} beside {run.file.parent.name or "."}/{run.file.name}: {makes} are made without it.'
              for run, file in zip(results.runs, files, strict=True) if file is None]
    return [file for file in files if file is not None]


def _gallery(results: Results, predictions: pd.DataFrame, expressions: Expressions, said: Summary,
             thumbnails: Thumbnails, most: int, only: str | None,
             lacks: list[str]) -> tuple[dict[str, Any], Proposals | None]:
    """What the gallery shows, and the proposals that it was made from."""
    answers, found = answers_of(predictions, expressions), found_by_rule(predictions, expressions)
    mask, grounder = (None, None) if only is None else wanted(only, answers, found, said.rules)
    order = order_of_sample(answers, found, said.rules, expressions.split, most)
    chosen = order if mask is None else (i for i in order if mask[i])
    pictures: dict[int, Thumbnail] = sample(chosen, expressions, thumbnails, most)
    if mask is not None and not mask.any():
        lacks.append(f'No expression is “{only}”: the gallery has no pictures.')
    elif not pictures and most:
        lacks.append('The images are not where the results say: the gallery has no pictures. --images DIR names their '
                     'folder.')
    files = _beside(results, 'proposals.jsonl', 'recall against the number of proposals, word attention and boxes',
                    lacks)
    proposals = read_proposals(files, expressions.places, pictures) if files else None
    for file in proposals.without_hits if proposals is not None else ():
        lacks.append(f'{file.parent.name}/{file.name} is of an earlier version and does not say what a proposal hits: '
                     'it is left out. A new run writes it.')
    shown = payload(expressions, answers, found, proposals, pictures)
    return {**shown, 'grounder': grounder, 'like': None if mask is None else int(mask.sum())}, proposals


def _folders(results: Results, images: Mapping[str, Path]) -> dict[str, Path]:
    """Each dataset's folder of images: as given, or else as the results name it."""
    folders: dict[str, Path] = {}
    for run in results.runs:
        for dataset in dict.fromkeys(record['dataset'] for record in run.records):
            folder = images.get(dataset, images.get('')) or run.run.images_in.get(dataset)
            if folder is not None and '\0' not in str(folder):
                folders.setdefault(dataset, Path(folder))
    return folders


def _failures(predictions: pd.DataFrame) -> pd.DataFrame | None:
    """Expressions by dataset, grounder and rule, and by bin; ``None`` where no grounder answered."""
    rows = rows_of('accuracy', predictions)
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    return counted(rows, bins(rows, MASK_IOU)) if len(rows) else None


def _plain(split: str, rule: str, found: Any) -> dict[str, Any]:
    columns = {name: [None if math.isnan(x) else round(x, 2) for x in getattr(found, name).tolist()]
               for name in ('kept', 'recall', 'low', 'high')}
    return {'split': split, 'rule': rule, 'n': found.expressions, **columns}


def _sizes(results: Results) -> dict[str, Any]:
    """How much was measured."""
    counts: dict[tuple[str, str], int] = {}
    for record in results.records:
        key = record['dataset'], record['split']
        counts[key] = max(counts.get(key, 0), record['n'])
    return {'expressions': sum(counts.values()), 'datasets': list(dict.fromkeys(dataset for dataset, _ in counts)),
            'splits': len(counts), 'rules': list(dict.fromkeys(r['proposals'] for r in results.records)),
            'grounders': [g for g in dict.fromkeys(r['grounder'] for r in results.records) if g != '-']}


def _cost(run: Run) -> dict[str, Any]:
    """A run's stages, the longest first: seconds, share of all, and how many images and expressions a second."""
    seconds, through = run.run.seconds, run.run.throughput
    stages = [{**through.get(stage, Throughput()).model_dump(exclude_none=True), 'stage': stage, 'seconds': spent,
               'share': 100 * spent / max(seconds.values())}
              for stage, spent in sorted(seconds.items(), key=lambda item: -item[1]) if spent > 0]
    return {'run': run, 'stages': stages, 'seconds': sum(seconds.values()), 'wall': run.run.wall_seconds}
