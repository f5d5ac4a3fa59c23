"""Commands in napari's menus that open labels and annotations, whatever their files are called.

napari's own ways to open a file ask every plugin by the name of the file, and all plugins that take
folders about every folder. So only a few names are claimed there; these commands take all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.result_reader import get_labels_reader
from napari_fractoseg._napari.save.reader import get_run_reader
from napari_fractoseg._napari.save.restore import labels_data
from napari_fractoseg._napari.save.restorer import restorer_of
from napari_fractoseg._napari.source_file import layer_of_file
from napari_fractoseg._napari.via.reader import get_reader
from napari_fractoseg._napari.widgets.plain_text import plain_errors
from napari_fractoseg.errors import AnnotationError, ImageError
from napari_fractoseg.images import TIFF_SUFFIXES, image_shape
from napari_fractoseg.results.record import recorded_scheme

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["open_files", "open_folder", "open_paths"]

_READERS = (get_run_reader, get_labels_reader, get_reader)
"""Functions that return a reader of a path, or None if it is not for them."""
_FILES = "Labels and annotations (*.tif *.tiff *.json *.csv *.xml *.roi *.zip)"


def open_files() -> None:
    """Ask for files of labels or annotations, and open them: the command for files."""
    viewer = napari.current_viewer()
    if viewer is not None:
        parent = QApplication.activeWindow()
        names, _ = QFileDialog.getOpenFileNames(parent, "Open labels or annotations", "", _FILES)
        open_paths(viewer, map(Path, names))


def open_folder() -> None:
    """Ask for a folder of a result, or of labels in OME-Zarr, and open it."""
    viewer = napari.current_viewer()
    if viewer is not None:
        parent = QApplication.activeWindow()
        name = QFileDialog.getExistingDirectory(parent, "Open a result or an OME-Zarr")
        open_paths(viewer, [Path(name)] if name else [])


def open_paths(viewer: napari.viewer.Viewer, paths: Iterable[Path]) -> list[Layer]:
    """Open files or folders with labels or annotations.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layers.
    paths : iterable of Path
        Annotations with any name, label images in TIFF, folders of labels in OME-Zarr, ``run.json``
        of a run or *Save result*, or the folder that it is in.

    Returns
    -------
    list of Layer
        Layers that were added.

    Raises
    ------
    AnnotationError, ImageError
        If one of them is something else, or cannot be read. Those before it are open.
    """
    with plain_errors():
        opened = [layer for path in paths for layer in _opened(viewer, path)]
        restorer_of(viewer).look()
    return opened


def _opened(viewer: napari.viewer.Viewer, path: Path) -> list[Layer]:
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _opened_tiff(viewer, path)
    read = next(filter(None, (get(str(path)) for get in _READERS)), None)
    if read is None:
        raise AnnotationError(
            f"{path} holds neither labels nor annotations: it is no OME-Zarr with named classes, "
            "no label image in TIFF, no run.json of this program and no file of VIA, COCO, "
            "LabelMe, Pascal VOC or ImageJ. Open it by File > Open."
        )
    layers = [layer_of_file(path, *layer) for layer in read(str(path))]
    return [viewer.add_layer(layer) for layer in layers]


def _opened_tiff(viewer: napari.viewer.Viewer, path: Path) -> list[Layer]:
    _, dtype = image_shape(path)
    if not np.issubdtype(dtype, np.integer):
        raise ImageError(
            f"{path} holds no labels: its values are {dtype}. Open it as an image by File > Open."
        )
    if recorded_scheme(path) is not None:
        return [viewer.add_layer(layer_of_file(path, *labels_data(path)))]
    layers: list[Layer] = viewer.open(str(path), plugin="napari", layer_type="labels")
    for layer in layers:
        recognise(layer)
    return layers
