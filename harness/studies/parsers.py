"""The options of each study, read before the study itself is imported: help and misspelt options come at once."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.arguments import add_limit
from harness.names import OneLineParser
from harness.studies.contestants import REFERENCE
from harness.studies.options import study_parser, with_rules

#: What each study asks.
STUDIES = {
    'fair': 'all proposal rules at the same mean number of proposals, chosen on val.',
    'gamma': "the quality of the pseudo ground truth against the scene's truth, for each γ.",
    'number': 'recall against the number of proposals from 1 to 100, a line per rule (Figure 2).',
    'seeds': "how much of Ref-NMS's gain is due to the loss, to the text, and to chance.",
}
#: The trainings that ``study seeds`` compares, by the options in which they differ.
VARIANTS: dict[str, dict[str, Any]] = {'ref-nms-b': dict(loss='binary'), 'ref-nms-r': dict(loss='ranking'),
            'ref-nms-blind': dict(loss='binary', text='blind')}
#: Where ``study seeds`` writes and keeps what all seeds share.
SEEDS_OUT, SEEDS_WORK = Path('results') / 'study-seeds', Path('results') / 'training'


def fair_parser() -> OneLineParser:
    """Options of ``study fair``."""
    parser = with_rules(study_parser('fair', STUDIES['fair']))
    parser.add_argument('--grounder', action='append', metavar='NAME', help='grounders (default: none, recall only)')
    parser.add_argument('--task', action='append', metavar='NAME', help='recall, rec, res (default: recall, rec)')
    parser.add_argument('--proposals-per-expression', type=float, metavar='X',
                        help=f'the number on val (default: what {REFERENCE} proposes with its own threshold)')
    parser.add_argument('--at-equal-number', action='store_true', help='also recall with a threshold for each split, '
                        'at which every rule proposes as many boxes there as greedy')
    return parser


def gamma_parser() -> OneLineParser:
    """Options of ``study gamma``."""
    return study_parser('gamma', STUDIES['gamma'])


def number_parser() -> OneLineParser:
    """Options of ``study number``."""
    parser = with_rules(study_parser('number', STUDIES['number']))
    parser.add_argument('results', nargs='*', type=Path, metavar='RESULTS',
                        help='folders of runs: their proposals, in the place of running the rules')
    parser.add_argument('--at', type=int, default=8, metavar='N',
                        help='N of the tables by length and size (default: 8)')
    return parser


def seeds_parser() -> OneLineParser:
    """Options of ``study seeds``."""
    parser = OneLineParser(prog='run_benchmark.py study seeds',
                           description=f'``run_benchmark.py study seeds``: {STUDIES["seeds"]}')
    parser.add_argument('--dataset', default='mini-refcoco', metavar='NAME', help='an embedded dataset')
    parser.add_argument('--seeds', default='1,2,3', metavar='N,N,…', help='default: 1,2,3')
    parser.add_argument('--variant', action='append', metavar='NAME', help=f'default: {", ".join(VARIANTS)}')
    parser.add_argument('--grounder', action='append', metavar='NAME', help='default: all with shipped weights')
    parser.add_argument('--set', action='append', default=[], metavar='OPTION=VALUE', dest='settings',
                        help='an option of the training, for instance margin=0.2, top_h=50, delta=0.1, epochs=6')
    parser.add_argument('--proposals-per-expression', type=float, metavar='X',
                        help='the number on val (default: as trained, greedy\'s number)')
    add_limit(parser)
    parser.add_argument('--out', type=Path, default=SEEDS_OUT, metavar='DIR', help=f'default: {SEEDS_OUT}')
    parser.add_argument('--work', type=Path, default=SEEDS_WORK, metavar='DIR',
                        help=f'features of images, for all seeds (default: {SEEDS_WORK})')
    return parser


PARSERS: dict[str, Callable[[], OneLineParser]] = {
    'fair': fair_parser, 'gamma': gamma_parser, 'number': number_parser, 'seeds': seeds_parser}
