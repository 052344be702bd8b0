"""``run_benchmark.py show``: a picture and a sentence in, the grounded box and mask out, drawn."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.evaluation.settings import parse_settings, parse_weights
from harness.evaluation.show import PICTURES, Answer, draw, ground, table
from harness.names import OneLineParser

__all__ = ['Answer', 'draw', 'ground', 'main', 'table']


def main(argv: Sequence[str]) -> int:
    """Parse the options, ground, print and draw."""
    parser = OneLineParser(prog='run_benchmark.py show', description=__doc__, allow_abbrev=False)
    parser.add_argument('image', type=Path, metavar='IMAGE')
    parser.add_argument('sentence', metavar='SENTENCE', help='for instance "the left cup"')
    parser.add_argument('--grounder', default='cmae', metavar='NAME', help='who chooses (default: cmae)')
    parser.add_argument('--proposals', default='ref-nms-b', metavar='RULE', help='from what (default: ref-nms-b)')
    parser.add_argument('--dataset-weights', metavar='DATASET',
                        help='whose shipped weights are taken (default: mini-refcoco)')
    parser.add_argument('--weights', action='append', default=[], metavar='NAME=FILE',
                        help='weights of detector, ref-nms-b, cmae, … instead of the shipped ones')
    parser.add_argument('--set', action='append', default=[], metavar='NAME.OPTION=VALUE', dest='settings',
                        help='an option of the rule or grounder, for instance ref-nms-b.threshold=0.2')
    parser.add_argument('--device', help='cpu or cuda (default: cuda where there is one)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='the picture (default: IMAGE-grounded.png here)')
    args = parser.parse_args(argv)
    out = args.out or Path(f'{args.image.stem}-grounded.png')
    if out.suffix.lower() not in PICTURES:
        raise InputError(f'--out {out}: must end in {", ".join(PICTURES)}; choose one of them')
    if out.exists() and args.image.exists() and out.samefile(args.image):
        raise InputError(f'--out {out}: is the image itself; choose another file')
    answer = ground(args.image, args.sentence, args.grounder, args.proposals, args.dataset_weights,
                    parse_weights(args.weights), parse_settings(args.settings), args.device)
    print(table(answer))
    for note in answer.notes:
        print(f'note: {note}')
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(answer, out)
    print(f'drawn: {out}')
    return 0
