"""The relief of a synthetic fracture surface: facets, river lines, steps, fragments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_fractoseg.samples._grains import Floats, Grains, Kind, smooth_noise, voronoi

__all__ = ["facets", "fragments", "scatter_chips", "texture"]


def facets(
    rng: np.random.Generator, grains: Grains, grain_px: float, tilt: float, relief: float
) -> Floats:
    """Return the height of smooth grains: one or two tilted, slightly curved facets each.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of slopes and heights.
    grains : Grains
        Layout of the grains.
    grain_px : float
        Diameter of a grain of the matrix, in pixels.
    tilt : float
        Standard deviation of the facets' slopes.
    relief : float
        Standard deviation of the grains' heights, in grain diameters.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Height of the relief at each pixel, in pixels.
    """
    n = len(grains.radii)
    large = np.minimum(1, grain_px / grains.radii / 2)[:, np.newaxis]
    slopes = (tilt * rng.standard_t(4, (n, 4)) * np.sqrt(large)).astype(np.float32)
    offset = rng.normal(0, relief * grain_px, n).astype(np.float32)
    # Facets that touch one smooth surface nearly meet at their borders.
    surface = _touching_planes(rng, grains, 1.3 * grain_px)
    meeting = np.float32(rng.uniform(0.3, 0.9))
    slopes *= 1 - meeting
    slopes += np.tile(surface[:, 1:], 2) * tilt * meeting * np.sqrt(large)
    offset += surface[:, 0] * tilt * meeting
    # Half of the grains show a second facet; its edge passes near the centre.
    ridge = np.where(rng.random(n) < 0.5, rng.normal(0, 0.3, n) * grains.radii * tilt, 1e6)
    bulge = (rng.normal(0, rng.uniform(0.3, 1) * tilt, n) / grains.radii * large[:, 0]).astype(
        np.float32
    )
    y, x = _local(grains)
    first = slopes[grains.ids, 0] * y + slopes[grains.ids, 1] * x
    second = slopes[grains.ids, 2] * y + slopes[grains.ids, 3] * x
    height: Floats = np.minimum(first, second + ridge.astype(np.float32)[grains.ids])
    height += offset[grains.ids] + bulge[grains.ids] * (y * y + x * x)
    return height


def _touching_planes(rng: np.random.Generator, grains: Grains, scale_px: float) -> Floats:
    """Return height and both slopes of a smooth surface at the grains' centres, shape (N, 3)."""
    shape = grains.ids.shape[0], grains.ids.shape[1]
    surface = scale_px * smooth_noise(rng, shape, scale_px)
    down, right = np.gradient(surface)
    row, column = np.clip(grains.centres.astype(int), 0, np.array(shape) - 1).T
    return np.stack([field[row, column] for field in (surface, down, right)], -1)


def _local(grains: Grains) -> tuple[Floats, Floats]:
    """Return row and column of each pixel, counted from its grain's centre."""
    y, x = np.indices(grains.ids.shape, dtype=np.float32)
    return y - grains.centres[grains.ids, 0], x - grains.centres[grains.ids, 1]


def texture(
    rng: np.random.Generator,
    grains: Grains,
    kinds: npt.NDArray[np.uint8],
    spacing_px: float,
    step_px: float,
) -> Floats:
    """Return the height that river lines, cleavage steps and hackle add.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of directions and steps.
    grains : Grains
        Layout of the grains.
    kinds : ndarray of uint8, shape (N,)
        `Kind` of each grain.
    spacing_px, step_px : float
        Mean distance of the river lines and height of a step, in pixels.

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Height to add at each pixel, in pixels; zero in smooth grains.

    Notes
    -----
    River lines fan out from a point outside the grain, bend, and end or merge
    where their step height fades. Each line has a height of its own.
    """
    shape = grains.ids.shape[0], grains.ids.shape[1]
    n = len(kinds)
    angle = rng.uniform(0, 2 * np.pi, n).astype(np.float32)
    fan = (grains.radii * rng.uniform(1.3, 7, n)).astype(np.float32)
    bend = (rng.normal(0, 0.2, n) / grains.radii).astype(np.float32)
    pitch = spacing_px * rng.lognormal(0, 0.35, n) * np.sqrt(np.clip(grains.radii / 40, 0.5, 2.5))
    wander = rng.uniform(0.1, 0.5, n)
    hackle, cleavage = kinds == Kind.HACKLE, kinds == Kind.CLEAVAGE
    wander[hackle], wander[cleavage] = 1.0, 0.8
    pitch[cleavage] *= 2
    strength = step_px * rng.lognormal(0.1, 0.35, n) * np.isin(kinds, _LINED)
    y, x = _local(grains)
    along = y * np.sin(angle)[grains.ids] + x * np.cos(angle)[grains.ids]
    across = y * np.cos(angle)[grains.ids] - x * np.sin(angle)[grains.ids]
    spread = fan[grains.ids]
    across = across * spread / np.maximum(along + spread, 0.25 * spread)
    across += bend[grains.ids] * along * along
    phase = across / pitch.astype(np.float32)[grains.ids]
    phase += wander.astype(np.float32)[grains.ids] * smooth_noise(rng, shape, 8 * spacing_px)
    fade = np.clip(0.85 + 0.8 * smooth_noise(rng, shape, 7 * spacing_px), 0.1, 1.7)
    lines = _steps(rng, phase, grains.ids, flat=cleavage[grains.ids]) * fade
    # Half as many lines go on where the others have ended: rivers merge.
    lines += 0.8 * _steps(rng, phase / 3 + 0.3, grains.ids, flat=cleavage[grains.ids])
    height: Floats = lines * strength.astype(np.float32)[grains.ids]
    return height


