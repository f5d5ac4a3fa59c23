"""napari writer of VIA files: labels and shapes layers -> regions. Never imports PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from napari.utils.notifications import show_info

from napari_fractoseg._napari.layers import METADATA_KEY
from napari_fractoseg._napari.shape_regions import regions_of_shapes
from napari_fractoseg.annotations import AnnotatedImage, ViaDocument, write_via
from napari_fractoseg.annotations.assembly import draw_labels_job
from napari_fractoseg.annotations.conversion import in_flavour, merged, project_of
from napari_fractoseg.annotations.document import Flavour
from napari_fractoseg.annotations.editing import in_own_words
from napari_fractoseg.annotations.mapping import ClassMapping
from napari_fractoseg.annotations.trace import image_from_labels
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import AnnotationError, ClassSchemeError
from napari_fractoseg.jobs import drain

__all__ = ["write_via2", "write_via2_csv", "write_via2_project"]

FullLayerData: TypeAlias = tuple[Any, dict[str, Any], str]

DEFAULT_ATTRIBUTE = "name"
"""As in the annotations of the paper."""

_SUFFIXES_OF_NAMES = (" · annotation", " · regions", " · fracture modes")


def write_via2_project(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as a VIA 2 project."""
    return _write(path, layers, Flavour.VIA2_PROJECT)


def write_via2(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as VIA 2 annotations (JSON)."""
    return _write(path, layers, Flavour.VIA2)


def write_via2_csv(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as VIA 2 annotations (CSV)."""
    return _write(path, layers, Flavour.VIA2_CSV)


def _write(path: str, layers: list[FullLayerData], flavour: Flavour) -> list[str]:
    """Write layers; napari's dialog has asked before if the file exists."""
    document = in_flavour(document_of_layers(layers), flavour)
    notes = (*document.notes, *write_via(document, path, overwrite=True))
    names = ", ".join(image.filename for image in document[:5])
    n_regions = sum(len(image.regions) for image in document)
    more = ", ..." if len(document) > 5 else ""
    show_info("\n".join((f"{n_regions} regions of {names}{more} written to {path}.", *notes)))
    return [path]


@dataclass(frozen=True)
class _Annotation:
    """A labels or shapes layer to be written, with what it remembers of a VIA file."""

    data: Any
    arguments: dict[str, Any]
    kind: str

    @property
    def name(self) -> str:
        return str(self.arguments.get("name", self.kind))

    @property
    def memory(self) -> dict[str, Any]:
        return dict((self.arguments.get("metadata") or {}).get(METADATA_KEY) or {})

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
    def attribute(self) -> str:
        return DEFAULT_ATTRIBUTE if self.mapping is None else self.mapping.attribute

    @property
    def scheme(self) -> ClassScheme:
        try:
            return ClassScheme.from_dict(self.memory["scheme"])
        except (KeyError, TypeError, ClassSchemeError):
            return DEFAULT_SCHEME

    def filenames(self, n_planes: int) -> list[str]:
        """Names of the images: those it came from, or made of the layer's name."""
        names = [str(name) for name in self.origin.get("images", ())]
        if len(names) == n_planes:
            return names
        stem = str(self.memory.get("image") or self.name)
        for suffix in _SUFFIXES_OF_NAMES:
            stem = stem.partition(suffix)[0]
        if n_planes == 1:
            return [f"{stem}.png"]
        width = len(str(n_planes - 1))
        return [f"{stem}_{plane:0{width}d}.png" for plane in range(n_planes)]


def document_of_layers(layers: Sequence[FullLayerData]) -> ViaDocument:
    """Return the regions of labels and shapes layers as a VIA document.

    Parameters
    ----------
    layers : sequence of (data, arguments, layer type)
        Image layers are used for their names and scale only.

    Returns
    -------
    ViaDocument
        If a layer came from a VIA file: that file, with the regions of these
        layers' images in place of its own; else a new project.

    Raises
    ------
    AnnotationError
        If there is no labels or shapes layer, or if two layers annotate the
        same image.
    """
    annotations = [_Annotation(*layer) for layer in layers if layer[2] in ("labels", "shapes")]
    if not annotations:
        raise AnnotationError(
            "VIA files hold regions: select a labels or shapes layer (and save images as such)."
        )
    place = next((arguments for _, arguments, kind in layers if kind == "image"), None)
    document: ViaDocument | None = None
    taken: dict[str, str] = {}
    for annotation in annotations:
        images = _images_of(annotation, place)
        for image in images:
            other = taken.setdefault(image.filename, annotation.name)
            if other != annotation.name:
                raise AnnotationError(
                    f"The layers {other!r} and {annotation.name!r} both annotate "
                    f"{image.filename!r}. Select one of them and save again."
                )
        document = _add(document, annotation, images)
    assert document is not None  # noqa: S101 - there is at least one annotation
    return document


def _add(
    document: ViaDocument | None, annotation: _Annotation, images: list[AnnotatedImage]
) -> ViaDocument:
    changed = project_of(tuple(images), annotation.scheme, annotation.attribute)
    if annotation.document is not None:
        # What the file says about its attributes is kept as it is.
        known = annotation.document.definitions
        changed = replace(changed, definitions=known or changed.definitions)
    base = document if document is not None else annotation.document
    return changed if base is None else merged(in_flavour(base, Flavour.VIA2_PROJECT), changed)


def _images_of(annotation: _Annotation, place: dict[str, Any] | None) -> list[AnnotatedImage]:
    if annotation.kind == "shapes":
        return regions_of_shapes(
            annotation.data,
            annotation.arguments,
            image_place=place,
            filenames=annotation.filenames,
            document=annotation.document,
            mapping=annotation.mapping,
            attribute=annotation.attribute,
        )
    return _images_of_labels(annotation)


def _images_of_labels(annotation: _Annotation) -> list[AnnotatedImage]:
    """Trace each plane; one that shows just what its VIA regions draw keeps these."""
    labels = np.asarray(annotation.data)
    planes = labels.reshape(-1, *labels.shape[-2:])
    return [
        _original(annotation, filename, plane) or _traced(annotation, filename, plane)
        for filename, plane in zip(annotation.filenames(len(planes)), planes, strict=True)
        if plane.any() or annotation.document is not None
    ]


def _traced(annotation: _Annotation, filename: str, plane: npt.NDArray[Any]) -> AnnotatedImage:
    image = image_from_labels(
        plane, annotation.scheme, filename=filename, attribute=annotation.attribute
    )
    return replace(
        image,
        regions=tuple(
            in_own_words(region, annotation.attribute, annotation.mapping)
            for region in image.regions
        ),
    )


def _original(
    annotation: _Annotation, filename: str, plane: npt.NDArray[Any]
) -> AnnotatedImage | None:
    """Return the image of the VIA file if its regions draw just these labels."""
    document, mapping = annotation.document, annotation.mapping
    if document is None or mapping is None or filename not in {i.filename for i in document}:
        return None
    image = document.find(filename)
    options = annotation.origin.get("drawing") or {}
    drawn = drain(draw_labels_job([image], (plane.shape[0], plane.shape[1]), mapping, **options))
    return image if np.array_equal(drawn.labels, plane) else None
