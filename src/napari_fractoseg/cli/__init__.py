"""Command line ``fractoseg``: a thin door to the library, and the only place that prints.

Each module has the commands that its name says; `app` joins them, and `options` has what they
share: options made from the fields of a class, progress, tables and error messages.
For *plane, field, run, training plan, mask* see ``docs/reference/glossary.md``.
"""

from napari_fractoseg.cli.app import main

__all__ = ["main"]
