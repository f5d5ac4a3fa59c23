"""Fields of planes, and the table of their areas: one row for each field.

A field is one place of a specimen that counts as one observation: a whole plane, or a square of
a systematic grid over it. For *plane, field, specimen* see ``docs/reference/glossary.md``.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.arrays import value_counts
from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.errors import ImageError, OptionError
from napari_fractoseg.images.calibration.by_hand import checked_edge_um
from napari_fractoseg.images.excluded import PlaneMask
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.measurement.fractions import parts_of
from napari_fractoseg.text import size_text

__all__ = [
    "EACH",
    "Field",
    "FieldLayout",
    "check_pixel_size",
    "field_table",
    "field_table_job",
    "parse_fields",
]

_GRID = re.compile(r"grid:(\d+(?:\.\d+)?|\.\d+)(px|um|µm|μm)")
_PARTS = re.compile(r"grid:(\d+)[x×](\d+)")  # noqa: RUF001 - as people write it
_BAND_PX = 2**22
"""About how many pixels are counted at once, so that large planes need no more memory."""


@dataclass(frozen=True)
class Field:
    """Place of a field in its plane.

    Parameters
    ----------
    row, column : int
        First row and first column, in pixels.
    height_px, width_px : int
        Number of rows and columns.
    """

    row: int
    column: int
    height_px: int
    width_px: int

    @property
    def rows(self) -> slice:
        """Rows of the plane."""
        return slice(self.row, self.row + self.height_px)

    @property
    def columns(self) -> slice:
        """Columns of the plane."""
        return slice(self.column, self.column + self.width_px)


@dataclass(frozen=True)
class FieldLayout:
    """How planes are divided into fields.

    Parameters
    ----------
    size : float or None
        Edge of the squares of a grid; None where each whole plane is a field.
    unit : str
        Unit of `size`: ``px`` or ``um``.
    parts : int or None
        Number of fields along each side of a plane, which all of them together cover; None
        where they have a size, or each whole plane is a field.

    Examples
    --------
    >>> from napari_fractoseg.measurement.fields import FieldLayout
    >>> str(FieldLayout(parts=4)), len(FieldLayout(parts=4).fields((1280, 960)))
    ('grid:4x4', 16)
    >>> layout = FieldLayout(0.5, "um")
    >>> layout.size_px(pixel_size_um=0.25), str(layout)
    (2, 'grid:0.5um')
    >>> len(layout.fields((5, 4), pixel_size_um=0.25)), layout.left_out_px((5, 4), 0.25)
    (4, 4)
    """

    size: float | None = None
    unit: str = "px"
    parts: int | None = None

    def __post_init__(self) -> None:
        if self.parts is not None and (self.parts < 1 or self.size is not None):
            raise OptionError(
                f"A grid of {self.parts} x {self.parts} fields is not possible. Use 1 x 1 or more, "
                "such as grid:4x4, without a size."
            )
        if self.unit not in ("px", "um"):
            raise OptionError(f"The unit {self.unit!r} of fields is not known. Use px or um.")
        if self.size is None:
            return
        if not 0 < self.size < math.inf or (self.unit == "px" and self.size != int(self.size)):
            raise OptionError(
                f"Fields of {self.size:g} {self.unit} are not possible. Use a size above 0, and "
                "whole pixels, such as grid:320px."
            )

    def __str__(self) -> str:
        if self.parts is not None:
            return f"grid:{self.parts}x{self.parts}"
        return "each" if self.size is None else f"grid:{self.size:.12g}{self.unit}"

    def size_px(self, pixel_size_um: float | None = None) -> int | None:
        """Return the edge of the squares in pixels, rounded to whole ones; None without a grid.

        Parameters
        ----------
        pixel_size_um : float, optional
            Edge of a pixel in micrometres.

        Raises
        ------
        OptionError
            If the size is in micrometres and that of a pixel is not known, or if a square has
            no whole pixel.
        """
        if self.size is None or self.unit == "px":
            return None if self.size is None else int(self.size)
        check_pixel_size(pixel_size_um)
        if pixel_size_um is None:
            raise OptionError(
                f"Fields of {self.size:g} µm cannot be laid out, for the pixel size is not known. "
                "Give the pixel size, or the size of the fields in pixels, such as grid:320px.",
                options=("pixel_size_um",),
            )
        size_px = round(self.size / pixel_size_um)
        if size_px < 1:
            raise OptionError(
                f"Fields of {self.size:g} µm are smaller than a pixel of {pixel_size_um:g} µm. Use "
                "larger ones."
            )
        return size_px

    def fields(
        self, shape: tuple[int, ...], pixel_size_um: float | None = None
    ) -> tuple[Field, ...]:
        """Return the fields of a plane, row by row.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the plane.
        pixel_size_um : float, optional
            Edge of a pixel in micrometres.

        Returns
        -------
        tuple of Field
            The whole plane, or the squares of the grid that begins in its first pixel. Squares
            that the border would cut are left out (`left_out_px`). With `parts` rectangles that
            cover the plane, whose sides differ by a pixel at most.

        Raises
        ------
        OptionError
            If not one whole square fits, or see `size_px`.
        """
        rows, columns = shape
        size = self.size_px(pixel_size_um)
        if self.parts is not None:
            return _parts(rows, columns, self.parts)
        if size is None:
            return (Field(0, 0, rows, columns),)
        if size > min(rows, columns):
            raise OptionError(
                f"A field of {size} x {size} px ({self}) does not fit into a plane of "
                f"{size_text(shape)}. Use smaller fields, or fields=each."
            )
        return tuple(
            Field(row, column, size, size)
            for row in range(0, rows - size + 1, size)
            for column in range(0, columns - size + 1, size)
        )

    def left_out_px(self, shape: tuple[int, ...], pixel_size_um: float | None = None) -> int:
        """Return how many pixels of a plane are in no field, for their square would be cut."""
        fields = self.fields(shape, pixel_size_um)
        return math.prod(shape) - sum(field.height_px * field.width_px for field in fields)


def _parts(rows: int, columns: int, n: int) -> tuple[Field, ...]:
    """Return n x n fields that cover a plane."""
    if n > min(rows, columns):
        raise OptionError(
            f"{n} x {n} fields do not fit into a plane of {size_text((rows, columns))}. Use fewer."
        )
    ends = [[side * k // n for k in range(n + 1)] for side in (rows, columns)]
    (tops, lefts) = (list(itertools.pairwise(each)) for each in ends)
    return tuple(Field(r, c, r1 - r, c1 - c) for r, r1 in tops for c, c1 in lefts)


def check_pixel_size(pixel_size_um: float | None) -> None:
    """Raise unless a pixel size is possible, or not known.

    Raises
    ------
    OptionError
        If no pixel has such an edge.
    """
    try:
        checked_edge_um(pixel_size_um)
    except ValueError as error:
        raise OptionError(
            f"The pixel size is {pixel_size_um} µm. {error}. Leave it out if it is not known.",
            options=("pixel_size_um",),
        ) from error


EACH = FieldLayout()
"""Each whole plane is a field."""


def parse_fields(text: str | FieldLayout) -> FieldLayout:
    """Return how planes are divided into fields, from what a user wrote.

    Parameters
    ----------
    text : str or FieldLayout
        ``each``, the size of the squares of a grid, such as ``grid:512um`` or ``grid:320px``, or
        how many fields a plane is divided into, such as ``grid:4x4``.

    Raises
    ------
    OptionError
        If it is none of these.

    Examples
    --------
    >>> from napari_fractoseg.measurement.fields import parse_fields
    >>> parse_fields("grid:512um")
    FieldLayout(size=512.0, unit='um', parts=None)
    """
    if isinstance(text, FieldLayout):
        return text
    wanted = text.strip().lower().replace(" ", "")
    if wanted == "each":
        return EACH
    parts = _PARTS.fullmatch(wanted)
    if parts is not None and parts[1] == parts[2]:
        return FieldLayout(parts=int(parts[1]))
    found = _GRID.fullmatch(wanted)
    if found is None:
        raise OptionError(
            f"Fields {text!r} are not understood. Use each, a grid of squares such as grid:320px "
            "or grid:512um, or as many fields along each side, such as grid:4x4.",
            options=("fields",),
        )
    return FieldLayout(float(found[1]), "px" if found[2] == "px" else "um")


def field_table(
    labels: Any,
    scheme: ClassScheme,
    layout: FieldLayout = EACH,
    *,
    image: str = "image",
    pixel_size_um: float | None = None,
    exclude: Any = None,
) -> pd.DataFrame:
    r"""Measure the areas of each field of an image.

    Parameters
    ----------
    labels : array of int, shape (..., Y, X)
        Class values of `scheme`; 0 is unlabelled. Arrays on disk are read in parts.
    scheme : ClassScheme
        Classes of the label values.
    layout : FieldLayout
        How each plane is divided into fields.
    image : str
        Name of the image in the table.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres; None where it is not known.
    exclude : array of shape (Y, X) or of the shape of `labels`, optional
        Non-zero where nothing is measured, such as on the info bar.

    Returns
    -------
    DataFrame
        One row for each field: ``image``, ``plane`` and ``field`` (both counted from 1),
        ``plane_px``, ``row``, ``column``, ``height_px``, ``width_px``, ``field_px``, ``bar_px``
        (of the plane, excluded bars at its edges over which no grid is laid), ``excluded_px``,
        ``unlabelled_px``, ``analysed_px``, with a pixel size
        ``analysed_um2``; and for each class ``area_px_NAME``, ``fraction_of_analysed_NAME``,
        and if it is a fracture mode ``fraction_of_modes_NAME``, such as i / (i + t).
        Fractions are NaN where their denominator is 0.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.
    ImageError
        If labels are no plane, or the excluded area is of another size.
    OptionError
        If the fields do not fit, or no pixel has such an edge.

    Notes
    -----
    The analysed area is what is neither excluded nor unlabelled; background is a part of it.
    So with the area :math:`A_k` of class :math:`k` and the fracture modes :math:`M`,

    .. math::

        A = A_\mathrm{excluded} + A_\mathrm{unlabelled} + \sum_k A_k, \qquad
        f_k^\mathrm{analysed} = A_k / \sum_j A_j, \qquad
        f_k^\mathrm{modes} = A_k / \sum_{m \in M} A_m .

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.fields import FieldLayout, field_table
    >>> labels = np.array([[1, 2, 1, 1], [2, 3, 1, 0]])
    >>> table = field_table(labels, DEFAULT_SCHEME, FieldLayout(2))
    >>> table[["column", "analysed_px", "fraction_of_analysed_intergranular"]].values.tolist()
    [[0.0, 4.0, 0.25], [2.0, 3.0, 1.0]]
    """
    return drain(
        field_table_job(
            labels,
            scheme,
            layout,
            image=image,
            pixel_size_um=pixel_size_um,
            exclude=exclude,
        )
    )


def field_table_job(
    labels: Any,
    scheme: ClassScheme,
    layout: FieldLayout = EACH,
    *,
    image: str = "image",
    pixel_size_um: float | None = None,
    exclude: Any = None,
) -> Job[pd.DataFrame]:
    """Measure the areas of each field as a job; parameters and result are those of `field_table`.

    Yields
    ------
    Progress
        Parts of the planes, of about 4 million pixels at most, that are counted.
    """
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    shape = tuple(int(n) for n in labels.shape)
    if len(shape) < 2 or 0 in shape:
        raise ImageError(f"{image}: labels of {size_text(shape)} have no plane to measure.")
    scheme.check_labels(np.zeros(0, labels.dtype))  # whole numbers
    check_pixel_size(pixel_size_um)
    mask = _mask(exclude, shape, image)
    fields, bar_px = _places(layout, shape, mask, pixel_size_um)
    places = list(enumerate(fields, start=1))
    rows, counted = [], []
    done, total = 0, math.prod(shape[:-2]) * sum(len(list(_bands(f))) for f in fields)
    for number, index in enumerate(np.ndindex(shape[:-2]), start=1):
        for place, field in places:
            counts: Counter[int] = Counter()
            excluded_px = 0
            for band in _bands(field):
                n_excluded, found = _counts(labels, index, (band, field.columns), mask)
                excluded_px += n_excluded
                counts.update(found)
                done += 1
                yield Progress(done, total, f"measuring {image}")
            scheme.check_counts(counts)
            rows.append((number, place, *astuple(field), excluded_px, counts[UNLABELLED]))
            counted.append([counts[value] for value in scheme.values])
    table = pd.DataFrame(
        rows,
        columns=[
            "plane",
            "field",
            "row",
            "column",
            "height_px",
            "width_px",
            "excluded_px",
            "unlabelled_px",
        ],
    )
    table.insert(0, "image", image)
    table.insert(3, "plane_px", math.prod(shape[-2:]))
    table.insert(8, "field_px", table["height_px"] * table["width_px"])
    table.insert(9, "bar_px", bar_px)
    return table.join(_areas(np.array(counted, np.int64), scheme, pixel_size_um))


def _places(
    layout: FieldLayout, shape: tuple[int, ...], mask: Any, pixel_size_um: float | None
) -> tuple[tuple[Field, ...], int]:
    """Return the fields of a plane, and the pixels of the bars that they are not laid over.

    Those of a grid do not lie in bars at the edges, which would be most of some.
    """
    first, end = 0, shape[-2]
    if isinstance(mask, PlaneMask) and layout != EACH:
        first, end = mask.used_rows
    used = (end - first, shape[-1])
    fields = layout.fields(used, pixel_size_um)
    bar_px = math.prod(shape[-2:]) - math.prod(used)
    return tuple(replace(each, row=each.row + first) for each in fields), bar_px


def _mask(exclude: Any, shape: tuple[int, ...], image: str) -> Any:
    if exclude is None:
        return None
    mask = exclude if hasattr(exclude, "dtype") else np.asarray(exclude)
    if tuple(mask.shape) not in (shape, shape[-2:]):
        raise ImageError(
            f"{image}: the excluded area has {size_text(mask.shape)}, the labels "
            f"{size_text(shape)}. Draw it on this image."
        )
    return mask


def _counts(
    labels: Any, index: tuple[int, ...], place: tuple[slice, slice], mask: Any
) -> tuple[int, dict[int, int]]:
    """Return the number of excluded pixels, and label value -> number of those that are not."""
    part = np.asarray(labels[(*index, *place)])
    if mask is None:
        return 0, value_counts(part)
    where = index[: len(mask.shape) - 2]  # none where one mask is that of all planes
    kept = np.asarray(mask[(*where, *place)]) == 0
    return part.size - int(np.count_nonzero(kept)), value_counts(part[kept])


def _bands(field: Field) -> Iterator[slice]:
    height = max(1, _BAND_PX // field.width_px)
    for row in range(field.rows.start, field.rows.stop, height):
        yield slice(row, min(row + height, field.rows.stop))


def _areas(
    areas: npt.NDArray[np.int64], scheme: ClassScheme, pixel_size_um: float | None
) -> pd.DataFrame:
    """Return the columns of the classes, from the pixels of each field (row) and class (column)."""
    analysed_px = areas.sum(axis=1)
    columns: dict[str, Any] = {"analysed_px": analysed_px}
    if pixel_size_um is not None:
        columns["analysed_um2"] = analysed_px * pixel_size_um**2
    is_mode = np.array([c.is_fracture_mode for c in scheme])
    modes_px = areas[:, is_mode].sum(axis=1, keepdims=True)
    for title, values, names in (
        ("area_px", areas, scheme.names),
        ("fraction_of_analysed", parts_of(areas, analysed_px[:, None]), scheme.names),
        (
            "fraction_of_modes",
            parts_of(areas[:, is_mode], modes_px),
            [mode.name for mode in scheme.fracture_modes],
        ),
    ):
        columns |= {f"{title}_{name}": values[:, k] for k, name in enumerate(names)}
    return pd.DataFrame(columns)
