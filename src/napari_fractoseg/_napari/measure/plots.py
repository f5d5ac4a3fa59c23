"""Figures of a measurement in the dock, small; a click opens them large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from matplotlib.backends.backend_qt import NavigationToolbar2QT
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, Qt, Signal, Slot
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QDialog, QTabBar, QVBoxLayout, QWidget

from napari_fractoseg._napari.measure.request import (
    LocalMap,
    MeasuredFacets,
    MeasuredLabels,
)
from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg._napari.widgets.plain_text import plain_label
from napari_fractoseg._napari.widgets.style import SMALL_STYLE
from napari_fractoseg.reporting.figures import draw_fractions, draw_local_map, draw_sizes
from napari_fractoseg.text import printable

if TYPE_CHECKING:
    import napari.viewer
    from matplotlib.axes import Axes

__all__ = ["FRACTIONS", "MAP", "SIZES", "ResultPlots"]

FRACTIONS, SIZES, MAP = "fractions", "sizes", "map"
_TABS = (FRACTIONS, SIZES, MAP)
_HEIGHT_PX = 190
_SMALL, _LARGE = 7.0, 10.0
_LARGE_PX = 900, 600
_OLD_COLOR = "#808080"


class ResultPlots(QWidget):
    """Tabs with the figures of a measurement.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose theme gives the colours.
    """

    wanted = Signal()
    """Signal that the tab shows something that was not measured yet, or another mode is mapped."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.result: MeasuredLabels | None = None
        self.facets: MeasuredFacets | None = None
        self.map: LocalMap | None = None
        self._map_size_um: float | None = None
        self._missing = ""
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        for name in _TABS:
            self.tabs.addTab(name)
        self.mode = ComboBox(choices=self._modes, name="mode")
        narrow(self.mode).setToolTip("The fracture mode whose fraction around each pixel is mapped")
        self.canvas = _Canvas(_SMALL)
        self.canvas.setFixedHeight(_HEIGHT_PX)
        self.canvas.setToolTip("Click to see it large")
        self.caption = plain_label()
        self.caption.setStyleSheet(SMALL_STYLE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.tabs, self.mode.native, self.canvas, self.caption):
            layout.addWidget(widget)
        self.tabs.currentChanged.connect(self._on_tab)
        self.mode.changed.connect(self._on_mode)
        self.canvas.clicked.connect(self.open_large)
        viewer.events.theme.connect(self._on_theme)
        self.mode.native.hide()

    @property
    def tab(self) -> str:
        """Name of the tab that is shown: `FRACTIONS`, `SIZES` or `MAP`."""
        return _TABS[self.tabs.currentIndex()]

    def choose(self, tab: str) -> None:
        """Show a tab."""
        self.tabs.setCurrentIndex(_TABS.index(tab))

    # ---- what is shown ------------------------------------------------------------------

    def show_result(self, result: MeasuredLabels | None) -> None:
        """Show the fractions of a measurement; facets and map are those of an earlier one."""
        self.result, self.facets, self.map = result, None, None
        self.mode.reset_choices()
        self.redraw()

    def show_facets(self, facets: MeasuredFacets | None) -> None:
        """Show the sizes of facets."""
        self.facets = facets
        self.redraw()

    def show_map(self, found: LocalMap | None, pixel_size_um: float | None = None) -> None:
        """Show a map of one plane."""
        self.map, self._map_size_um = found, pixel_size_um
        self.redraw()

    def say_missing(self, text: str) -> None:
        """Say why the tab shows nothing, where it does not."""
        self._missing = text
        self.redraw()

    def _modes(self, _widget: Any = None) -> list[str]:
        result = self.result
        return [] if result is None else [m.name for m in result.request.scheme.fracture_modes]

    @Slot(int)
    def _on_tab(self, _index: int) -> None:
        self.mode.native.setVisible(self.tab == MAP)
        self.redraw()
        self.wanted.emit()

    def _on_mode(self, _value: Any = None) -> None:
        if self.tab == MAP and self.mode.value is not None:
            self.wanted.emit()

    def _on_theme(self, _event: Any = None) -> None:
        self.redraw()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the figures of an old number in grey."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.EnabledChange:
            self.redraw()

    # ---- drawing ------------------------------------------------------------------------

    @property
    def is_drawn(self) -> bool:
        """Whether what the tab shows was measured."""
        shown = {FRACTIONS: self.result, SIZES: self.facets, MAP: self.map}
        return shown[self.tab] is not None

    def redraw(self) -> None:
        """Draw the tab anew."""
        theme = get_theme(str(self._viewer.theme))
        color = theme.text.as_hex() if self.isEnabled() else _OLD_COLOR
        self.canvas.begin(color, theme.background.as_hex())
        if self.is_drawn:
            self._draw(self.canvas)
        self.canvas.finish()
        self.caption.setText(self._caption() if self.is_drawn else self._missing)
        self.caption.setVisible(bool(self.caption.text()))

    def _draw(self, canvas: _Canvas) -> None:
        result = self.result
        if result is None:
            return
        axes, color = canvas.axes(), canvas.color
        if self.tab == FRACTIONS:
            draw_fractions(axes, result.measurement, result.request.scheme, color=color)
        elif self.tab == SIZES and self.facets is not None:
            facets = self.facets
            draw_sizes(axes, facets.tables.facets, result.request.scheme, sizes=facets.sizes)
            if canvas is self.canvas:  # the whole text is longer than the axis
                axes.set_ylabel("% by area, up to")
        elif self.map is not None:
            draw_local_map(
                axes,
                self.map.values,
                class_name=self.map.mode,
                pixel_size_um=self._map_size_um,
                color=color,
            )
            if canvas is self.canvas:
                canvas.figure.axes[-1].set_ylabel("%")
        canvas.add_legend(axes)

    def _caption(self) -> str:
        if self.tab == SIZES and self.facets is not None and self.result is not None:
            return self.facets.caption(self.result.request.scheme)
        if self.tab == MAP and self.map is not None:
            return f"{self.map.title}, window {self.map.window_px} px."
        return ""

    @Slot()
    def open_large(self) -> QDialog | None:
        """Open the figure of the tab in a window of its own, in black on white."""
        if not self.is_drawn:
            return None
        dialog = QDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(printable(f"Measurement: {self.tab}"))
        canvas = _Canvas(_LARGE)
        canvas.begin("#000000", "#ffffff")
        self._draw(canvas)
        canvas.finish()
        layout = QVBoxLayout(dialog)
        layout.addWidget(canvas, 1)
        layout.addWidget(NavigationToolbar2QT(canvas, dialog))
        dialog.resize(*_LARGE_PX)
        dialog.show()
        return dialog


