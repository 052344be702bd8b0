"""Serving the page: to this machine alone unless told otherwise, without telemetry, requests to outside or traces."""
from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from harness.errors import InputError, shown

LOOPBACK = '127.0.0.1'
#: The first port that is tried where none is asked for, and how many.
FIRST_PORT, PORTS = 7860, 100
#: What has to be installed; ``pyproject.toml`` pins the same version.
GRADIO = 'gradio==6.31.0'
#: Said before Gradio is imported.
QUIET = {'GRADIO_ANALYTICS_ENABLED': 'False', 'GRADIO_SHARE': 'False', 'HF_HUB_DISABLE_TELEMETRY': '1',
         'HF_HUB_OFFLINE': '1', 'GRADIO_SSR_MODE': 'False', 'GRADIO_MCP_SERVER': 'False'}
CSS = Path(__file__).with_name('page.css')


def need_gradio() -> None:
    """
    Raises:
        InputError: Gradio is not installed.
    """
    if find_spec('gradio') is None:
        raise InputError(f'demo: needs Gradio, which is not installed; pip install {GRADIO}')


def free_port(host: str, port: int | None) -> int:
    """The port to listen on: the one asked for, or the first free one from :data:`FIRST_PORT`.

    Raises:
        InputError: it is taken or no port, or there is no such address.
    """
    address, why = _address(host), ''
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f'--port {port}: must be from 1 to 65535')
    for tried in range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]:
        try:
            with socket.create_server((address, tried)):
                return tried
        except OSError as error:
            why = os.strerror(error.errno or 0)
    if port is not None:
        raise InputError(f'--port {port}: cannot be listened on at {host} ({why}); choose another')
    raise InputError(f'--host {host}: none of its ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} can be listened on '
                     f'({why}); leave it out for {LOOPBACK}, or choose another by --port')


def _address(host: str) -> str:
    """The IPv4 address of a host. An empty one, which would mean every address of this machine, is none."""
    try:
        if not host.strip():
            raise UnicodeError
        return socket.gethostbyname(host)
    except (socket.gaierror, UnicodeError):
        raise InputError(f'--host {shown(host)}: there is no such address; leave it out for {LOOPBACK}') from None


def serve(host: str, port: int, weights: Mapping[str, Path], device: str | None) -> None:
    """Load everything and serve the page until Ctrl-C.

    Raises:
        InputError: weights do not fit, or there is no such device.
    """
    from harness.demo.look import Viewer
    from harness.demo.upload import MAX_BYTES

    viewer = Viewer.load(weights, device)
    with tempfile.TemporaryDirectory(prefix='demo-') as folder:
        os.environ.update(QUIET, GRADIO_TEMP_DIR=folder)
        _reach_directly(host)
        from harness.demo.page import Page, theme

        blocks = Page(viewer).blocks
        blocks.launch(server_name=host, server_port=port, share=False, prevent_thread_lock=True, quiet=True,
                      inbrowser=False, ssr_mode=False, mcp_server=False, pwa=False, run_history=False,
                      enable_monitoring=False, footer_links=[], max_file_size=MAX_BYTES, state_session_capacity=16,
                      theme=theme(), css_paths=CSS)
        try:
            print(f'open http://{host}:{port} in a browser; Ctrl-C ends it', flush=True)
            if host not in (LOOPBACK, 'localhost'):
                print(f'note: whoever reaches {host} can use it', flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            blocks.close(verbose=False)


def _reach_directly(host: str) -> None:
    """Gradio calls its own address once: not by way of a proxy."""
    for name in ('NO_PROXY', 'no_proxy'):
        os.environ[name] = ','.join(filter(None, (os.environ.get(name), LOOPBACK, 'localhost', host)))
