"""Synthetic SEM images of fracture surfaces, with exact labels.

These are not micrographs. They resemble those of broken spinel ceramics well
enough to try the plugin, to test it, and to add variety to a training set.
Their labels are exact, since each grain is made with a fracture mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import ImageError
from napari_fractoseg.samples._detector import Microscope, scan
from napari_fractoseg.samples._grains import Floats, Grains, Kind, assign_kinds, place_grains
from napari_fractoseg.samples._relief import facets, fragments, scatter_chips, texture

__all__ = [
    "SAMPLE_SEEDS",
    "TRAINING_SEEDS",
    "SyntheticFracture",
    "synthetic_fracture",
    "synthetic_stack",
]

TRAINING_SEEDS = range(1000, 2000)
"""Seeds of the images that the bundled model may learn from."""

SAMPLE_SEEDS = range(100)
"""Seeds of the images for samples and tests: no bundled model learns from them."""

GRAIN_UM = 4.0
"""Diameter of a grain of the matrix in micrometres, by which images get a pixel size."""

MIN_EDGE_PX = 16
GRAIN_RANGE_PX = (6.0, 400.0)


@dataclass(frozen=True, eq=False)
class SyntheticFracture:
    """A synthetic micrograph of a fracture surface, with exact labels.

    Parameters
    ----------
    image : ndarray of uint8, shape (Y, X) or (Z, Y, X)
        Grey levels of the image.
    labels : ndarray of uint8, same shape
        Values of `DEFAULT_SCHEME`: 1 intergranular, 2 transgranular, 3
        background. No pixel is unlabelled.
    pixel_size_um : float
        Edge of a pixel in micrometres, taking a grain as 4 um wide.
    seed : int
        Seed of the random numbers that it was made from.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    pixel_size_um: float
    seed: int


@dataclass(frozen=True)
class _Look:
    """Random properties of the surface of one image: sizes of steps, fragments, borders, chips."""

    large_share: float
    debris_share: float
    tilt: float
    relief: float
    river_px: float
    step_px: float
    fragment_px: float
    roughness: float
    border_px: int
    chips: float

    @classmethod
    def draw(cls, rng: np.random.Generator, grain_px: float) -> _Look:
        return cls(
            large_share=rng.uniform(0.1, 0.75),
            debris_share=rng.uniform(0.08, 0.25),
            tilt=rng.uniform(0.25, 0.65),
            relief=rng.uniform(0.03, 0.14),
            river_px=rng.uniform(2.8, 6),
            step_px=rng.uniform(1.0, 3.5),
            fragment_px=max(5.0, grain_px * rng.uniform(0.3, 0.6)),
            roughness=rng.uniform(0.6, 1.3),
            border_px=int(rng.integers(1, 3)),
            chips=rng.uniform(0, 25),
        )


def synthetic_fracture(
    seed: int = 0,
    shape: tuple[int, int] = (640, 640),
    *,
    grain_px: float | None = None,
    transgranular: float | None = None,
) -> SyntheticFracture:
    """Make a synthetic SEM image of a fracture surface, with exact labels.

    Parameters
    ----------
    seed : int
        The same seed gives the same arrays, bit for bit (with the same
        versions of numpy and scipy). See `SAMPLE_SEEDS`, `TRAINING_SEEDS`.
    shape : tuple of int
        Rows and columns, each at least 16.
    grain_px : float, optional
        Diameter of a grain of the matrix, 6-400 px; some grains are up to
        seven times larger. Drawn from the seed (16-60) by default.
    transgranular : float, optional
        Transgranular fraction t / (i + t) of the area, 0-1; met to within one
        grain. Drawn from the seed (0.3-0.8) by default.

    Returns
    -------
    SyntheticFracture
        Image and labels of shape (Y, X).

    Raises
    ------
    ImageError
        If an argument is out of range.

    Examples
    --------
    >>> from napari_fractoseg.samples import synthetic_fracture
    >>> sample = synthetic_fracture(3, (64, 96))
    >>> sample.image.shape, sample.image.dtype
    ((64, 96), dtype('uint8'))
    """
    _check(seed, shape, grain_px, transgranular)
    rng = np.random.default_rng(seed)
    drawn_grain = math.exp(rng.uniform(math.log(16), math.log(60)))
    drawn_share = rng.uniform(0.3, 0.8)
    grain_px = drawn_grain if grain_px is None else float(grain_px)
    transgranular = drawn_share if transgranular is None else float(transgranular)
    look, microscope = _Look.draw(rng, grain_px), Microscope.draw(rng)
    grains = place_grains(rng, shape, grain_px, look.large_share)
    kinds = assign_kinds(rng, grains, grain_px, transgranular, look.debris_share)
    base = facets(rng, grains, grain_px, look.tilt, look.relief)
    labels = _labels(grains, kinds, base, look.border_px)
    height = _roughen(rng, grains, kinds, base, look)
    image = scan(rng, height, grains.ids, look.relief * grain_px + 2, microscope)
    return SyntheticFracture(image, labels, round(GRAIN_UM / grain_px, 4), int(seed))


