"""Row of a dock that offers the tools to paint with: brush and facets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Slot
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from napari_fractoseg._napari.facets.tool import FacetTool, can_have_facets
from napari_fractoseg._napari.layers import unwrapped
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.run_queue import main_window

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ToolRow"]


class ToolRow(QWidget):
    """Choice between brush and facets for the labels layer that is selected.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose labels layers are painted on.
    parent : QWidget, optional
        Widget that the row is part of.
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = unwrapped(viewer)
        self.tool = FacetTool(viewer, self)
        self.brush_button = QPushButton("brush")
        self.brush_button.setToolTip("Paint with napari's brush")
        self.facet_button = QPushButton("facet")
        self.facet_button.setToolTip(
            "Outline the facet under the cursor; a click gives it the selected class"
        )
        self.hint = plain_label()
        self.hint.setWordWrap(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Tool"), 0, 0)
        for column, button in enumerate((self.brush_button, self.facet_button), start=1):
            button.setCheckable(True)
            layout.addWidget(button, 0, column)
            layout.setColumnStretch(column, 1)
        layout.addWidget(self.hint, 1, 0, 1, 3)
        self.brush_button.clicked.connect(self.use_brush)
        self.facet_button.clicked.connect(self.use_facets)
        self.tool.changed.connect(self.refresh)
        self.tool.changed.connect(self._watch_dialogs)
        self._followed: Any = None
        self.viewer.layers.selection.events.active.connect(self._follow)
        self._follow()

    @Slot()
    def use_brush(self) -> None:
        """Paint with the brush on the selected layer; again, stop painting."""
        layer = self.viewer.layers.selection.active
        if can_have_facets(layer):
            layer.mode = "pan_zoom" if layer.mode == "paint" else "paint"
        self.refresh()

    @Slot()
    def use_facets(self) -> None:
        """Paint facets on the selected layer; again, stop."""
        if self.tool.is_on:
            self.tool.stop()
        else:
            self.tool.start()
        self.refresh()

    def _follow(self, _event: Any = None) -> None:
        """Show the tool of the layer that is selected now, also when napari changes it."""
        active = self.viewer.layers.selection.active
        layer = active if can_have_facets(active) else None
        if layer is not self._followed:
            if self._followed is not None:
                self._followed.events.mode.disconnect(self.refresh)
            if layer is not None:
                layer.events.mode.connect(self.refresh)
            self._followed = layer
        self.refresh()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """End the tool when its dock is closed or covered; not when the window is minimised."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self.tool.stop()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Take the outline away when a dialog opens, such as one to save all layers."""
        if event is not None and event.type() == QEvent.Type.WindowBlocked:
            self.tool.hide_outline()
        return super().eventFilter(watched, event)

    def _watch_dialogs(self) -> None:
        window = main_window(self)
        window.removeEventFilter(self)
        if self.tool.is_on:
            window.installEventFilter(self)

    def refresh(self, _event: Any = None) -> None:
        """Show which tool is on, and its keys."""
        layer = self._followed
        paints = layer is not None and str(layer.mode) == "paint"
        self.brush_button.setChecked(paints)
        self.facet_button.setChecked(self.tool.is_on)
        for button in (self.brush_button, self.facet_button):
            button.setEnabled(layer is not None)
        self.hint.setText(self.tool.text)
        self.hint.setVisible(bool(self.hint.text()))
