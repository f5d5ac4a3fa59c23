"""Figures of a measurement, drawn into matplotlib axes: the same in a dock and in a report.

Names of classes, specimens and images are drawn word for word (`figure_text`). Legends are the
caller's: what belongs in one has a label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import LogLocator, NullFormatter

from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import OptionError
from napari_fractoseg.measurement.facets.plane import Facets
from napari_fractoseg.measurement.facets.sizes import CumulativeSizes, cumulative_sizes
from napari_fractoseg.text import figure_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from napari_fractoseg.measurement.estimates import ClassEstimate, Measurement

__all__ = ["draw_fractions", "draw_groups", "draw_local_map", "draw_sizes"]

_MOST_NAMES = 40
"""Number of groups up to which each has its name."""
_MOST_POINTS = 2000
"""Number of points of a curve beyond which every so many are drawn."""
_LARGEST_MAP_PX = 1024
_SPREAD = 0.5
"""Part of the height of a row over which its points are spread, so that they are seen apart."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_LONGEST_NAME = 30
_PERCENT_OF_MODES = "% of the area that shows a fracture mode"


def draw_fractions(
    axes: Axes,
    measurement: Measurement,
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    color: str = "0.25",
) -> None:
    """Draw the fraction of each fracture mode with its interval, and what it rests on.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw into: a row for each fracture mode, from the top.
    measurement : Measurement
        Measurement: small points are the fields, rings the means of specimens or images where
        there are several fields in any, and the mark with bars is the mean with its interval.
    scheme : ClassScheme
        Classes with their colours.
    color : str
        Colour of the means, as matplotlib names it.
    """
    estimates = measurement.mode_estimates
    groups, kind = _groups(measurement)
    for row, found in enumerate(estimates):
        of_class = _color(scheme, found.class_name)
        fields = measurement.fields[found.column].to_numpy(float)
        _draw_points(axes, fields, row, of_class, label="fields" if row == 0 else None)
        if groups is not None:
            axes.plot(
                100 * groups[found.column],
                _spread(len(groups), row),
                linestyle="",
                marker="o",
                markersize=6,
                markerfacecolor="none",
                markeredgecolor=of_class,
                label=kind if row == 0 else None,
                rasterized=len(groups) > _MOST_POINTS,
            )
        _draw_mean(axes, found, row, color, label=_mean_text(found) if row == 0 else None)
    _name_rows(axes, [found.class_name for found in estimates])
    axes.set_xlim(-2, 102)
    axes.set_xlabel(_PERCENT_OF_MODES)


def _groups(measurement: Measurement) -> tuple[pd.DataFrame | None, str]:
    """Return the means of specimens or images, if any has several fields, and what they are."""
    groups = measurement.groups()
    if len(groups) < 2 or (groups["n_fields"] < 2).all():
        return None, ""
    if "specimen" in groups:
        return groups, "specimens"
    return groups, "images" if groups["image"].is_unique else "planes"


def _spread(n: int, row: int) -> npt.NDArray[np.float64]:
    """Return heights around a row that keep points apart, always the same ones."""
    heights: npt.NDArray[np.float64] = (np.arange(n, dtype=np.float64) * _GOLDEN + 0.5) % 1 - 0.5
    return row + _SPREAD * heights


def _draw_points(
    axes: Axes,
    fractions: npt.NDArray[np.float64],
    row: float,
    color: str,
    label: str | None = None,
) -> None:
    axes.plot(
        100 * fractions,
        _spread(len(fractions), 0) + row,
        linestyle="",
        marker="o",
        markersize=3,
        markeredgewidth=0,
        alpha=0.6,
        color=color,
        label=label,
        rasterized=len(fractions) > _MOST_POINTS,
    )


def _draw_mean(
    axes: Axes, found: ClassEstimate, row: int, color: str, label: str | None = None
) -> None:
    mean, (low, high) = found.sampling.mean, found.sampling.shown
    bars = None if found.sampling.no_interval else [[100 * (mean - low)], [100 * (high - mean)]]
    axes.errorbar(
        [100 * mean],
        [row],
        xerr=bars,
        fmt="D",
        markersize=6,
        color=color,
        capsize=5,
        linewidth=1.8,
        label=label,
        zorder=3,
    )


