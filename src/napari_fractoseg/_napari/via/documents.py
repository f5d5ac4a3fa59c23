"""VIA documents made from labels and shapes layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_fractoseg._napari.layer_metadata import LayerFacts, facts_in
from napari_fractoseg._napari.via.shape_regions import regions_of_shapes
from napari_fractoseg.annotations import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.conversion.definitions import (
    class_definitions,
    joined_definitions,
    with_used_options,
)
from napari_fractoseg.annotations.conversion.flavours import (
    edited,
    in_flavour,
    joined,
    project_of,
)
from napari_fractoseg.annotations.edit import DEFAULT_ATTRIBUTE, ClassWords, with_class
from napari_fractoseg.annotations.raster import Overlap, hidden_regions, rasterise
from napari_fractoseg.annotations.shapes import closed_ring
from napari_fractoseg.annotations.stacks import draw_labels_job
from napari_fractoseg.annotations.trace import image_from_labels
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import AnnotationError, ClassSchemeError
from napari_fractoseg.jobs import Job, Progress, drain
from napari_fractoseg.text import counted

__all__ = ["FullLayerData", "corrected_document_job", "document_of_layers"]

FullLayerData: TypeAlias = tuple[Any, dict[str, Any], str]

_SUFFIXES_OF_NAMES = (" · annotation", " · regions", " · fracture modes")


@dataclass(frozen=True)
class _Annotation:
    """Labels or shapes layer to be written, with what it keeps of the VIA file it came from."""

    data: Any
    arguments: dict[str, Any]
    kind: str
    image_layer: str = ""
    """Name of the image layer that is saved along; empty unless there is exactly one."""

    @property
    def name(self) -> str:
        return str(self.arguments.get("name", self.kind))

    @property
    def memory(self) -> LayerFacts:
        return facts_in(self.arguments.get("metadata"))

    @property
    def origin(self) -> dict[str, Any]:
        return dict(self.memory.get("via") or {})

    @property
    def document(self) -> ViaDocument | None:
        return self.origin.get("document")

    @property
    def mapping(self) -> ClassMapping | None:
        return self.origin.get("mapping")

    @property
    def overlap(self) -> Overlap:
        drawing: dict[str, Any] = self.origin.get("drawing") or {}
        return drawing.get("overlap", "later")

    @property
    def words(self) -> ClassWords:
        attribute = DEFAULT_ATTRIBUTE if self.mapping is None else self.mapping.attribute
        if self.document is None:
            return ClassWords(attribute, self.mapping)
        return ClassWords(attribute, self.mapping, self.document.definition(attribute))

    @property
    def scheme(self) -> ClassScheme:
        try:
            return ClassScheme.from_dict(self.memory["scheme"])
        except (KeyError, TypeError, ClassSchemeError):
            return DEFAULT_SCHEME

    def images(self, n_planes: int) -> list[AnnotatedImage]:
        """Return the image of each plane: that of the file, or one named after a layer.

        Raises
        ------
        AnnotationError
            If the layer came from a file and has another number of planes now.
        """
        if self.document is not None:
            by_key = {image.image_key: image for image in self.document}
            found = [by_key[key] for key in self.origin.get("images", ()) if key in by_key]
            if self.kind == "labels" and len(found) != n_planes:
                raise AnnotationError(
                    f"{self.name} has {counted(n_planes, 'plane')}, but came from "
                    f"{counted(len(found), 'image')}. Save it before planes are added or removed."
                )
            return found
        stem = str(self.memory.get("image") or self.image_layer or self.name)
        for suffix in _SUFFIXES_OF_NAMES:
            stem = stem.partition(suffix)[0]
        if n_planes == 1:
            return [AnnotatedImage(f"{stem}.png")]
        width = len(str(n_planes - 1))
        return [AnnotatedImage(f"{stem}_{plane:0{width}d}.png") for plane in range(n_planes)]


def document_of_layers(layers: Sequence[FullLayerData]) -> ViaDocument:
    """Return the regions of labels and shapes layers as a VIA document.

    Parameters
    ----------
    layers : sequence of (data, arguments, layer type)
        Labels and shapes layers, and image layers that are saved along: their
        scale is used for shapes drawn over them, and the name of a single one
        for the image.

    Returns
    -------
    ViaDocument
        VIA files that the layers came from, with the regions of the layers'
        images in place of their own, joined with a project of other layers.
        Notes say what was guessed or left behind.

    Raises
    ------
    AnnotationError
        If there is no labels or shapes layer, or if the regions of an image
        were changed in two layers.
    """
    places = [arguments for _, arguments, kind in layers if kind == "image"]
    name = str(places[0].get("name") or "") if len(places) == 1 else ""
    annotations = [
        _Annotation(*layer, name) for layer in layers if layer[2] in ("labels", "shapes")
    ]
    if not annotations:
        raise AnnotationError(
            "VIA files hold regions: select a labels or shapes layer (and save images as such)."
        )
    place = places[0] if places else None
    notes, images = drain(_all_images_job(annotations, place))
    _refuse_two_layers(annotations, images)
    # Files first, so that nothing of them depends on the order of the layers.
    order = sorted(range(len(annotations)), key=lambda i: annotations[i].document is None)
    result: ViaDocument | None = None
    for i in order:
        part = _part(annotations[i], images[i])
        keys = _changed_keys(annotations[i], images[i])
        before = annotations[i].document or images[i]
        # A project may give an image another key than its file did.
        changed = {
            new.image_key for old, new in zip(before, part, strict=True) if old.image_key in keys
        }
        result = part if result is None else joined(result, part, prefer=changed)
        result = with_used_options(result, annotations[i].words.attribute)
    if result is None:
        raise AnnotationError("There is nothing to write.")
    return replace(result, notes=notes)


def corrected_document_job(layers: Sequence[FullLayerData]) -> Job[ViaDocument]:
    """Return the VIA file that layers came from, with their regions in place of its own.

    Parameters
    ----------
    layers : sequence of (data, arguments, layer type)
        Labels and shapes layers that came from one VIA file.

    Yields
    ------
    Progress
        Number of images that were looked at.

    Returns
    -------
    ViaDocument
        Document of the flavour of the file. Regions and images that were not touched are as they
        were read. Notes say what was left behind.

    Raises
    ------
    AnnotationError
        If labels and shapes of one image were both changed.
    """
    annotations = [_Annotation(*layer) for layer in layers]
    notes, images = yield from _all_images_job(annotations, None)
    _refuse_two_layers(annotations, images)
    document = annotations[0].document
    if document is None:
        raise AnnotationError(f"{annotations[0].name} came from no VIA file.")
    is_closed = document.flavour.is_closed
    for annotation, its_images in zip(annotations, images, strict=True):
        keys = _changed_keys(annotation, its_images)
        changed = {i.image_key: _with_rings(i, annotation, is_closed) for i in its_images}
        document = edited(document, {key: changed[key] for key in keys})
        document = with_used_options(document, annotation.words.attribute)
    return replace(document, notes=notes)


def _with_rings(image: AnnotatedImage, annotation: _Annotation, is_closed: bool) -> AnnotatedImage:
    """Return an image whose new polygons are closed or open, as those of its file."""
    before = [r for known in annotation.document or () for r in known.regions]
    untouched = {id(region) for region in before}
    return replace(
        image,
        regions=tuple(
            region
            if id(region) in untouched
            else replace(region, shape=closed_ring(region.shape, is_closed))
            for region in image.regions
        ),
    )


def _all_images_job(
    annotations: Sequence[_Annotation], place: dict[str, Any] | None
) -> Job[tuple[tuple[str, ...], list[list[AnnotatedImage]]]]:
    """Return notes, and the images of each layer with its regions."""
    notes: list[str] = []
    images = []
    for annotation in annotations:
        images.append((yield from _images_job(annotation, place, notes)))
    return tuple(notes), images


def _changed_keys(annotation: _Annotation, images: Sequence[AnnotatedImage]) -> set[str]:
    """Return the keys of the images that are not as they were in the layer's file."""
    before = {image.image_key: image for image in annotation.document or ()}
    return {image.image_key for image in images if image != before.get(image.image_key)}


