"""The command line: a thin door to the library, and the only place that prints."""

from napari_fractoseg.cli.app import main

__all__ = ["main"]
