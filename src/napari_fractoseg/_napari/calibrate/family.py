"""Layers that were made from an image, and lie on it: they get its pixel size, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_fractoseg._napari.layer_metadata import facts_of, file_of
from napari_fractoseg._napari.layers import is_segmentable

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Family", "family_of", "images_beside"]

_SAME = 1e-6


@dataclass(frozen=True)
class Family:
    """Layers other than an image that lie on it.

    Parameters
    ----------
    sure : tuple of Layer
        Those that were made from it, or can be of no other image.
    perhaps : tuple of Layer
        Those that may as well be of another image in the same place: the user has to say.
    """

    sure: tuple[Layer, ...] = ()
    perhaps: tuple[Layer, ...] = ()


def family_of(viewer: napari.viewer.Viewer, image: Image) -> Family:
    """Return the layers that lie on an image, with the same scale and units.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    image : Image
        Layer of a micrograph.

    Notes
    -----
    Labels, maps, shapes and points belong to the image that our facts name, or that their name
    begins with; otherwise to the only image in their place. Another image belongs to it only if it
    is of the same file or the same array.
    """
    images = [layer for layer in viewer.layers if is_segmentable(layer) and layer != image]
    twins = [layer for layer in images if _is_twin(layer, image)]
    others = [layer for layer in images if layer not in twins]
    sure: list[Layer] = list(twins)
    perhaps: list[Layer] = []
    rest = [x for x in viewer.layers if x != image and x not in images and _lies_on(x, image)]
    for layer in rest:
        if _about(layer):
            continue
        names = [str(each.name) for each in (image, *others)]
        name = _image_named(layer, names)
        if name == image.name:
            sure.append(layer)
        elif not name:
            has_rival = any(_lies_on(layer, each) for each in others)
            (perhaps if has_rival else sure).append(layer)
    ids = {str(layer.unique_id) for layer in (image, *sure)}
    sure += [layer for layer in rest if ids & _about(layer)]
    return Family(tuple(sure), tuple(perhaps))


def images_beside(viewer: napari.viewer.Viewer, image: Image) -> list[Image]:
    """Return the other open images whose files are in the folder of an image's file."""
    path = file_of(image)
    if path is None:
        return []
    return [
        layer
        for layer in viewer.layers
        if is_segmentable(layer)
        and layer != image
        and (its := file_of(layer)) is not None
        and its.parent == path.parent
    ]


def _is_twin(layer: Image, image: Image) -> bool:
    """Tell whether two images show the same file or array at the same scale."""
    path = file_of(image)
    is_same = (path is not None and path == file_of(layer)) or layer.data is image.data
    return is_same and _has_scale_of(layer, image)


def _image_named(layer: Layer, names: list[str]) -> str:
    """Return the name of the image that a layer is about, as its facts or its own name say."""
    named = facts_of(layer).get("image")
    if named is not None:
        return str(named)
    fitting = [name for name in names if str(layer.name).startswith(name)]
    return max(fitting, key=len, default="")


def _about(layer: Layer) -> set[str]:
    """Return the layers, by their ``unique_id``, that our facts name, such as ``checked_for``."""
    facts: dict[str, Any] = dict(facts_of(layer))
    return {str(value) for key, value in facts.items() if key.endswith("_for")}


def _has_scale_of(layer: Layer, image: Layer) -> bool:
    return tuple(layer.units[-2:]) == tuple(image.units[-2:]) and np.allclose(
        np.abs(layer.scale[-2:]), np.abs(image.scale[-2:]), rtol=_SAME, atol=0
    )


def _lies_on(layer: Layer, image: Image) -> bool:
    """Tell whether a layer covers an image, or if it is drawn, has its scale and lies in it."""
    if layer.ndim < 2 or tuple(layer.units[-2:]) != tuple(image.units[-2:]):
        return False
    its, whole = layer.extent.world[:, -2:], image.extent.world[:, -2:]
    if isinstance(layer, Image | Labels):
        pixel = np.abs(layer.scale[-2:])
        return bool((np.abs(its - whole) <= pixel * 1.01).all())
    if not _has_scale_of(layer, image):
        return False
    if np.isnan(its).any():  # nothing is drawn on it
        return True
    return bool((its[0] <= whole[1]).all() and (its[1] >= whole[0]).all())
