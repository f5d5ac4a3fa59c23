"""Reading of ImageJ's regions of interest: a ``.roi`` file, or a ``RoiSet.zip`` of them.

Areas have coordinates in pixel edges, as VIA has; lines and points count from the middle of the
first pixel.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.entries import choice_among, make_region
from napari_fractoseg.annotations.formats.neighbours.filled import MOST_PIXELS, outlines_of_mask
from napari_fractoseg.annotations.formats.sniff import ROI, ZIP, holds_rois
from napari_fractoseg.annotations.image_lookup import UNNAMED
from napari_fractoseg.annotations.region_pixels import pixels_of
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.images.reading import IMAGE_SUFFIXES

__all__ = ["image_name", "is_imagej", "parse"]

NAME = "name"
"""Region attribute that the name of a ROI becomes, without the number that ImageJ adds."""

_SUFFIX = ".roi"
_MOST_ROIS, _MOST_BYTES, _MOST_BYTES_IN_ALL = 100_000, 2**24, 2**30
"""Most members of a zip file, and most bytes of each: a ROI of a million points has 12 MB."""

_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)
_LINES = (ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE, ROI_TYPE.ANGLE)
_NO_SHAPES = {
    ROI_SUBTYPE.TEXT: "a text",
    ROI_SUBTYPE.IMAGE: "a picture",
    ROI_SUBTYPE.ARROW: "an arrow",
}
_GIVEN_NAME = re.compile(r"[\d-]+")
"""Name that ImageJ gives by itself: plane and place, such as ``0001-0123-0456``."""

_ADDED_NUMBER = re.compile(r"-\d+$")
_SET = re.compile(r"(?:^|[ _.-]+)rois?[ _-]?(?:set)?(?:[ _.-]+|$)", re.IGNORECASE)
_SEPARATORS = " _.-"


def is_imagej(data: bytes) -> bool:
    """Tell whether the content of a file is a ROI of ImageJ, or a zip file of them."""
    if data.startswith(ROI):
        return True
    return data.startswith(ZIP) and holds_rois(io.BytesIO(data))


def image_name(path: Path) -> str:
    """Return what the image of a file of ROIs is called, as the file does not say it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_fractoseg.annotations.formats.neighbours.imagej import image_name
    >>> image_name(Path("s17_3.roi")), image_name(Path("s17_3_RoiSet.zip"))
    ('s17_3.tif', 's17_3.tif')
    >>> image_name(Path("RoiSet.zip"))
    'RoiSet.tif'
    """
    stem = path.stem
    if path.suffix.lower() == ".zip" and _SET.search(stem):
        stem = _SET.sub("_", stem).strip(_SEPARATORS) or stem
    return stem if Path(stem).suffix.lower() in IMAGE_SUFFIXES else f"{stem}.tif"


def parse(data: bytes, source: str) -> ViaDocument:
    """Return ROIs of ImageJ as a document of one image.

    Parameters
    ----------
    data : bytes
        Content of a file for which `is_imagej` is true.
    source : str
        Name of the file, after which the image is called.

    Returns
    -------
    ViaDocument
        Document in which the name of a ROI is the region attribute ``name``, without the number
        that ImageJ adds to names that occur twice; one that ImageJ gave by itself is none. The
        group is the attribute ``group``, and the colour of the stroke ``stroke``.
    """
    tally = Tally()
    regions = tuple(
        region for name, content in _members(data, tally) for region in _regions(content, name)
    )
    names = dict.fromkeys(r.attributes[NAME] for r in regions if NAME in r.attributes)
    image = AnnotatedImage(image_name(Path(source)), regions, extras={UNNAMED: True})
    return ViaDocument((image,), Flavour.IMAGEJ_ROI, choice_among(NAME, names), notes=tally.notes)


def _members(data: bytes, tally: Tally) -> Iterator[tuple[str, bytes]]:
    """Yield the names of ROIs, without suffix, and their contents."""
    if data.startswith(ROI):
        yield "", data
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > _MOST_ROIS:
            raise ValueError(
                f"it has {len(members)} members, of which at most {_MOST_ROIS} are read"
            )
        if sum(member.file_size for member in members) > _MOST_BYTES_IN_ALL:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES_IN_ALL >> 20} MB")
        for member in members:
            if not member.filename.lower().endswith(_SUFFIX):
                tally["Left out files that are no ROIs"].append(repr(member.filename))
            elif member.file_size > _MOST_BYTES:
                tally["Left out ROIs that are too large"].append(repr(member.filename))
            else:
                yield PurePosixPath(member.filename).stem, archive.read(member)


def _regions(content: bytes, name: str) -> Iterator[Region]:
    try:
        with translated(AnnotationError, "it cannot be read"):
            roi = ImagejRoi.frombytes(content)
            shapes = _shapes(roi)
    except AnnotationError as error:
        yield Region({}, problem=f"ROI {name!r:.60}: {error}")
        return
    # A name in the file is what ImageJ shows; that in a zip file is made of it.
    name = roi.name.strip() or name
    attributes: dict[str, Any] = {}
    if name and not _GIVEN_NAME.fullmatch(name):
        attributes[NAME] = _ADDED_NUMBER.sub("", name)
    if roi.group:
        attributes["group"] = str(roi.group)
    if colour := roi.hexcolor(roi.stroke_color):
        attributes["stroke"] = colour
    extras = {"roi": name} if name else {}
    if isinstance(shapes, str):
        yield Region({}, attributes, extras, f"ROI {name!r:.60}: {shapes}")
        return
    for shape in shapes:
        yield make_region(shape, attributes, extras)


def _shapes(roi: ImagejRoi) -> list[dict[str, Any]] | str:
    """Return VIA's ``shape_attributes`` of a ROI, or the reason if there are none."""
    plane = max(roi.position, roi.z_position, roi.t_position)
    if plane > 1:
        return f"it lies on plane {plane} of a stack, and regions are on single images"
    if roi.subtype in _NO_SHAPES:
        return f"it is {_NO_SHAPES[roi.subtype]}, not a region"
    if roi.composite:
        return _shapes_of_rings(roi)
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        return [_shape_of_box(roi)]
    points = np.asarray(roi.coordinates(), dtype=np.float64)
    if not len(points) or not np.isfinite(points).all():
        return "it has no points"
    if roi.roitype in _LINES or roi.roitype is ROI_TYPE.POINT:
        points = points + 0.5
    xs, ys = ([_number(n) for n in values] for values in points.T)
    if roi.roitype is ROI_TYPE.POINT:
        return [{"name": "point", "cx": x, "cy": y} for x, y in zip(xs, ys, strict=True)]
    if roi.roitype in _LINES:
        return [{"name": "polyline", "all_points_x": xs, "all_points_y": ys}]
    if roi.roitype in _AREAS:
        return [{"name": "polygon", "all_points_x": xs, "all_points_y": ys}]
    return f"it is of a type that is not known, {int(roi.roitype)}"


