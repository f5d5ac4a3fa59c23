"""Size distributions of facets, by number and by area, with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.facets.plane import Facets

__all__ = ["CumulativeSizes", "cumulative_sizes", "size_distributions"]

WEIGHTINGS = ("number", "area")

_FEWEST_FACETS = 10
_FEWEST_UNITS = 5
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_AT_ONCE = 2**20

_Floats = npt.NDArray[np.float64]


def size_distributions(
    found: Facets | Sequence[Facets],
    size: str = "equivalent_diameter",
    *,
    specimens: Sequence[str] = (),
    quantiles: Sequence[float] = _QUANTILES,
    level: float = 0.95,
    n_resamples: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Measure the distribution of a size of facets for each class, by number and by area.

    Facets that touch the border or the excluded area are left out. Where facets have weights of
    Miles and Lantuéjoul, these are used.

    Parameters
    ----------
    found : Facets or sequence of Facets
        Facets of one image, or of several, measured with the same settings.
    size : str
        Size, a column of the table without its unit, such as ``"equivalent_diameter"``,
        ``"feret_max"``, ``"area"`` or ``"solidity"``. Facets whose size is not known are left out.
    specimens : sequence of str
        Specimen of each image, where that is known.
    quantiles : sequence of float
        Quantiles that are measured, each between 0 and 1.
    level : float
        Level of the intervals, between 0 and 1.
    n_resamples : int
        Number of times that facets, images or specimens are drawn again.
    seed : int
        Seed of these draws: the same one gives the same intervals.

    Returns
    -------
    DataFrame
        For each class that has facets, weighting (``"number"``, ``"area"``) and statistic
        (``"mean"``, ``"q0.5"``): ``class_value``, ``class_name``, ``size`` (the column),
        ``weighting``, ``statistic``, ``value``, ``low``, ``high``, ``n_facets``, ``n_images``,
        ``n_border`` (left out at the border), ``n_unknown`` (left out, size not known),
        ``resampled`` (``"facets"``, ``"images"``, ``"specimens"`` or ``""``) and ``reason`` why
        there is no interval. Without one, ``low`` and ``high`` are NaN.

    Raises
    ------
    OptionError
        If there is no image, no such size, a quantile out of range, not one specimen for each
        image, or if images differ in unit or settings.

    Notes
    -----
    With sizes :math:`x_i`, areas :math:`a_i` and weights of Miles and Lantuéjoul :math:`m_i` (else
    1), the weights are :math:`w_i = m_i` by number and :math:`w_i = m_i a_i` by area; the mean is
    :math:`\sum w_i x_i / \sum w_i`, a quantile `q` the smallest size up to which facets have at
    least `q` of all weight. Intervals are percentiles of the bootstrap [1]_, by
    `scipy.stats.bootstrap`, over facets of a single image: they hold within this image only. Of
    several images whole images are drawn, since facets of one image are no independent
    observations, and whole specimens, where there are several. With fewer than 10 facets, or
    fewer than 5 images or specimens of several, there is no interval.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.facets.plane import facets
    >>> from napari_fractoseg.measurement.facets.sizes import size_distributions
    >>> labels = np.zeros((7, 9), int)
    >>> labels[2, 2], labels[4:6, 4:7] = 1, 1
    >>> table = size_distributions(facets(labels, DEFAULT_SCHEME), "area", quantiles=[0.5])
    >>> table.loc[:0, ["weighting", "statistic", "value", "n_facets", "reason"]]
      weighting statistic  value  n_facets                                reason
    0    number      mean    3.5         2  2 facets, fewer than the 10 it takes
    """
    outside = [q for q in (level, *quantiles) if not 0 < q < 1]
    if outside:
        raise OptionError(f"Quantiles and level are between 0 and 1; {outside[0]:g} is not.")
    images = [found] if isinstance(found, Facets) else list(found)
    column = _column(images, size)
    units = _Units.of(len(images), specimens)
    rows = []
    for of_class in _of_classes(images, column):
        for weighting, weights in of_class.weights.items():
            of_unit = units.of_image[of_class.images]
            sample = _Sample(of_class.sizes, weights, of_unit, quantiles)
            for measured in _measured(sample, units, level, n_resamples, seed):
                rows.append(
                    {
                        "class_value": of_class.value,
                        "class_name": of_class.name,
                        "size": column,
                        "weighting": weighting,
                        **measured,
                        "n_facets": len(of_class.sizes),
                        "n_images": len(images),
                        "n_border": of_class.n_border,
                        "n_unknown": of_class.n_unknown,
                    }
                )
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class CumulativeSizes:
    """Part of the facets of a class, by number or by area, up to each size.

    Parameters
    ----------
    class_name : str
        Name of the class.
    size : str
        Column of the size, with its unit, such as ``equivalent_diameter_um``.
    sizes : array of float
        Sizes of the facets, from the smallest.
    parts : array of float
        Part of all facets, 0-1, that are not larger.
    """

    class_name: str
    size: str
    sizes: _Floats
    parts: _Floats


