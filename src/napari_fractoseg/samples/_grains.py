"""Grains of a synthetic fracture surface: their layout, and how each one broke."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

__all__ = ["Floats", "Grains", "Kind", "assign_kinds", "place_grains", "smooth_noise", "voronoi"]

Floats = npt.NDArray[np.float32]


class Kind(IntEnum):
    """How a grain broke: `SMOOTH` is intergranular, `DEBRIS` background, others transgranular."""

    SMOOTH = 0
    RIVERS = 1
    CLEAVAGE = 2
    HACKLE = 3
    ROUGH = 4
    DEBRIS = 5


@dataclass(frozen=True, eq=False)
class Grains:
    """A division of the image into grains.

    Parameters
    ----------
    ids : ndarray of int32, shape (Y, X)
        Index of each pixel's grain.
    centres : ndarray of float32, shape (N, 2)
        Row and column of each grain's centre, in pixels.
    radii : ndarray of float32, shape (N,)
        Radius of each grain, in pixels.
    """

    ids: npt.NDArray[np.int32]
    centres: Floats
    radii: Floats


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Floats:
    """Return smooth noise of mean 0 and standard deviation 1, shape (Y, X).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the control points.
    shape : tuple of int
        Rows and columns.
    scale_px : float
        Distance of the control points of the cubic B-spline, in pixels.

    Notes
    -----
    Only sums of elementwise products: a matrix product may add in an order
    that depends on the number of threads.
    """
    taps = [_spline(n, scale_px) for n in shape]
    (row, row_weights), (column, column_weights) = taps
    control = rng.standard_normal((row[-1] + 4, column[-1] + 4), dtype=np.float32)
    rows = sum(row_weights[k][:, np.newaxis] * control[row + k] for k in range(4))
    noise: Floats = sum(column_weights[k] * rows[:, column + k] for k in range(4))
    # 0.479: mean over the position of the sum of squared weights, along one axis.
    return noise / np.float32(0.479)


def _spline(n: int, scale_px: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return first control point and four weights of a cubic B-spline at `n` positions."""
    position = np.arange(n) / scale_px
    first = np.floor(position).astype(np.intp)
    t = position - first
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    return first, (weights / 6).astype(np.float32)


