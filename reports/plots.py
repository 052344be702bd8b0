"""Saving a plot that ``--plot`` asks for."""
from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from harness.errors import InputError


def save_plot(figure: Figure, path: Path, salt: str) -> None:
    """Write a figure, the same bytes each time: no date, and ids made from ``salt``.

    Raises:
        InputError: the ending of the name means no format, or the file cannot be written.
    """
    try:
        with rc_context({'svg.hashsalt': salt}):
            figure.savefig(path, dpi=110, metadata={'Date': None} if path.suffix == '.svg' else None)
    except ValueError as error:
        raise InputError(f'--plot {path}: {str(error).split(";")[0]}; name it .png or .svg') from None
    except OSError as error:
        raise InputError(f'--plot {path}: cannot be written ({error.strerror})') from None
