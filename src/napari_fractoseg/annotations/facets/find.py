"""The way from a plane to its facets: grey levels, edges, regions, hierarchies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed
from skimage.transform import downscale_local_mean

from napari_fractoseg.annotations.facets.hierarchy import Hierarchy
from napari_fractoseg.annotations.facets.joining import by_dynamics, by_mean_border, cut
from napari_fractoseg.annotations.facets.regions import Borders, Integers, Regions
from napari_fractoseg.annotations.facets.tree import FacetTree
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import Micrograph
from napari_fractoseg.jobs import Job, Progress, drain

__all__ = ["edge_strength", "facet_tree", "facet_tree_job", "reduced"]

_SIGMAS_PX, _COARSE_SIGMA_PX = (1.5, 3.0), 4.0
_WORKING_PX = 1024
_MOST_PX = 2**26
_REGION_PX = 32
"""Pixels a region of the fine partition has on average, at least."""
_STAGES = ("grey levels", "edges", "regions", "closed edges", "mean borders")


def facet_tree(plane: Micrograph) -> FacetTree:
    """Find the facets of a plane at every size.

    Parameters
    ----------
    plane : Micrograph
        Plane of at most 64 megapixels in memory. One of more than 1024 pixels in a direction is
        reduced first, so that facets follow its edges to a few pixels.

    Raises
    ------
    ImageError
        If the plane is too large, or has NaN or infinite values.
    """
    return drain(facet_tree_job(plane))


def facet_tree_job(plane: Micrograph) -> Job[FacetTree]:
    """Find the facets of a plane at every size as a job; `facet_tree` has the parameters."""
    rows, columns = plane.shape
    if rows * columns > _MOST_PX:
        raise ImageError(
            f"{plane.name}: facets are found on planes of at most 64 megapixels, this one has "
            f"{rows} x {columns} pixels. Crop it, or paint with the brush."
        )
    reduction = -(-max(rows, columns) // _WORKING_PX)
    grey = reduced(plane.normalised(), reduction)
    yield _finished(1)
    strength = edge_strength(grey)
    yield _finished(2)
    leaves = _fine_regions(strength)
    yield _finished(3)
    parents = by_dynamics(Borders.of(leaves, strength))
    leaves = cut(leaves, parents, max(1, leaves.size // _REGION_PX))
    regions = Regions.of(leaves, strength)
    coarse = Borders.of(leaves, _gradient(grey, _COARSE_SIGMA_PX))
    joined = [by_dynamics(regions.borders), by_dynamics(coarse)]
    yield _finished(4)
    joined.append(by_mean_border(regions.borders, regions.areas.tolist()))
    yield _finished(5)
    hierarchies = tuple(Hierarchy.of(parents, regions) for parents in joined)
    return FacetTree((rows, columns), reduction, leaves, hierarchies)


def _finished(n_stages: int) -> Progress:
    return Progress(n_stages, len(_STAGES), _STAGES[n_stages - 1])


def reduced(grey: npt.NDArray[np.float32], reduction: int) -> npt.NDArray[np.float32]:
    """Return the mean grey levels of blocks of pixels; those cut off by the margin are repeated."""
    if reduction == 1:
        return grey
    missing = [(0, -length % reduction) for length in grey.shape]
    padded = np.pad(grey, missing, mode="edge")
    means: npt.NDArray[np.float32] = downscale_local_mean(padded, (reduction, reduction))
    return means.astype(np.float32)


def edge_strength(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean gradient of a plane at two fine scales."""
    fine, coarse = (_gradient(grey, sigma) for sigma in _SIGMAS_PX)
    mean: npt.NDArray[np.float32] = (fine + coarse) / np.float32(2)
    return mean


def _gradient(grey: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    gradient: npt.NDArray[np.float32] = ndimage.gaussian_gradient_magnitude(grey, sigma_px)
    return gradient


def _fine_regions(strength: npt.NDArray[np.float32]) -> Integers:
    """Return the number of each pixel's region, from 0: a region for each minimum of strength."""
    regions: Integers = watershed(strength).astype(np.int32)
    return np.maximum(regions - 1, 0)  # a plane without edges has no minimum: one region
