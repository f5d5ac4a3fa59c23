"""Plans of point counts: where to look, so that each pixel had its fair chance."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.audit.planes import bands
from napari_fractoseg.audit.point_files import PLACES
from napari_fractoseg.audit.points import DESIGNS, PointCount, check_class_names, plane_text
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ImageError, OptionError
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.measurement.facets.planes import plane_of_mask
from napari_fractoseg.measurement.facets.regions import Source
from napari_fractoseg.measurement.fields import field_table
from napari_fractoseg.measurement.measure import of_image, refuse_unknown
from napari_fractoseg.options import is_truth_value
from napari_fractoseg.text import listed, printable

__all__ = ["allocated", "grid_lines", "plan_points"]

_MOST_SEED = 2**32

_Ints = npt.NDArray[np.int64]


def plan_points(
    labels: Any,
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    n_points: int = 100,
    design: str = "grid",
    seed: int | None = None,
    exclude: Any = None,
) -> PointCount:
    r"""Draw the points of an audit of labels.

    Parameters
    ----------
    labels : array of int, shape (..., Y, X), or mapping of str to array
        Class values of `scheme`, 0 is unlabelled; or name of an image -> its labels. Arrays on
        disk are read in parts.
    scheme : ClassScheme
        Classes of the label values.
    n_points : int
        Number of points; of a grid it is what is to be expected, as the border cuts it at random.
    design : str
        ``grid``: a systematic grid, the same over all planes. ``stratified``: random points in
        the area of each class of the labels, so that rare classes have enough. ``random``: random
        points in the whole area.
    seed : int, optional
        Seed of the random numbers; by default one is drawn. The same labels and seed give the
        same points.
    exclude : array or mapping of str to array, optional
        Non-zero where nothing is looked at, such as on the info bar: of all images, or by image.

    Returns
    -------
    PointCount
        Points without answers.

    Raises
    ------
    ClassSchemeError, ImageError, OptionError
        If labels, excluded areas or the number of points do not fit; says what to do.

    Notes
    -----
    Points lie in the analysed area: all that is neither excluded nor unlabelled, as of
    `measure`. There each pixel of a grid is hit with the same chance :math:`n / A`: with the
    spacing :math:`s = \sqrt{A / n}` the rows :math:`u, u + s, u + 2 s, \dots` and the columns
    begin at random in :math:`[0, s)`, anew in each plane.

    In a stratified plan the points of a class are proportional to its area, but at least
    :math:`n / 2K` of the :math:`K` classes that are there, and at least two. What is found is
    weighted by the areas.

    Points are visited at random, not row by row, so that those that have an answer are at any
    time a fair sample of all: an audit may end early.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> labels = np.ones((100, 100), int)
    >>> labels[:10] = 2
    >>> count = nf.plan_points(labels, n_points=40, design="stratified", seed=1)
    >>> len(count), count.stratum_px
    (40, {'intergranular': 9000, 'transgranular': 1000})
    >>> count.points["stratum"].value_counts().to_dict()
    {'intergranular': 30, 'transgranular': 10}
    """
    check_class_names(scheme)
    if design not in DESIGNS:
        raise OptionError(
            f"The design {design!r} is not known. Use {listed(DESIGNS)}.", options=("design",)
        )
    seed = secrets.randbelow(_MOST_SEED) if seed is None else int(seed)
    frame = _Frame.of(labels, scheme, exclude)
    if is_truth_value(n_points):
        raise OptionError(f"n_points is {n_points}. It is a number.", options=("n_points",))
    if not 1 <= n_points <= frame.n_px:
        raise OptionError(
            f"{n_points} points cannot be drawn from {frame.n_px} analysed pixels. Ask for at "
            "least 1, and for fewer than there are.",
            options=("n_points",),
        )
    rng = np.random.default_rng(seed)
    spacing_px = math.sqrt(frame.n_px / n_points) if design == "grid" else None
    if spacing_px is not None:
        rows = frame.on_grid(spacing_px, rng)
    elif design == "random":
        rows = frame.drawn(rng, [(scheme.values, n_points)])
    else:
        rows = frame.drawn(rng, frame.by_class(n_points))
    if not rows:
        raise OptionError(
            f"A grid of {n_points} points hits none of the {frame.n_px} analysed pixels. Ask for "
            "more points, or take another seed.",
            options=("n_points", "seed"),
        )
    return PointCount(
        points=_visited_at_random(rows, rng),
        scheme=scheme,
        design=design,
        seed=seed,
        stratum_px=frame.stratum_px,
        spacing_px=spacing_px,
        excluded_px=frame.excluded_px,
        unlabelled_px=frame.unlabelled_px,
    )


_Row = tuple[str, str, int, int, str]
"""Image, plane, row, column and stratum of a point."""


def _visited_at_random(rows: Sequence[_Row], rng: np.random.Generator) -> pd.DataFrame:
    order = rng.permutation(len(rows))
    table = pd.DataFrame([rows[k] for k in order], columns=list(PLACES[1:]))
    for title in ("image", "plane", "stratum"):
        table[title] = table[title].astype(object)
    table.insert(0, "point", np.arange(1, len(rows) + 1))
    return table


def grid_lines(length_px: int, spacing_px: float, start_px: float) -> _Ints:
    """Return the rows, or columns, of a systematic grid in a plane.

    Parameters
    ----------
    length_px : int
        Number of rows or columns of the plane.
    spacing_px : float
        Distance of the lines, at least 1.
    start_px : float
        Place of the first line, from 0 to below the spacing.

    Examples
    --------
    >>> from napari_fractoseg.audit.plan import grid_lines
    >>> grid_lines(10, 2.5, 2.0).tolist()
    [2, 4, 7, 9]
    """
    lines: _Ints = np.floor(
        start_px + spacing_px * np.arange(math.ceil(length_px / spacing_px) + 1)
    ).astype(np.int64)
    return lines[lines < length_px]


def allocated(areas: Sequence[int], n_points: int) -> list[int]:
    """Return how many points each class of the labels has in a stratified plan.

    Parameters
    ----------
    areas : sequence of int
        Area of each class in pixels, more than 0.
    n_points : int
        Number of all points.

    Returns
    -------
    list of int
        Numbers that are proportional to the areas, but half of an equal share at least, two at
        least, and never more than pixels.

    Raises
    ------
    OptionError
        If there are fewer points than two for each class.

    Examples
    --------
    >>> from napari_fractoseg.audit.plan import allocated
    >>> allocated([9000, 900, 100], 60), allocated([9000, 900, 3], 60)
    ([40, 10, 10], [47, 10, 3])
    """
    if n_points < 2 * len(areas):
        raise OptionError(
            f"{n_points} points are too few for {len(areas)} classes. Ask for two of each at "
            f"least, {2 * len(areas)}.",
            options=("n_points",),
        )
    least = max(2, n_points // (2 * len(areas)))
    counts = [min(least, area) for area in areas]
    while (rest := n_points - sum(counts)) > 0:
        # the next point goes where it is most wanted (Sainte-Lague), so that all are shared out
        open_ones = [k for k, area in enumerate(areas) if counts[k] < area]
        k = max(open_ones, key=lambda k: areas[k] / (2 * counts[k] + 1))
        counts[k] += min(rest, 1)
    return counts


@dataclass(frozen=True)
class _Plane:
    """Plane of labels, with the number of pixels of each class in its analysed area."""

    image: str
    index: tuple[int, ...]
    source: Source
    class_px: Mapping[str, int]

    def rows_of(self, places: Iterable[tuple[int, int, int]]) -> Iterator[_Row]:
        """Yield the rows of the table for rows, columns and label values of pixels."""
        for row, column, value in places:
            stratum = self.source.scheme.by_value(value).name
            yield self.image, plane_text(self.index), row, column, stratum


@dataclass(frozen=True)
class _Frame:
    """All that points are drawn from: the analysed area of all planes."""

    planes: tuple[_Plane, ...]
    scheme: ClassScheme
    excluded_px: int
    unlabelled_px: int

    @classmethod
    def of(cls, labels: Any, scheme: ClassScheme, exclude: Any) -> _Frame:
        images = dict(labels) if isinstance(labels, Mapping) else {"image": labels}
        refuse_unknown(images, exclude, "excluded areas")
        planes: list[_Plane] = []
        excluded_px = unlabelled_px = 0
        for name, given in images.items():
            array = _array(given)
            mask = _array(of_image(exclude, name))
            try:
                fields = field_table(array, scheme, image=name, exclude=mask)
            except ClassSchemeError as error:
                raise error.at(name) from error
            excluded_px += int(fields["excluded_px"].sum())
            unlabelled_px += int(fields["unlabelled_px"].sum())
            for row, index in enumerate(np.ndindex(tuple(array.shape[:-2]))):
                source = Source(LazyPlane(array, index), scheme, plane_of_mask(mask, index))
                areas = {c: int(fields[f"area_px_{c}"].iloc[row]) for c in scheme.names}
                planes.append(_Plane(printable(name), index, source, areas))
        frame = cls(tuple(planes), scheme, excluded_px, unlabelled_px)
        if not frame.n_px:
            raise ImageError(
                "There is no labelled pixel to put points on. Segment or label the images first."
            )
        return frame

    @property
    def stratum_px(self) -> dict[str, int]:
        """Area of each class that is there."""
        sums = {name: sum(p.class_px[name] for p in self.planes) for name in self.scheme.names}
        return {name: area for name, area in sums.items() if area}

    @property
    def n_px(self) -> int:
        """Analysed area."""
        return sum(self.stratum_px.values())

    def by_class(self, n_points: int) -> list[tuple[Sequence[int], int]]:
        """Return the label value of each class, and how many points it has."""
        counts = allocated(list(self.stratum_px.values()), n_points)
        values = [(self.scheme.find(name).value,) for name in self.stratum_px]
        return list(zip(values, counts, strict=True))

    def on_grid(self, spacing_px: float, rng: np.random.Generator) -> list[_Row]:
        """Return the points of a grid that begins at random in each plane."""
        found: list[_Row] = []
        for plane in self.planes:
            starts = rng.uniform(0, spacing_px, 2)
            rows, columns = (
                grid_lines(length, spacing_px, start)
                for length, start in zip(plane.source.shape, starts, strict=True)
            )
            if len(rows) and len(columns) and any(plane.class_px.values()):
                found += plane.rows_of(_at_lines(plane, rows, columns))
        return found

    def drawn(
        self, rng: np.random.Generator, wanted: Sequence[tuple[Sequence[int], int]]
    ) -> list[_Row]:
        """Return points drawn at random without replacement, some among the pixels of each kind.

        `wanted` has label values and the number of points among all pixels that have one of them.
        """
        found: list[_Row] = []
        for values, n_points in wanted:
            names = [self.scheme.by_value(value).name for value in values]
            sizes = [sum(plane.class_px[name] for name in names) for plane in self.planes]
            ranks = np.sort(rng.choice(sum(sizes), n_points, replace=False))
            ends = np.cumsum(sizes)
            for plane, size, end in zip(self.planes, sizes, ends, strict=True):
                own = ranks[(ranks >= end - size) & (ranks < end)] - (end - size)
                if len(own):
                    found += plane.rows_of(_of_ranks(plane, values, own))
        return found


def _array(given: Any) -> Any:
    """Return an array that is on disk or in memory as it is; numbers in lists as an array."""
    return given if given is None or hasattr(given, "dtype") else np.asarray(given)


def _at_lines(plane: _Plane, rows: _Ints, columns: _Ints) -> Iterator[tuple[int, int, int]]:
    """Yield row, column and label value where rows and columns cross in the analysed area."""
    for first, band in bands(plane.source, rows):
        own = rows[(rows >= first) & (rows < first + len(band))]
        values = band[np.ix_(own - first, columns)]
        for at_row, at_column in np.argwhere(values != UNLABELLED):
            place = int(own[at_row]), int(columns[at_column])
            yield *place, int(values[at_row, at_column])


def _of_ranks(plane: _Plane, values: Sequence[int], ranks: _Ints) -> Iterator[tuple[int, int, int]]:
    """Yield row, column and label value of some pixels, by their rank among those of a kind."""
    seen = 0
    for first, band in bands(plane.source):
        where = np.flatnonzero(np.isin(band, list(values)))
        own = ranks[(ranks >= seen) & (ranks < seen + len(where))] - seen
        seen += len(where)
        for pixel in where[own]:
            row, column = divmod(int(pixel), band.shape[1])
            yield first + row, column, int(band[row, column])
