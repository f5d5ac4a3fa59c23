"""Line on the keys with which one paints, for every dock in which that is done."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_fractoseg._napari.widgets.plain_text import plain_label

__all__ = ["keys_line"]

_PAINTING = (
    "Keys on the labels layer: 1–9 brush of that class · P brush · F fill · E erase · Z move · "  # noqa: RUF001
    "[ ] brush size · Ctrl+Z undo"
)


def keys_line(*further: str) -> QLabel:
    """Return a line on the keys for painting, with further lines below it.

    Parameters
    ----------
    *further : str
        Texts on other keys and buttons of the dock.
    """
    line = plain_label("\n".join((_PAINTING, *further)))
    line.setStyleSheet("font-size: 9pt; color: gray")
    return line
