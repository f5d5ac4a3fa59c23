"""Simulated scanning electron microscope: from a relief to its image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_fractoseg.samples._grains import Floats, smooth_noise

__all__ = ["Microscope", "scan"]


@dataclass(frozen=True)
class Microscope:
    """Settings of the simulated microscope, drawn once for an image.

    Parameters
    ----------
    tilt_contrast, detector, edge, shadow, shading : float
        Weights of the secondary-electron yield of tilted surfaces, of the
        light from the detector's side, of bright edges, of dark hollows, and
        of slow brightness changes; in units of the mean grey level.
    azimuth : float
        Direction of the detector, in radians.
    rims : float
        Brightness of edges that face sideways, 0-1.
    edge_px, blur_px : float
        Width of bright edges and of the beam, in pixels.
    charging : float
        Strength of bright halos and streaks along scan lines; 0 for none.
    grains : float
        Standard deviation of the grey levels from grain to grain, in units of the mean.
    noise : float
        Standard deviation of the shot noise at the mean grey level.
    black, level, white : float
        The amplifier is set so that the 1st percentile comes to `black`, the
        median to `level` and the 97th percentile to `white`, in grey levels;
        what would lie above 255 is overexposed.
    """

    tilt_contrast: float
    detector: float
    edge: float
    shadow: float
    shading: float
    azimuth: float
    rims: float
    edge_px: float
    blur_px: float
    charging: float
    grains: float
    noise: float
    black: float
    level: float
    white: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Microscope:
        """Draw random settings."""
        return cls(
            tilt_contrast=rng.uniform(0.2, 0.8),
            detector=rng.uniform(0.5, 1.5),
            edge=rng.uniform(0.4, 2.0),
            shadow=rng.uniform(0.1, 0.45),
            shading=rng.uniform(0.0, 0.3),
            azimuth=rng.uniform(0, 2 * np.pi),
            rims=rng.uniform(0.05, 0.5),
            edge_px=rng.uniform(0.8, 1.8),
            blur_px=rng.uniform(0.45, 0.9),
            charging=rng.uniform(0.3, 1.2) if rng.random() < 0.35 else 0.0,
            grains=rng.uniform(0.0, 0.12),
            noise=rng.uniform(0.02, 0.1),
            black=rng.uniform(5, 45),
            level=rng.uniform(70, 105),
            white=rng.uniform(170, 270),
        )


def scan(
    rng: np.random.Generator,
    height: Floats,
    ids: npt.NDArray[np.int32],
    relief_px: float,
    microscope: Microscope,
) -> npt.NDArray[np.uint8]:
    """Return the image of a relief.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of noise and shading.
    height : ndarray of float32, shape (Y, X)
        Height of the relief at each pixel, in pixels.
    ids : ndarray of int32, shape (Y, X)
        Index of each pixel's grain.
    relief_px : float
        Height difference that counts as deep, in pixels.
    microscope : Microscope
        Settings of contrast, noise and amplifier.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Grey levels of the image.

    Notes
    -----
    The yield of secondary electrons grows with 1 / cos(tilt); near a convex
    edge more of them escape, and fewer from a hollow (L. Reimer, "Scanning
    Electron Microscopy", 2nd ed., Springer 1998, chapters 4 and 6).
    """
    shape = height.shape[0], height.shape[1]
    m = microscope
    # A beam is no point: without this, steps would show the pixels' corners.
    height = ndimage.gaussian_filter(height, 0.75)
    down, right = np.gradient(height)
    secant = np.sqrt(1 + down * down + right * right)
    facing = (down * np.sin(m.azimuth) + right * np.cos(m.azimuth)) / secant
    grey = 1.1 + m.tilt_contrast * (np.minimum(secant, 3) - 1.1) + m.detector * facing
    rim = np.tanh(np.maximum(height - ndimage.gaussian_filter(height, m.edge_px), 0) * 0.5)
    # Edges that face the detector shine; where, and how far, changes over the surface.
    lit = np.clip(m.rims + (1.3 - m.rims) * facing, 0.05, None)
    bright = np.clip(0.8 + 0.6 * smooth_noise(rng, shape, 70), 0.1, 3)
    patchy = np.clip(0.5 + 0.9 * smooth_noise(rng, shape, 14), 0.03, 2.2)
    grey += m.edge * lit * bright * patchy * rim
    hollow = np.maximum(ndimage.gaussian_filter(height, 2.5 * m.edge_px + 3) - height, 0)
    grey *= 1 - m.shadow * np.tanh(hollow / relief_px * 2.5)
    grey *= 1 - 0.6 * m.shadow * _cast_shadow(height, m.azimuth)
    grey += rng.normal(0, m.grains, int(ids.max()) + 1).astype(np.float32)[ids]
    grey *= np.exp(m.shading * smooth_noise(rng, shape, 0.35 * max(shape)))
    grey *= np.exp(0.5 * m.shading * smooth_noise(rng, shape, 0.12 * max(shape)))
    if m.charging:
        grey += m.charging * _charging(rng, grey)
    return _digitise(rng, grey.astype(np.float32), m)


def _cast_shadow(height: Floats, azimuth: float) -> Floats:
    """Return how far, 0-1, the relief hides each pixel from the detector."""
    blocked = np.zeros_like(height)
    for distance in (2, 4, 7, 11):
        y = round(-distance * np.sin(azimuth))
        x = round(-distance * np.cos(azimuth))
        pad = ((max(-y, 0), max(y, 0)), (max(-x, 0), max(x, 0)))
        padded = np.pad(height, pad, mode="edge")
        rows, columns = height.shape
        towards = padded[max(y, 0) : max(y, 0) + rows, max(x, 0) : max(x, 0) + columns]
        np.maximum(blocked, np.tanh((towards - height) / distance - 0.6), out=blocked)
    return blocked


def _charging(rng: np.random.Generator, grey: Floats) -> Floats:
    """Return the grey levels that charging adds: halos of bright spots, streaks on scan lines."""
    hot = np.maximum(grey - np.quantile(grey, 0.985), 0)
    halo = ndimage.gaussian_filter(hot, 7) * 4
    streak = ndimage.gaussian_filter1d(ndimage.gaussian_filter1d(hot, 35, axis=1), 0.8, axis=0) * 3
    rows = 0.6 + 0.4 * rng.standard_normal((len(grey), 1)).astype(np.float32)
    charged: Floats = np.minimum(halo + np.maximum(rows, 0) * streak, 1.2)
    return charged


def _digitise(
    rng: np.random.Generator, grey: Floats, microscope: Microscope
) -> npt.NDArray[np.uint8]:
    """Blur, add shot noise, amplify and round to 8 bits."""
    m = microscope
    grey = np.asarray(ndimage.gaussian_filter(grey, m.blur_px), dtype=np.float32)
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    # The detector's bandwidth correlates neighbours on a scan line a little.
    noise += np.float32(0.3) * np.roll(noise, 1, axis=1)
    noisy = grey + m.noise * np.sqrt(np.maximum(grey, 0.05)) * noise
    low, middle, high = np.quantile(noisy, (0.01, 0.5, 0.97))
    dark = (m.level - m.black) / max(middle - low, 0.2)
    light = (m.white - m.level) / max(high - middle, 0.3)
    level = m.level + (noisy - middle) * np.where(noisy < middle, dark, light)
    digital: npt.NDArray[np.uint8] = np.clip(np.rint(level), 0, 255).astype(np.uint8)
    return digital
