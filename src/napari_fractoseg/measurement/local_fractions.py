"""Map of the fraction of a fracture mode around each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import OptionError
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.measurement.facets.regions import Source
from napari_fractoseg.text import listed
from napari_fractoseg.tiling import Box, grid

__all__ = ["local_fractions", "local_fractions_job", "window_for"]

_BLOCK_PX = 2048


_WINDOWS_ALONG = 8


def window_for(shape: tuple[int, ...]) -> int:
    """Return the edge of a window in pixels of which eight lie along the shorter side of a plane.

    Examples
    --------
    >>> from napari_fractoseg.measurement.local_fractions import window_for
    >>> window_for((34, 1280, 2000)), window_for((4, 4))
    (160, 1)
    """
    return max(1, min(shape[-2:]) // _WINDOWS_ALONG)


def local_fractions(
    labels: Any,
    scheme: ClassScheme,
    mode: str,
    window_px: int,
    *,
    exclude: Any = None,
    out: Any = None,
    block_px: int = _BLOCK_PX,
) -> Any:
    r"""Measure the fraction of a fracture mode in a square window around each pixel.

    It shows where on the surface a mode prevails, such as near the edge of a specimen.

    Parameters
    ----------
    labels : array of int, shape (Y, X)
        Class values of `scheme`, in memory or on disk, read block by block; 0 is unlabelled.
    scheme : ClassScheme
        Classes of the label values.
    mode : str
        Name or alias of the fracture mode.
    window_px : int
        Edge of the window; that of an even number is one pixel larger, to have a middle.
    exclude : array of shape (Y, X), optional
        Not zero where the plane is not analysed.
    out : array of float32, shape (Y, X), optional
        Array, such as a zarr, into which the map is written; by default a new one.
    block_px : int
        Edge of the blocks that are read; the map does not depend on it.

    Returns
    -------
    array of float32, shape (Y, X)
        Fraction, 0-1, of the area in the window that shows any fracture mode; NaN where none
        does, and where the plane is excluded.

    Raises
    ------
    ClassSchemeError
        If a value belongs to no class, or no class is called `mode`.
    OptionError
        If the class is no fracture mode, the window has no pixel, or shapes differ.

    Notes
    -----
    With :math:`n_m(W)` the pixels of mode `m` in the window `W`, cut at the border of the plane,
    :math:`f = n_\mathrm{mode}(W) / \sum_m n_m(W)`. Neighbouring windows overlap: pixels of the
    map are no independent observations.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.measurement.local_fractions import local_fractions
    >>> local_fractions(np.array([[1, 1, 2, 3, 3]]), DEFAULT_SCHEME, "i", 3).round(2).tolist()
    [[1.0, 0.6700000166893005, 0.5, 0.0, nan]]
    """
    return drain(
        local_fractions_job(
            labels, scheme, mode, window_px, exclude=exclude, out=out, block_px=block_px
        )
    )


def local_fractions_job(
    labels: Any,
    scheme: ClassScheme,
    mode: str,
    window_px: int,
    *,
    exclude: Any = None,
    out: Any = None,
    block_px: int = _BLOCK_PX,
) -> Job[Any]:
    """Measure local fractions as a job; parameters and result are those of `local_fractions`.

    Yields
    ------
    Progress
        Number of blocks that are measured.
    """
    if window_px < 1:
        raise OptionError(
            f"The window is {window_px} px wide; it must be 1 or more, and clearly larger than "
            "the facets to say something.",
            options=("window_px",),
        )
    found = scheme.find(mode)
    if not found.is_fracture_mode:
        modes = listed(each.name for each in scheme.fracture_modes)
        raise OptionError(f"{found.name} is no fracture mode. Choose one of {modes}.")
    source = Source(labels, scheme, exclude)
    if out is None:
        out = np.empty(source.shape, np.float32)
    boxes = list(grid(source.shape, block_px))
    for done, box in enumerate(boxes):
        fractions = _fractions(source, box, found.value, window_px // 2)
        fractions[~source.analysed(box)] = np.nan
        out[box.slices] = fractions
        yield Progress(done + 1, len(boxes), "measuring local fractions")
    return out


def _fractions(source: Source, box: Box, value: int, reach: int) -> npt.NDArray[np.float32]:
    """Return the fractions in a box, from the labels that its windows reach."""
    rows, columns = source.shape
    wide = Box(
        max(box.row0 - reach, 0),
        min(box.row1 + reach, rows),
        max(box.column0 - reach, 0),
        min(box.column1 + reach, columns),
    )
    labels = source.read(wide)
    core = box.relative_to(wide).slices
    modes = [each.value for each in source.scheme.fracture_modes]
    of_mode = _in_windows(labels == value, reach)[core]
    of_modes = _in_windows(np.isin(labels, modes), reach)[core]
    fractions = np.full(box.shape, np.nan, np.float32)
    np.divide(of_mode, of_modes, out=fractions, where=of_modes > 0, casting="same_kind")
    return fractions


def _in_windows(mask: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.float64]:
    """Return how many pixels of a mask are in the window around each pixel."""
    edge = 2 * reach + 1
    means = uniform_filter(mask.astype(np.float64), edge, mode="constant")
    counts: npt.NDArray[np.float64] = np.rint(means * edge**2)  # whole numbers, but for rounding
    return counts
