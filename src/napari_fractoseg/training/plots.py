"""Curves of a training run: loss and validation, drawn into matplotlib axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.text import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_loss", "draw_validation"]

_SMOOTH = 0.9


def draw_loss(history: Sequence[Mapping[str, float]], ax: Axes, color: str = "0.5") -> None:
    """Draw the loss of each step, and its running mean.

    Parameters
    ----------
    history : sequence of mapping
        Rows of a run with ``step`` and ``loss``, as in `FineTuned.history`.
    ax : matplotlib.axes.Axes
        Axes to draw into.
    color : str
        Colour of the lines, as matplotlib names it.
    """
    steps = [row["step"] for row in history if "loss" in row]
    losses = [row["loss"] for row in history if "loss" in row]
    ax.plot(steps, losses, color=color, alpha=0.3, linewidth=0.7, label="loss")
    ax.plot(steps, _running_mean(losses), color=color, linewidth=1.2, label="loss, smoothed")
    ax.set_ylabel("loss")
    ax.set_xlabel("step")


def _running_mean(values: Sequence[float]) -> list[float]:
    """Return the exponential mean, corrected for its start (Kingma & Ba, "Adam", 2015)."""
    mean, result = 0.0, []
    for count, value in enumerate(values, start=1):
        mean = _SMOOTH * mean + (1 - _SMOOTH) * value
        result.append(mean / (1 - _SMOOTH**count))
    return result


def draw_validation(
    history: Sequence[Mapping[str, float]], ax: Axes, scheme: ClassScheme, color: str = "0.5"
) -> None:
    """Draw the IoU on held-out pixels: the mean, and each class in its colour.

    Parameters
    ----------
    history : sequence of mapping
        Rows of a run, as in `FineTuned.history`; those with ``mean_iou`` and
        ``iou CLASS`` are validations.
    ax : matplotlib.axes.Axes
        Axes to draw into.
    scheme : ClassScheme
        Classes with their names and colours.
    color : str
        Colour of the mean, and of classes without a colour.
    """
    rows = [row for row in history if "mean_iou" in row]
    steps = [row["step"] for row in rows]
    for fracture_class in scheme:
        values = [row.get(f"iou {fracture_class.name}", np.nan) for row in rows]
        if not np.isnan(values).all():
            ax.plot(
                steps,
                values,
                color=color if fracture_class.is_transparent else fracture_class.color[:7],
                linestyle=":" if fracture_class.is_transparent else "-",
                linewidth=1,
                marker=".",
                markersize=3,
                label=figure_text(fracture_class.name),
            )
    means = [row["mean_iou"] for row in rows]
    ax.plot(steps, means, color=color, linewidth=1.8, marker="o", markersize=3, label="mean IoU")
    ax.set_ylim(0, 1)
    ax.set_ylabel("IoU, held out")
    ax.set_xlabel("step")
