"""Style of the docks' primary buttons, in the colours of napari's theme."""

from __future__ import annotations

from napari.utils.theme import get_theme

__all__ = ["primary_style"]


def primary_style(theme_name: str) -> str:
    """Return the style sheet of the one button that starts the work."""
    theme = get_theme(theme_name)
    return (
        f"QPushButton:enabled {{ background: {theme.current.as_hex()}; "
        f"color: {theme.text.as_hex()}; }} QPushButton {{ font-weight: bold; padding: 7px; }}"
    )