def voronoi(
    rng: np.random.Generator, points: npt.NDArray[np.floating], spacing_px: float
) -> tuple[npt.NDArray[np.int32], Floats, Floats]:
    """Divide points among the random sites of a weighted Voronoi diagram (power diagram).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the sites.
    points : ndarray of float, shape (P, 2)
        Rows and columns; the sites cover their bounding box, with a margin.
    spacing_px : float
        Mean distance of the sites; their sizes are log-normal.

    Returns
    -------
    ids : ndarray of int32, shape (P,)
        Index of the site of each point.
    centres : ndarray of float32, shape (N, 2)
        Row and column of each site, in pixels.
    radii : ndarray of float32, shape (N,)
        Radius of each site, in pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    counts = np.ceil((high - low) / spacing_px).astype(int) + 4
    grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 2)
    centres = low + (grid - 1.5 + rng.uniform(-0.55, 0.55, grid.shape)) * spacing_px
    radii = spacing_px / 2 * np.clip(rng.lognormal(0, 0.45, len(centres)), 0.4, 2.2)
    # A power diagram is an ordinary one in three dimensions: raise each site
    # by sqrt(max(r**2) - r**2) above the plane of the points.
    # The square of a scalar may be rounded otherwise than that in an array.
    lift = np.sqrt(np.maximum(radii.max() ** 2 - radii**2, 0))
    tree = cKDTree(np.column_stack([centres, lift]))
    _, ids = tree.query(np.column_stack([points, np.zeros(len(points))]))
    return ids.astype(np.int32), centres.astype(np.float32), radii.astype(np.float32)


def place_grains(
    rng: np.random.Generator, shape: tuple[int, int], grain_px: float, large_share: float
) -> Grains:
    """Lay out a matrix of grains with larger grains among them.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of sites and polygons.
    shape : tuple of int
        Rows and columns.
    grain_px : float
        Diameter of a grain of the matrix, in pixels.
    large_share : float
        Fraction of the area, 0-1, that larger grains cover.
    """
    bend = grain_px * rng.uniform(0.02, 0.07)
    positions = [
        axis + bend * smooth_noise(rng, shape, grain_px * 0.7)
        for axis in np.indices(shape, dtype=np.float32)
    ]
    points = np.stack(positions, -1)
    flat, centres, radii = voronoi(rng, points.reshape(-1, 2), grain_px)
    ids = flat.reshape(shape)
    large_centres, large_radii = _paint_large(rng, ids, points, grain_px, large_share, len(centres))
    return Grains(
        ids,
        np.concatenate([centres, large_centres]),
        np.concatenate([radii, large_radii]),
    )


def _paint_large(
    rng: np.random.Generator,
    ids: npt.NDArray[np.int32],
    points: Floats,
    grain_px: float,
    share: float,
    first_id: int,
) -> tuple[Floats, Floats]:
    """Paint convex polygons, 1.5 to 7 times the size of a grain, over `ids`, in place.

    Returns the centres (N, 2) and radii (N,) of the new grains, in pixels.
    """
    shape = ids.shape
    centres: list[npt.NDArray[np.float64]] = []
    radii: list[float] = []
    wanted, painted = share * ids.size, 0.0
    while painted < wanted:
        radius = grain_px / 2 * float(np.clip(1.5 * rng.lognormal(0.5, 0.55), 1.5, 7))
        centre = rng.uniform(-0.1, 1.1, 2) * shape
        painted += 0.05 * radius**2  # so that it ends, wherever the centres fall
        if _is_taken(ids, centre, first_id):
            continue
        stretch, turn = float(np.clip(rng.lognormal(0.3, 0.35), 1, 2.8)), rng.uniform(0, np.pi)
        sides = int(rng.integers(4, 8))
        angles = (np.arange(sides) + rng.uniform(-0.35, 0.35, sides)) * 2 * np.pi / sides
        reach = radius * rng.uniform(0.65, 1.05, sides) * (1 + (stretch - 1) * np.cos(angles) ** 2)
        low = np.clip(centre - 2.2 * stretch * radius, 0, shape).astype(int)
        high = np.clip(centre + 2.2 * stretch * radius + 1, 0, shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offset = points[box] - centre.astype(np.float32)
        inside = np.ones(offset.shape[:2], dtype=bool)
        for angle, distance in zip(angles + turn, reach, strict=True):
            inside &= offset[..., 0] * np.sin(angle) + offset[..., 1] * np.cos(angle) < distance
        ids[box][inside] = first_id + len(centres)
        centres.append(centre)
        radii.append(radius)
        painted += np.pi * radius**2 * stretch * 0.6
    return np.array(centres, np.float32).reshape(-1, 2), np.array(radii, np.float32)


def _is_taken(ids: npt.NDArray[np.int32], centre: npt.NDArray[np.float64], first_id: int) -> bool:
    """Whether a large grain (`first_id` or above) covers this centre already."""
    row, column = np.clip(centre.astype(int), 0, np.array(ids.shape) - 1)
    return bool(ids[row, column] >= first_id)


def assign_kinds(
    rng: np.random.Generator,
    grains: Grains,
    grain_px: float,
    transgranular: float,
    debris_share: float,
) -> npt.NDArray[np.uint8]:
    """Decide how each grain broke; equal kinds cluster.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the choice.
    grains : Grains
        Layout of the grains.
    grain_px : float
        Diameter of a grain of the matrix, in pixels.
    transgranular : float
        Transgranular fraction, 0-1, of the area that is not debris.
    debris_share : float
        Fraction of the small grains, 0-1, that is debris.

    Returns
    -------
    ndarray of uint8, shape (N,)
        `Kind` of each grain.
    """
    shape = grains.ids.shape
    where = np.clip(grains.centres.astype(int), 0, np.array(shape) - 1)
    scores = [
        smooth_noise(rng, (shape[0], shape[1]), 2.2 * grain_px)[where[:, 0], where[:, 1]]
        + rng.normal(0, 0.5, len(where))
        for _ in range(2)
    ]
    areas = np.bincount(grains.ids.ravel(), minlength=len(where))
    small = grains.radii < 0.95 * grain_px
    kinds = np.full(len(where), Kind.SMOOTH, dtype=np.uint8)
    kinds[small & (scores[1] > np.quantile(scores[1], 1 - debris_share))] = Kind.DEBRIS
    left = kinds != Kind.DEBRIS
    chosen = _choose(areas, scores[0], left, transgranular)
    of_large = rng.choice(
        [Kind.RIVERS, Kind.CLEAVAGE, Kind.HACKLE], len(where), p=[0.65, 0.2, 0.15]
    )
    of_small = rng.choice([Kind.ROUGH, Kind.RIVERS, Kind.CLEAVAGE], len(where), p=[0.72, 0.2, 0.08])
    kinds[chosen] = np.where(small, of_small, of_large)[chosen]
    return kinds


def _choose(
    areas: npt.NDArray[np.intp],
    scores: npt.NDArray[np.floating],
    allowed: npt.NDArray[np.bool_],
    share: float,
) -> npt.NDArray[np.bool_]:
    """Choose grains, highest score first, until their area is about `share` of that allowed."""
    chosen = np.zeros(len(areas), dtype=bool)
    missing = share * float(areas[allowed].sum())
    for grain in np.argsort(-scores, kind="stable"):
        area = float(areas[grain])
        if allowed[grain] and area > 0 and area / 2 <= missing:
            chosen[grain] = True
            missing -= area
    return chosen