class _Canvas(FigureCanvasQTAgg):
    """Canvas of one figure in two colours.

    Parameters
    ----------
    font_size : float
        Size of the texts, in points.
    """

    clicked = Signal()

    def __init__(self, font_size: float) -> None:
        super().__init__(Figure(figsize=(3.3, 1.9), dpi=100, layout="constrained"))
        self._font_size = font_size
        self.color, self._back = "#000000", "#ffffff"

    def begin(self, color: str, back: str) -> None:
        """Clear the figure, and draw in these colours from now on."""
        self.color, self._back = color, back
        self.figure.clear()
        self.figure.set_facecolor(back)

    def axes(self) -> Axes:
        """Return new axes that fill the figure."""
        return self.figure.add_subplot()

    def add_legend(self, axes: Axes) -> None:
        """Add a legend below the axes, if anything in them has a label."""
        handles, labels = axes.get_legend_handles_labels()
        if labels:
            self.figure.legend(
                handles,
                labels,
                loc="outside lower center",
                ncols=len(labels),
                frameon=False,
                labelcolor=self.color,
                fontsize=self._font_size - 0.5,
                handlelength=1.8,
                handletextpad=0.5,
                columnspacing=0.8,
            )

    def finish(self) -> None:
        """Give all texts and lines their colours and size, and draw."""
        for ax in self.figure.axes:
            ax.set_facecolor(self._back)
            ax.tick_params(colors=self.color, labelsize=self._font_size - 0.5)
            for label in (ax.xaxis.label, ax.yaxis.label):
                label.set(color=self.color, fontsize=self._font_size)
            for spine in ax.spines.values():
                spine.set_color(self.color)
        self.draw_idle()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Tell that the figure was clicked."""
        super().mouseReleaseEvent(event)
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit()

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        """Leave the wheel to the dock, which scrolls."""
        if event is not None:
            event.ignore()
