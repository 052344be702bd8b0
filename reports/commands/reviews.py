"""``python -m reports reviews RESULTS… --reviews FILE…``: every metric without the labels that are marked as faulty."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.data.run_files import predictions_file
from harness.names import OneLineParser
from reports.drawing.formats import add_format


def main(argv: Sequence[str]) -> int:
    """``python -m reports reviews RESULTS… --reviews FILE…``."""
    parser = OneLineParser(prog='python -m reports reviews', allow_abbrev=False, description=(
        'Every metric on the published labels and without those that reviewers marked as faulty (Ref-L4), who rises '
        'and who falls; RES also by masks that were drawn again (RefCOCO-M).'))
    parser.add_argument('results', nargs='+', type=Path, help='run folders or predictions.jsonl files')
    parser.add_argument('--reviews', nargs='+', type=Path, required=True, metavar='FILE',
                        help='reviewed labels: Ref-L4\'s *_reviewed.json, RefCOCO-M\'s parquet')
    for name in ('dataset', 'split'):
        parser.add_argument(f'--{name}', action='append', metavar='NAME', help=f'only these {name}s')
    add_format(parser)
    args = parser.parse_args(argv)
    for path in args.results:
        predictions_file(path)
    from reports.compare import only
    from reports.drawing.listing import Listing
    from reports.drawing.rendering import written
    from reports.rows.prediction_rows import read_predictions
    from reports.rows.reviews import read_reviews
    from reports.tables.reviewed import notes, reviewed_tables
    reviews = read_reviews(args.reviews)
    frame = only(read_predictions(args.results, ('rle',) if reviews.masks else ()), args.dataset, args.split)
    print(written(Listing(reviewed_tables(frame, reviews), notes()), args.format))
    return 0
