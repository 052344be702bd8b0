"""Where each wrong expression was lost, in the order of the way from candidates to mask.

Every answer of a grounder is in exactly one bin: right, or the first of
:data:`reports.failure_bins.WRONG` that holds. With ``--from RULE
--to RULE`` the bins of one rule beside those of another say where its failures went; ``--list BIN`` names the
expressions of a bin.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.names import pick
from reports.compare import pair_up
from reports.drawing.listing import Block
from reports.failure_bins import BINS, NAMES, titles
from reports.statistics.outcomes import HIT_IOU, mask_iou


def bins(rows: pd.DataFrame, mask_at: float = 0.5) -> np.ndarray:
    """The bin of each answer of a grounder, an index into :data:`BINS`.

    A box is right from inclusive IoU 0.5 on, as REC accuracy counts; a candidate or proposal reaches it over plain
    IoU 0.5, as recall counts. The object that the chosen box is on is the annotated one that it overlaps most; a box
    on nothing annotated stands with "another category". Where the candidates are not known, the first two bins are
    "not proposed". Where the objects are not annotated, the next three are "proposed, another box chosen". Where even
    the proposals are not known, the first two can't be told and such an expression stands with what was chosen.
    Answers that are masks alone are right or "right box, mask below".

    With reviewed labels (the column ``faulty``: 1, 0 or NaN), a wrong answer to a label that is marked as faulty stands
    there, wherever it was lost.

    Args:
        rows: of grounders, :func:`reports.rows.prediction_rows.read_predictions`.
        mask_at: masks under this IoU are wrong.

    Returns:
        ``(n,)`` int64.
    """
    proposed, candidate = rows['best_proposal_iou'].to_numpy(), rows['best_candidate_iou'].to_numpy()
    objects_known = (rows['has_chosen'] & rows['n_same_category'].notna()).to_numpy()
    on_referent = (rows['chosen_ann_id'] == rows['ann_id']).to_numpy()
    same_category = (rows['chosen_gt_label'].astype(object) == rows['gt_label'].astype(object)).to_numpy()
    box_right = ~(rows['iou'] < HIT_IOU).to_numpy()
    missed = proposed <= HIT_IOU
    conditions = {
        'mask_below': box_right & (mask_iou(rows) < mask_at),
        'right': box_right,
        'label_faulty': rows['faulty'].to_numpy() == 1 if 'faulty' in rows else np.zeros(len(rows), bool),
        'no_candidate': missed & (candidate <= HIT_IOU),
        'suppressed': missed & (candidate > HIT_IOU),
        'not_proposed': missed,
        'box_below': objects_known & on_referent,
        'other_instance': objects_known & same_category,
        'other_category': objects_known,
    }
    return np.select(list(conditions.values()), [NAMES.index(name) for name in conditions], NAMES.index('chosen_wrong'))


def counted(rows: pd.DataFrame, found: np.ndarray) -> pd.DataFrame:
    """Expressions by dataset, grounder and rule (index), and by bin (columns, all of :data:`NAMES`)."""
    keys = [rows[name].astype(object).rename(name) for name in ('dataset', 'grounder', 'proposals')]
    names = pd.Categorical.from_codes(found, pd.Index(NAMES, dtype=object))
    table = pd.crosstab(keys, pd.Series(names, index=rows.index), dropna=False)
    first = list(dict.fromkeys(zip(*keys, strict=True)))
    return table.reindex(index=pd.MultiIndex.from_tuples(first, names=table.index.names), columns=list(NAMES),
                         fill_value=0)


def flow(rows: pd.DataFrame, found: np.ndarray, grounder: str, source: str, target: str) -> pd.DataFrame:
    """Expressions by their bin with one rule (index) and with another (columns), of one grounder; all of
    :data:`NAMES` both ways.

    Raises:
        InputError: the two rules have no expression in common.
    """
    rows = rows.assign(bin=found)
    a, b = (rows[(rows['grounder'] == grounder) & (rows['proposals'] == rule)] for rule in (source, target))
    pair = pair_up(a, b)
    table = np.zeros((len(BINS), len(BINS)), int)
    np.add.at(table, (pair.a['bin'].to_numpy(), pair.b['bin'].to_numpy()), 1)
    return pd.DataFrame(table, index=list(NAMES), columns=list(NAMES))


def draw(counts: pd.DataFrame, path: Path, mask_at: float = 0.5) -> None:
    """A stacked bar a dataset, grounder and rule: the wrong ones in percent of its expressions.

    Args:
        counts: :func:`counted`.
        path: ``.png``, ``.svg`` or whatever else matplotlib writes by its name.

    Raises:
        InputError: it can't be written, or its ending is none that pictures have.
    """
    from matplotlib.figure import Figure  # here, so that only who draws waits for it

    from reports.plots import save_plot

    shares = counts[list(NAMES[1:])].div(counts.sum(axis=1), axis=0) * 100
    figure = Figure(figsize=(9, 1.7 + 0.34 * len(shares)), layout='constrained')
    axes = figure.subplots()
    places = np.arange(len(shares))
    left = np.zeros(len(shares))
    for b, title in list(zip(BINS, titles(mask_at), strict=True))[1:]:
        width = shares[b.name].to_numpy()
        if width.any():
            axes.barh(places, width, left=left, color=b.color, label=title, height=0.75)
            left += width
    axes.set_yticks(places, [' · '.join(key).replace('$', r'\$') for key in shares.index])
    axes.invert_yaxis()
    axes.set_xlabel('wrong, % of the expressions')
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper left', ncols=3, fontsize=8, frameon=False)
    save_plot(figure, path, 'failures')


def remarks(rows: pd.DataFrame) -> list[str]:
    """What these files can't tell."""
    found = []
    proposed, candidates = rows['best_proposal_iou'].notna(), rows['best_candidate_iou'].notna()
    if not proposed.all():
        found.append(f'Of {(~proposed).sum()} answers the proposals are not known: a referent that was not proposed '
                     'stands with what was chosen instead.')
    if (proposed & ~candidates).any():
        found.append(f'Of {(proposed & ~candidates).sum()} answers the candidates before NMS are not known: '
                     '"not proposed" is the first two bins together.')
    if not rows['has_chosen'].all():
        found.append('Some files are of a version without the object that the chosen box is on: "proposed, another box '
                     'chosen" is three bins together; make them again to tell these apart.')
    plain = rows['has_chosen'] & rows['n_same_category'].isna()
    if plain.any():
        found.append(f'Of {plain.sum()} answers the image\'s objects are not annotated: "proposed, another box chosen" '
                     'is three bins together.')
    if rows['mask_union'].isna().all():
        found.append('There are no masks: only boxes are judged.')
    return found