def _refuse_two_layers(annotations: list[_Annotation], images: list[list[AnnotatedImage]]) -> None:
    """Raise if two layers say something new about the same image."""
    taken: dict[tuple[int, str], str] = {}
    for annotation, its_images in zip(annotations, images, strict=True):
        for key in _changed_keys(annotation, its_images):
            other = taken.setdefault((id(annotation.document), key), annotation.name)
            if other != annotation.name:
                name = next(i.filename for i in its_images if i.image_key == key)
                raise AnnotationError(
                    f"The regions of {name!r} were changed in both {other!r} and "
                    f"{annotation.name!r}. Select the layer that is right, and save it alone."
                )


def _part(annotation: _Annotation, images: list[AnnotatedImage]) -> ViaDocument:
    """Return the whole file that a layer came from, with its new regions; else a project."""
    project = project_of(tuple(images), annotation.scheme, annotation.words.attribute)
    if annotation.document is None:
        return project
    document = edited(annotation.document, {image.image_key: image for image in images})
    document = in_flavour(document, Flavour.VIA2_PROJECT)
    if annotation.document.flavour.has_definitions:
        return document
    # Files without types: offer the classes, by the words that the file has for them.
    words = annotation.words
    has_ticks = any(
        isinstance(r.attributes.get(words.attribute), Mapping) for i in document for r in i.regions
    )
    kind = "checkbox" if has_ticks else "radio"
    classes = class_definitions(annotation.scheme, words.attribute, words.word, kind)
    return replace(document, definitions=joined_definitions(classes, document.definitions))


