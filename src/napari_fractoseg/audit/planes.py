"""Labels under points: planes of labels, read in parts, and the class at each point."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.arrays import value_counts
from napari_fractoseg.audit.points import PointCount, plane_index
from napari_fractoseg.classes import UNLABELLED
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.measurement.facets.regions import Source
from napari_fractoseg.text import listed, printable, size_text
from napari_fractoseg.tiling import Box

__all__ = ["bands", "labelled_px", "labels_at_points"]

_BAND_PX = 1024
"""Number of rows that are read at once: those of a chunk of our zarr files."""


def bands(
    source: Source, rows: Collection[int] | None = None
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield first row and labels of bands of rows of a plane; excluded pixels are 0.

    Parameters
    ----------
    source : Source
        Plane of labels.
    rows : collection of int, optional
        Rows that are wanted: bands without any are left out.
    """
    n_rows, columns = source.shape
    wanted = None if rows is None else {row // _BAND_PX for row in rows}
    for number, row in enumerate(range(0, n_rows, _BAND_PX)):
        if wanted is None or number in wanted:
            yield row, source.read(Box(row, min(row + _BAND_PX, n_rows), 0, columns))


def labels_at_points(count: PointCount, labels: Any) -> pd.Series[str]:
    """Return the class that labels have at each point.

    Parameters
    ----------
    count : PointCount
        Points.
    labels : array of int, shape (..., Y, X), or mapping of str to array
        Class values of ``count.scheme``, as they are now: of the only image, or name of an
        image -> its labels. Only the parts with points are read of arrays on disk.

    Returns
    -------
    Series of str
        Number of the point -> name of the class; empty where the labels have none.

    Raises
    ------
    ImageError
        If labels of an image are missing, or a point is outside them.
    ClassSchemeError
        If a value belongs to no class.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg.audit.planes import labels_at_points
    >>> count = nf.plan_points(np.ones((8, 8), int), n_points=3, design="random", seed=1)
    >>> labels_at_points(count, np.full((8, 8), 2)).to_dict()
    {1: 'transgranular', 2: 'transgranular', 3: 'transgranular'}
    """
    images = _by_name(count, labels)
    names = {UNLABELLED: "", **{c.value: c.name for c in count.scheme}}
    found: dict[int, str] = {}
    for (image, plane), points in count.points.groupby(["image", "plane"], sort=False):
        source = _source(count, images[str(image)], str(image), str(plane))
        _check_inside(points, source, str(image))
        rows = points["row_px"].to_numpy()
        for first, band in bands(source, rows):
            is_here = (rows >= first) & (rows < first + len(band))
            here = points[is_here]
            values = band[here["row_px"] - first, here["column_px"]]
            found |= {int(p): names[int(v)] for p, v in zip(here["point"], values, strict=True)}
    order = list(map(int, count.points["point"]))
    return pd.Series([found[point] for point in order], order, dtype=object)


def labelled_px(count: PointCount, labels: Any) -> dict[str, int] | None:
    """Return the area of each class in all labels of a plan, as they are now.

    Parameters
    ----------
    count : PointCount
        Points.
    labels : array of int, shape (..., Y, X), or mapping of str to array
        Labels, see `labels_at_points`.

    Returns
    -------
    dict of str to int, or None
        Class -> number of pixels. None where the labels are not those of all pixels that the
        points stand for: other images, or an area that was excluded and is not known here.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg.audit.planes import labelled_px
    >>> count = nf.plan_points(np.ones((8, 8), int), n_points=3, design="random", seed=1)
    >>> labelled_px(count, np.full((8, 8), 2))
    {'intergranular': 0, 'transgranular': 64, 'background': 0}
    """
    given = labels.values() if isinstance(labels, Mapping) else [labels]
    arrays = [each if hasattr(each, "dtype") else np.asarray(each) for each in given]
    n_px = sum(math.prod(array.shape) for array in arrays)
    if count.excluded_px or n_px != count.analysed_px + count.unlabelled_px:
        return None
    counts: Counter[int] = Counter()
    for array in arrays:
        for index in np.ndindex(tuple(array.shape[:-2])):
            for _, band in bands(Source(LazyPlane(array, index), count.scheme)):
                counts.update(value_counts(band))
    return {c.name: counts[c.value] for c in count.scheme}


def _by_name(count: PointCount, labels: Any) -> Mapping[str, Any]:
    if not isinstance(labels, Mapping):
        if len(count.images) > 1:
            raise ImageError(
                f"The points are on {len(count.images)} images. Give the labels of each by name."
            )
        return {count.images[0]: labels}
    images = {printable(name): array for name, array in labels.items()}
    if missing := [name for name in count.images if name not in images]:
        raise ImageError(
            f"There are no labels of {listed(missing)}, where points are. There are those of "
            f"{listed(images)}: give them under the names that the points have."
        )
    return images


def _source(count: PointCount, labels: Any, image: str, plane: str) -> Source:
    array = labels if hasattr(labels, "dtype") else np.asarray(labels)
    index, shape = plane_index(plane), tuple(array.shape[:-2])
    is_there = len(index) == len(shape) and all(
        number < length for number, length in zip(index, shape, strict=True)
    )
    if not is_there:
        raise ImageError(
            f"{image}: the points are on {f'plane {plane}' if plane else 'a single plane'}, which "
            f"labels of {size_text(array.shape)} do not have. Give the labels that the points were "
            "made for."
        )
    return Source(LazyPlane(array, index), count.scheme)


def _check_inside(points: pd.DataFrame, source: Source, image: str) -> None:
    rows, columns = source.shape
    outside = points[(points["row_px"] >= rows) | (points["column_px"] >= columns)]
    for point in outside.itertuples():
        raise ImageError(
            f"{image}: point {point.point} at row {point.row_px}, column {point.column_px} is "
            f"outside the labels of {columns} x {rows} px. Give the labels that the points were "
            "made for."
        )
