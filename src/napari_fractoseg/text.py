"""Text of others, such as file names and class names, made safe to show and to write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = [
    "counted",
    "figure_text",
    "from_spreadsheet",
    "listed",
    "printable",
    "size_text",
    "spreadsheet_safe",
]

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and newline
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line separators, and what turns text around
    "\ud800-\udfff]"  # bytes of file names that are not UTF-8
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a cell begins that spreadsheet programs compute (OWASP, CSV injection)."""


def printable(text: object) -> str:
    r"""Return text in which a terminal or window finds no command: what is unprintable is escaped.

    Control characters but for newline and tab, characters that turn the direction of text, and
    bytes of file names that are not UTF-8 become escapes as Python writes them.

    Parameters
    ----------
    text : object
        Text, or an object such as a path that is shown as text.

    Examples
    --------
    >>> from napari_fractoseg.text import printable
    >>> print(printable("grains \x1b[31mred"))
    grains \x1b[31mred
    >>> print(printable("5\udcb5m.png"))
    5\xb5m.png
    """
    return _UNPRINTABLE.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte, as Python has it in file names
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def figure_text(text: object, longest: int = 18) -> str:
    r"""Return text of others as matplotlib draws it word for word, and short.

    A dollar sign begins no formula, an underline hides no entry of a legend, and what is
    unprintable is escaped.

    Parameters
    ----------
    text : object
        Text of others, such as the name of a class or specimen.
    longest : int
        Number of characters beyond which the end is left out.

    Examples
    --------
    >>> from napari_fractoseg.text import figure_text
    >>> print(figure_text("a $x$"), figure_text("intergranular, smooth"))
    a \$x\$ intergranular, sm…
    """
    shown = printable(text).replace("\n", " ").replace("\t", " ")
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}…"
    if shown.startswith("_"):
        shown = f"\u200a{shown}"
    return shown.replace("$", r"\$")


def spreadsheet_safe(text: str) -> str:
    """Return the text of a cell of a table, with an apostrophe where it would be a formula.

    Parameters
    ----------
    text : str
        Text of others, such as a file name. Numbers are not to be passed.

    Examples
    --------
    >>> from napari_fractoseg.text import spreadsheet_safe
    >>> spreadsheet_safe("=cmd|calc.png"), spreadsheet_safe("a.png")
    ("'=cmd|calc.png", 'a.png')
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def from_spreadsheet(text: str) -> str:
    """Return the text that `spreadsheet_safe` was given.

    Examples
    --------
    >>> from napari_fractoseg.text import from_spreadsheet
    >>> from_spreadsheet("'=cmd|calc.png"), from_spreadsheet("'a.png")
    ('=cmd|calc.png', "'a.png")
    """
    return text[1:] if text.startswith("'") and spreadsheet_safe(text[1:]) == text else text


def counted(n: int, what: str, several: str = "") -> str:
    """Return how many there are, with the word in the plural unless there is one.

    Parameters
    ----------
    n : int
        Number.
    what : str
        Word or words for one.
    several : str
        Words for several; by default `what` with an s.

    Examples
    --------
    >>> from napari_fractoseg.text import counted
    >>> counted(1, "image"), counted(0, "image"), counted(2, "point has", "points have")
    ('1 image', '0 images', '2 points have')
    """
    return f"{n} {what if n == 1 else several or what + 's'}"


def listed(things: Iterable[object]) -> str:
    """Return things as a reader writes them in a sentence, rather than as Python does.

    Examples
    --------
    >>> from napari_fractoseg.text import listed
    >>> listed(["intergranular", "transgranular"]), listed([])
    ('intergranular, transgranular', 'none')
    """
    return ", ".join(map(str, things)) or "none"


def size_text(shape: Sequence[int]) -> str:
    """Return the size of an image or stack: columns, rows, and planes where there are several.

    Parameters
    ----------
    shape : sequence of int
        Lengths of the axes (..., Y, X).

    Examples
    --------
    >>> from napari_fractoseg.text import size_text
    >>> print(size_text((96, 128)), size_text((34, 96, 128)), size_text((7,)), sep=" | ")
    128 x 96 px | 34 planes of 128 x 96 px | 7 values in a row
    """
    if len(shape) < 2:
        return f"{listed(shape)} values in a row"
    *leading, rows, columns = shape
    planes = f"{' x '.join(map(str, leading))} planes of " if leading else ""
    return f"{planes}{columns} x {rows} px"
