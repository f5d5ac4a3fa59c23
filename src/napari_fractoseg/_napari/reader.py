"""napari reader of VGG Image Annotator (VIA) files. Never imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_fractoseg._napari.layers import METADATA_KEY, class_colormap, class_features
from napari_fractoseg.annotations import AnnotatedImage, rasterise, read_via
from napari_fractoseg.annotations.raster import class_attribute, class_of, vertices_px
from napari_fractoseg.annotations.via import is_via
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.images.reading import IMAGE_SUFFIXES, read_image

__all__ = ["get_reader", "read_layers"]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

_FACE_ALPHA = 0.25
_EDGE_OF_TRANSPARENT = (0.6, 0.6, 0.6, 1.0)


def get_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_layers` if all files are VIA 2, else None, so that others may read them."""
    return read_layers if all(is_via(p) for p in _paths(path)) else None


def read_layers(path: str | list[str]) -> list[LayerData]:
    """Read VIA files as napari layers.

    Parameters
    ----------
    path : str or list of str
        VIA 2 annotation or project files.

    Returns
    -------
    list of (data, arguments, layer type)
        For each annotated image: the image and a labels layer, if the image
        lies beside the annotation file, and the regions as shapes. Only those
        of the first image are visible.

    Raises
    ------
    AnnotationError
        If the classes cannot be told, or a region cannot be drawn.
    """
    layers: list[LayerData] = []
    for file in _paths(path):
        images = [image for image in read_via(file) if image.regions]
        try:
            layers += _layers_of(file, images)
        except AnnotationError as error:
            raise AnnotationError(f"{file}: {error}") from error
    return layers


def _paths(path: str | list[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]


def _layers_of(file: Path, images: list[AnnotatedImage]) -> list[LayerData]:
    if not images:
        raise AnnotationError("there are no regions in it. Draw some in VIA and export again.")
    scheme = DEFAULT_SCHEME
    attribute = class_attribute(images, scheme)
    layers: list[LayerData] = []
    for image in images:
        new = _image_layers(file, image, scheme, attribute)
        for _, arguments, _ in new:
            arguments["visible"] = not layers
        layers += new
    return layers


def _image_layers(
    file: Path, image: AnnotatedImage, scheme: ClassScheme, attribute: str
) -> list[LayerData]:
    name = _base_name(image.filename)
    found = _beside(file, name)
    shapes = _shapes(image, scheme, attribute)
    shapes[1]["name"] = f"{Path(name).stem} · regions"
    if found is None:
        return [shapes]
    stack = read_image(found)
    rows, columns = stack.shape[-2:]
    labels = rasterise(image, (rows, columns), scheme, attribute)
    return [
        (np.asarray(stack.data), {"name": stack.name, "rgb": stack.rgb}, "image"),
        (
            labels,
            {
                "name": f"{stack.name} · annotation",
                "colormap": class_colormap(scheme),
                "features": class_features(scheme),
                "opacity": 0.45,
                "metadata": _metadata(image, scheme),
            },
            "labels",
        ),
        shapes,
    ]


def _base_name(filename: str) -> str:
    """Return the last part of what the file gives as a name: a path, a URL, any system's."""
    return PureWindowsPath(filename).name


def _beside(file: Path, name: str) -> Path | None:
    """Return the image of that name beside the annotation file, None if there is none.

    The name comes from a file of unknown origin: nothing outside that folder
    is opened, and nothing but images.
    """
    candidate = file.parent / name
    is_image = candidate.suffix.lower() in IMAGE_SUFFIXES and candidate.is_file()
    return candidate if is_image and candidate.name == name else None


def _shapes(image: AnnotatedImage, scheme: ClassScheme, attribute: str) -> LayerData:
    """Return the regions as polygons with class names and colours."""
    classes = [
        class_of(region, scheme, attribute, f"image {image.filename!r}, region {i}")
        for i, region in enumerate(image.regions)
    ]
    # VIA's coordinates are pixel edges, napari's are pixel centres.
    outlines: list[npt.NDArray[np.float64]] = [
        np.stack(vertices_px(region, f"image {image.filename!r}, region {i}"), axis=1) - 0.5
        for i, region in enumerate(image.regions)
    ]
    arguments = {
        "shape_type": "polygon",
        "features": {"class": [c.name for c in classes]},
        "edge_color": np.array(
            [_EDGE_OF_TRANSPARENT if c.is_transparent else c.rgba for c in classes]
        ),
        "face_color": np.array([(*c.rgba[:3], _FACE_ALPHA * c.rgba[3]) for c in classes]),
        "edge_width": 2,
        "metadata": _metadata(image, scheme),
    }
    return outlines, arguments, "shapes"


def _metadata(image: AnnotatedImage, scheme: ClassScheme) -> dict[str, Any]:
    return {METADATA_KEY: {"scheme": scheme.to_dict(), "image": image.filename}}