def _images_job(
    annotation: _Annotation, place: dict[str, Any] | None, notes: list[str]
) -> Job[list[AnnotatedImage]]:
    if annotation.kind == "shapes":
        images = regions_of_shapes(
            annotation.data,
            annotation.arguments,
            images=annotation.images,
            is_from_file=annotation.document is not None,
            image_place=place,
            words=annotation.words,
        )
    else:
        images = yield from _images_of_labels_job(annotation, notes)
    if annotation.document is None:
        names = ", ".join(image.filename for image in images[:3])
        notes.append(
            f"{annotation.name}: it is not known which file the image is; it is called {names} "
            "after the layer. Correct the name in VIA if it differs."
        )
    return images


def _images_of_labels_job(annotation: _Annotation, notes: list[str]) -> Job[list[AnnotatedImage]]:
    """Return the image of each plane with traced regions.

    A plane that shows just what its VIA regions draw keeps these.
    """
    is_multiscale = annotation.arguments.get("multiscale")
    labels = np.asarray(annotation.data[0] if is_multiscale else annotation.data)
    planes = labels.reshape(-1, *labels.shape[-2:])
    images = annotation.images(len(planes))
    if annotation.document is None and not labels.any():
        raise AnnotationError(
            f"{annotation.name}: nothing is labelled, so there are no regions to write. Paint some "
            "first."
        )
    found = []
    for done, (image, plane) in enumerate(zip(images, planes, strict=True)):
        yield Progress(done, len(planes), f"image {done + 1} of {len(planes)}")
        if plane.any() or annotation.document is not None:
            is_unchanged = _is_unchanged(annotation, image, plane)
            found.append(image if is_unchanged else _traced(annotation, image, plane, notes))
    return found


def _is_unchanged(annotation: _Annotation, image: AnnotatedImage, plane: npt.NDArray[Any]) -> bool:
    if annotation.mapping is None:
        return False
    options = annotation.origin.get("drawing") or {}
    shape = (plane.shape[0], plane.shape[1])
    drawn = drain(draw_labels_job([image], shape, annotation.mapping, **options))
    return np.array_equal(drawn.labels, plane)


def _traced(
    annotation: _Annotation, image: AnnotatedImage, plane: npt.NDArray[Any], notes: list[str]
) -> AnnotatedImage:
    words = annotation.words
    traced = image_from_labels(plane, annotation.scheme, filename=image.filename)
    regions = [
        with_class(Region(region.shape), str(region.attributes["name"]), words)
        for region in traced.regions
    ]
    shown, under, others = _by_visibility(annotation, image, (plane.shape[0], plane.shape[1]))
    names = sorted({name for r in shown for name in r.attributes if name != words.attribute})
    if names:
        notes.append(
            f"{image.filename}: its regions were traced anew from the labels; their other "
            f"attributes {names} are not kept."
        )
    # What lay under other regions goes first, so that it lies under them again.
    result = replace(image, regions=(*under, *regions, *others))
    still = _still_under(annotation, result, len(under), (plane.shape[0], plane.shape[1]))
    if len(still) < len(under):
        n_left = len(under) - len(still)
        left = counted(n_left, "region that others covered is", "regions that others covered are")
        notes.append(
            f"{image.filename}: {left} left out, as they would show where the labels were changed."
        )
    return replace(result, regions=(*still, *regions, *others))


def _by_visibility(
    annotation: _Annotation, image: AnnotatedImage, shape: tuple[int, int]
) -> tuple[list[Region], list[Region], list[Region]]:
    """Return the regions that labels show, those that they hide, and damaged and left-out ones."""
    hidden = frozenset[int]()
    if annotation.mapping is not None:
        hidden = hidden_regions(image, shape, annotation.mapping, overlap=annotation.overlap)
    shown, under, others = list[Region](), list[Region](), list[Region]()
    for number, region in enumerate(image.regions):
        if region.problem or not annotation.words.class_name(region):
            others.append(region)
        else:
            (under if number in hidden else shown).append(region)
    return shown, under, others


def _still_under(
    annotation: _Annotation, image: AnnotatedImage, n_under: int, shape: tuple[int, int]
) -> tuple[Region, ...]:
    """Return those of the first regions of an image that change nothing in its labels."""
    mapping, under = annotation.mapping, image.regions[:n_under]
    if mapping is None or not under:
        return under
    scheme = mapping.scheme.with_names(annotation.scheme.names)
    painted = {annotation.words.word(name): name for name in annotation.scheme.names}
    mapping = replace(mapping, scheme=scheme, classes={**painted, **mapping.classes})
    options = annotation.origin.get("drawing") or {}

    def drawn(first: tuple[Region, ...]) -> npt.NDArray[np.uint8]:
        regions = (*first, *image.regions[n_under:])
        return rasterise(replace(image, regions=regions), shape, mapping, **options).labels

    without = drawn(())
    if np.array_equal(drawn(under), without):
        return under
    hidden = hidden_regions(image, shape, mapping, overlap=annotation.overlap)
    still = tuple(region for number, region in enumerate(under) if number in hidden)
    return still if np.array_equal(drawn(still), without) else ()
