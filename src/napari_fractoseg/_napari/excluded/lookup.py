"""Lookup of the excluded area that belongs to an image layer, or to labels of an image."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Image, Labels

from napari_fractoseg._napari.excluded.areas import areas_of
from napari_fractoseg._napari.excluded.layer import area_in, is_excluded_layer
from napari_fractoseg._napari.layer_metadata import facts_of, file_of
from napari_fractoseg._napari.layers import images_of, stack_of, unwrapped
from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images import ExcludedArea, MicrographStack
from napari_fractoseg.results.excluded import excluded_of

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["area_of", "area_of_labels", "key_of", "labels_mask", "stack_with_area"]


_from_records: WeakKeyDictionary[Labels, tuple[Any, tuple[int, ...], ExcludedArea | None]] = (
    WeakKeyDictionary()
)
"""Areas of labels whose image is not open: record, shape, and what it says."""


def area_of(viewer: napari.viewer.Viewer, image: Image) -> ExcludedArea | None:
    """Return what is left out of an image layer now: its info bar, or the area that was edited.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layer.
    image : Image
        Layer of a micrograph or stack.

    Returns
    -------
    ExcludedArea or None
        Area of the shape of the image; None if nothing is left out.
    """
    return areas_of(viewer).area(image)


def key_of(area: ExcludedArea | None) -> tuple[Any, ...]:
    """Return what is equal for areas of the same pixels; that of None is empty."""
    return () if area is None else area.key


def stack_with_area(viewer: napari.viewer.Viewer, image: Image) -> MicrographStack:
    """Return an image layer as a stack (`stack_of`), with the area that is left out of it."""
    return dataclasses.replace(stack_of(image), excluded=area_of(viewer, image))


def area_of_labels(
    viewer: napari.viewer.Viewer, labels: Labels, image: Image | None = None
) -> ExcludedArea | None:
    """Return what is left out of the image that labels are of.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    labels : Labels
        Labels layer.
    image : Image, optional
        Image that the user chose for the labels; by default that which the labels name, or, of
        labels that name none, the uppermost of their shape.

    Returns
    -------
    ExcludedArea or None
        Area of the image as it is now. Where the image is not open, that of its layer, or that
        which was left out when the labels were made.
    """
    shape = tuple(int(n) for n in (labels.data[0] if labels.multiscale else labels.data).shape)
    image = image or _image_of(viewer, labels, shape)
    if image is not None:
        return area_of(viewer, image)
    name = facts_of(labels).get("image")
    for layer in viewer.layers:
        is_its = is_excluded_layer(layer) and name and facts_of(layer).get("image") == name
        if is_its and tuple(layer.data.shape) == shape[-2:]:
            return area_in(layer, shape)
    return _recorded(labels, shape)


def labels_mask(viewer: napari.viewer.Viewer, labels: Labels, image: Image | None = None) -> Any:
    """Return the mask (Y, X) of what is left out of labels, on all planes; None if nothing is."""
    area = area_of_labels(viewer, labels, image)
    return None if area is None else area.of_plane()


def _image_of(viewer: napari.viewer.Viewer, labels: Labels, shape: tuple[int, ...]) -> Image | None:
    wanted = facts_of(labels).get("image")
    if labels.multiscale:
        found = [x for x in viewer.layers if isinstance(x, Image) and x.name == wanted]
        return next((x for x in found if stack_of(x).shape == shape), None)
    images = images_of(viewer, labels)
    if wanted:
        return next((image for image in images if image.name == wanted), None)
    named = [image for image in images if str(labels.name).startswith(str(image.name))]
    return next(iter([*named, *images]), None)


def _recorded(labels: Labels, shape: tuple[int, ...]) -> ExcludedArea | None:
    """Return what was left out when labels were made, as their record says, read once."""
    recorded = facts_of(labels).get("excluded")
    if not isinstance(recorded, dict) or not recorded:
        return None
    labels = unwrapped(labels)
    found = _from_records.get(labels)
    if found is None or found[:2] != (recorded, shape):
        found = _from_records[labels] = (recorded, shape, _read(labels, recorded, shape))
    return found[2]


def _read(labels: Labels, recorded: dict[str, Any], shape: tuple[int, ...]) -> ExcludedArea | None:
    try:
        with translated(ImageError, "The record of the excluded area cannot be read"):
            file = file_of(labels)
            if recorded.get("has_mask") and file is not None:
                found = excluded_of(file, shape)
                return None if found is None else found.same_on_all_planes()
            return ExcludedArea.from_dict(recorded, shape)
    except ImageError:  # made by hand, or of another image
        return None
