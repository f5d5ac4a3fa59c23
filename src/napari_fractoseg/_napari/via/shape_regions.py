"""Regions of VIA made from the shapes of a napari layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_fractoseg._napari.via.shape_data import shape_data
from napari_fractoseg.annotations import AnnotatedImage, Region
from napari_fractoseg.annotations.edit import (
    ClassWords,
    shape_of_box,
    shape_of_points,
    with_class,
)
from napari_fractoseg.annotations.raster import to_pixel_edges
from napari_fractoseg.errors import AnnotationError

__all__ = ["regions_of_shapes", "shape_of"]

_TOLERANCE_PX = 1e-3


def regions_of_shapes(
    data: list[npt.NDArray[Any]],
    arguments: Mapping[str, Any],
    *,
    images: Callable[[int], list[AnnotatedImage]],
    is_from_file: bool,
    image_place: Mapping[str, Any] | None,
    words: ClassWords,
) -> list[AnnotatedImage]:
    """Return the images that a shapes layer annotates, with its shapes as regions.

    Parameters
    ----------
    data : list of ndarray, shape (n, 2) or (n, 3)
        Vertices of each shape: plane, if there are several, row and column.
    arguments : mapping
        Arguments of the shapes layer, as napari hands them to writers.
    images : callable
        Function from a number of planes to their images, with the regions that
        they had.
    is_from_file : bool
        Whether the layer came from a VIA file: its shapes are in pixels then,
        those that are as they were keep their region, changed ones its
        attributes.
    image_place : mapping, optional
        Place (``scale`` and ``translate``) of the image layer, if one is saved
        along; shapes are drawn in the coordinates of their own layer.
    words : ClassWords
        Words of the file for its classes.

    Raises
    ------
    AnnotationError
        If a shape has no class.
    """
    table = _table(arguments, len(data))
    to_pixels = (lambda v: v) if is_from_file else _converter(arguments, image_place)
    planes = [round(float(np.mean(v[:, 0]))) if v.shape[1] > 2 else 0 for v in data]
    targets = images(max(planes, default=0) + 1)
    regions: list[list[Region]] = [[] for _ in targets]
    used: set[tuple[int, int]] = set()
    for index, (vertices, plane) in enumerate(zip(data, planes, strict=True)):
        row = table.iloc[index]
        if not 0 <= plane < len(targets):
            raise AnnotationError(
                f"Shape {index} lies on plane {plane}, but there are {len(targets)} images. Move "
                "it or remove it."
            )
        former = _former(targets[plane], row, plane, used)
        drawn = to_pixels(np.asarray(vertices, dtype=float)[:, -2:])
        region = _region(drawn, str(row["shape_type"]), former)
        class_name = str(row["class"])
        if not class_name and former is None:
            raise AnnotationError(
                f"Shape {index} on image {targets[plane].filename!r} has no class. Give the layer "
                "a feature 'class' with a class name for each shape (Layers > features table)."
            )
        regions[plane].append(with_class(region, class_name, words))
    return [
        _with_regions(image, its_regions)
        for image, its_regions in zip(targets, regions, strict=True)
    ]


def _with_regions(image: AnnotatedImage, drawn: list[Region]) -> AnnotatedImage:
    """Return an image with the regions that were drawn; as it is if these are its own."""
    if tuple(drawn) == image.drawable:
        return image
    return replace(image, regions=(*drawn, *_damaged(image)))


def _table(arguments: Mapping[str, Any], n_shapes: int) -> pd.DataFrame:
    table = pd.DataFrame(dict(arguments.get("features", {})), index=range(n_shapes))
    kinds = arguments.get("shape_type", "polygon")
    table["shape_type"] = [kinds] * n_shapes if isinstance(kinds, str) else list(kinds)
    if "class" not in table:
        table["class"] = ""
    table["class"] = table["class"].fillna("").astype(str)
    return table


def _damaged(image: AnnotatedImage) -> list[Region]:
    """Return the regions of an image that could not be drawn, to be written again."""
    return [region for region in image.regions if region.problem]


def _former(
    image: AnnotatedImage, row: pd.Series, plane: int, used: set[tuple[int, int]]
) -> Region | None:
    """Return the region that a shape was made of; a copy of a shape is a new region."""
    number = row.get("region", -1)
    if row.get("image", image.filename) != image.filename or pd.isna(number):
        return None
    key = plane, int(number)
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
    shape = shape_of(kind, rows, columns, "" if former is None else former.kind)
    return Region(shape) if former is None else replace(former, shape=shape)


def shape_of(
    kind: str, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], former: str = ""
) -> dict[str, Any]:
    """Return VIA's ``shape_attributes`` of a shape of napari.

    Parameters
    ----------
    kind : str
        Napari's word for the kind of shape.
    rows, columns : ndarray of float64, shape (n,)
        Vertices of the shape, in pixel edges.
    former : str
        VIA's word for the kind of the region that the shape was made of.
    """
    if kind == "ellipse":
        return shape_of_box("point" if former == "point" else "ellipse", rows, columns)
    if kind == "rectangle":
        return shape_of_box("rect", rows, columns)
    return shape_of_points("polygon" if kind == "polygon" else "polyline", rows, columns)


def _converter(
    arguments: Mapping[str, Any], image_place: Mapping[str, Any] | None
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Return a function from vertices of the layer to pixels of the image beside it."""

    def part(place: Mapping[str, Any], key: str, default: float) -> npt.NDArray[np.float64]:
        value = place.get(key)
        return np.full(2, default) if value is None else np.asarray(value, dtype=float)[-2:]

    image = image_place if image_place is not None else arguments

    def to_pixels(vertices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        world = vertices * part(arguments, "scale", 1.0) + part(arguments, "translate", 0.0)
        return (world - part(image, "translate", 0.0)) / part(image, "scale", 1.0)

    return to_pixels
