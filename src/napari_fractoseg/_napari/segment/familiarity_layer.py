"""Layer with the coarse map of how far an image is from what a model learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.results.familiar import Familiar, map_of

__all__ = ["familiarity_layer"]


def familiarity_layer(
    found: Mapping[tuple[int, ...], Familiar],
    shape: tuple[int, ...],
    *,
    name: str,
    place: Mapping[str, Any],
) -> Image:
    """Return a new image layer, brighter where an image looks unlike what the model learnt.

    Parameters
    ----------
    found : mapping of tuple of int to Familiar
        Index of a plane -> how familiar it is; others are 0.
    shape : tuple of int
        Shape of the image, (..., Y, X).
    name : str
        Name of the layer.
    place : mapping
        Scale, place and units of the image layer, as `placement` returns them; empty for none.
    """
    data = map_of(found, shape[:-2])
    enlarged = np.ones(len(shape))
    enlarged[-2:] = np.array(shape[-2:]) / data.shape[-2:]
    keys = ("scale", "translate", "rotate", "shear")
    to_world = Affine(ndim=len(shape), **{key: place[key] for key in keys if key in place})
    limit = max(familiar.limit for familiar in found.values())
    return Image(
        data,
        name=plain_text(name),
        colormap="inferno",
        contrast_limits=(0, 2 * limit),
        opacity=0.5,
        blending="additive",
        metadata=metadata_with({"helper": "familiarity"}),
        **{
            **place,
            "scale": enlarged * to_world.scale,
            "translate": to_world((enlarged - 1) / 2),
        },
    )
