"""The shapes of a napari layer -> regions of VIA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg._napari.via_layers import shape_data
from napari_fractoseg.annotations import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.annotations.editing import shape_of_box, shape_of_points, with_class
from napari_fractoseg.annotations.mapping import ClassMapping
from napari_fractoseg.annotations.raster import to_pixel_edges
from napari_fractoseg.errors import AnnotationError

__all__ = ["regions_of_shapes"]

_TOLERANCE_PX = 1e-3


def regions_of_shapes(
    data: list[npt.NDArray[Any]],
    arguments: Mapping[str, Any],
    *,
    image_place: Mapping[str, Any] | None,
    filenames: Callable[[int], list[str]],
    document: ViaDocument | None,
    mapping: ClassMapping | None,
    attribute: str,
) -> list[AnnotatedImage]:
    """Return the images that a shapes layer annotates, with its shapes as regions.

    Parameters
    ----------
    data, arguments
        Of the shapes layer.
    image_place : mapping, optional
        ``scale`` and ``translate`` of the image layer, if one is saved along;
        shapes are drawn in the coordinates of their own layer.
    filenames : callable
        Number of planes -> names of the images.
    document : ViaDocument, optional
        The file that the layer came from: shapes that are as they were keep
        their region, changed ones its attributes.
    mapping : ClassMapping, optional
        Of that file.
    attribute : str
        The region attribute that holds the class.

    Raises
    ------
    AnnotationError
        If a shape has no class.
    """
    table = _table(arguments, len(data))
    to_pixels = _converter(arguments, image_place) if document is None else lambda v: v
    planes = [round(float(np.mean(v[:, 0]))) if v.shape[1] > 2 else 0 for v in data]
    n_planes = max(planes, default=0) + 1
    names = _names(document, arguments, filenames, n_planes)
    images = {name: _image_of(document, name) for name in names}
    regions: dict[str, list[Region]] = {name: [] for name in names}
    used: set[tuple[str, int]] = set()
    for index, (vertices, plane) in enumerate(zip(data, planes, strict=True)):
        row = table.iloc[index]
        if not 0 <= plane < len(names):
            raise AnnotationError(
                f"Shape {index} lies on plane {plane}, but there are {len(names)} images. Move it "
                "or remove it."
            )
        name = names[plane]
        former = _former(images[name], row, name, used)
        drawn = to_pixels(np.asarray(vertices, dtype=float)[:, -2:])
        region = _region(drawn, str(row["shape_type"]), former)
        class_name = str(row["class"])
        if not class_name and former is None:
            raise AnnotationError(
                f"Shape {index} on image {name!r} has no class. Give the layer a feature 'class' "
                "with a class name for each shape (Layers > features table)."
            )
        regions[name].append(with_class(region, attribute, class_name, mapping))
    return [
        replace(images[name], regions=(*regions[name], *_damaged(images[name]))) for name in names
    ]


def _table(arguments: Mapping[str, Any], n_shapes: int) -> pd.DataFrame:
    table = pd.DataFrame(dict(arguments.get("features", {})), index=range(n_shapes))
    kinds = arguments.get("shape_type", "polygon")
    table["shape_type"] = [kinds] * n_shapes if isinstance(kinds, str) else list(kinds)
    if "class" not in table:
        table["class"] = ""
    table["class"] = table["class"].fillna("").astype(str)
    return table


def _names(
    document: ViaDocument | None,
    arguments: Mapping[str, Any],
    filenames: Callable[[int], list[str]],
    n_planes: int,
) -> list[str]:
    if document is None:
        return filenames(n_planes)
    metadata = arguments.get("metadata") or {}
    origin = next((m.get("via") for m in metadata.values() if isinstance(m, dict)), None)
    return [str(name) for name in (origin or {}).get("images", ())]


def _image_of(document: ViaDocument | None, name: str) -> AnnotatedImage:
    return AnnotatedImage(name) if document is None else document.find(name)


def _damaged(image: AnnotatedImage) -> list[Region]:
    """Regions that could not be drawn are carried through."""
    return [region for region in image.regions if region.problem]


def _former(
    image: AnnotatedImage, row: pd.Series, name: str, used: set[tuple[str, int]]
) -> Region | None:
    """Return the region that a shape was made of; a copy of a shape is a new region."""
    number = row.get("region", -1)
    if row.get("image", name) != name or pd.isna(number):
        return None
    key = name, int(number)
    if key in used or not 0 <= key[1] < len(image.regions):
        return None
    used.add(key)
    return image.regions[key[1]]


def _region(vertices: npt.NDArray[np.float64], kind: str, former: Region | None) -> Region:
    if former is not None:
        before = shape_data(former)
        if before.shape == vertices.shape and np.allclose(before, vertices, atol=_TOLERANCE_PX):
            return former
    rows, columns = to_pixel_edges(vertices[:, 0], vertices[:, 1])
    shape = _shape(kind, rows, columns, "" if former is None else former.kind)
    return Region(shape) if former is None else replace(former, shape=shape)


def _shape(
    kind: str, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], former: str
) -> dict[str, Any]:
    if kind == "ellipse":
        return shape_of_box("point" if former == "point" else "ellipse", rows, columns)
    if kind == "rectangle":
        return shape_of_box("rect", rows, columns)
    return shape_of_points("polygon" if kind == "polygon" else "polyline", rows, columns)


def _converter(
    arguments: Mapping[str, Any], image_place: Mapping[str, Any] | None
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Return what turns vertices of the layer into pixels of the image beside it."""

    def part(place: Mapping[str, Any], key: str, default: float) -> npt.NDArray[np.float64]:
        value = place.get(key)
        return np.full(2, default) if value is None else np.asarray(value, dtype=float)[-2:]

    image = image_place if image_place is not None else arguments

    def to_pixels(vertices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        world = vertices * part(arguments, "scale", 1.0) + part(arguments, "translate", 0.0)
        return (world - part(image, "translate", 0.0)) / part(image, "scale", 1.0)

    return to_pixels
