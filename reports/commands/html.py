"""``python -m reports html RESULTS… -o report.html``: one page with everything in it, that opens offline."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import results_file
from harness.errors import InputError
from harness.files.writing import replacing
from harness.names import OneLineParser
from reports.html.picture_options import FORMS, SAMPLE


def main(argv: Sequence[str]) -> int:
    """``python -m reports html RESULTS… -o report.html``."""
    parser = OneLineParser(prog='python -m reports html', allow_abbrev=False, description=(
        'Make one page that opens offline: summary, tables, recall against the number of proposals, failures, gallery, '
        'cost, provenance.'))
    parser.add_argument('results', nargs='+', type=Path, metavar='RESULTS', help='a run\'s folder or results.json')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='FILE', help='the page, .html')
    parser.add_argument('--images', action='append', default=[], metavar='[DATASET=]DIR',
                        help='folder of the images, where it is not the one that the results name')
    parser.add_argument('--title', default='Referring expression grounding', help='of the page')
    parser.add_argument('--pictures', type=_count, default=SAMPLE, metavar='N',
                        help=f'how many expressions have a picture (default: {SAMPLE}); each adds about 10 kB')
    parser.add_argument('--only', metavar='FILTER',
                        help=f'which expressions have one (default: a sample of all): {"; ".join(FORMS)}')
    args: argparse.Namespace = parser.parse_args(argv)
    if args.out.suffix.lower() not in ('.html', '.htm'):
        raise InputError(f'-o {args.out}: the page is HTML; name it .html')
    if args.pictures == 0 and (args.only or args.images):
        raise InputError(f'--{"only" if args.only else "images"}: has no effect without pictures; leave it or '
                         '--pictures 0 out')
    images = _images(args.images)
    for path in args.results:
        results_file(path)
    from reports.html.report import html_report
    made = html_report(args.results, images, args.title, args.pictures, args.only)
    size = _write(args.out, made.html)
    for line in made.lacks:
        print(f'note: {line}')
    print(f'{args.out}: {size / 1e6:.1f} MB')
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise argparse.ArgumentTypeError(f'{text!r} is no number of pictures; give 0 or more')
    return int(text)


def _images(options: Sequence[str]) -> dict[str, Path]:
    """The folders of ``--images`` by dataset; ``''`` stands for every other dataset."""
    folders: dict[str, Path] = {}
    for dataset, folder in map(_folder, options):
        if dataset in folders:
            raise InputError(f'--images {folder}: {dataset or "every dataset"} has a folder already; give one')
        folders[dataset] = folder
    return folders


def _folder(option: str) -> tuple[str, Path]:
    dataset, equals, folder = option.partition('=')
    if equals and not Path(option).exists():
        path = Path(folder)
    else:
        dataset, path = '', Path(option)
    if not path.is_dir():
        raise InputError(f'--images {option}: there is no such folder; give the folder with the images')
    return dataset, path


def _write(path: Path, text: str) -> int:
    """Write a file that is there whole or not at all; returns its size."""
    with replacing(path, 'name another file', where=f'-o {path}') as beside:
        return beside.write_bytes(text.encode('utf-8', 'replace'))
