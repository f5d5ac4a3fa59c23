"""Facets: connected regions of each class, as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import OptionError
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.measurement.facets.regions import Merged, Pieces, Source
from napari_fractoseg.measurement.fields import check_pixel_size
from napari_fractoseg.measurement.fractions import fractions_of_counts
from napari_fractoseg.options import is_truth_value
from napari_fractoseg.tiling import Box, grid

__all__ = ["Facets", "facets", "facets_job"]

_BLOCK_PX = 2048
_LARGEST_BOX_PX = 2**23


@dataclass(frozen=True)
class Facets:
    """Facets of a plane of labels.

    Parameters
    ----------
    table : DataFrame
        One row for each facet; columns as listed at `facets`.
    fractions : DataFrame
        Area of each class in the analysed area, as by `class_fractions`: small facets and those
        at the border are in it.
    analysed_px : int
        Number of pixels that are not excluded, unlabelled ones among them.
    excluded_px : int
        Number of excluded pixels.
    n_small, small_area_px : int
        Number and area of the regions that are smaller than `min_area_px` and not in the table.
    n_border : int
        Number of facets in the table that touch the border or the excluded area.
    n_without_shape : int
        Number of facets whose perimeter, solidity and Feret diameter are NaN, as their bounding
        boxes are larger than `largest_box_px`.
    connectivity, min_area_px : int
        Settings.
    pixel_size_um : float or None
        Size of a pixel, if it is known.
    regions : array of int32, shape (Y, X), or None
        Number of the facet of each pixel; 0 where there is none. None unless it was asked for.
    """

    table: pd.DataFrame
    fractions: pd.DataFrame
    analysed_px: int
    excluded_px: int
    n_small: int
    small_area_px: int
    n_border: int
    n_without_shape: int
    connectivity: int
    min_area_px: int
    pixel_size_um: float | None = None
    regions: Any = None

    @property
    def unit(self) -> str:
        """Unit of lengths, the end of the names of their columns: ``"um"`` or ``"px"``."""
        return "px" if self.pixel_size_um is None else "um"


@dataclass(frozen=True)
class _Settings:
    connectivity: int
    min_area_px: int
    pixel_size_um: float | None
    weights: bool
    block_px: int
    largest_box_px: int

    def __post_init__(self) -> None:
        for name in ("connectivity", "min_area_px", "block_px", "largest_box_px"):
            if is_truth_value(getattr(self, name)):
                raise OptionError(f"{name} is {getattr(self, name)}. It is a number.")
        if self.connectivity not in (1, 2):
            raise OptionError(
                f"The connectivity is {self.connectivity}; choose 1 (pixels that share an edge) or "
                "2 (those that share a corner as well)."
            )
        for name in ("min_area_px", "block_px", "largest_box_px"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        check_pixel_size(self.pixel_size_um)


def facets(
    labels: Any,
    scheme: ClassScheme,
    *,
    image: Any = None,
    confidence: Any = None,
    pixel_size_um: float | None = None,
    connectivity: int = 1,
    min_area_px: int = 1,
    exclude: Any = None,
    weights: bool = False,
    regions: Any = False,
    block_px: int = _BLOCK_PX,
    largest_box_px: int = _LARGEST_BOX_PX,
) -> Facets:
    r"""Measure the facets of a plane: its connected regions of each class.

    Regions of two classes are never joined, nor is what is unlabelled. Arrays on disk are read
    block by block, in memory that depends on the block and the number of regions only; the
    results do not depend on the blocks (means of floating-point values: but for rounding).

    Parameters
    ----------
    labels : array of int, shape (Y, X)
        Class values of `scheme`, in memory or on disk (numpy, zarr, dask); 0 is unlabelled.
    scheme : ClassScheme
        Classes of the label values.
    image, confidence : array of shape (Y, X), optional
        Grey levels, and how sure the model was; their means are measured.
    pixel_size_um : float, optional
        Size of a pixel. Without it lengths are in pixels.
    connectivity : {1, 2}
        1: pixels that share an edge are connected; 2: those that share a corner as well.
    min_area_px : int
        Smaller regions are left out of the table, and counted.
    exclude : array of shape (Y, X), optional
        Not zero where the plane is not analysed, such as the info bar.
    weights : bool
        Add the weights of Miles and Lantuéjoul as a column.
    regions : bool or array of int32, shape (Y, X)
        True for an array with the number of the facet of each pixel, or an array, such as a zarr,
        into which it is written.
    block_px : int
        Edge of the blocks that are read, 1-8192; a multiple of the edge of the chunks is fastest.
    largest_box_px : int
        Area of the largest bounding box that is read as a whole, for the shape of a facet that
        crosses the edges of blocks.

    Returns
    -------
    Facets
        Table, fractions, and what was left out. The table has one row for each facet, in the order
        of their first pixels: ``index`` (1 to N), ``class_value``, ``class_name``, then, with
        endings ``_px``, or ``_um`` and ``_um2`` where the pixel size is known, ``area``,
        ``equivalent_diameter``, ``perimeter``, ``axis_major``, ``axis_minor`` and ``feret_max``;
        ``orientation_deg``, ``solidity``, ``mean_grey`` and ``mean_confidence`` (if given),
        ``touches_border``, ``weight`` (if wanted), the centroid ``row`` and ``column`` and the
        bounding box ``row0``, ``row1``, ``column0``, ``column1`` (half-open), as indices of the
        array.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.
    OptionError
        If shapes differ, settings are out of range, or weights are wanted where the analysed
        area is no rectangle.

    Notes
    -----
    Definitions are those of `skimage.measure.regionprops`: the equivalent diameter is that of a
    circle of the same area, :math:`\sqrt{4 A / \pi}`; axes are those of the ellipse of the same
    second moments; the orientation is the angle of its major axis to the direction of rows
    (downwards), counter-clockwise, -90 to 90 degrees; the perimeter joins the centres of border
    pixels [1]_; solidity is the area over that of the convex hull; the Feret diameter is the
    largest distance on the outline of that hull.

    A facet that touches the border of the image or, by an edge, the excluded area is seen in
    part: its area is in the fractions, its size belongs in no statistics of sizes. Large facets
    touch more often; this is corrected where the others weigh [2]_

    .. math:: w = \frac{H W}{(H - h - 1) (W - w - 1)}

    (after Miles and Lantuéjoul), with `h` and `w` their bounding box and `H` and `W` the frame in
    pixels, and those that touch weigh 0.

    References
    ----------
    .. [1] K. Benkrid and D. Crookes, "Design and FPGA implementation of a perimeter estimator",
       Queen's University Belfast, 2000.
    .. [2] C. Lantuéjoul, "On the estimation of mean values in individual analysis of particles",
       Microscopica Acta, Suppl. 4, 1980, 266-273.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.facets.plane import facets
    >>> labels = np.array([[1, 1, 2], [2, 2, 2], [2, 1, 2]])
    >>> facets(labels, DEFAULT_SCHEME).table[["index", "class_name", "area_px"]]
       index     class_name  area_px
    0      1  intergranular        2
    1      2  transgranular        6
    2      3  intergranular        1
    """
    return drain(
        facets_job(
            labels,
            scheme,
            image=image,
            confidence=confidence,
            pixel_size_um=pixel_size_um,
            connectivity=connectivity,
            min_area_px=min_area_px,
            exclude=exclude,
            weights=weights,
            regions=regions,
            block_px=block_px,
            largest_box_px=largest_box_px,
        )
    )


def facets_job(
    labels: Any,
    scheme: ClassScheme,
    *,
    image: Any = None,
    confidence: Any = None,
    pixel_size_um: float | None = None,
    connectivity: int = 1,
    min_area_px: int = 1,
    exclude: Any = None,
    weights: bool = False,
    regions: Any = False,
    block_px: int = _BLOCK_PX,
    largest_box_px: int = _LARGEST_BOX_PX,
) -> Job[Facets]:
    """Measure the facets of a plane as a job; parameters and result are those of `facets`.

    Yields
    ------
    Progress
        Number of blocks that are measured, then of facets across blocks.
    """
    settings = _Settings(
        connectivity, min_area_px, pixel_size_um, weights, min(block_px, 8192), largest_box_px
    )
    values = {"mean_grey": image, "mean_confidence": confidence}
    given = {name: array for name, array in values.items() if array is not None}
    source = Source(labels, scheme, exclude, given)
    pieces = Pieces(source, connectivity, min_area_px)
    boxes = list(grid(source.shape, settings.block_px))
    frame = _Frame(source)
    for done, box in enumerate(boxes):
        pieces.add(box)
        frame.add(box)
        yield Progress(done + 1, len(boxes), "finding the facets")
    merged = pieces.merged()
    is_facet = merged.table["area"] >= min_area_px
    yield from _measure_crossing(pieces, merged, is_facet, settings)
    written = None
    if regions is not False:
        written = np.zeros(source.shape, np.int32) if regions is True else regions
        numbers = np.where(is_facet, np.cumsum(is_facet), 0)[merged.of_piece]
        yield from _write_regions(pieces, boxes, numbers, written)
    return _facets(source, merged, is_facet, frame, settings, written)


def _measure_crossing(
    pieces: Pieces, merged: Merged, is_facet: npt.NDArray[np.bool_], settings: _Settings
) -> Job[None]:
    """Measure the shapes of facets that cross edges of blocks, in boxes that are not too large."""
    table = merged.table
    box_px = (table["row1"] - table["row0"]) * (table["column1"] - table["column0"])
    missing = is_facet & np.isnan(table["perimeter"]) & (box_px <= settings.largest_box_px)
    numbers = np.flatnonzero(missing)
    for done, number in enumerate(numbers.tolist()):
        for name, value in pieces.shapes(merged, number).items():
            table[name][number] = value
        yield Progress(done + 1, len(numbers), "measuring facets across blocks")


def _write_regions(
    pieces: Pieces, boxes: list[Box], numbers: npt.NDArray[np.intp], written: Any
) -> Job[None]:
    """Write the number of its facet for each pixel, with the numbers of all pieces."""
    start = 0
    for done, box in enumerate(boxes):
        _, ids, n = pieces.numbered(box)
        of_id = np.concatenate([[0], numbers[start : start + n]]).astype(np.int32)
        written[box.slices] = of_id[ids]
        start += n
        yield Progress(done + 1, len(boxes), "numbering the facets")


class _Frame:
    """Analysed area of a plane, block by block: its pixels, and the rectangle around them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.n_px = 0
        self._low, self._high = np.array(source.shape), np.zeros(2, np.intp)

    def add(self, box: Box) -> None:
        if self._source.exclude is None:
            self.n_px += math.prod(box.shape)
            self._low, self._high = np.zeros(2, np.intp), np.array(self._source.shape)
            return
        analysed = self._source.analysed(box)
        self.n_px += int(analysed.sum())
        for axis, start in enumerate((box.row0, box.column0)):
            lines = np.flatnonzero(analysed.any(axis=1 - axis)) + start
            if lines.size:
                self._low[axis] = min(self._low[axis], lines[0])
                self._high[axis] = max(self._high[axis], lines[-1] + 1)

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the analysed area, which must be a rectangle."""
        rows, columns = (self._high - self._low).tolist()
        if rows * columns != self.n_px:
            raise OptionError(
                f"The analysed area of {self.n_px} px is no rectangle, for which the weights of "
                "Miles and Lantuéjoul are made. Measure without weights, or exclude whole rows "
                "or columns at the sides only."
            )
        return rows, columns


def _facets(
    source: Source,
    merged: Merged,
    is_facet: npt.NDArray[np.bool_],
    frame: _Frame,
    settings: _Settings,
    written: Any,
) -> Facets:
    area, values = merged.table["area"], merged.table["value"]
    counts = {value: int(area[values == value].sum()) for value in source.scheme.values}
    regions = {name: column[is_facet] for name, column in merged.table.items()}
    table = _facet_table(source, regions, settings)
    if settings.weights:
        place = table.columns.tolist().index("touches_border")
        table.insert(place + 1, "weight", _weights(table, frame.shape()))
    return Facets(
        table,
        fractions_of_counts(counts, frame.n_px, source.scheme),
        frame.n_px,
        math.prod(source.shape) - frame.n_px,
        int((~is_facet).sum()),
        int(area[~is_facet].sum()),
        int(table.touches_border.sum()),
        int(np.isnan(regions["perimeter"]).sum()),
        settings.connectivity,
        settings.min_area_px,
        settings.pixel_size_um,
        written,
    )


def _facet_table(
    source: Source, regions: dict[str, npt.NDArray[Any]], settings: _Settings
) -> pd.DataFrame:
    size, unit, square = settings.pixel_size_um, "um", "um2"
    if size is None:
        size, unit, square = 1, "px", "px"  # areas stay whole numbers
    area = regions["area"].astype(np.int64)
    centre, axes, orientation = _ellipses(regions)
    names = {c.value: c.name for c in source.scheme}
    rows, columns = source.shape
    at_side = (regions["row0"] == 0) | (regions["row1"] == rows)
    at_side |= (regions["column0"] == 0) | (regions["column1"] == columns)
    return pd.DataFrame(
        {
            "index": np.arange(1, len(area) + 1),
            "class_value": regions["value"],
            "class_name": [names[v] for v in regions["value"].tolist()],
            f"area_{square}": area * size**2,
            f"equivalent_diameter_{unit}": np.sqrt(4 * area / np.pi) * size,
            f"perimeter_{unit}": regions["perimeter"] * size,
            f"axis_major_{unit}": axes[0] * size,
            f"axis_minor_{unit}": axes[1] * size,
            f"feret_max_{unit}": regions["feret_max"] * size,
            "orientation_deg": orientation,
            "solidity": regions["solidity"],
            **{name: regions[name] / area for name in source.values},
            "touches_border": at_side | regions["touches_excluded"],
            "row": centre[0],
            "column": centre[1],
            **{name: regions[name] for name in ("row0", "row1", "column0", "column1")},
        }
    )


def _ellipses(
    regions: dict[str, npt.NDArray[Any]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the centre, the axes and the orientation of the ellipses of the same moments."""
    exact = {k: regions[k].astype(object) for k in ("area", "row", "column", "row_row")}
    exact |= {k: regions[k].astype(object) for k in ("column_column", "row_column")}
    n, r, c = exact["area"], exact["row"], exact["column"]
    rr, cc, rc = (  # whole numbers: n² times the central moments
        (n * exact["row_row"] - r * r),
        (n * exact["column_column"] - c * c),
        (n * exact["row_column"] - r * c),
    )
    centre = np.stack([r / n, c / n]).astype(np.float64)
    vr, vc, cov = (np.asarray(each / (n * n), np.float64) for each in (rr, cc, rc))
    half, spread = (vr + vc) / 2, np.hypot((vr - vc) / 2, cov)
    axes = 4 * np.sqrt(np.maximum([half + spread, half - spread], 0))
    round_ones = np.where(cov > 0, np.pi / 4, -np.pi / 4)
    angle = np.where(vr == vc, round_ones, 0.5 * np.arctan2(2 * cov, vr - vc))
    return centre, axes, np.degrees(angle)


def _weights(table: pd.DataFrame, frame: tuple[int, int]) -> npt.NDArray[np.float64]:
    height = (table.row1 - table.row0).to_numpy()
    width = (table.column1 - table.column0).to_numpy()
    touches = table.touches_border.to_numpy()
    places = (frame[0] - height - 1) * (frame[1] - width - 1)
    weights: npt.NDArray[np.float64] = np.where(
        touches, 0, frame[0] * frame[1] / np.where(touches, 1, places)
    )
    return weights
