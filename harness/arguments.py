"""Options that several commands share, each declared once; a function adds one to a parser or a group of options."""
from __future__ import annotations

from argparse import _ActionsContainer
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError


def add_limit(parser: _ActionsContainer) -> None:
    parser.add_argument('--limit', type=int, metavar='N',
                        help='only the first N expressions of each split, for a quick look')


def add_data(parser: _ActionsContainer) -> None:
    parser.add_argument('--data', action='append', type=Path, default=[], metavar='FILE', help='the data in any form '
                        'that people have, or a folder of it, with or without instances.json; repeatable '
                        '(docs/forms.md)')
    parser.add_argument('--boxes', choices=('xywh', 'xyxy'), help='how the files of --data write a box, where neither '
                        'their form nor all of their boxes together say it')


def check_boxes(boxes: str | None, data: Sequence[Path]) -> None:
    """Refuse ``--boxes`` without the files that it is about.

    Raises:
        InputError: as said.
    """
    if boxes is not None and not data:
        raise InputError('--boxes: says how the files of --data write a box; add --data FILE, or leave it out')


def add_weights(parser: _ActionsContainer, help: str = 'weights of detector, ref-nms-b, cmae, … instead of the shipped '
                'ones', metavar: str = 'NAME=FILE') -> None:
    parser.add_argument('--weights', action='append', default=[], metavar=metavar, help=help)


def add_settings(parser: _ActionsContainer, help: str = 'an option of a rule or grounder, for instance '
                 'ref-nms-b.threshold=0.2', metavar: str = 'NAME.OPTION=VALUE') -> None:
    parser.add_argument('--set', action='append', default=[], metavar=metavar, dest='settings', help=help)


def add_vectors(parser: _ActionsContainer) -> None:
    parser.add_argument('--vectors', type=Path, metavar='FILE', help='word vectors, for instance glove.840B.300d.txt')


def add_device(parser: _ActionsContainer) -> None:
    parser.add_argument('--device', help='auto, cpu or cuda (default: auto, a GPU where there is one)')


def add_fresh(parser: _ActionsContainer) -> None:
    parser.add_argument('--fresh', action='store_true', help='move an earlier run in --out aside and begin anew '
                        '(default: go on with it)')
