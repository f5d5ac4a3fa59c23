"""Layers for napari made from VIA documents: images, labels and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_fractoseg._napari.layer_metadata import PLANE_NAMES_KEY, metadata_with
from napari_fractoseg._napari.layers import LABELS_OPACITY, class_colormap, class_features
from napari_fractoseg._napari.via.shape_data import shape_data, shape_type
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.annotations import AnnotatedImage
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.raster import Overlap
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.annotations.stacks import (
    AnnotatedStack,
    DrawnLabels,
    draw_labels_job,
    short_name,
)
from napari_fractoseg.classes import FractureClass
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import read_image
from napari_fractoseg.jobs import Job

__all__ = ["MAX_SETS", "MAX_SHAPES", "OPEN_ANNOTATIONS", "LayerData", "layers_job"]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

MAX_SHAPES = 1000
"""Most shapes that are shown; more are left out, as napari takes about 10 s for 1000 polygons."""

MAX_SETS = 8
"""Most sets of layers that a file opens, if its images are of different sizes."""

OPEN_ANNOTATIONS = "Plugins > Fractoseg > Open annotations"
"""Menu of the dock with all choices, in messages."""

_STACK_AXES = ("image", "y", "x")
_FACE_ALPHA = 0.25
_GREY = (0.6, 0.6, 0.6, 1.0)


def layers_job(
    source: AnnotationSource,
    mapping: ClassMapping | None,
    *,
    path: Path,
    overlap: Overlap = "later",
    unannotated: str | None = None,
    max_sets: int | None = None,
) -> Job[tuple[list[LayerData], list[str]]]:
    """Make the layers of a document, and notes for the user.

    Parameters
    ----------
    source : AnnotationSource
        Document with its images; it is kept in the metadata of the layers, so that they can be
        written as VIA files again.
    mapping : ClassMapping or None
        Mapping of regions to classes; None draws the regions in grey, and no labels.
    path : Path
        Annotation file, after which layers are named.
    overlap : {"later", "smaller", "unlabelled"}
        Region that gets the pixels that several cover, as in `rasterise`.
    unannotated : str, optional
        Class of the pixels without a region; by default they are unlabelled.
    max_sets : int, optional
        Largest number of sets of layers, one for each size of images; by default no limit.

    Yields
    ------
    Progress
        Number of images whose labels are drawn.

    Returns
    -------
    layers : list of (data, arguments, layer type)
        Images, labels and shapes of each stack, the first set visible; shapes
        alone of images without a file.
    notes : list of str
        Sentences on what was left out or chosen.
    """
    drawing = {"overlap": overlap, "unannotated": unannotated}
    document, assembly = source.document, source.assembly
    origin = {"document": document, "source": str(path), "drawing": drawing}
    layers: list[LayerData] = []
    notes = [] if mapping is None else [*mapping.notes(document)]
    missing = [image for image in assembly.missing if image.drawable]
    budget = _ShapesBudget(MAX_SHAPES, mapping is not None, notes)
    for stack in assembly.stacks[:max_sets]:
        name = _set_name(stack.images, path)
        memory = origin | {"images": [image.image_key for image in stack.images]}
        try:
            new: list[LayerData] = [_image_layer(stack, name)]
        except ImageError as error:  # its header could be read, its pixels cannot
            notes.append(str(error))
            missing += [image for image in stack.images if image.drawable]
            continue
        if mapping is not None:
            drawn = yield from draw_labels_job(
                stack.images, stack.plane_shape, mapping, overlap=overlap, unannotated=unannotated
            )
            notes += [f"{name}: {note}" for note in drawn.notes]
            new.append(_labels_layer(drawn, mapping, name, memory))
        if budget.allows(stack.images, name):
            new.append(_shapes_layer(stack.images, mapping, name, memory))
        for _, arguments, kind in new:
            arguments["visible"] = not layers
            if len(stack.images) > 1:
                arguments["axis_labels"] = _STACK_AXES
            if len(stack.images) > 1 and kind != "shapes":
                names = [image.filename for image in stack.images]
                arguments["metadata"] = {**arguments.get("metadata", {}), PLANE_NAMES_KEY: names}
        layers += new
    left = assembly.stacks[len(assembly.stacks) if max_sets is None else max_sets :]
    if left:
        notes.append(
            f"{sum(len(s.images) for s in left)} more images in {len(left)} other sizes are not "
            f"opened (at most {max_sets} sizes). {OPEN_ANNOTATIONS} opens them all."
        )
    name = _set_name(missing, path) if missing else ""
    if missing and budget.allows(missing, name):
        memory = origin | {"images": [image.image_key for image in missing]}
        shapes = _shapes_layer(missing, mapping, name, memory)
        shapes[1]["visible"] = not layers
        layers.append(shapes)
    return layers, notes


@dataclass
class _ShapesBudget:
    """Number of shapes that may still be drawn, with notes on what is left out."""

    left: int
    has_labels: bool
    notes: list[str]

    def allows(self, images: Sequence[AnnotatedImage], name: str) -> bool:
        n_regions = sum(len(image.drawable) for image in images)
        if n_regions > self.left:
            rest = (
                "the labels have them."
                if self.has_labels
                else f"choose the class in {OPEN_ANNOTATIONS} to get labels."
            )
            self.notes.append(
                f"{name}: {n_regions} regions are not drawn as shapes (at most {MAX_SHAPES}, "
                f"napari is slow with more); {rest}"
            )
            return False
        self.left -= n_regions
        return n_regions > 0


def _set_name(images: Sequence[AnnotatedImage], path: Path) -> str:
    name = short_name(images[0]) if len(images) == 1 else f"{path.stem} ({len(images)} images)"
    return plain_text(name)


def _image_layer(stack: AnnotatedStack, name: str) -> LayerData:
    """Return an image layer; a stack is read plane by plane, as napari shows it."""
    if len(stack.paths) == 1:
        data: Any = _pixels(stack.paths[0])
    else:
        # Imported here because it takes half a second, and a file is looked at before it is opened.
        import dask
        import dask.array as da

        planes = [
            da.from_delayed(dask.delayed(_pixels)(path), stack.shape, stack.dtype)
            for path in stack.paths
        ]
        data = da.stack(planes)
    return data, {"name": name, "rgb": stack.rgb}, "image"


def _pixels(path: Path) -> npt.NDArray[Any]:
    return np.asarray(read_image(path).data)


def _labels_layer(
    drawn: DrawnLabels, mapping: ClassMapping, name: str, origin: dict[str, Any]
) -> LayerData:
    arguments = {
        "name": f"{name} · annotation",
        "colormap": class_colormap(mapping.scheme),
        "features": class_features(mapping.scheme),
        "opacity": LABELS_OPACITY,
        "metadata": _metadata(mapping, origin),
    }
    return drawn.labels, arguments, "labels"


def _metadata(mapping: ClassMapping | None, origin: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"via": origin}
    if mapping is not None:
        entry |= {"scheme": mapping.scheme.to_dict()}
        entry["via"] = {**origin, "mapping": mapping}
    return metadata_with(entry)


def _shapes_layer(
    images: Sequence[AnnotatedImage],
    mapping: ClassMapping | None,
    name: str,
    origin: dict[str, Any],
) -> LayerData:
    """Return a shapes layer of regions with class names and colours, each on its plane."""
    data, kinds, classes, places = [], [], [], []
    for plane, image in enumerate(images):
        for number, region in enumerate(image.regions):
            if region.problem:
                continue
            where = f"image {image.filename!r}, region {number}"
            vertices = shape_data(region)
            if len(images) > 1:
                vertices = np.insert(vertices, 0, plane, axis=1)
            data.append(vertices)
            kinds.append(shape_type(region))
            classes.append(None if mapping is None else mapping.class_of(region, where))
            places.append((image.filename, number))
    arguments = {
        "name": f"{name} · regions",
        "shape_type": kinds,
        "features": {
            "class": ["" if c is None else c.name for c in classes],
            "image": [filename for filename, _ in places],
            "region": [number for _, number in places],
        },
        # A shape that is drawn anew comes from no region of the file.
        "feature_defaults": {"class": _first_class(mapping), "image": "", "region": -1},
        "text": {"string": "{class}", "size": 8, "color": "white"},
        "edge_color": np.array([_edge(c) for c in classes]).reshape(-1, 4),
        "face_color": np.array([_face(c) for c in classes]).reshape(-1, 4),
        "edge_width": 2,
        "metadata": _metadata(mapping, origin),
    }
    return data, arguments, "shapes"


def _first_class(mapping: ClassMapping | None) -> str:
    return "" if mapping is None else mapping.scheme.names[0]


def _edge(fracture_class: FractureClass | None) -> tuple[float, ...]:
    if fracture_class is None or fracture_class.is_transparent:
        return _GREY
    return fracture_class.rgba


def _face(fracture_class: FractureClass | None) -> tuple[float, ...]:
    if fracture_class is None:
        return (*_GREY[:3], 0.0)
    red, green, blue, alpha = fracture_class.rgba
    return red, green, blue, _FACE_ALPHA * alpha