def _number(value: float) -> int | float:
    rounded = round(float(value), 3)
    return int(rounded) if rounded.is_integer() else rounded


def _shape_of_box(roi: ImagejRoi) -> dict[str, Any]:
    box: tuple[float, ...] = (roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top)
    if roi.subpixelrect:
        box = (roi.xd, roi.yd, roi.widthd, roi.heightd)
    x, y, width, height = map(_number, box)
    if roi.roitype is ROI_TYPE.RECT:
        return {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    rx, ry = width / 2, height / 2
    return {"name": "ellipse", "cx": x + rx, "cy": y + ry, "rx": rx, "ry": ry}


def _shapes_of_rings(roi: ImagejRoi) -> list[dict[str, Any]] | str:
    """Return the outlines of a composite ROI, whose rings are filled by the even-odd rule."""
    rings = [np.asarray(r, dtype=np.float64) for r in roi.coordinates(multi=True) if len(r) > 2]
    if not rings or not all(np.isfinite(ring).all() for ring in rings):
        return "it has no outline"
    left, top = np.floor(np.min([ring.min(axis=0) for ring in rings], axis=0)).astype(int)
    right, bottom = np.ceil(np.max([ring.max(axis=0) for ring in rings], axis=0)).astype(int)
    shape = int(bottom - top), int(right - left)
    if shape[0] * shape[1] > MOST_PIXELS:
        return f"it covers {shape[1]} x {shape[0]} pixels, which are too many"
    mask = np.zeros(shape, dtype=bool)
    for ring in rings:
        xs, ys = (ring - (left, top)).T.tolist()
        outline = Region({"name": "polygon", "all_points_x": xs, "all_points_y": ys})
        mask.ravel()[pixels_of(outline, shape, 0.5, 0.5)] ^= True
    return outlines_of_mask(mask, int(top), int(left))
