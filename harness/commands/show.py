"""``run_benchmark.py show``: grounds one sentence in one picture, and draws the box and mask."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.arguments import add_device, add_settings, add_weights
from harness.errors import InputError
from harness.evaluation.asked import PICTURES, check_asked
from harness.evaluation.request import Request
from harness.evaluation.settings import parse_settings, parse_weights
from harness.files.image_header import read_header
from harness.loading import loading
from harness.names import OneLineParser, pick
from harness.registry import DATASETS, names


def main(argv: Sequence[str]) -> int:
    """Parse the options, ground the sentence, print the proposals and draw the picture."""
    parser = OneLineParser(prog='run_benchmark.py show', description=__doc__, allow_abbrev=False)
    parser.add_argument('image', type=Path, metavar='IMAGE')
    parser.add_argument('sentence', metavar='SENTENCE', help='for instance "the left cup"')
    parser.add_argument('--grounder', default='cmae', metavar='NAME', help='the grounder (default: cmae)')
    parser.add_argument('--proposals', default='ref-nms-b', metavar='RULE',
                        help='the proposal rule (default: ref-nms-b)')
    parser.add_argument('--dataset-weights', metavar='DATASET',
                        help='the dataset whose shipped weights are used (default: mini-refcoco)')
    add_weights(parser)
    add_settings(parser)
    add_device(parser)
    parser.add_argument('--out', type=Path, metavar='FILE',
                        help='the picture to draw (default: IMAGE-grounded.png in this folder)')
    args = parser.parse_args(argv)
    out = args.out or Path(f'{args.image.stem}-grounded.png')
    if out.suffix.lower() not in PICTURES:
        raise InputError(f'--out {out}: must end in {", ".join(PICTURES)}; choose one of them')
    if out.exists() and args.image.exists() and out.samefile(args.image):
        raise InputError(f'--out {out}: is the image itself; choose another file')
    weights, settings = parse_weights(args.weights), parse_settings(args.settings)
    check_asked(Request(grounders=[args.grounder], rules=[args.proposals], tasks=['rec'], settings=settings))
    pick('--dataset-weights', [args.dataset_weights or 'mini-refcoco'], names(DATASETS), ())
    read_header(args.image)
    loading()
    from harness.evaluation.show import draw, ground, table
    answer = ground(args.image, args.sentence, args.grounder, args.proposals, args.dataset_weights, weights, settings,
                    args.device)
    print(table(answer))
    for note in answer.notes:
        print(f'note: {note}')
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(answer, out)
    print(f'drawn: {out}')
    return 0
