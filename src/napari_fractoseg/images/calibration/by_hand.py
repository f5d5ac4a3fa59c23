"""Pixel sizes that a person gives: typed, or measured on the scale bar of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.calibration.facts import (
    LARGEST_UM,
    SMALLEST_UM,
    PixelSize,
    Said,
    length_text,
)
from napari_fractoseg.images.calibration.texts import length_um
from napari_fractoseg.options import is_truth_value

__all__ = [
    "GIVEN",
    "SCALE_BAR",
    "TYPED",
    "BarLine",
    "EdgeChoice",
    "checked_edge_um",
    "typed_length_um",
    "typed_size",
]

TYPED, SCALE_BAR, GIVEN = "typed by hand", "scale bar", "given by hand"
"""Origins of a pixel size: the number was typed, a scale bar measured, or an option given."""
_SHORTEST_PX = 4


def checked_edge_um(edge_um: float | None) -> float | None:
    """Return the edge of a pixel in micrometres that was given, if a pixel can have it, or None.

    Raises
    ------
    ValueError
        If it is not from a picometre to a centimetre, or no number.
    """
    if edge_um is None:
        return None
    if is_truth_value(edge_um) or not SMALLEST_UM <= edge_um <= LARGEST_UM:  # nor NaN
        raise ValueError(
            f"The edge of a pixel is a number from {SMALLEST_UM:g} to {LARGEST_UM:g} µm"
        )
    return edge_um


EdgeChoice = Annotated[
    float | None,
    AfterValidator(checked_edge_um),
    Field(
        description="Edge of a pixel in micrometres, 1e-6 to 1e4, of all images (default: what "
        "each file says). It goes into the results, which say that it was given by hand.",
    ),
]
"""Pixel size that a user gives for all images; None where each file says its own."""


def typed_length_um(text: str, unit: str = "") -> float:
    """Return a length in micrometres that a person typed, with a decimal point or comma.

    Parameters
    ----------
    text : str
        Number, with or without its unit.
    unit : str
        Unit, where the text has none.

    Raises
    ------
    ImageError
        If it is no length above 0.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.by_hand import typed_length_um
    >>> typed_length_um("55,8", "nm"), typed_length_um("10 µm"), typed_length_um("0.5", "mm")
    (0.0558, 10.0, 500.0)
    """
    um = length_um(text.strip().replace(",", "."), unit)
    if um is None or not 0 < um < math.inf:
        what = f"'{text.strip()}' is no length" if text.strip() else "There is no length"
        raise ImageError(f"{what}. Type a number with a unit, such as 10 µm or 500 nm.")
    return float(f"{um:.12g}")  # without the noise of another unit


def typed_size(text: str, unit: str = "", source: str = TYPED) -> PixelSize:
    """Return the size of square pixels from their edge that a person typed.

    Parameters
    ----------
    text, unit : str
        Length (`typed_length_um`).
    source : str
        Origin in words.

    Raises
    ------
    ImageError
        If it is no length, or no pixel can have such an edge.
    """
    return _possible(typed_length_um(text, unit), source)


def _possible(um: float, source: str, notes: tuple[str, ...] = ()) -> PixelSize:
    if Said(um, source).is_absurd:
        raise ImageError(
            f"No pixel is {length_text(um)} wide: it is 1 pm to 1 cm. Look at the number and its "
            "unit."
        )
    return PixelSize(um, um, source, notes)


@dataclass(frozen=True)
class BarLine:
    """A line over a scale bar, in pixels of the image.

    Parameters
    ----------
    start, end : sequence of float
        Row and column of the two ends.
    error_px : float
        How well its length is known, in pixels: that of the screen, where it was drawn on a small
        picture of the image.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.by_hand import BarLine
    >>> line = BarLine((700, 20), (700, 190))
    >>> line.text(15)
    '170 px = 15 µm: 0.08824 µm a pixel (± 0.6 %, if the ends are right to a pixel)'
    """

    start: Sequence[float]
    end: Sequence[float]
    error_px: float = 1.0

    @property
    def length_px(self) -> float:
        """Length of the line in pixels."""
        return math.dist(self.start, self.end)

    @property
    def relative_error(self) -> float:
        """Part of the length by which it may be wrong."""
        return self.error_px / self.length_px

    def size(self, bar_um: float) -> PixelSize:
        """Return the pixel size, if the line is as long as a bar of a length in micrometres.

        Raises
        ------
        ImageError
            If the line is too short to be measured, or no pixel can have such an edge.
        """
        if self.length_px < _SHORTEST_PX:
            raise ImageError(
                f"The line is {self.length_px:.1f} px long. Draw it from one end of the scale bar "
                "to the other; zoom in to see them."
            )
        note = f"± {100 * self.relative_error:.1f} %, {self._if_right}"
        return _possible(bar_um / self.length_px, SCALE_BAR, (note,))

    def text(self, bar_um: float) -> str:
        """Return the pixel size that `size` gives, in words.

        Raises
        ------
        ImageError
            As `size`.
        """
        edge_um = self.size(bar_um).x_um
        return (
            f"{self.length_px:.4g} px = {length_text(bar_um)}: {edge_um:.4g} µm a pixel "
            f"(± {100 * self.relative_error:.1f} %, {self._if_right})"
        )

    @property
    def _if_right(self) -> str:
        if self.error_px == 1:
            return "if the ends are right to a pixel"
        return f"as it was drawn to {self.error_px:.1f} px: zoom in for less"
