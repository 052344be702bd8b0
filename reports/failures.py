"""Where each wrong expression was lost, in the order of the way from candidates to mask.

Every answer of a grounder is in exactly one bin: right, or the first of :data:`WRONG` that holds. With ``--from RULE
--to RULE`` the bins of one rule beside those of another say where its failures went; ``--list BIN`` names the
expressions of a bin.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.names import OneLineParser, pick
from reports.compare import only, pair_up
from reports.drawing.listing import Block, Listing
from reports.drawing.rendering import add_format, written
from reports.rows.prediction_rows import read_predictions
from reports.statistics.outcomes import HIT_IOU, mask_iou, rows_of


class Bin(NamedTuple):
    """A place where expressions are lost: its name in files, what it says, and its colour."""

    name: str
    title: str
    color: str


RIGHT = Bin('right', 'right', '#d9d9d9')
WRONG = (
    Bin('no_candidate', 'no candidate reaches 0.5', '#332288'),
    Bin('suppressed', 'suppressed or thresholded out', '#88ccee'),
    Bin('not_proposed', 'not proposed', '#6699cc'),
    Bin('other_instance', 'another instance of the same category', '#ddcc77'),
    Bin('other_category', 'another category', '#cc6677'),
    Bin('box_below', 'right object, box below 0.5', '#117733'),
    Bin('chosen_wrong', 'proposed, another box chosen', '#aa4499'),
    Bin('mask_below', 'right box, mask below {x:g}', '#882255'),
)
BINS = (RIGHT, *WRONG)
NAMES = tuple(b.name for b in BINS)


def bins(rows: pd.DataFrame, mask_at: float = 0.5) -> np.ndarray:
    """The bin of each answer of a grounder, an index into :data:`BINS`.

    A box is right from inclusive IoU 0.5 on, as REC accuracy counts; a candidate or proposal reaches it over plain
    IoU 0.5, as recall counts. The object that the chosen box is on is the annotated one that it overlaps most; a box
    on nothing annotated stands with "another category". Where the candidates are not known, the first two bins are
    "not proposed". Where the objects are not annotated, the next three are "proposed, another box chosen". Where even
    the proposals are not known, the first two can't be told and such an expression stands with what was chosen.
    Answers that are masks alone are right or "right box, mask below".

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
        'no_candidate': missed & (candidate <= HIT_IOU),
        'suppressed': missed & (candidate > HIT_IOU),
        'not_proposed': missed,
        'box_below': objects_known & on_referent,
        'other_instance': objects_known & same_category,
        'other_category': objects_known,
    }
    return np.select(list(conditions.values()), [NAMES.index(name) for name in conditions], NAMES.index('chosen_wrong'))


def titles(mask_at: float) -> list[str]:
    """What each bin says."""
    return [b.title.format(x=mask_at) for b in BINS]


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
    from matplotlib import rc_context  # here, so that only who draws waits for it
    from matplotlib.figure import Figure

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
    try:
        with rc_context({'svg.hashsalt': 'failures'}):
            figure.savefig(path, dpi=110, metadata={'Date': None} if path.suffix == '.svg' else None)
    except ValueError as error:
        raise InputError(f'--plot {path}: {str(error).split(";")[0]}; name it .png or .svg') from None
    except OSError as error:
        raise InputError(f'--plot {path}: cannot be written ({error.strerror})') from None


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


def _count_block(counts: pd.DataFrame, mask_at: float, drawn: bool) -> Block:
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


#: Masks below are wrong, unless --mask-iou says otherwise.
MASK_IOU = 0.5
NOTES = (
    'Each expression is in the first bin that holds. A box is right from IoU 0.5 on with inclusive pixels, as REC '
    'accuracy counts; a candidate or proposal reaches 0.5 over plain IoU 0.5, as recall counts. A chosen box is on the '
    'annotated object that it overlaps most; on none of them, it stands with another category.',
)


def main(argv: Sequence[str]) -> int:
    """``python -m reports failures RESULTS…``."""
    parser = OneLineParser(prog='python -m reports failures', allow_abbrev=False, description=(
        'Count where wrong expressions were lost, by dataset, grounder and rule.'),
        epilog='example: failures runs/new --from greedy --to ref-nms-b --plot failures.png')
    parser.add_argument('results', nargs='+', type=Path, help='run folders or predictions.jsonl files')
    parser.add_argument('--from', dest='source', metavar='RULE', help='with --to: who went where instead')
    parser.add_argument('--to', dest='target', metavar='RULE')
    parser.add_argument('--mask-iou', type=_share, metavar='X',
                        help=f'masks below are wrong (default: {MASK_IOU})')
    for name in ('dataset', 'split', 'grounder'):
        parser.add_argument(f'--{name}', action='append', metavar='NAME', help=f'only these {name}s')
    parser.add_argument('--list', action='append', metavar='BIN', help=(
        f'name the expressions instead of counting them, by sent_id; repeated or comma-separated: {", ".join(NAMES)}'))
    add_format(parser)
    parser.add_argument('--plot', type=Path, metavar='FILE', help='also draw stacked bars, .png or .svg')
    args = parser.parse_args(argv)
    if (args.source is None) != (args.target is None):
        raise InputError('--from and --to: give both, a rule each, or none')
    if args.list is not None and args.source is not None:
        raise InputError('--list and --from: one names expressions, the other counts them; leave one out')
    wanted = pick('--list', args.list, NAMES, ())
    rows = rows_of('accuracy', only(read_predictions(args.results), args.dataset, args.split))
    rows = rows[rows['iou'].notna() | rows['mask_union'].notna()]
    if rows.empty:
        raise InputError(f'{args.results[0]}: no grounder answered here, so nothing was chosen wrongly; '
                         'run with --grounder, or look at recall in the tables')
    if args.grounder is not None:
        rows = rows[rows['grounder'].isin(pick('--grounder', args.grounder, rows['grounder'].unique(), ()))]
    if args.mask_iou is not None and rows['mask_union'].isna().all():
        raise InputError(f'--mask-iou: {args.results[0]} has no masks of what was asked for; leave it out')
    mask_at = MASK_IOU if args.mask_iou is None else args.mask_iou
    found = bins(rows, mask_at)
    counts = counted(rows, found)
    drawn = args.format not in ('csv', 'json')
    blocks = [_count_block(counts, mask_at, drawn)]
    if args.source is not None:
        blocks = _flows(rows, found, args.source, args.target, mask_at, drawn)
    if wanted:
        blocks = listed(rows, found, wanted, mask_at)
    if args.plot is not None:
        draw(counts, args.plot, mask_at)
    empty = [f'No expression is in {name}.' for name in wanted if all(block.keys['bin'] != name for block in blocks)]
    print(written(Listing(blocks, [*NOTES, *remarks(rows), *empty]), args.format))
    return 0


def _flows(rows: pd.DataFrame, found: np.ndarray, source: str, target: str, mask_at: float,
           drawn: bool) -> list[Block]:
    rules = rows['proposals'].unique()
    (source,), (target,) = pick('--from', [source], rules, ()), pick('--to', [target], rules, ())
    by_grounder = rows.groupby('grounder', observed=True, sort=False)['proposals'].unique()
    both = [str(g) for g, has in by_grounder.items() if source in has and target in has]
    if not both:
        raise InputError(f'--from {source} --to {target}: no grounder answered with both rules; give a run of both')
    return [_flow_block(flow(rows, found, grounder, source, target), grounder, source, target, mask_at, drawn)
            for grounder in both]


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is no IoU; give a number from 0 to 1')
    return value
