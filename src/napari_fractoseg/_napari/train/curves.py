"""Live curves of a training run, in the colours of napari's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.utils.theme import get_theme

from napari_fractoseg.jobs import Throttle
from napari_fractoseg.training.plots import draw_loss, draw_validation

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.classes import ClassScheme

__all__ = ["TrainingCurves"]

_HEIGHT_PX = 160
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
        """Draw the curves anew."""
        theme = get_theme(str(self._viewer.theme))
        text, back = theme.text.as_hex(), theme.background.as_hex()
        self._figure.clear()
        self._figure.set_facecolor(back)
        loss, iou = self._figure.subplots(1, 2)
        if self.history and self._scheme is not None:
            draw_loss(self.history, loss, text)
            draw_validation(self.history, iou, self._scheme, text)
        for ax in (loss, iou):
            ax.set_facecolor(back)
            ax.tick_params(colors=text, labelsize=6)
            for label in (ax.xaxis.label, ax.yaxis.label):
                label.set(color=text, fontsize=7)
            for spine in ax.spines.values():
                spine.set_color(text)
        self.draw_idle()
