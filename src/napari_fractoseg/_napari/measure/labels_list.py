"""List of the labels layers that can be measured, with ticks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Qt, Signal, Slot
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_fractoseg._napari.corrections import is_teachable
from napari_fractoseg._napari.layer_list import follow_layers
from napari_fractoseg._napari.layers import scheme_of
from napari_fractoseg._napari.origin import recognise
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.text import listed, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.viewer

__all__ = ["LabelsList"]

_ROWS_IN_VIEW = 4
_FRAME_PX = 6


class LabelsList(QListWidget):
    """List of labels layers, a row each, of which those that are ticked are measured together.

    Until the user ticks others, the labels layer that is selected in the viewer is ticked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose layers are listed, the uppermost first.
    """

    changed = Signal()
    """Signal that other layers are listed or ticked."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers: list[Labels] = []
        self._ticked: list[Labels] = []
        self._is_by_hand = False
        self.setToolTip("Ticked layers are measured together")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.itemChanged.connect(self._on_tick)
        layers = viewer.layers
        follow_layers(layers, self.refresh)
        layers.events.reordered.connect(self.refresh)
        layers.selection.events.active.connect(self._follow)
        self._follow()

    def ticked(self) -> tuple[Labels, ...]:
        """Return the layers that are ticked, in the order of the list."""
        return tuple(layer for layer in self._layers if layer in self._ticked)

    def choose(self, layer: Labels) -> None:
        """Tick a layer, and no other one."""
        self._is_by_hand = False
        self._ticked = [layer]
        self.refresh()

    def tick(self, *layers: Labels) -> None:
        """Tick these layers and no others, as the user does by hand."""
        self._is_by_hand = True
        self._ticked = list(layers)
        self.refresh()

    @Slot()
    def refresh(self, _event: Any = None) -> None:
        """List the layers that the viewer has now."""
        self._layers = [x for x in reversed(self._viewer.layers) if is_teachable(x)]
        left = [layer for layer in self._ticked if layer in self._layers]
        if self._ticked and not left:  # all of them were removed
            self._is_by_hand = False
        self._ticked = left
        if not self._is_by_hand and not self._ticked and self._layers:
            self._ticked = [self._layers[0]]
        with self._silent():
            self.clear()
            for layer in self._layers:
                recognise(layer)
                self.addItem(self._item(layer))
        rows = min(max(self.count(), 1), _ROWS_IN_VIEW)
        height = max(self.sizeHintForRow(0), self.fontMetrics().height() + _FRAME_PX)
        self.setFixedHeight(rows * height + _FRAME_PX)
        self.changed.emit()

    def _item(self, layer: Labels) -> QListWidgetItem:
        item = QListWidgetItem(printable(layer.name))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        is_ticked = layer in self._ticked
        item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
        data = layer.data[0] if layer.multiscale else layer.data
        scheme = scheme_of(layer)
        classes = "no classes recorded" if scheme is None else listed(scheme.names)
        item.setToolTip(plain_text(f"{layer.name}\n{size_text(data.shape)}\n{classes}"))
        return item

    @contextmanager
    def _silent(self) -> Iterator[None]:
        blocker = QSignalBlocker(self)
        try:
            yield
        finally:
            blocker.unblock()

    def _follow(self, _event: Any = None) -> None:
        """Tick the labels layer that was just selected, unless the user chose by hand."""
        active = self._viewer.layers.selection.active
        if active is not None and is_teachable(active) and not self._is_by_hand:
            self._ticked = [active]
        self.refresh()

    @Slot(QListWidgetItem)
    def _on_tick(self, _item: QListWidgetItem) -> None:
        rows = range(self.count())
        on = Qt.CheckState.Checked
        items = [self.item(row) for row in rows]
        self._ticked = [
            layer
            for layer, item in zip(self._layers, items, strict=True)
            if item is not None and item.checkState() == on
        ]
        self._is_by_hand = True
        self.changed.emit()