def _mean_text(found: ClassEstimate) -> str:
    if found.sampling.no_interval:
        return "mean (no interval)"
    return f"mean, {100 * found.sampling.confidence:g} % interval"


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [figure_text(name, _LONGEST_NAME) for name in names])
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)


def draw_groups(
    axes: Axes,
    measurement: Measurement,
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    class_name: str | None = None,
    color: str = "0.25",
) -> None:
    """Draw the fraction of a fracture mode in each specimen, or each image and plane.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw into: a row for each specimen or image, in the order of their fractions.
    measurement : Measurement
        Measurement: small points are the fields, the mark is their mean, bars one standard
        deviation of them.
    scheme : ClassScheme
        Classes with their colours.
    class_name : str, optional
        Fracture mode; by default the first one.
    color : str
        Colour of the means, as matplotlib names it.
    """
    modes = measurement.mode_estimates
    if not modes:
        return
    column = modes[0].column if class_name is None else measurement.estimate(class_name).column
    name = class_name or modes[0].class_name
    groups = measurement.groups().sort_values(column, kind="stable").reset_index(drop=True)
    keys = [key for key in ("specimen", "image", "plane") if key in groups]
    place = groups[keys].assign(_row=np.arange(len(groups)))
    fields = measurement.fields[[*keys, column]].merge(place, on=keys, how="left")
    axes.plot(
        100 * fields[column],
        fields["_row"],
        linestyle="",
        marker="o",
        markersize=3.5,
        markeredgewidth=0,
        alpha=0.6,
        color=_color(scheme, name),
        label="fields",
        rasterized=len(fields) > _MOST_POINTS,
    )
    axes.errorbar(
        100 * groups[column],
        np.arange(len(groups)),
        xerr=100 * groups[f"s_{column}"].fillna(0),
        fmt="D",
        markersize=4,
        color=color,
        capsize=3,
        linewidth=1.2,
        label="mean ± s of the fields",
        zorder=3,
    )
    _name_groups(axes, groups, keys)
    axes.set_xlim(-2, 102)
    axes.set_xlabel(f"{figure_text(name, _LONGEST_NAME)}, {_PERCENT_OF_MODES}")


def _name_groups(axes: Axes, groups: pd.DataFrame, keys: Sequence[str]) -> None:
    if len(groups) > _MOST_NAMES:
        axes.set_yticks([])
        kind = "specimens" if "specimen" in keys else "images and planes"
        axes.set_ylabel(f"{len(groups)} {kind}, in the order of their fractions")
        axes.set_ylim(len(groups) - 0.5, -0.5)
        return
    names = groups[keys[0]].astype(str)
    if "plane" in keys and not groups["image"].is_unique:
        names = names + ", plane " + groups["plane"].astype(str)
    _name_rows(axes, names.tolist())


