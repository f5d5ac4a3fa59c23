"""Random changes to patches: geometry, then grey levels.

Every random number comes from the generator that is passed in, so that a seed
repeats a run; torchvision's functional transforms do the work.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

__all__ = ["change_appearance", "change_geometry", "window_px"]


def window_px(patch_px: int, scale: float) -> int:
    """Return the edge of the window from which a patch at this magnification is cut."""
    return math.ceil(_rotated_px(patch_px) / scale)


def _rotated_px(patch_px: int) -> int:
    """Edge of a square that holds the patch at every angle, with a pixel to interpolate."""
    return math.ceil(patch_px * math.sqrt(2)) + 2


def change_geometry(
    image: torch.Tensor, targets: torch.Tensor, patch_px: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate by any angle, mirror, and bring a window to the size of a patch.

    Parameters
    ----------
    image : Tensor of float32, shape (1, W, W)
        A window of edge `window_px`.
    targets : Tensor of int64, shape (1, W, W)
        Channel indices.
    patch_px : int
        Edge of the result.
    rng : numpy.random.Generator
        Source of angle and flips.

    Returns
    -------
    image, targets : Tensor of shape (1, patch_px, patch_px)
    """
    angle = float(rng.uniform(-180, 180))
    size = [_rotated_px(patch_px)] * 2
    image = transforms.resize(image, size, antialias=True)
    image = transforms.rotate(image, angle, InterpolationMode.BILINEAR)
    targets = transforms.resize(targets, size, InterpolationMode.NEAREST_EXACT)
    targets = transforms.rotate(targets, angle, InterpolationMode.NEAREST)
    image = transforms.center_crop(image, [patch_px] * 2)
    targets = transforms.center_crop(targets, [patch_px] * 2)
    if rng.random() < 0.5:
        image, targets = transforms.horizontal_flip(image), transforms.horizontal_flip(targets)
    return image, targets


def change_appearance(
    image: torch.Tensor, strength: float, rng: np.random.Generator
) -> torch.Tensor:
    """Change contrast, brightness, gamma and shading; blur; add noise.

    Parameters
    ----------
    image : Tensor of float32, shape (1, P, P)
        Normalised grey levels, about -1 to 1.
    strength : float
        0 changes nothing, 1 is usual.
    rng : numpy.random.Generator
        Source of all choices.

    Returns
    -------
    Tensor of float32, shape (1, P, P)
    """
    if not strength:
        return image
    gain = math.exp(rng.normal(0, 0.15 * strength))
    shift = rng.normal(0, 0.15 * strength)
    gamma = math.exp(rng.normal(0, 0.2 * strength))
    image = ((image + 2) / 4).clamp(0, 1) ** gamma * 4 - 2
    image = image * gain + shift + _shading(image.shape[-1], 0.1 * strength, rng)
    if rng.random() < 0.25 * strength:
        image = transforms.gaussian_blur(image, [5, 5], [float(rng.uniform(0.3, 1.2))])
    sigma = abs(rng.normal(0, 0.05 * strength))
    noise = rng.standard_normal(tuple(image.shape), dtype=np.float32)
    return image + sigma * torch.from_numpy(noise)


def _shading(size: int, amplitude: float, rng: np.random.Generator) -> torch.Tensor:
    """Return a plane of grey levels that rises in a random direction."""
    across = torch.linspace(-1, 1, size)
    slope_y, slope_x = rng.normal(0, amplitude, 2)
    slope: torch.Tensor = slope_y * across[:, None] + slope_x * across[None, :]
    return slope[None]
