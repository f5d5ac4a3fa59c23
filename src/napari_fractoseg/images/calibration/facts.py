"""What a microscope wrote about an image: pixel size with its origin, detector, voltage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_fractoseg.images.axes import square_edge

__all__ = [
    "LARGEST_UM",
    "MOST_BAR",
    "SMALLEST_UM",
    "PixelSize",
    "Said",
    "SemFacts",
    "agreed",
    "for_frame",
    "known_size",
    "length_text",
    "unconfirmed",
]

SMALLEST_UM, LARGEST_UM = 1e-6, 1e4
"""Edges of a pixel that are believed: from a picometre to a centimetre."""
_AGREE = 5e-3
"""Largest relative difference of two statements that say the same: some have three digits."""
_SAME_COLUMNS = 0.01
"""Largest relative difference of two numbers of columns that are the same."""
_CUT = 0.12
"""Largest relative difference of the scale of rows and columns of an image that was resized: it
may have lost, or got, an info bar at the same time."""
MOST_BAR = 0.25
"""Largest part of the rows that an info bar has."""
_BY_HAND = "Give the pixel size by hand."


@dataclass(frozen=True)
class Said:
    """A statement of a file on the edge of a pixel.

    Parameters
    ----------
    um : float
        Edge in micrometres, as the file says it: may be absurd, or not a number.
    source : str
        Where it says so, such as ``Zeiss ap_image_pixel_size``.
    """

    um: float
    source: str

    @property
    def is_absurd(self) -> bool:
        """Whether no pixel can have this edge."""
        return not SMALLEST_UM <= self.um <= LARGEST_UM  # also if it is NaN

    def agrees(self, other: Said) -> bool:
        """Whether another statement says the same, as far as both have digits."""
        return math.isclose(self.um, other.um, rel_tol=_AGREE)


@dataclass(frozen=True)
class PixelSize:
    """Edges of a pixel, with their origin; None and a note where they are not known.

    Parameters
    ----------
    x_um, y_um : float or None
        Edges along a row and along a column, in micrometres.
    source : str
        Origin in words; empty if they are not known.
    notes : tuple of str
        Sentences for the user, such as why a statement of the file is not believed.
    """

    x_um: float | None = None
    y_um: float | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Edges for users, such as ``88.1 nm`` or ``88.1 nm x 90 nm``; empty if not known."""
        if self.x_um is None or self.y_um is None:
            return ""
        x, y = length_text(self.x_um), length_text(self.y_um)
        return x if x == y else f"{x} x {y}"

    @property
    def square_um(self) -> float | None:
        """Edge of a square pixel in micrometres; None if it is not known or not square."""
        if self.x_um is None or self.y_um is None:
            return None
        return square_edge(self.y_um, self.x_um)

    def to_dict(self) -> dict[str, Any]:
        """Return the pixel size as plain JSON types."""
        return {"x_um": self.x_um, "y_um": self.y_um, "from": self.source, "notes": [*self.notes]}

    @classmethod
    def from_dict(cls, data: Any) -> PixelSize:
        """Build a pixel size from `to_dict`'s result; of anything else it is unknown."""
        if not isinstance(data, Mapping):
            return cls()
        notes = data.get("notes")
        said = tuple(map(str, notes)) if isinstance(notes, list | tuple) else ()
        edges = data.get("x_um"), data.get("y_um")
        if not all(isinstance(um, int | float) and 0 < um < math.inf for um in edges):
            return cls(notes=said)
        x_um, y_um = (float(um) for um in edges if um is not None)
        return cls(x_um, y_um, str(data.get("from") or ""), said)

    def unknown(self, why: str) -> PixelSize:
        """Return an unknown pixel size, with the reason as a note."""
        return PixelSize(notes=(*self.notes, why))


@dataclass(frozen=True)
class SemFacts:
    """What a file, or one beside it, says about how a micrograph was taken.

    Parameters
    ----------
    pixel_size : PixelSize
        Edges of a pixel and where they come from.
    is_estimated : bool
        Whether the pixel size is estimated (from the magnification) rather than written down.
    instrument : str
        Manufacturer, and the instrument as far as it is said.
    detector : str
        Name of the detector or signal; empty if it is not said.
    voltage_kv : float or None
        Accelerating voltage in kilovolts.
    working_distance_mm : float or None
        Working distance in millimetres.
    magnification : float or None
        Magnification that the microscope showed; it depends on the size of a screen or print.
    date : str
        Date and time of the picture as ISO 8601, in the time of the microscope; empty if it is
        not said, or ambiguous.
    image_rows : int or None
        Number of rows above the info bar, where the metadata say it reliably.
    image_rows_from : str
        Where they say so.
    overlay : str
        What says that text may be drawn over the image; empty if nothing does.
    notes : tuple of str
        Sentences for the user on what is not believed, or not known for certain.
    """

    pixel_size: PixelSize = PixelSize()
    is_estimated: bool = False
    instrument: str = ""
    detector: str = ""
    voltage_kv: float | None = None
    working_distance_mm: float | None = None
    magnification: float | None = None
    date: str = ""
    image_rows: int | None = None
    image_rows_from: str = ""
    overlay: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = self.pixel_size
        notes = [*size.notes, *self.notes]
        if size.x_um and size.y_um and size.square_um is None:
            notes.append(
                f"The pixels are not square: {length_text(size.x_um)} along a row, "
                f"{length_text(size.y_um)} along a column ({size.source})."
            )
        object.__setattr__(self, "notes", tuple(dict.fromkeys(notes)))

    @property
    def pixel_size_um(self) -> float | None:
        """Edge of a square pixel in micrometres; None if it is not known or not square."""
        return self.pixel_size.square_um

    @property
    def pixel_size_from(self) -> str:
        """Origin of the pixel size in words; empty if it is not known."""
        return self.pixel_size.source

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        size = self.pixel_size
        rest = {name: value for name, value in vars(self).items() if name != "pixel_size"}
        return {
            "pixel_size_x_um": size.x_um,
            "pixel_size_y_um": size.y_um,
            "pixel_size_from": size.source,
            **rest,
            "notes": list(self.notes),
        }


