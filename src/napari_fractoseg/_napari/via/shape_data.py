"""Shapes for napari made from the regions of VIA."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations import Region
from napari_fractoseg.annotations.raster import to_pixel_centres
from napari_fractoseg.annotations.shapes import ellipse_axes, outline_px

__all__ = ["shape_data", "shape_type"]

_POINT_RADIUS_PX = 3.0
_SHAPE_TYPES = {
    "rect": "rectangle",
    "circle": "ellipse",
    "ellipse": "ellipse",
    "point": "ellipse",
    "polygon": "polygon",
    "polyline": "path",
}


def shape_data(region: Region) -> npt.NDArray[np.float64]:
    """Return a region as the vertices of a napari shape, in pixel centres.

    Parameters
    ----------
    region : Region
        Region that can be drawn.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Rows and columns: the vertices of polygons and paths, the four corners
        of rectangles and of the boxes round ellipses; a point is a small disk.
    """
    if region.kind in ("circle", "ellipse"):
        rx, ry, theta = ellipse_axes(region.shape)
        rows, columns = _box(region, rx, ry, theta)
    elif _is_dot(region):
        rows, columns = outline_px(region)
        dot = Region({"name": "point", "cx": columns[0], "cy": rows[0]})
        rows, columns = _box(dot, _POINT_RADIUS_PX, _POINT_RADIUS_PX, 0.0)
    else:
        rows, columns = outline_px(region)
    return np.stack(to_pixel_centres(rows, columns), axis=1)


def shape_type(region: Region) -> str:
    """Return napari's word for the kind of a region's shape, such as ``polygon`` or ``path``."""
    return "ellipse" if _is_dot(region) else _SHAPE_TYPES[region.kind]


def _is_dot(region: Region) -> bool:
    """Tell whether a region is a point, or a polygon or line of one point.

    Double clicks in VIA leave such polygons.
    """
    if region.kind not in ("point", "polygon", "polyline"):
        return False
    rows, columns = outline_px(region)
    return bool(np.ptp(rows) == 0 and np.ptp(columns) == 0)


def _box(
    region: Region, rx: float, ry: float, theta: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return rows and columns of the corners of the box round an ellipse, turned with it."""
    along, across = np.array([-rx, rx, rx, -rx]), np.array([-ry, -ry, ry, ry])
    rows = float(region.shape["cy"]) + along * np.sin(theta) + across * np.cos(theta)
    columns = float(region.shape["cx"]) + along * np.cos(theta) - across * np.sin(theta)
    return rows, columns
