"""Fixed filters of grey levels: smoothed values, edges, ridges, structure and local contrast.

They are what pixel classifiers (ilastik, Weka) look at. Beside the features of a network they show
a readout what is fine and local, which a network that was trained for something else overlooks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

__all__ = ["N_RESOLUTIONS", "filtered"]

_REDUCTIONS = (1, 2, 4, 8)
"""Reductions, beside that of the input, at which the filters are applied."""
N_RESOLUTIONS = len(_REDUCTIONS)
"""Number of resolutions at which the filters are applied."""
_TINY = 1e-12


def filtered(inputs: torch.Tensor) -> list[torch.Tensor]:
    """Apply the filters to a batch of grey levels, at several resolutions.

    Parameters
    ----------
    inputs : Tensor of float32, shape (N, 1, Y, X)
        Normalised grey levels; Y and X are multiples of 8.

    Returns
    -------
    list of Tensor, shape (N, 8, Y / r, X / r) for each reduction r
        Grey level; smoothed grey level (binomial, about a Gaussian of sigma 1 px); magnitude of
        its gradient; the larger and smaller eigenvalue of its Hessian; the roots of those of its
        structure tensor; local standard deviation.

    Notes
    -----
    Structure tensor and Hessian as in `skimage.feature`; derivatives are central differences.
    """
    return [_at_one(F.avg_pool2d(inputs, r) if r > 1 else inputs) for r in _REDUCTIONS]


def _at_one(grey: torch.Tensor) -> torch.Tensor:
    smooth = _smoothed(grey)
    down, across = _slopes(smooth)
    downs, mixed = _slopes(down)
    _, acrosses = _slopes(across)
    ridge, valley = _eigenvalues(downs, acrosses, mixed)
    products = torch.cat([down * down, across * across, down * across, grey * grey], dim=1)
    dd, aa, da, square = torch.split(_smoothed(products), 1, dim=1)
    edge, corner = _eigenvalues(dd, aa, da)
    magnitude = _root(down * down + across * across)
    contrast = _root(square - smooth * smooth)
    parts = (grey, smooth, magnitude, ridge, valley, _root(edge), _root(corner), contrast)
    return torch.cat(parts, dim=1)


def _root(values: torch.Tensor) -> torch.Tensor:
    """Return square roots, whose slope stays finite at 0."""
    return (values.clamp(min=0) + _TINY).sqrt()


def _smoothed(values: torch.Tensor) -> torch.Tensor:
    """Smooth by the binomial kernel 1 4 6 4 1 along both axes."""
    for _ in range(2):
        values = F.pad(values, (1, 1, 1, 1), mode="replicate")
        values = (values[..., :-2] + 2 * values[..., 1:-1] + values[..., 2:]) / 4
        values = (values[..., :-2, :] + 2 * values[..., 1:-1, :] + values[..., 2:, :]) / 4
    return values


def _slopes(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the central differences along rows and along columns."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return down, (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2


def _eigenvalues(
    dd: torch.Tensor, aa: torch.Tensor, da: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the larger and smaller eigenvalue of symmetric 2 x 2 matrices."""
    middle = (dd + aa) / 2
    distance = _root((dd - aa) ** 2 / 4 + da**2)
    return middle + distance, middle - distance