_LINED = (Kind.RIVERS, Kind.CLEAVAGE, Kind.HACKLE)


def _steps(
    rng: np.random.Generator,
    phase: Floats,
    ids: npt.NDArray[np.int32],
    flat: npt.NDArray[np.bool_],
) -> Floats:
    """Return a staircase with a step of random height at each whole `phase`.

    A river's flank rises slowly and drops at once; a terrace (`flat`) is level.
    """
    line = np.floor(phase)
    rise = (phase - line).astype(np.float32)
    heights = (rng.random(1024) ** 2.2 * 2.2).astype(np.float32)
    drawn = heights[(line.astype(np.int64) * 7919 + ids * 104729) % 1024]
    flank = rise**3
    steps: Floats = np.where(flat, drawn, flank * drawn)
    return steps


def fragments(
    rng: np.random.Generator, mask: npt.NDArray[np.bool_], size_px: float, roughness: float
) -> Floats:
    """Return the height of a rough cluster of small curved fragments.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the fragments.
    mask : ndarray of bool, shape (Y, X)
        Pixels where there are fragments; the height is zero elsewhere.
    size_px : float
        Diameter of a fragment, in pixels.
    roughness : float
        Slope of the fragments' sides.
    """
    shape = mask.shape[0], mask.shape[1]
    height = np.zeros(shape, dtype=np.float32)
    grid = [
        axis + 0.22 * size_px * smooth_noise(rng, shape, 0.9 * size_px)
        for axis in np.indices(shape, dtype=np.float32)
    ]
    # Fragments are longer along the way the crack ran.
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 1.6)
    y, x = (axis[mask] for axis in grid)
    along = y * np.float32(np.sin(angle)) + x * np.float32(np.cos(angle))
    across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    points = np.stack([along / np.float32(stretch), across], -1)
    if not len(points):
        return height
    ids, centres, radii = voronoi(rng, points, size_px)
    n = len(radii)
    slopes = (0.8 * roughness * rng.standard_t(4, (n, 2))).astype(np.float32)
    bulge = (rng.normal(-0.1, 0.55, n) * roughness / radii).astype(np.float32)
    offset = rng.normal(0, 0.3 * roughness * size_px, n).astype(np.float32)
    local = points - centres[ids]
    tilted = (local * slopes[ids]).sum(axis=1)
    height[mask] = offset[ids] + tilted + bulge[ids] * (local * local).sum(axis=1)
    return height


def scatter_chips(rng: np.random.Generator, height: Floats, n_chips: int, size_px: float) -> None:
    """Add small angular chips that lie on the surface to its height (Y, X), in place."""
    for _ in range(n_chips):
        radius = size_px * float(rng.lognormal(0, 0.4))
        centre = rng.uniform(0, 1, 2) * height.shape
        low = np.clip(centre - 2 * radius, 0, height.shape).astype(int)
        high = np.clip(centre + 2 * radius + 1, 0, height.shape).astype(int)
        y, x = np.mgrid[low[0] : high[0], low[1] : high[1]] - centre[:, np.newaxis, np.newaxis]
        inside = np.ones(y.shape, dtype=bool)
        turn = rng.uniform(0, 2 * np.pi)
        for side in range(4):
            angle = turn + side * np.pi / 2 + rng.normal(0, 0.3)
            inside &= y * np.sin(angle) + x * np.cos(angle) < radius * rng.uniform(0.4, 1.1)
        height[low[0] : high[0], low[1] : high[1]][inside] += np.float32(
            radius * rng.uniform(0.5, 2)
        )