def draw_sizes(
    axes: Axes,
    found: Facets | Sequence[Facets],
    scheme: ClassScheme = DEFAULT_SCHEME,
    *,
    size: str = "equivalent_diameter",
    weighting: str = "area",
    sizes: pd.DataFrame | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Draw the cumulative distribution of the size of facets, a line for each class.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw into; lengths and areas are on a logarithmic axis.
    found : Facets or sequence of Facets
        Facets of one image, or of several.
    scheme : ClassScheme
        Classes with their colours.
    size : str
        Size, as for `size_distributions`.
    weighting : {"area", "number"}
        Whether a facet counts by its area, or as one.
    sizes : DataFrame, optional
        Table of `size_distributions`, whose quantiles are drawn with their intervals.
    class_names : sequence of str, optional
        Classes that are drawn; by default the fracture modes.
    """
    modes = [mode.name for mode in scheme.fracture_modes]
    wanted = modes if class_names is None else list(class_names)
    drawn = [
        curve
        for curve in cumulative_sizes(found, size, weighting=weighting)
        if curve.class_name in wanted
    ]
    for curve in drawn:
        color = _color(scheme, curve.class_name)
        few = _few(len(curve.sizes))
        label = f"{figure_text(curve.class_name)}, {len(curve.sizes)} facets"
        x, y = curve.sizes[few], 100 * curve.parts[few]
        axes.step([x[0], *x], [0, *y], where="post", color=color, label=label)
        if sizes is not None:
            _draw_quantiles(axes, sizes[sizes["size"] == curve.size], curve, weighting, color)
    if drawn:
        if drawn[0].size.endswith(("_px", "_um", "_um2")):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(_size_text(drawn[0].size))
    axes.set_ylim(0, 100)
    axes.set_ylabel(f"% of the facets by {weighting}, not larger")


def _few(n: int) -> npt.NDArray[np.intp]:
    """Return so many places among n, the first and the last one among them, as can be seen."""
    return np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).round().astype(np.intp))


def _draw_quantiles(
    axes: Axes, sizes: pd.DataFrame, curve: CumulativeSizes, weighting: str, color: str
) -> None:
    is_quantile = sizes["statistic"].str.startswith("q")
    of_class = (sizes["class_name"] == curve.class_name) & (sizes["weighting"] == weighting)
    rows = sizes[is_quantile & of_class & sizes["low"].notna()]
    if rows.empty:
        return
    value = rows["value"].to_numpy(float)
    axes.errorbar(
        value,
        100 * rows["statistic"].str[1:].astype(float),
        xerr=np.clip([value - rows["low"], rows["high"] - value], 0, None),
        fmt="o",
        markersize=3,
        capsize=3,
        linewidth=1,
        color=color,
    )


def _size_text(column: str) -> str:
    """Return the name of a column of the facets as a reader writes it, with its unit."""
    for ending, unit in (("_px", "px"), ("_um2", "µm²"), ("_um", "µm")):
        if column.endswith(ending):
            name = column.removesuffix(ending)
            is_area = unit == "px" and name == "area"
            return f"{name.replace('_', ' ')} ({'px²' if is_area else unit})"
    return column.replace("_", " ")


def draw_local_map(
    axes: Axes,
    local: Any,
    *,
    class_name: str = "",
    pixel_size_um: float | None = None,
    color: str = "0.25",
) -> None:
    """Draw a map of local fractions, with its scale of colours.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes of a figure to draw into.
    local : array of float, shape (Y, X)
        Map as `local_fractions` returns it; of large ones every so many pixels are drawn.
    class_name : str
        Name of the fracture mode.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres; without it the axes are in pixels.
    color : str
        Colour of the texts beside the scale, as matplotlib names it.

    Raises
    ------
    OptionError
        If the map is no plane.
    """
    if len(local.shape) != 2 or 0 in local.shape:
        raise OptionError(f"A map of shape {tuple(local.shape)} is no plane (rows, columns).")
    rows, columns = local.shape
    step = math.ceil(max(rows, columns) / _LARGEST_MAP_PX)
    edge, unit = (1.0, "px") if pixel_size_um is None else (pixel_size_um, "µm")
    image = axes.imshow(
        100 * np.asarray(local[::step, ::step]),
        cmap="viridis",
        vmin=0,
        vmax=100,
        extent=(0, columns * edge, rows * edge, 0),
        interpolation="nearest",
    )
    axes.set_xlabel(unit)
    bar = axes.figure.colorbar(image, ax=axes)
    what = f"{figure_text(class_name, _LONGEST_NAME)}, " if class_name else ""
    bar.set_label(f"{what}% of the fracture modes around", color=color)
    bar.ax.tick_params(colors=color)
    bar.outline.set_edgecolor(color)


def _color(scheme: ClassScheme, class_name: str) -> str:
    """Return the colour of a class; grey where it has none."""
    found: FractureClass | None = scheme.get(class_name)
    return "0.5" if found is None or found.is_transparent else found.color[:7]
