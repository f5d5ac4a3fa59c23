"""Commands of napari's menus: open SEM images, and take the pixel size from files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_fractoseg._napari.calibrate.give import give_size
from napari_fractoseg._napari.calibrate.sizes import (
    files_job,
    place_of,
    remember_size,
    size_of,
    take_files,
)
from napari_fractoseg._napari.calibrate.texts import offer_of, size_text
from napari_fractoseg._napari.camera import scale_bar_of
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import file_of
from napari_fractoseg._napari.layers import is_segmentable, unwrapped
from napari_fractoseg._napari.source_file import layer_of_file
from napari_fractoseg._napari.widgets.plain_text import plain_text, show_info, show_warning
from napari_fractoseg.errors import FractosegError, ImageError
from napari_fractoseg.images import MicrographStack, read_image
from napari_fractoseg.images.reading import IMAGE_SUFFIXES
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.text import listed

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ask_for_sem_images", "open_sem_images", "size_from_file"]

_NO_WINDOW = "There is no window of napari."
_OPEN_FIRST = "Open an image first: no image of the window is from a file."
_MOST_NAMED = 3

_dialogs: set[QFileDialog] = set()
"""Dialogs that are open: one that belongs to no window would close at once."""


def ask_for_sem_images() -> QFileDialog:
    """Open a dialog that asks for image files; they are opened with their pixel size."""
    viewer = _viewer()
    dialog = QFileDialog(QApplication.activeWindow(), "Open SEM images")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    patterns = " ".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES if suffix != ".zarr")
    dialog.setNameFilters([f"Images ({patterns})", "All files (*)"])
    dialog.filesSelected.connect(lambda paths: open_sem_images(viewer, paths))
    dialog.finished.connect(partial(_dialogs.discard, dialog))
    _dialogs.add(dialog)
    dialog.open()
    return dialog


def open_sem_images(viewer: napari.viewer.Viewer, paths: Sequence[str | Path]) -> Run:
    """Open image files as grey levels, with the pixel size that they say.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layers.
    paths : sequence of str or Path
        Image files; what cannot be read is told, the others are opened.
    """
    run = _Opening(viewer, [Path(path) for path in paths])
    run.start()
    return run


def size_from_file() -> Run | None:
    """Give the selected images, or all without a selection, the pixel size that their files say."""
    viewer = _viewer()
    images = [x for x in viewer.layers if is_segmentable(x) and file_of(x) is not None]
    images = [x for x in images if x in viewer.layers.selection] or images
    if not images:
        show_warning(_OPEN_FIRST)
        return None
    run = _Sizing(viewer, images)
    run.start()
    return run


def _viewer() -> napari.viewer.Viewer:
    viewer = napari.current_viewer()
    if viewer is None:
        raise FractosegError(_NO_WINDOW)
    return unwrapped(viewer)


class _Opening(Run):
    """Run that reads files, and adds their images at its end."""

    def __init__(self, viewer: napari.viewer.Viewer, paths: Sequence[Path]) -> None:
        super().__init__(_reading_job(paths), "opening SEM images")
        self._viewer = viewer

    def conclude(self, state: State) -> State:
        """Add the images, and tell what is odd about them."""
        if state is State.DONE:
            stacks, failed = self.result
            for path, stack in stacks:
                _add(self._viewer, path, stack)
            told = [note for _, stack in stacks for note in stack.notes]
            if failed or told:
                show_warning("\n".join([*failed, *told]))
        return state


def _reading_job(
    paths: Sequence[Path],
) -> Job[tuple[list[tuple[Path, MicrographStack]], list[str]]]:
    """Read images; what cannot be read becomes a message."""
    stacks, failed = [], []
    for number, path in enumerate(paths):
        yield Progress(number, len(paths), f"reading {path.name}")
        try:
            stacks.append((path, read_image(path)))
        except ImageError as error:
            failed.append(str(error))
    return stacks, failed


def _add(viewer: napari.viewer.Viewer, path: Path, stack: MicrographStack) -> None:
    size = stack.pixel_size
    place = place_of(size, len(stack.shape))
    if place:
        scale_bar_of(viewer).visible = True
    if stack.axes is not None:
        place["axis_labels"] = tuple(axis.name for axis in stack.axes)
    arguments = {"rgb": stack.rgb, "name": plain_text(stack.name), **place}
    layer = layer_of_file(path, stack.data, arguments, "image")
    if place.get("scale"):
        remember_size(layer, size.to_dict())
    viewer.add_layer(layer)


class _Sizing(Run):
    """Run that reads what the files of images say, and gives it to them at its end."""

    def __init__(self, viewer: napari.viewer.Viewer, images: Sequence[Image]) -> None:
        paths = [path for x in images if (path := file_of(x)) is not None]
        super().__init__(files_job(paths), "reading the pixel size")
        self._viewer, self._images = viewer, images

    def conclude(self, state: State) -> State:
        """Give the sizes, and tell which."""
        if state is not State.DONE:
            return state
        given: list[str] = []
        same: list[str] = []
        none: list[str] = []
        for image in self._images:
            path = file_of(image)
            if image not in self._viewer.layers or path is None:
                continue
            says = self.result[path]
            take_files({image: says})
            offer = offer_of(size_of(image), says)
            if offer is not None:
                give_size(self._viewer, image, offer)
                given.append(f"{image.name}: {size_text(offer)}")
            else:
                (same if size_of(image).x_um is not None else none).append(str(image.name))
        show_info(_summary(given, same, none))
        return state


def _summary(given: Sequence[str], same: Sequence[str], none: Sequence[str]) -> str:
    parts = [*given]
    if same:
        parts.append(f"{_named(same)} had a pixel size already.")
    if none:
        parts.append(
            f"The file of {_named(none)} says no pixel size. Type it, or measure the scale bar: "
            "Layers > Measure > Pixel size."
        )
    return "\n".join(parts)


def _named(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} images"
