"""Row of the docks that tells the pixel size of an image, and offers what its file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import Signal, Slot
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fractoseg._napari.calibrate.give import can_take_back, give_size, take_back
from napari_fractoseg._napari.calibrate.reader import FileReader
from napari_fractoseg._napari.calibrate.sizes import (
    edges_um,
    said_by_file,
    size_of,
)
from napari_fractoseg._napari.calibrate.texts import offer_of, offers_text, state_text
from napari_fractoseg._napari.layer_metadata import file_of
from napari_fractoseg._napari.layers import is_segmentable
from napari_fractoseg._napari.widgets.controls import in_a_row, small_button
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.style import SMALL_STYLE
from napari_fractoseg.images.calibration import PixelSize

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PixelSizeRow"]


class PixelSizeRow(QWidget):
    """Row with the pixel size of images: offers that of their files, and goes back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the images.
    links : bool
        Whether it has a button that opens the dock "Pixel size".
    says_known : bool
        Whether it says the size that the images have, and where that is from; otherwise only
        what their files say of another one, and what is odd.
    """

    changed = Signal()
    """Signal that a file was read, so that what is believed of a layer may be another."""

    def __init__(
        self, viewer: napari.viewer.Viewer, *, links: bool = True, says_known: bool = True
    ) -> None:
        super().__init__()
        self._viewer, self._links, self._says_known = viewer, links, says_known
        self._images: tuple[Image, ...] = ()
        self._also: tuple[Layer, ...] = ()
        self._reader = FileReader(self)
        self._reader.read.connect(self._on_read)
        self.line = plain_label()
        self.line.setStyleSheet(SMALL_STYLE)
        self.use_button = small_button(
            "Use", "Give this size to the image and to all layers made from it; nothing moves"
        )
        self.all_button = small_button(
            "", "Give each open image the size that its own file says, and all made from it"
        )
        self.pixels_button = small_button(
            "Set to pixels", "The print resolution is taken away: sizes are then in pixels"
        )
        self.back_button = small_button("Back", "Take the pixel size away again")
        self.calibrate_button = small_button(
            "Calibrate …", "Type the pixel size, or measure the scale bar in the image"
        )
        self.use_button.clicked.connect(self.use)
        self.all_button.clicked.connect(self.use_all)
        self.pixels_button.clicked.connect(self.set_to_pixels)
        self.back_button.clicked.connect(self.take_back)
        self.calibrate_button.clicked.connect(self.calibrate)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.line)
        layout.addLayout(
            in_a_row(self.use_button, self.pixels_button, self.back_button, self.calibrate_button)
        )
        layout.addWidget(self.all_button)
        self.describe()

    def show_images(self, images: Iterable[Image], also: Iterable[Layer] = ()) -> None:
        """Show the pixel size of images, and follow them; their files are read in a thread.

        Parameters
        ----------
        images : iterable of Image
            Layers of micrographs.
        also : iterable of Layer
            Layers that are of these images, such as labels that the user chose for them.
        """
        images, self._also = tuple(images), tuple(also)
        if images != self._images:
            for old, what in ((self._images, "disconnect"), (images, "connect")):
                for layer in old:
                    for event in (layer.events.scale, layer.events.units, layer.events.metadata):
                        getattr(event, what)(self.describe)
            self._images = images
        self._reader.want((*images, *self._others()))
        self.describe()

    # ---- what is shown ------------------------------------------------------------------

    def describe(self, _event: Any = None) -> None:
        """Show what is known now."""
        images = self._images
        has = [size_of(layer) for layer in images]
        says = [said_by_file(layer) for layer in images]
        offers = [offer_of(size, said) for size, said in zip(has, says, strict=True)]
        if len(images) == 1:
            text = state_text(has[0], says[0], says_known=self._says_known)
        elif self._says_known or any(offers):
            text = offers_text(has, offers) if images else ""
        else:
            text = ""
        self.line.setText(text)
        self.line.setVisible(bool(text))
        n_offers = sum(offer is not None for offer in offers)
        self.use_button.setVisible(n_offers > 0)
        n_all = n_offers + sum(_offer(layer) is not None for layer in self._others())
        self.all_button.setVisible(n_offers > 0 and n_all > n_offers)
        self.all_button.setText(f"Use for all {n_all} open images")
        self.pixels_button.setVisible(
            any(
                size.x_um is None and offer is None and edges_um(layer) is not None
                for layer, size, offer in zip(images, has, offers, strict=True)
            )
        )
        self.back_button.setVisible(any(map(can_take_back, images)))
        self.calibrate_button.setVisible(bool(images) and self._links)

    def _others(self) -> list[Image]:
        """Return the other open images that are from files."""
        if not self._images:
            return []
        layers = [x for x in self._viewer.layers if is_segmentable(x) and x not in self._images]
        return [layer for layer in layers if file_of(layer) is not None]

    @Slot()
    def _on_read(self) -> None:
        self.describe()
        self.changed.emit()

    # ---- what is done -------------------------------------------------------------------

    @Slot()
    def use(self) -> None:
        """Give each image, and what was made from it, the pixel size that its file says."""
        self._each(self._use)

    @Slot()
    def use_all(self) -> None:
        """Give all open images, and what was made from them, what their own files say."""
        for layer in self._others():
            self._use(layer)
        self.use()

    def _use(self, layer: Image) -> None:
        offer = _offer(layer)
        if offer is not None:
            give_size(self._viewer, layer, offer, self._also)

    @Slot()
    def set_to_pixels(self) -> None:
        """Take the resolution of a print away from images whose files say no pixel size."""

        def remove(layer: Image) -> None:
            if size_of(layer).x_um is None and edges_um(layer) is not None:
                give_size(self._viewer, layer, PixelSize(), self._also)

        self._each(remove)

    @Slot()
    def take_back(self) -> None:
        """Take back what was given to the images last."""
        self._each(lambda layer: take_back(self._viewer, layer, self._also))

    def _each(self, action: Callable[[Image], object]) -> None:
        for layer in self._images:
            if layer in self._viewer.layers:
                action(layer)
        self.describe()

    @Slot()
    def calibrate(self) -> None:
        """Open the dock in which the pixel size is typed, or measured on the scale bar."""
        from napari_fractoseg._napari.calibrate.dock import calibrate_in_dock

        calibrate_in_dock(self._viewer, self._images, self)


def _offer(layer: Image) -> PixelSize | None:
    """Return the pixel size that the file of a layer says, if the layer does not have it."""
    return offer_of(size_of(layer), said_by_file(layer))