def cumulative_sizes(
    found: Facets | Sequence[Facets],
    size: str = "equivalent_diameter",
    *,
    weighting: str = "area",
) -> tuple[CumulativeSizes, ...]:
    """Measure the cumulative distribution of a size of facets for each class.

    Facets that touch the border are left out, and weights are used, as by `size_distributions`.

    Parameters
    ----------
    found : Facets or sequence of Facets
        Facets of one image, or of several, measured with the same settings.
    size : str
        Size, as for `size_distributions`.
    weighting : {"area", "number"}
        Whether a facet counts by its area, or as one.

    Returns
    -------
    tuple of CumulativeSizes
        Of each class that has facets of known size inside.

    Raises
    ------
    OptionError
        As by `size_distributions`, or if the weighting is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.facets.plane import facets
    >>> from napari_fractoseg.measurement.facets.sizes import cumulative_sizes
    >>> labels = np.zeros((7, 9), int)
    >>> labels[2, 2], labels[4:6, 4:7] = 1, 1
    >>> (inter,) = cumulative_sizes(facets(labels, DEFAULT_SCHEME), "area")
    >>> inter.sizes.tolist(), inter.parts.round(3).tolist()
    ([1.0, 6.0], [0.143, 1.0])
    """
    if weighting not in WEIGHTINGS:
        raise OptionError(f"Facets have no weighting {weighting!r}. Use 'number' or 'area'.")
    images = [found] if isinstance(found, Facets) else list(found)
    column = _column(images, size)
    cumulative = []
    for of_class in _of_classes(images, column):
        order = np.argsort(of_class.sizes, kind="stable")
        up_to = of_class.weights[weighting][order].cumsum()
        if up_to.size and up_to[-1] > 0:
            parts = up_to / up_to[-1]
            cumulative.append(CumulativeSizes(of_class.name, column, of_class.sizes[order], parts))
    return tuple(cumulative)


@dataclass(frozen=True, eq=False)
class _OfClass:
    """Facets of a class whose size is known and which do not touch the border."""

    value: int
    name: str
    sizes: _Floats
    weights: dict[str, _Floats]
    images: npt.NDArray[Any]
    n_border: int
    n_unknown: int


def _of_classes(images: list[Facets], column: str) -> Iterator[_OfClass]:
    area = f"area_{'px' if images[0].unit == 'px' else 'um2'}"
    pooled = pd.concat([f.table.assign(image=i) for i, f in enumerate(images)], ignore_index=True)
    for (value, name), of_class in pooled.groupby(["class_value", "class_name"], sort=True):
        inside = of_class[~of_class.touches_border]
        known = inside[inside[column].notna()]
        number = known["weight"].to_numpy() if "weight" in known else np.ones(len(known))
        yield _OfClass(
            int(str(value)),
            str(name),
            known[column].to_numpy(float),
            {"number": number, "area": number * known[area].to_numpy()},
            known["image"].to_numpy(),
            len(of_class) - len(inside),
            len(inside) - len(known),
        )


def _column(images: list[Facets], size: str) -> str:
    """Return the column of a size, which the tables of all images must have."""
    if not images:
        raise OptionError("There are no facets of any image. Pass those of one image at least.")
    units = {"px" if f.unit == "px" else "µm" for f in images}
    if len(units) > 1:
        raise OptionError(
            "Some images have a pixel size and some have none, so that their facets are in µm and "
            "in pixels. Give all of them a pixel size, or none."
        )
    settings = {(f.connectivity, f.min_area_px, "weight" in f.table) for f in images}
    if len(settings) > 1:
        raise OptionError(
            "The facets were measured with different settings (connectivity, smallest area in "
            f"pixels, weights): {sorted(settings)}. Measure all images with the same ones."
        )
    table = images[0].table
    endings = ("", "_px", "_um", "_um2")
    column = next((size + end for end in endings if size + end in table), None)
    if column is None or not pd.api.types.is_numeric_dtype(table[column]):
        raise OptionError(
            f"Facets have no size {size!r}. Choose one of the columns of numbers of their table, "
            "such as 'equivalent_diameter', 'feret_max' or 'area'."
        )
    return column


