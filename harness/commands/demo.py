"""``run_benchmark.py demo``: a page to try it: pictures and sentences become proposals, choices and masks."""
from __future__ import annotations

import signal
from collections.abc import Sequence

from harness.arguments import add_device, add_weights
from harness.demo.serving import FIRST_PORT, LOOPBACK, free_port, need_gradio, serve
from harness.evaluation.settings import parse_weights
from harness.loading import loading
from harness.names import OneLineParser


def main(argv: Sequence[str]) -> int:
    """Parse the options, load everything and serve the page until Ctrl-C."""
    parser = OneLineParser(prog='run_benchmark.py demo', description=__doc__, allow_abbrev=False)
    parser.add_argument('--host', default=LOOPBACK, metavar='ADDRESS',
                        help=f'the address to listen on (default: {LOOPBACK}, which this machine alone can reach)')
    parser.add_argument('--port', type=int, metavar='N', help=f'the port (default: a free one from {FIRST_PORT})')
    add_weights(parser)
    add_device(parser)
    args = parser.parse_args(argv)
    weights = parse_weights(args.weights)
    need_gradio()
    port = free_port(args.host, args.port)
    loading()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and leaves no files
    serve(args.host, port, weights, args.device)
    return 0
