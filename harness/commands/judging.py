"""Judging the answers of ``--predictions``, in our own layouts or in any form that ``--answers`` names."""
from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.names import nearest

if TYPE_CHECKING:
    from rich.console import Console

    from harness.data.answers import Answers
    from harness.evaluation.judge import Chosen
    from harness.evaluation.measure import Measured
    from harness.evaluation.request import Request
    from harness.types import Dataset

#: The layouts that are read without ``--answers``, told by their content.
TOLD_BY_CONTENT = ('ours', 'coco', 'originals')


def add_judging(group: argparse._ArgumentGroup) -> None:
    """Add the options that say what the file of ``--predictions`` is."""
    group.add_argument('--answers', metavar='FORM', help='the form of --predictions where it is another program\'s '
                       '(--list has them); without --data, --dataset, --data-root and --expressions, it is '
                       'judged by the true boxes that it holds itself')
    group.add_argument('--coordinates', metavar='NAME', help='what the numbers of --answers are, where neither the '
                       'form nor the notation says it, or to say otherwise: pixels, fraction, thousandths, … (--list)')
    group.add_argument('--input-size', metavar='WxH', help='the size of the model\'s input, for --coordinates resized; '
                       'or qwen2.5-vl, whose rule is known')


def check_judging(args: argparse.Namespace) -> None:
    """Refuse options of answers that are unknown or have no effect.

    Raises:
        InputError: as it says.
    """
    if args.answers is None and args.coordinates is None and args.input_size is None:
        return
    from harness.answers.coordinates import input_size_of, system_of
    from harness.registry import ANSWER_FORMS, names

    forms = names(ANSWER_FORMS)
    known = [*TOLD_BY_CONTENT, *forms]
    if args.answers is not None and args.predictions is None:
        raise InputError('--answers: is the form of --predictions FILE; add that, or leave it out')
    if args.answers not in (None, *known):
        raise InputError(f'--answers {args.answers}: unknown{nearest(args.answers, known)}; known are '
                         f'{", ".join(known)}')
    for option, value in (('--coordinates', args.coordinates), ('--input-size', args.input_size)):
        if value is not None and args.answers not in forms:
            raise InputError(f'{option}: has an effect only with --answers and one of {", ".join(forms)}; add that, or '
                             'leave it out')
    if args.input_size is not None and args.coordinates != 'resized':
        raise InputError('--input-size: has an effect only with --coordinates resized; add that, or leave it out')
    if args.coordinates is not None:
        system_of(args.coordinates)
    if args.input_size is not None:
        input_size_of(args.input_size)


def judge_file(args: argparse.Namespace, request: Request, console: Console) -> Measured:
    """Judge the answers of ``--predictions``."""
    from harness.data.passport import passports
    from harness.evaluation.datasets import image_folders, joined
    from harness.evaluation.detection_candidates import candidates_beside
    from harness.evaluation.judge import check_answers, counted, judge
    from harness.evaluation.measure import Measured
    from harness.evaluation.result_folder import result_folder

    told = args.answers not in (None, *TOLD_BY_CONTENT)
    sets, datasets, expressions, tasks, notes = (_of_any_form if told else _of_our_layouts)(args, request)
    judgement = check_answers(sets, datasets, expressions, tasks, args.allow_missing)
    judgement.candidates, said = candidates_beside(request, datasets, expressions)
    notes = [*notes, *said, *judgement.notes, *joined(note for dataset in datasets.values() for note in dataset.notes)]
    with result_folder(args.out, console.print) as out:
        outcome = judge(judgement, datasets, expressions, out)
    return Measured(out, outcome, {d.name: d.data_hash for d in datasets.values()}, notes,
                    images_in=image_folders(datasets), passports=passports(datasets, counted(judgement, expressions)))


Judged = tuple['Sequence[Answers]', 'Mapping[str, Dataset]', 'Chosen', 'Sequence[str]', list[str]]


def _of_our_layouts(args: argparse.Namespace, request: Request) -> Judged:
    """Answers in a layout that its content tells."""
    from adapters.originals.outside import layout_of, read_outside_answers
    from harness.commands.readers import READERS
    from harness.evaluation.prepare import prepare_judgement

    if args.answers is not None and args.answers != (layout := layout_of(args.predictions)):
        raise InputError(f'{args.predictions}: is not of --answers {args.answers}; it looks like {layout}')
    sets = read_outside_answers(args.predictions)
    return sets, *prepare_judgement(request, sets, READERS), []


def _names_no_data(request: Request) -> bool:
    return not (request.datasets or request.data or request.data_root or request.expressions)


def _of_any_form(args: argparse.Namespace, request: Request) -> Judged:
    """Answers in another program's form, matched against the data of the request, or against their own."""
    from harness.answers.coordinates import input_size_of
    from harness.answers.in_pixels import Units, in_pixels
    from harness.answers.matching import check_splits, match
    from harness.answers.own_data import own_data
    from harness.answers.records import read_answers
    from harness.commands.readers import READERS
    from harness.evaluation.prepare import load_datasets, prepare_judgement
    from harness.registry import ANSWER_FORMS

    form, path = ANSWER_FORMS.get(args.answers)(), args.predictions
    raw = read_answers(form, path)
    if _names_no_data(request):
        if request.images is not None:
            raise InputError('--images: has no effect on answers that are judged by their own true boxes; leave it out')
        datasets, matched = own_data(raw, path)
        notes = [f'{path.name}: judged by the true boxes of its own {len(raw)} rows']
    else:
        loaded, notes = load_datasets(request, READERS)
        matched = match(raw, loaded, path)
        if request.splits is not None and 'all' not in request.splits:
            check_splits(matched, [split for given in request.splits for split in given.split(',')], path)
        datasets = {name: dataset for name, dataset in loaded.items() if name in {name for name, _ in matched.fits}}
        notes = [*notes, *(f'{path.name}: {note}' for note in matched.notes)]
    units = Units(form, args.coordinates, None if args.input_size is None else input_size_of(args.input_size))
    answers, said = in_pixels(matched, datasets, units, path)
    return [answers], *prepare_judgement(request, [answers], READERS, datasets), [*notes, *said]