def known_size(size: PixelSize) -> dict[str, Any]:
    """Return a pixel size as plain JSON types; empty if it is not known."""
    return {} if size.x_um is None else size.to_dict()


def agreed(x: Sequence[Said], y: Sequence[Said] = ()) -> PixelSize:
    """Return the pixel size that the statements of a file agree on.

    Parameters
    ----------
    x : sequence of Said
        Statements on the edge along a row, the most trusted first.
    y : sequence of Said
        Statements on the edge along a column; by default pixels are square.

    Returns
    -------
    PixelSize
        The first statements, if another one says the same or none contradicts; otherwise it is
        unknown, and a note says why.
    """
    x_um, x_why = _agreed(x)
    y_um, y_why = _agreed(y) if y else (x_um, "")
    if x_um is None or y_um is None:
        return PixelSize(notes=tuple(dict.fromkeys(filter(None, (x_why, y_why)))))
    return PixelSize(x_um, y_um, x[0].source)


def _agreed(said: Sequence[Said]) -> tuple[float | None, str]:
    """Return the edge that statements agree on, or None and the reason."""
    if not said:
        return None, ""
    first, *others = said
    if first.is_absurd:
        words = "what is no length" if math.isnan(first.um) else length_text(first.um)
        return None, f"{first.source} says {words}: no size of a pixel. {_BY_HAND}"
    against = [other for other in others if not other.agrees(first)]
    if against and len(against) == len(others):
        other = against[0]
        return None, (
            f"{first.source} says {length_text(first.um)} a pixel, {other.source} "
            f"{length_text(other.um)}: the file contradicts itself, or was resized. {_BY_HAND}"
        )
    return first.um, ""


def for_frame(
    size: PixelSize, frame: tuple[float, float] | None, shape: tuple[int, int]
) -> PixelSize:
    """Return the pixel size of an image whose metadata say how large it was when it was taken.

    Parameters
    ----------
    size : PixelSize
        Pixel size of the image as it was taken.
    frame : tuple of float or None
        Rows and columns that the metadata say, with or without the info bar.
    shape : tuple of int
        Rows and columns of the image in the file.

    Returns
    -------
    PixelSize
        The same for an image of the same size; with a note, if part of it was cut off. Unknown
        if it was resized, as nobody says whether the metadata were changed.
    """
    if frame is None or size.x_um is None or not min(frame) > 0:
        return size
    by_columns, by_rows = shape[1] / frame[1], shape[0] / frame[0]
    if math.isclose(by_columns, 1, rel_tol=_SAME_COLUMNS):
        return size
    sizes = (
        f"The image has {shape[1]} x {shape[0]} px, its metadata say "
        f"{frame[1]:.0f} x {frame[0]:.0f} px"
    )
    if math.isclose(by_columns, by_rows, rel_tol=_CUT):
        return size.unknown(f"{sizes}: it was resized, so that they do not hold. {_BY_HAND}")
    note = f"{sizes}: if it was resized, not cut, the pixel size is wrong."
    return replace(size, notes=(*size.notes, note))


def unconfirmed(source: str) -> str:
    """Return the note on a pixel size that is said once, where others are missing."""
    return (
        f"{source} is the only one that says the pixel size, other entries are missing: the file "
        "may be damaged. Check it with the scale bar."
    )


def length_text(um: float) -> str:
    """Return a length in the unit in which people say it.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration.facts import length_text
    >>> length_text(0.0881), length_text(0.99009901), length_text(263.97)
    ('88.1 nm', '990.1 nm', '264 µm')
    """
    for unit, factor in (("nm", 1e3), ("µm", 1.0), ("mm", 1e-3)):
        if abs(um) * factor < 1000:
            return f"{um * factor:.4g} {unit}"
    return f"{um:.4g} µm" if not math.isfinite(um) else f"{um * 1e-6:.4g} m"
