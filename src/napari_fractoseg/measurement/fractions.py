"""Area fractions of the classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg.arrays import value_counts
from napari_fractoseg.classes import ClassScheme

__all__ = ["class_fractions", "fractions_of_counts", "fractions_of_planes", "parts_of"]


def class_fractions(labels: Any, scheme: ClassScheme, *, excluded: Any = None) -> pd.DataFrame:
    r"""Measure the area fraction of each class.

    Parameters
    ----------
    labels : array of int, any shape
        Class values of `scheme`; 0 is unlabelled. A `LazyPlane` is read in parts.
    scheme : ClassScheme
        Classes of the label values.
    excluded : array of bool, shape of the labels, optional
        Pixels that do not count as a part of the image, such as an info bar; they are unlabelled.

    Returns
    -------
    DataFrame
        One row for each class, in the order of the scheme: ``class_value``,
        ``class_name``, ``is_fracture_mode``, ``area_px``,
        ``fraction_of_image`` and ``fraction_of_modes`` (0-1). The latter is NaN
        for classes that are no fracture mode, and for all of them where no
        pixel has one.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.

    Notes
    -----
    With :math:`A_k` the number of pixels of class :math:`k`, :math:`A` the
    number of all pixels that are not excluded, unlabelled ones among them, and
    :math:`M` the fracture modes,

    .. math::

        f_k^\mathrm{image} = A_k / A, \qquad
        f_k^\mathrm{modes} = A_k / \sum_{m \in M} A_m .

    With two modes the second one is the usual i / (i + t). Both are fractions
    of the *projected* area, not of the area of the rough surface.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement import class_fractions
    >>> table = class_fractions(np.array([[1, 2, 2, 2], [3, 3, 3, 0]]), DEFAULT_SCHEME)
    >>> table.fraction_of_image.tolist()
    [0.125, 0.375, 0.375]
    >>> table.fraction_of_modes.tolist()
    [0.25, 0.75, nan]
    """
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if excluded is None:
        return fractions_of_planes([labels], scheme)
    scheme.check_labels(labels)
    n_px = math.prod(labels.shape) - value_counts(excluded).get(1, 0)
    return fractions_of_counts(value_counts(labels), n_px, scheme)


def fractions_of_planes(planes: Iterable[Any], scheme: ClassScheme) -> pd.DataFrame:
    """Measure the area fraction of each class in all planes together.

    Parameters
    ----------
    planes : iterable of array of int
        Labels of the planes, class values of `scheme`; planes are read one at a time.
    scheme : ClassScheme
        Classes of the label values.

    Returns
    -------
    DataFrame
        One row for each class, with the columns of `class_fractions`.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class.
    """
    counts: Counter[int] = Counter()
    n_px = 0
    for plane in planes:
        scheme.check_labels(plane)
        counts.update(value_counts(plane))
        n_px += math.prod(plane.shape)
    return fractions_of_counts(counts, n_px, scheme)


def fractions_of_counts(counts: Mapping[int, int], n_px: int, scheme: ClassScheme) -> pd.DataFrame:
    """Measure the area fraction of each class, from pixels that are counted already.

    Parameters
    ----------
    counts : mapping of int to int
        Label value -> number of pixels; values of no class are passed over.
    n_px : int
        Number of all pixels, whatever their value.
    scheme : ClassScheme
        Classes of the label values.

    Returns
    -------
    DataFrame
        One row for each class, with the columns of `class_fractions`.
    """
    area_px = np.array([counts.get(value, 0) for value in scheme.values], dtype=np.int64)
    is_mode = np.array([c.is_fracture_mode for c in scheme])
    return pd.DataFrame(
        {
            "class_value": scheme.values,
            "class_name": scheme.names,
            "is_fracture_mode": is_mode,
            "area_px": area_px,
            "fraction_of_image": parts_of(area_px, n_px),
            "fraction_of_modes": np.where(
                is_mode, parts_of(area_px, area_px[is_mode].sum()), np.nan
            ),
        }
    )


def parts_of(areas: npt.NDArray[np.int64], whole: Any) -> npt.NDArray[np.float64]:
    """Return areas as parts of a whole, or each row of areas of its own; NaN where that is 0."""
    wholes = np.broadcast_to(np.asarray(whole, np.float64), areas.shape)
    parts = np.full(areas.shape, np.nan)
    np.divide(areas, wholes, out=parts, where=wholes > 0)
    return parts
