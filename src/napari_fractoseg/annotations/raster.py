"""Regions -> label image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage.draw

from napari_fractoseg.annotations.via import AnnotatedImage, Region
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import AnnotationError

__all__ = ["class_attribute", "class_of", "rasterise", "vertices_px"]

_CURVE_POINTS = 180


def class_attribute(images: Iterable[AnnotatedImage], scheme: ClassScheme) -> str:
    """Return the region attribute that holds the class.

    Parameters
    ----------
    images : iterable of AnnotatedImage
        The images of one file.
    scheme : ClassScheme
        Its names and aliases are looked for.

    Returns
    -------
    str
        The only attribute all of whose values are classes of the scheme.

    Raises
    ------
    AnnotationError
        If there is none, or more than one; lists the attributes with values.
    """
    values: dict[str, Counter[str]] = {}
    for image in images:
        for region in image.regions:
            for name, value in region.attributes.items():
                values.setdefault(name, Counter())[str(value)] += 1
    fitting = [n for n, found in values.items() if all(scheme.get(v) for v in found)]
    if len(fitting) == 1:
        return fitting[0]
    listed = "; ".join(f"{n!r}: {dict(c.most_common(5))}" for n, c in values.items()) or "none"
    problem = "several attributes hold" if fitting else "no attribute holds"
    raise AnnotationError(
        f"{problem} classes of the scheme {list(scheme.names)}. Attributes with their values: "
        f"{listed}. Name the attribute, or add the values to the scheme."
    )


def rasterise(
    image: AnnotatedImage, shape: tuple[int, int], scheme: ClassScheme, attribute: str
) -> npt.NDArray[np.uint8]:
    """Draw the regions of an image as labels.

    Parameters
    ----------
    image : AnnotatedImage
        Rectangles, circles, ellipses and polygons.
    shape : tuple of int
        Rows and columns of the image.
    scheme : ClassScheme
        Turns attribute values into label values.
    attribute : str
        The region attribute that holds the class.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Class values, 0 where there is no region. Where regions overlap, the
        later one wins.

    Raises
    ------
    AnnotationError
        If a region has no class of the scheme, or a shape without an area;
        names image and region.

    Notes
    -----
    A pixel belongs to a region if its centre lies inside. VIA's coordinates
    are pixel edges, those of arrays pixel centres: half a pixel is subtracted.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    for number, region in enumerate(image.regions):
        where = f"image {image.filename!r}, region {number}"
        fracture_class = class_of(region, scheme, attribute, where)
        rows, columns = vertices_px(region, where)
        inside = skimage.draw.polygon(rows - 0.5, columns - 0.5, shape)
        labels[inside] = fracture_class.value
    return labels


def vertices_px(
    region: Region, where: str = "region"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the outline of a region as rows and columns, in pixel edges.

    Raises
    ------
    AnnotationError
        If the shape has no area or its coordinates are not numbers.
    """
    try:
        columns, rows = _outline(region.kind, region.shape)
        columns, rows = np.asarray(columns, dtype=float), np.asarray(rows, dtype=float)
        if columns.shape != rows.shape or not np.isfinite([columns, rows]).all():
            raise ValueError(f"{columns.size} x and {rows.size} y coordinates")
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{where}: {region.kind or 'shape'} with unusable coordinates ({error!r}): "
            f"{str(dict(region.shape))[:120]}. Draw it again in VIA."
        ) from error
    return rows, columns


def class_of(region: Region, scheme: ClassScheme, attribute: str, where: str) -> FractureClass:
    """Return the class of a region.

    Raises
    ------
    AnnotationError
        If its attribute names no class of the scheme; begins with `where`.
    """
    text = region.attributes.get(attribute)
    fracture_class = scheme.get(text) if isinstance(text, str) else None
    if fracture_class is None:
        raise AnnotationError(
            f"{where}: class {text!r} (attribute {attribute!r}) is not in the scheme "
            f"{list(scheme.names)}. Rename it in VIA or add it to the scheme."
        )
    return fracture_class


def _outline(kind: str, shape: Any) -> tuple[Any, Any]:
    """Return x and y of the outline."""
    if kind == "polygon":
        return shape["all_points_x"], shape["all_points_y"]
    if kind == "rect":
        x, y, width, height = (float(shape[k]) for k in ("x", "y", "width", "height"))
        return [x, x + width, x + width, x], [y, y, y + height, y + height]
    if kind in ("circle", "ellipse"):
        radius_x = float(shape["r"] if kind == "circle" else shape["rx"])
        radius_y = float(shape["r"] if kind == "circle" else shape["ry"])
        theta = float(shape.get("theta", 0.0))
        t = np.linspace(0, 2 * math.pi, _CURVE_POINTS, endpoint=False)
        along, across = radius_x * np.cos(t), radius_y * np.sin(t)
        return (
            float(shape["cx"]) + along * math.cos(theta) - across * math.sin(theta),
            float(shape["cy"]) + along * math.sin(theta) + across * math.cos(theta),
        )
    raise ValueError(f"{kind!r} has no area")
