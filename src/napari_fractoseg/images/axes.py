"""Axes of images as OME-NGFF describes them: name, type, unit, scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_fractoseg.errors import ImageError

__all__ = [
    "SAME_EDGE",
    "Axis",
    "edges_um",
    "may_end_in_planes",
    "micrometres_in",
    "pixel_size_um",
    "square_edge",
]

_TYPES = {
    "t": "time",
    "time": "time",
    "c": "channel",
    "channel": "channel",
    "z": "space",
    "y": "space",
    "x": "space",
}
"""Type of the axes with usual names."""

_UNITS_UM = {
    ("picometer", "picometre", "pm"): 1e-6,
    ("angstrom", "ångström", "\u00c5", "\u212b"): 1e-4,
    ("nanometer", "nanometre", "nm"): 1e-3,
    ("micrometer", "micrometre", "micron", "um", "\u00b5m", "\u03bcm"): 1.0,
    ("millimeter", "millimetre", "mm"): 1e3,
    ("centimeter", "centimetre", "cm"): 1e4,
    ("meter", "metre", "m"): 1e6,
    ("inch",): 25400.0,
}
"""Micrometres in a unit of length, by its names in OME-NGFF and its symbols."""
_UM = {name: um for names, um in _UNITS_UM.items() for name in names}
_MOST_PLANES = 64
"""Largest length of a last axis that may be that of planes."""
_TIMES_LARGER = 4
"""Least ratio of rows and columns to the number of planes, where the axes are in another order."""
SAME_EDGE = 1e-3
"""Largest relative difference of two statements of one edge of a pixel."""
_SQUARE = 0.01
"""Largest relative difference of the edges of a pixel that counts as square: the magnification of
a microscope is not known better."""


@dataclass(frozen=True)
class Axis:
    """An axis of an image.

    Parameters
    ----------
    name : str
        Name of the axis, such as ``t``, ``z``, ``y``, ``x``.
    type : str or None
        Kind of the axis: ``space``, ``time``, ``channel``, another word, or None if unknown.
    unit : str or None
        Unit as OME-NGFF writes it, such as ``micrometer``; None if unknown.
    scale : float
        Distance of two elements on the axis in `unit`; 1.0 if unknown.

    Raises
    ------
    ImageError
        If the name is empty, or the scale is not above zero.

    References
    ----------
    https://ngff.openmicroscopy.org/0.5/#axes-md

    Examples
    --------
    >>> from napari_fractoseg.images.axes import Axis
    >>> Axis.named("z")
    Axis(name='z', type='space', unit=None, scale=1.0)
    """

    name: str
    type: str | None = None
    unit: str | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ImageError("An axis needs a name, such as 'z'.")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ImageError(
                f"Axis '{self.name}' has the scale {self.scale}. Give a distance above 0."
            )

    @classmethod
    def named(cls, name: str, unit: str | None = None, scale: float = 1.0) -> Axis:
        """Return an axis whose type follows from its name: ``space`` for ``z``, None if unusual."""
        return cls(name, _TYPES.get(name.lower()), unit, scale)


def micrometres_in(unit: str) -> float | None:
    """Return how many micrometres a unit of length has; None if it is no such unit.

    Parameters
    ----------
    unit : str
        Name in OME-NGFF or symbol, such as ``nanometer`` or ``nm``.

    Examples
    --------
    >>> from napari_fractoseg.images.axes import micrometres_in
    >>> micrometres_in("nm"), micrometres_in("pixel")
    (0.001, None)
    """
    return _UM.get(unit)


def pixel_size_um(axes: Sequence[Axis]) -> float | None:
    """Return the edge of a pixel in micrometres.

    Parameters
    ----------
    axes : sequence of Axis
        Axes of an image, the last two those of rows and columns.

    Returns
    -------
    float or None
        Edge of a pixel; None if a unit is unknown or no length, or if pixels are not square.
    """
    edges = edges_um(axes)
    return None if edges is None else square_edge(*edges)


def square_edge(y_um: float, x_um: float) -> float | None:
    """Return the edge of the square pixel of the same area, in the unit of its edges.

    Parameters
    ----------
    y_um, x_um : float
        Edges along a column and along a row.

    Returns
    -------
    float or None
        None if the edges differ by more than 1 %.

    Examples
    --------
    >>> from napari_fractoseg.images.axes import square_edge
    >>> square_edge(0.5, 0.5), round(square_edge(0.0502, 0.05), 6), square_edge(1.0, 0.5)
    (0.5, 0.0501, None)
    """
    if math.isclose(y_um, x_um, rel_tol=SAME_EDGE):
        return x_um
    return math.sqrt(y_um * x_um) if math.isclose(y_um, x_um, rel_tol=_SQUARE) else None


def edges_um(axes: Sequence[Axis]) -> tuple[float, float] | None:
    """Return the edges of a pixel in micrometres, along a column and along a row.

    Parameters
    ----------
    axes : sequence of Axis
        Axes of an image, the last two those of rows and columns.

    Returns
    -------
    tuple of float or None
        None if a unit is unknown or no length.
    """
    edges = [axis.scale * _UM[axis.unit] for axis in axes[-2:] if axis.unit in _UM]
    return (edges[0], edges[1]) if len(edges) == 2 else None


def may_end_in_planes(shape: Sequence[int]) -> bool:
    """Tell whether an image may have its planes on the last axis, (Y, X, Z) rather than (Z, Y, X).

    The order cannot be known from the shape: somebody has to be asked.

    Parameters
    ----------
    shape : sequence of int
        Lengths of the axes, without that of colours.

    Examples
    --------
    >>> from napari_fractoseg.images.axes import may_end_in_planes
    >>> may_end_in_planes((1024, 1280, 34)), may_end_in_planes((34, 1024, 1280))
    (True, False)
    """
    if len(shape) != 3:
        return False
    *others, last = shape
    return 1 < last <= _MOST_PLANES and min(others) >= _TIMES_LARGER * last
