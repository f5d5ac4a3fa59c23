"""Reading of LabelMe's JSON files, one for each image, and those of X-AnyLabeling."""

from __future__ import annotations

import base64
import binascii
import io
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import as_mapping, choice_among, make_region
from napari_fractoseg.annotations.formats.neighbours.filled import MOST_PIXELS, outlines_of_mask
from napari_fractoseg.annotations.image_lookup import EMBEDDED
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.text import counted

__all__ = ["is_labelme", "parse"]

LABEL = "label"
"""Region attribute that the label of a shape becomes."""

_FLAGS = "flags"
_OTHERS = ("group_id", "description", _FLAGS)
_KNOWN = (LABEL, "points", "shape_type", "mask", "direction", *_OTHERS)
_SEVERAL = {
    "line": "polyline",
    "linestrip": "polyline",
    "polygon": "polygon",
    "oriented_rectangle": "polygon",
    "rotation": "polygon",
}
"""Type of a shape in LabelMe, or X-AnyLabeling, whose points are those of one of VIA's shapes."""

_PNG = b"\x89PNG\r\n\x1a\n"
_FARTHEST_PX = 1e9


def is_labelme(data: object) -> bool:
    """Tell whether JSON data are LabelMe's: shapes on one image."""
    if not isinstance(data, Mapping) or "imagePath" not in data:
        return False
    shapes = data.get("shapes")
    return isinstance(shapes, list) and all("points" in as_mapping(shape) for shape in shapes)


def parse(data: Mapping[str, Any], source: str) -> ViaDocument:
    """Return a LabelMe file as a document of one image.

    Parameters
    ----------
    data : mapping
        JSON data of a file for which `is_labelme` is true.
    source : str
        Name of the file, after which the image is called if it has no path.

    Returns
    -------
    ViaDocument
        Document in which labels are the region attribute ``label``; number of the group,
        description and flags are attributes of their own where they are given. An image that is
        embedded in the file is not read.
    """
    tally = Tally()
    regions = tuple(
        region
        for number, shape in enumerate(data["shapes"])
        for region in _regions(as_mapping(shape), tally, f"shape {number}")
    )
    labels = dict.fromkeys(r.attributes[LABEL] for r in regions if LABEL in r.attributes)
    sides = (("width", data.get("imageWidth")), ("height", data.get("imageHeight")))
    extras = {side: n for side, n in sides if isinstance(n, int) and n > 0}
    if data.get("imageData"):
        extras[EMBEDDED] = True
    flags = {k: v for k, v in as_mapping(data.get(_FLAGS)).items() if v}
    image = AnnotatedImage(
        str(data["imagePath"] or "") or f"{Path(source).stem}.png",
        regions,
        attributes={_FLAGS: flags} if flags else {},
        extras=extras,
    )
    return ViaDocument((image,), Flavour.LABELME, choice_among(LABEL, labels), notes=tally.notes)


def _regions(shape: Mapping[str, Any], tally: Tally, where: str) -> Iterator[Region]:
    attributes: dict[str, Any] = {}
    if str(shape.get(LABEL) or "").strip():
        attributes[LABEL] = str(shape[LABEL])
    attributes |= {k: shape[k] for k in _OTHERS if shape.get(k) not in (None, "", {}, [])}
    extras = {k: v for k, v in shape.items() if k not in _KNOWN}
    kind = str(shape.get("shape_type") or "polygon")
    made = _shapes(kind, shape)
    if isinstance(made, str):
        yield Region({"name": kind}, attributes, extras, made)
        return
    if kind == "mask" and len(made) != 1:
        what = "Masks of several parts or with holes, each part made a region"
        tally[what if made else "Skipped masks without a pixel"].append(where)
    for one in made:
        yield make_region(one, attributes, extras)


def _shapes(kind: str, shape: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    """Return VIA's ``shape_attributes`` of a shape, or the reason if there are none."""
    points = _points(shape.get("points"))
    if points is None:
        return f"points {shape.get('points')!r:.60} are not pairs of numbers"
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if kind in _SEVERAL:
        if kind == "polygon" and len(points) < 3:
            return f"a polygon of {counted(len(points), 'point')}"
        return [{"name": _SEVERAL[kind], "all_points_x": xs, "all_points_y": ys}]
    if kind in ("point", "points"):
        return [{"name": "point", "cx": x, "cy": y} for x, y in points]
    if kind == "rectangle" and len(points) == 4 and (len({*xs}), len({*ys})) != (2, 2):
        return [{"name": "polygon", "all_points_x": xs, "all_points_y": ys}]
    if kind == "rectangle" and len(points) in (2, 4):
        left, top = min(xs), min(ys)
        sides = {"width": max(xs) - left, "height": max(ys) - top}
        return [{"name": "rect", "x": left, "y": top, **sides}]
    if kind == "circle" and len(points) == 2:
        r = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        return [{"name": "circle", "cx": xs[0], "cy": ys[0], "r": r}]
    if kind == "mask" and len(points) == 2:
        return _shapes_of_mask(shape.get("mask"), points)
    return f"a shape {kind!r} of {counted(len(points), 'point')}, which is none that LabelMe draws"


def _points(points: object) -> list[tuple[Any, Any]] | None:
    if not isinstance(points, list) or not points:
        return None
    for point in points:
        if not isinstance(point, list) or len(point) < 2:
            return None
        if not all(isinstance(n, int | float) and abs(n) < _FARTHEST_PX for n in point[:2]):
            return None
    return [(point[0], point[1]) for point in points]


def _shapes_of_mask(text: object, points: list[tuple[Any, Any]]) -> list[dict[str, Any]] | str:
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in points)
    shape = bottom - top + 1, right - left + 1
    try:
        with translated(AnnotationError, "mask"):
            mask = _decoded(text, shape)
    except AnnotationError as error:
        return str(error)
    return outlines_of_mask(mask, top, left)


def _decoded(text: object, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask that is written as PNG in base64, of a shape that is known beforehand."""
    try:
        data = base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise AnnotationError(f"mask {str(text)[:40]!r} is no picture in base64") from error
    if not data.startswith(_PNG) or len(data) < len(_PNG) + 16:
        raise AnnotationError(f"mask {str(text)[:40]!r} is no PNG")
    width, height = struct.unpack(">II", data[16:24])
    if (height, width) != shape or width * height > MOST_PIXELS:
        raise AnnotationError(f"mask of {width} x {height} px for a box of {shape[1]} x {shape[0]}")
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        return np.asarray(picture.convert("L")) > 0
