"""Figures and pictures as bytes of files, the same ones for the same measurement."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["data_uri", "drawn", "figure_bytes", "picture_uri"]

_STYLE = {
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "fractoseg",
    "text.usetex": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
_NO_TIME = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
_TYPES = {"svg": "image/svg+xml", "png": "image/png", "jpeg": "image/jpeg"}


@contextmanager
def _own_style() -> Iterator[None]:
    """Draw in our style whatever the user's is, and a box for letters that the font has not."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def drawn(draw: Callable[[Figure], object], size_inches: tuple[float, float]) -> Figure:
    """Return a figure that is laid out once, whatever files are made of it.

    Parameters
    ----------
    draw : callable
        Function that draws into an empty figure.
    size_inches : tuple of float
        Width and height.
    """
    with _own_style():
        figure = Figure(figsize=size_inches, layout="constrained")
        draw(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file, in which no time is written.

    Parameters
    ----------
    figure : Figure
        Figure of `drawn`.
    kind : {"png", "svg", "pdf"}
        Kind of file.
    """
    file = io.BytesIO()
    with _own_style():
        figure.savefig(file, format=kind, metadata=_NO_TIME[kind])
    return file.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    """Return a picture as an address that holds the picture itself."""
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(data).decode()}"


def picture_uri(rgb: npt.NDArray[np.uint8], *, is_photograph: bool) -> str:
    """Return red, green and blue of shape (Y, X, 3) as an address that holds the picture."""
    file, kind = io.BytesIO(), "jpeg" if is_photograph else "png"
    Image.fromarray(rgb).save(file, format=kind, quality=88, optimize=True)
    return data_uri(file.getvalue(), kind)