def count_block(counts: pd.DataFrame, mask_at: float, drawn: bool) -> Block:
    if drawn:
        said = counts.loc[:, (counts > 0).any()].rename(columns=dict(zip(NAMES, titles(mask_at), strict=True)))
        return Block('Where expressions were lost', said.assign(all=counts.sum(axis=1)).reset_index(), {})
    long = pd.Series(counts.rename_axis(columns='bin').stack(), name='expressions').reset_index()
    return Block('counts', long.assign(of=long.groupby(['dataset', 'grounder', 'proposals'])['expressions']
                                       .transform('sum')), {})


def _flow_block(table: pd.DataFrame, grounder: str, source: str, target: str, mask_at: float, drawn: bool) -> Block:
    if drawn:
        named = dict(zip(NAMES, titles(mask_at), strict=True))
        some = table.loc[(table > 0).any(axis=1), (table > 0).any()].rename(index=named, columns=named)
        some = some.assign(all=some.sum(axis=1))
        some.loc[f'all with {target}'] = some.sum()
        return Block(f'{grounder}: from {source} (down) to {target} (across)',
                     some.rename_axis(f'with {source}').reset_index(), {})
    long = pd.Series(table.rename_axis('from').rename_axis(columns='to').stack(), name='expressions').reset_index()
    return Block('flow', long, {'grounder': grounder, 'from_proposals': source, 'to_proposals': target})


def listed(rows: pd.DataFrame, found: np.ndarray, names: Sequence[str], mask_at: float = 0.5) -> list[Block]:
    """The expressions of some bins, a table for each bin, dataset, split, grounder and rule that has any.

    Args:
        rows, mask_at: as of :func:`bins`.
        found: their bins.
        names: among :data:`NAMES`.
    """
    said = dict(zip(NAMES, titles(mask_at), strict=True))
    blocks = []
    for name in names:
        mine = rows[found == NAMES.index(name)]
        by = ['dataset', 'split', 'grounder', 'proposals']
        for key, some in mine.groupby(by, observed=True, sort=False):
            keys = dict(zip(by, map(str, key), strict=True))
            title = f'{said[name]}: {keys["grounder"]} on {keys["proposals"]}, {keys["dataset"]} {keys["split"]}'
            table = some[['sent_id', 'image_id', 'sent']].astype({'sent': object})
            blocks.append(Block(f'{title} ({len(some)})', table.reset_index(drop=True), {'bin': name, **keys}))
    return blocks


NOTES = (
    'Each expression is in the first bin that holds. A box is right from IoU 0.5 on with inclusive pixels, as REC '
    'accuracy counts; a candidate or proposal reaches 0.5 over plain IoU 0.5, as recall counts. A chosen box is on the '
    'annotated object that it overlaps most; on none of them, it stands with another category.',
)


def flows(rows: pd.DataFrame, found: np.ndarray, source: str, target: str, mask_at: float,
           drawn: bool) -> list[Block]:
    rules = rows['proposals'].unique()
    (source,), (target,) = pick('--from', [source], rules, ()), pick('--to', [target], rules, ())
    by_grounder = rows.groupby('grounder', observed=True, sort=False)['proposals'].unique()
    both = [str(g) for g, has in by_grounder.items() if source in has and target in has]
    if not both:
        raise InputError(f'--from {source} --to {target}: no grounder answered with both rules; give a run of both')
    return [_flow_block(flow(rows, found, grounder, source, target), grounder, source, target, mask_at, drawn)
            for grounder in both]
