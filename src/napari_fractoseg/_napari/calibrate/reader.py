"""Reads what the files of layers say, in a thread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from weakref import WeakSet

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal, Slot

from napari_fractoseg._napari.calibrate.sizes import (
    files_job,
    said_by_file,
    take_files,
)
from napari_fractoseg._napari.jobs import Run
from napari_fractoseg._napari.layer_metadata import file_of, unwrapped

__all__ = ["FileReader"]


class FileReader(QObject):
    """Reads the tags of the files of layers, once for each layer and without stopping the window.

    Parameters
    ----------
    parent : QObject
        Widget that wants to know.
    """

    read = Signal()
    """Signal that files were read (`said_by_file`)."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._wanted: WeakSet[Layer] = WeakSet()
        self._run: Run | None = None

    def want(self, layers: Iterable[Image]) -> None:
        """Read the files of layers that were not read yet."""
        new = [x for x in layers if file_of(x) is not None and said_by_file(x) is None]
        self._wanted.update(map(unwrapped, new))
        self._go_on()

    def _go_on(self) -> None:
        paths = self._paths()
        if not paths or (self._run is not None and not self._run.state.has_ended):
            return
        self._run = Run(files_job(paths), "reading the pixel size")
        self._run.ended.connect(self._on_end)
        self._run.start()

    def _paths(self) -> list[Path]:
        return [path for layer in self._wanted if (path := file_of(layer)) is not None]

    @Slot()
    def _on_end(self) -> None:
        run = self._run
        found = {} if run is None or run.result is None else run.result
        layers = list(self._wanted)
        take_files({x: found[path] for x in layers if (path := file_of(x)) in found})
        self._wanted.clear()
        self._wanted.update(x for x in layers if found and said_by_file(x) is None)
        self.read.emit()
        self._go_on()
