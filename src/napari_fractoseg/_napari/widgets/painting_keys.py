"""Line on the keys with which one paints, for every dock in which that is done."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_fractoseg._napari.widgets.plain_text import plain_label

__all__ = ["keys_line"]

_PAINTING = (
    "1–9 brush of a class",  # noqa: RUF001
    "P brush",
    "F fill",
    "E erase",
    "Z move",
    "[ ] brush size",
    "Ctrl+Z undo",
)


def keys_line(*further: str) -> QLabel:
    """Return a line on the keys for painting, with further lines below it.

    Parameters
    ----------
    *further : str
        Texts on other keys and buttons of the dock.
    """
    keys = " · ".join(key.replace(" ", "\u00a0") for key in _PAINTING)
    line = plain_label("\n".join((f"Keys on the labels layer: {keys}", *further)))
    line.setStyleSheet("font-size: 9pt; color: gray")
    return line
