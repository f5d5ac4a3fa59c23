"""Augmentation: random changes of patches, first of their geometry, then of their grey levels.

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
    """Return the edge length of the window that a patch is cut from, in network pixels.

    Parameters
    ----------
    patch_px : int
        Edge length of the patch in network pixels.
    scale : float
        Magnification of the patch.
    """
    return math.ceil(_rotated_px(patch_px) / scale)


def _rotated_px(patch_px: int) -> int:
    """Return the edge of a square that holds a patch at every angle, with a pixel to spare."""
    return math.ceil(patch_px * math.sqrt(2)) + 2


def change_geometry(
    image: torch.Tensor, targets: torch.Tensor, patch_px: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate a window by any angle, mirror it, and bring it to the size of a patch.

    Parameters
    ----------
    image : Tensor of float32, shape (1, W, W)
        Normalised grey levels of the window, whose edge is that of `window_px`.
    targets : Tensor of int64, shape (1, W, W)
        Channel index of the right class of each pixel, or `IGNORE_INDEX`.
    patch_px : int
        Edge length of the patch in network pixels.
    rng : numpy.random.Generator
        Source of angle and flips.

    Returns
    -------
    image : Tensor of float32, shape (1, patch_px, patch_px)
        Grey levels of the patch.
    targets : Tensor of int64, shape (1, patch_px, patch_px)
        Channel indices of the patch.
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
    """Change contrast, brightness, gamma and shading of a patch, blur it, and add noise.

    Parameters
    ----------
    image : Tensor of float32, shape (1, P, P)
        Normalised grey levels, about -1 to 1.
    strength : float
        Size of the changes: 0 changes nothing, 1 is usual.
    rng : numpy.random.Generator
        Source of all choices.

    Returns
    -------
    Tensor of float32, shape (1, P, P)
        Changed grey levels.
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
