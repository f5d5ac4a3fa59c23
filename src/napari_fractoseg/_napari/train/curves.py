"""Live curves of a training run, in the colours of napari's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.utils.theme import get_theme
from qtpy.QtGui import QWheelEvent

from napari_fractoseg.jobs import Throttle
from napari_fractoseg.training.plots import draw_loss, draw_validation

if TYPE_CHECKING:
    import napari.viewer
    from matplotlib.axes import Axes

    from napari_fractoseg.classes import ClassScheme

__all__ = ["TrainingCurves"]

_HEIGHT_PX = 200
_LEGEND: dict[str, float] = {
    "ncols": 3,
    "fontsize": 7,
    "handlelength": 1.2,
    "handletextpad": 0.4,
    "columnspacing": 0.8,
}
"""Measures of the legend, so that nine entries fit the width of a dock."""
_REDRAW_INTERVAL_S = 1.0


class TrainingCurves(FigureCanvasQTAgg):
    """Widget with curves of the loss, and of the IoU on held-out pixels.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose theme gives the colours.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._figure = Figure(figsize=(3.2, 1.5), dpi=100, layout="constrained")
        super().__init__(self._figure)
        self._viewer = viewer
        self._due = Throttle(_REDRAW_INTERVAL_S)
        self.history: list[dict[str, float]] = []
        self._scheme: ClassScheme | None = None
        self.setFixedHeight(_HEIGHT_PX)
        viewer.events.theme.connect(self._on_theme)

    def begin(self, scheme: ClassScheme) -> None:
        """Remove the curves, and begin new ones with the classes of a scheme."""
        self.history, self._scheme = [], scheme
        self.redraw()

    def add(self, row: dict[str, float]) -> None:
        """Add the figures of a step; they are drawn once a second."""
        self.history.append(row)
        if self._due.ready() or "mean_iou" in row:
            self.redraw()

    def show_history(self, history: list[dict[str, float]]) -> None:
        """Draw the rows of a whole run in place of those that were added one by one."""
        self.history = list(history)
        self.redraw()

    def _on_theme(self, _event: Any = None) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Draw the curves anew: those of the loss, and of the validation once there was one."""
        theme = get_theme(str(self._viewer.theme))
        text, back = theme.text.as_hex(), theme.background.as_hex()
        self._figure.clear()
        self._figure.set_facecolor(back)
        if self.history and self._scheme is not None:
            is_validated = any("mean_iou" in row for row in self.history)
            axes = self._figure.subplots(1, 1 + is_validated, squeeze=False)[0]
            draw_loss(self.history, axes[0], text)
            if is_validated:
                draw_validation(self.history, axes[1], self._scheme, text)
            for ax in axes:
                _in_colors(ax, text, back)
            self._figure.legend(
                loc="outside lower center",
                labelcolor=text,
                frameon=False,
                **_LEGEND,
            )
        self.draw_idle()

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 - Qt's name
        """Leave the wheel to the dock, which scrolls."""
        if event is not None:
            event.ignore()


def _in_colors(ax: Axes, text: str, back: str) -> None:
    ax.set_facecolor(back)
    ax.tick_params(colors=text, labelsize=6)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(color=text, fontsize=7)
    for spine in ax.spines.values():
        spine.set_color(text)