@dataclass(frozen=True, eq=False)
class _Units:
    """What is drawn again of several images, and to which of them each image belongs."""

    name: str
    of_image: npt.NDArray[np.intp]
    n: int

    @classmethod
    def of(cls, n_images: int, specimens: Sequence[str]) -> _Units:
        if specimens and len(specimens) != n_images:
            raise OptionError(
                f"There are {len(specimens)} specimens for the facets of {n_images} images. Give "
                "the specimen of each image, or none."
            )
        names, of_image = np.unique(list(specimens), return_inverse=True)
        if len(names) > 1:
            return cls("specimens", of_image, len(names))
        return cls("images", np.arange(n_images), n_images)


class _Sample:
    """Sizes of facets in order, with weights, and to which image or specimen each belongs."""

    def __init__(
        self, sizes: _Floats, weights: _Floats, units: npt.NDArray[Any], quantiles: Sequence[float]
    ) -> None:
        order = np.argsort(sizes, kind="stable")
        self.sizes, self.units = sizes[order], units[order]
        self._weights, self._quantiles = weights[order], quantiles
        self.names = ["mean", *(f"q{q:g}" for q in quantiles)]

    def statistics(self, times: npt.NDArray[Any]) -> _Floats:
        """Return mean and quantiles where each facet is there a number of times (..., facet)."""
        weights = self._weights * times
        if not self.sizes.size:
            return np.full((len(self.names), *weights.shape[:-1]), np.nan)
        up_to = weights.cumsum(axis=-1)
        total = up_to[..., -1]
        with np.errstate(invalid="ignore"):
            found = [(weights * self.sizes).sum(axis=-1) / total]
        for q in self._quantiles:
            enough = up_to >= (q * total * (1 - 1e-12))[..., None]  # but for rounding
            found.append(np.where(total > 0, self.sizes[enough.argmax(axis=-1)], np.nan))
        return np.asarray(found)


def _measured(
    sample: _Sample, of: _Units, level: float, n_resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Return the statistics of a sample, each with its interval, or why there is none."""
    values = sample.statistics(np.ones(len(sample.sizes)))
    low = high = np.full(len(values), np.nan)
    n_facets, resampled = len(sample.sizes), ""
    reason = _reason(n_facets, of)
    if not reason:
        resampled = "facets" if of.n == 1 else of.name
        units = np.arange(n_facets) if of.n == 1 else sample.units
        n_units = n_facets if of.n == 1 else of.n
        low, high = _interval(sample, units, n_units, level, n_resamples, seed)
        if np.isnan(low).any():
            reason, resampled = f"too few {of.name} have facets of this class", ""
            low = high = np.full(len(values), np.nan)
    return [
        {
            "statistic": name,
            "value": float(values[i]),
            "low": float(low[i]),
            "high": float(high[i]),
            "resampled": resampled,
            "reason": reason,
        }
        for i, name in enumerate(sample.names)
    ]


def _reason(n_facets: int, of: _Units) -> str:
    """Return why there are too few observations for an interval; empty if there are enough."""
    if n_facets < _FEWEST_FACETS:
        facets = "1 facet" if n_facets == 1 else f"{n_facets} facets"
        return f"{facets}, fewer than the {_FEWEST_FACETS} it takes"
    if 1 < of.n < _FEWEST_UNITS:
        return f"{of.n} {of.name}, fewer than the {_FEWEST_UNITS} it takes"
    return ""


def _interval(
    sample: _Sample,
    units: npt.NDArray[Any],
    n_units: int,
    level: float,
    n_resamples: int,
    seed: int,
) -> tuple[_Floats, _Floats]:
    """Return the limits of each statistic where units, such as images, are drawn again.

    They are NaN where some draw has no facet, as where few images have any.
    """

    def statistics(drawn: npt.NDArray[Any], axis: int) -> _Floats:  # noqa: ARG001
        lines = drawn.reshape(-1, n_units)
        places = lines + n_units * np.arange(len(lines))[:, None]
        times = np.bincount(places.reshape(-1), minlength=lines.size).reshape(drawn.shape)
        return sample.statistics(times[..., units])

    with warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning):
        found = stats.bootstrap(
            (np.arange(n_units),),
            statistics,
            n_resamples=n_resamples,
            batch=max(1, _AT_ONCE // len(sample.sizes)),
            vectorized=True,
            confidence_level=level,
            method="percentile",
            random_state=np.random.default_rng(seed),
        )
    return found.confidence_interval.low, found.confidence_interval.high
