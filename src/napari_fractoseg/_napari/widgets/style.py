"""Style of the docks' primary buttons, in the colours of napari's theme."""

from __future__ import annotations

from napari.utils.theme import get_theme

__all__ = ["MARK_STYLE", "SMALL_STYLE", "primary_style"]

_MARK = "#8a5a00"
MARK_STYLE = f"background: {_MARK}; color: white; font-weight: bold; padding: 3px;"
"""Style of a line that must not be overlooked."""
SMALL_STYLE = "font-size: 9pt"
"""Style of what belongs beside a number, in small letters."""


def primary_style(theme_name: str, *, stands_out: bool = False) -> str:
    """Return the style sheet of the one button that starts the work."""
    theme = get_theme(theme_name)
    back, text = (_MARK, "white") if stands_out else (theme.current.as_hex(), theme.text.as_hex())
    return (
        f"QPushButton:enabled {{ background: {back}; color: {text}; }} "
        "QPushButton { font-weight: bold; padding: 7px; }"
    )