def synthetic_stack(
    seed: int = 0, n_planes: int = 5, shape: tuple[int, int] = (640, 640)
) -> SyntheticFracture:
    """Make a stack of unrelated fields of view of one synthetic material.

    Parameters
    ----------
    seed : int
        Plane k is made from ``seed + k``; all have the grain size of the first.
    n_planes : int
        Number of planes, at least 1.
    shape : tuple of int
        Rows and columns of a plane.

    Returns
    -------
    SyntheticFracture
        Images and labels of shape (Z, Y, X).

    Raises
    ------
    ImageError
        If an argument is out of range.
    """
    if not _is_whole(n_planes) or n_planes < 1:
        raise ImageError(f"A stack of {n_planes!r} planes cannot be made. Ask for 1 or more.")
    first = synthetic_fracture(seed, shape)
    grain_px = GRAIN_UM / first.pixel_size_um
    others = [synthetic_fracture(seed + k, shape, grain_px=grain_px) for k in range(1, n_planes)]
    planes = [first, *others]
    return SyntheticFracture(
        np.stack([plane.image for plane in planes]),
        np.stack([plane.labels for plane in planes]),
        first.pixel_size_um,
        first.seed,
    )


def _roughen(
    rng: np.random.Generator,
    grains: Grains,
    kinds: npt.NDArray[np.uint8],
    base: Floats,
    look: _Look,
) -> Floats:
    """Return the height of facets with river lines, steps, fragments and chips added."""
    kind = kinds[grains.ids]
    height = base + texture(rng, grains, kinds, look.river_px, look.step_px)
    rough, debris = kind == Kind.ROUGH, kind == Kind.DEBRIS
    # The grains below a rough cluster hardly show.
    height[rough | debris] *= np.float32(0.4)
    height += fragments(rng, rough, look.fragment_px, look.roughness)
    height += fragments(rng, debris, 1.3 * look.fragment_px, look.roughness)
    height += fragments(rng, debris, max(3.5, 0.45 * look.fragment_px), 1.2 * look.roughness)
    scatter_chips(rng, height, round(look.chips * height.size / 640**2), 3.0)
    return height


def _labels(
    grains: Grains, kinds: npt.NDArray[np.uint8], base: Floats, border_px: int
) -> npt.NDArray[np.uint8]:
    """Return class values: each grain is one class; deep narrow borders are background."""
    inter, trans, background = DEFAULT_SCHEME.values
    table = np.full(len(Kind), trans, dtype=np.uint8)
    table[Kind.SMOOTH], table[Kind.DEBRIS] = inter, background
    labels: npt.NDArray[np.uint8] = table[kinds][grains.ids]
    # One rough cluster has no borders inside.
    ids = np.where(kinds[grains.ids] == Kind.ROUGH, -1, grains.ids)
    size = 2 * border_px + 1
    near = ndimage.maximum_filter(ids, size) != ndimage.minimum_filter(ids, size)
    step = ndimage.maximum_filter(base, size) - ndimage.minimum_filter(base, size)
    labels[near & (step > 3 * size)] = background
    return labels


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check(seed: Any, shape: Any, grain_px: float | None, transgranular: float | None) -> None:
    """Raise ImageError for arguments of `synthetic_fracture` that are out of range."""
    if not _is_whole(seed) or seed < 0:
        raise ImageError(f"Seed {seed!r} is not a whole number of 0 or more. Use one such as 0.")
    try:
        lengths = tuple(shape)
    except TypeError:
        lengths = ()
    if len(lengths) != 2 or not all(_is_whole(n) and n >= MIN_EDGE_PX for n in lengths):
        raise ImageError(
            f"Shape {shape!r} is not (rows, columns) of at least {MIN_EDGE_PX} px each. Use one "
            "such as (640, 640)."
        )
    low, high = GRAIN_RANGE_PX
    if grain_px is not None and not low <= grain_px <= high:
        raise ImageError(f"Grain size {grain_px!r} px is out of range. Use {low:g} to {high:g}.")
    if transgranular is not None and not 0 <= transgranular <= 1:
        raise ImageError(
            f"Transgranular part {transgranular!r} is out of range. Use a fraction, 0 to 1."
        )
