"""What the names and numbers of a study's options show to be wrong, before the study itself is imported."""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from harness.data.embedded_names import EMBEDDED
from harness.evaluation.asked import check_asked
from harness.evaluation.result_folder import require_folder
from harness.names import pick
from harness.options import within
from harness.registry import DATASETS, GROUNDERS, PROPOSAL_RULES, names
from harness.studies.contestants import CONTESTANTS
from harness.studies.options import DEFAULT, check_shared, request_of
from harness.studies.parsers import VARIANTS


def check_fair(args: argparse.Namespace) -> None:
    """The options of ``study fair``."""
    _check_rules(args, args.grounder, args.task or (['recall', 'rec'] if args.grounder else ['recall']))


def check_gamma(args: argparse.Namespace) -> None:
    """The options of ``study gamma``."""
    require_folder(args.out)
    check_shared(args)
    pick('--dataset', args.dataset or [DEFAULT], names(DATASETS), ())


def check_number(args: argparse.Namespace) -> None:
    """The options of ``study number``; with RESULTS, names are those of the runs."""
    require_folder(args.out)
    if not args.results:
        _check_rules(args, None, ['recall'])


def check_seeds(args: argparse.Namespace) -> None:
    """The options of ``study seeds``."""
    require_folder(args.out)
    within('--limit', args.limit, 1, 10 ** 9)
    pick('--dataset', [args.dataset], EMBEDDED, ())
    pick('--variant', args.variant, VARIANTS, ())
    pick('--grounder', args.grounder, [*names(GROUNDERS), 'none'], ())


def _check_rules(args: argparse.Namespace, grounders: Sequence[str] | None, tasks: list[str]) -> None:
    require_folder(args.out)
    pick('--proposals', args.proposals, dict.fromkeys([*CONTESTANTS, *names(PROPOSAL_RULES)]), ())
    check_asked(request_of(args, grounders=grounders, tasks=tasks))


CHECKS: dict[str, Callable[[argparse.Namespace], None]] = {
    'fair': check_fair, 'gamma': check_gamma, 'number': check_number, 'seeds': check_seeds}
