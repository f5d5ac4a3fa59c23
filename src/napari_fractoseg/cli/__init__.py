"""Command line ``fractoseg``: a thin door to the library, and the only place that prints.

Each module has the commands that its name says; `app` joins them, and `options` has what they
share: options made from the fields of a class, progress, tables and error messages.
For *plane, field, run, training plan, mask* see ``docs/reference/glossary.md``.
"""

from __future__ import annotations

import io
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, SIGTERM with 143."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a µ must not end a run in an odd terminal
            stream.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        # Here, as the start is the first thing that people interrupt.
        from napari_fractoseg.cli.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _terminate(number: int, _frame: object) -> None:
    """End the program as Ctrl-C does: what is going on writes its report."""
    sys.exit(128 + number)
