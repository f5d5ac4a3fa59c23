"""What is measured, from the layers of a viewer: labels with their image, classes and record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer

from napari_fractoseg._napari.layer_metadata import METADATA_KEY, facts_of, file_of, opened_from
from napari_fractoseg._napari.layers import (
    images_of,
    scheme_of,
    shown_plane,
    stack_of,
    unique_name,
)
from napari_fractoseg._napari.measure.request import LabelledImage
from napari_fractoseg._napari.origin import is_in_doubt
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import ClassSchemeError, ImageError
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.inference.result import CONFIDENCE
from napari_fractoseg.measurement.texts import plane_title
from napari_fractoseg.results.record import LabelRecord
from napari_fractoseg.text import listed

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["classes_of", "image_name", "image_of", "labelled_images", "labels_of", "refuse_unfit"]


def labels_of(layer: Labels) -> Any:
    """Return the labels of a layer, of the finest resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def classes_of(layer: Labels) -> ClassScheme:
    """Return the classes of a layer; of one that has none, the default ones."""
    return scheme_of(layer) or DEFAULT_SCHEME


def image_name(layer: Labels) -> str:
    """Return the name of the image that labels are about; of unknown labels that of their layer."""
    return str(facts_of(layer).get("image") or layer.name)


def refuse_unfit(layers: Sequence[Labels]) -> None:
    """Raise unless layers can be measured together, now.

    Raises
    ------
    FractosegError
        If a layer is still being segmented, or two have other classes or one image.
    """
    images: dict[str, str] = {}
    for layer in layers:
        if not layer.editable and not layer.multiscale and facts_of(layer).get("image"):
            raise ImageError(f"{layer.name} is being segmented. Wait until it is done.")
        if _classes(layer) != _classes(layers[0]):
            raise ClassSchemeError(
                f"{layer.name} has the classes {listed(classes_of(layer).names)}, "
                f"{layers[0].name} has {listed(classes_of(layers[0]).names)}. Measure them apart."
            )
        name = image_name(layer)
        if name in images:
            raise ImageError(
                f"{images[name]} and {layer.name} are both of the image {name}, which would count "
                "twice. Tick one of them."
            )
        images[name] = str(layer.name)


def _classes(layer: Labels) -> list[tuple[int, str, bool]]:
    return [(c.value, c.name, c.is_fracture_mode) for c in classes_of(layer)]


def labelled_images(
    viewer: napari.viewer.Viewer,
    layers: Sequence[Labels],
    *,
    size_of: Callable[[Layer], tuple[float | None, str]],
    image: Image | None,
    exclude_of: Callable[[Labels], Any],
    only_shown_plane: bool,
) -> tuple[LabelledImage, ...]:
    """Return what is measured.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the layers.
    layers : sequence of Labels
        Labels layers.
    size_of : callable
        Function that returns the pixel size of a layer and where it is from.
    image : Image or None
        Image layer of a single labels layer; of several each has that whose name its own begins
        with, of its shape.
    exclude_of : callable
        Function that returns the excluded area of a labels layer: a mask, `DrawnArea`, or None.
    only_shown_plane : bool
        Whether only the plane that is shown is measured, rather than all.

    Raises
    ------
    FractosegError
        If there is nothing in the layer of the excluded area.
    """
    found: list[LabelledImage] = []
    for layer in layers:
        whole = labels_of(layer)
        shape = tuple(int(n) for n in whole.shape)
        plane = shown_plane(viewer, layer) if only_shown_plane and len(shape) > 2 else None
        name = image_name(layer) if plane is None else plane_title(plane, shape, image_name(layer))
        size_um, size_from = size_of(layer)
        its_image = image if len(layers) == 1 else image_of(viewer, layer)
        found.append(
            LabelledImage(
                name=unique_name(name, [each.name for each in found]),
                labels=whole if plane is None else LazyPlane(whole, plane),
                whole=whole,
                scheme=classes_of(layer),
                plane=plane,
                pixel_size_um=size_um,
                pixel_size_from=size_from,
                exclude=exclude_of(layer),
                image=_stack(its_image, plane),
                confidence=_stack(_confidence_of(viewer, layer), plane),
                record=_record_of(layer),
                file=opened_from(layer),
                image_file=file_of(its_image),
            )
        )
    return tuple(found)


def _stack(layer: Image | None, plane: tuple[int, ...] | None) -> MicrographStack | None:
    """Return an image layer as a stack, or the one plane of it that is measured."""
    if layer is None:
        return None
    stack = stack_of(layer)
    if plane is None:
        return stack
    return MicrographStack(LazyPlane(stack.data, plane, stack.rgb), name=stack.name)


def image_of(viewer: napari.viewer.Viewer, layer: Labels) -> Image | None:
    """Return the image of labels by its name and shape; None if no name tells it."""
    name = image_name(layer)
    images = [] if layer.multiscale else images_of(viewer, layer)
    return next((image for image in images if name.startswith(str(image.name))), None)


def _confidence_of(viewer: napari.viewer.Viewer, labels: Labels) -> Image | None:
    """Return the layer on how sure the model was of labels, None if there is none."""
    facts, shape = facts_of(labels), tuple(labels_of(labels).shape)
    for layer in viewer.layers:
        if not isinstance(layer, Image) or METADATA_KEY not in layer.metadata:
            continue
        its, is_map = facts_of(layer), f"· {CONFIDENCE}" in layer.name
        same = all(its.get(key) == facts.get(key) for key in ("image", "model_digest"))
        if is_map and same and facts.get("image") and stack_of(layer).shape == shape:
            return layer
    return None


def _record_of(layer: Labels) -> LabelRecord | None:
    """Return the record of the model that gave labels, None if a person did, or nobody knows."""
    facts = facts_of(layer)
    if is_in_doubt(layer) or facts.get("is_truth") or facts.get("learnt_strokes"):
        return None
    return LabelRecord.from_dict(facts)
