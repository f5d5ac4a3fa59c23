"""Metadata of OME-Zarr groups: axes, scale, channels, classes of labels.

This is the one reader of OME-NGFF metadata, versions 0.1 to 0.5, in zarr format 2 (``.zattrs``)
and 3 (``zarr.json``). It reads small JSON files only and never imports zarr, so that a file
manager or napari can ask what a folder is before anything is opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_fractoseg.errors import ImageError, reason_of, translated
from napari_fractoseg.files import read_json_object
from napari_fractoseg.images.axes import Axis, pixel_size_um
from napari_fractoseg.images.zarr_header import read_header

__all__ = ["LabelNames", "NgffMetadata", "read_metadata"]

_EARLY_VERSIONS, _EARLY_AXES = ("0.1", "0.2"), ("t", "c", "z", "y", "x")
"""Versions of OME-NGFF that do not name axes, and the axes that their images have."""
_CHANNEL = "channel"


@dataclass(frozen=True)
class LabelNames:
    """Names and colours of the values of a label image.

    Parameters
    ----------
    names : dict of int to str
        Value -> class name, for values that have one.
    colors : dict of int to tuple of int
        Value -> red, green, blue and, where it is given, alpha, 0-255, for values that have a
        colour.
    """

    names: Mapping[int, str]
    colors: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class NgffMetadata:
    """Metadata of the first multiscale image in an OME-Zarr group.

    Parameters
    ----------
    paths : tuple of str
        Names of the image's arrays in the group, of those that are there, the finest first.
    shape : tuple of int
        Shape of the finest array.
    axes : tuple of Axis
        Axes of the finest array, with unit and scale; empty if the group does not name
        them, or names another number of axes than the array has. Where no scale is said,
        or one that makes no sense, all have scale 1.0 and no unit.
    translation : tuple of float
        Place of the first element of the finest array, in the units of the axes; zeros
        if the group does not say.
    channel_names : tuple of str
        Names along the channel axis; empty if some or all are missing.
    labels : LabelNames or None
        Names and colours of a label image's values; None for other images.
    attributes : dict
        All attributes of the group, those of other programs too.
    """

    paths: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    translation: tuple[float, ...]
    channel_names: tuple[str, ...]
    labels: LabelNames | None
    attributes: Mapping[str, Any]

    @property
    def pixel_size_um(self) -> float | None:
        """Edge length of a pixel in micrometres; None if not said or pixels are not square."""
        return pixel_size_um([axis for axis in self.axes if axis.type != _CHANNEL])


def read_metadata(folder: Path) -> NgffMetadata | None:
    """Read the metadata of an OME-Zarr group.

    Parameters
    ----------
    folder : Path
        Folder of a zarr group on a local disk.

    Returns
    -------
    NgffMetadata or None
        Metadata of the image; None if the folder is no OME-Zarr image: no zarr, an array,
        or another group.

    Raises
    ------
    ImageError
        If the folder is one, but its metadata are damaged; the message says how.

    Notes
    -----
    The scale of a dataset and that of the multiscale image multiply: first the
    ``coordinateTransformations`` of the dataset are applied, then those of the image.

    References
    ----------
    https://ngff.openmicroscopy.org/0.4/ and https://ngff.openmicroscopy.org/0.5/

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_fractoseg.images.ome_zarr import read_metadata
    >>> read_metadata(Path("no_such_folder.zarr")) is None
    True
    """
    attributes = _group_attributes(folder)
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, dict) or not ome.get("multiscales"):
        return None
    what = f"{folder}: its OME-Zarr metadata are damaged"
    try:
        with translated(ImageError, what):
            return _metadata(folder, ome, attributes)
    except ImageError as error:
        if error.__cause__ is None:  # says what is wrong by itself
            raise
        raise ImageError(
            f"{what} ({_reason(error.__cause__)}). Write the image again with the program that "
            "made it, or open the array inside it by its own path."
        ) from error.__cause__


def _metadata(folder: Path, ome: Any, attributes: Mapping[str, Any]) -> NgffMetadata:
    image = ome["multiscales"][0]
    listed_paths = [_inside(dataset["path"]) for dataset in image["datasets"]]
    shapes = {path: _array_shape(folder / path) for path in listed_paths}
    shape = shapes[listed_paths[0]]
    if shape is None:
        raise ValueError(f"there is no array '{listed_paths[0]}' in it")
    paths = tuple(path for path, found in shapes.items() if found is not None)
    listed = image.get("axes") or ()
    if not listed and str(image.get("version")) in _EARLY_VERSIONS:
        listed = _EARLY_AXES
    if not isinstance(listed, list | tuple):
        raise ValueError(f"axes is {listed!s:.80} instead of a list")
    if len(listed) != len(shape):
        listed = ()
    scale, translation = _placement(image, len(listed))
    axes = tuple(
        _axis(axis, number, None if scale is None else scale[number])
        for number, axis in enumerate(listed)
    )
    names = _channel_names(ome.get("omero"), axes, shape)
    labels = _label_names(ome.get("image-label"))
    return NgffMetadata(paths, shape, axes, translation, names, labels, attributes)


# ---- files ------------------------------------------------------------------------------


def _group_attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of a zarr group; empty if there are none or it is no group."""
    node = read_json_object(folder / "zarr.json")
    if node is None:
        return read_json_object(folder / ".zattrs") or {}
    attributes = node.get("attributes")
    is_group = node.get("node_type", "group") == "group"
    return attributes if is_group and isinstance(attributes, dict) else {}


def _array_shape(folder: Path) -> tuple[int, ...] | None:
    """Return the shape of a zarr array, None if there is none."""
    header = read_header(folder)
    return None if header is None else header.shape


def _inside(given: Any) -> str:
    """Return the path of an array in its group; what leads out of the group is refused."""
    path = str(given).strip("/")
    if not isinstance(given, str) or ".." in path.split("/") or Path(path).is_absolute():
        raise ValueError(f"the path {path!r:.80} does not lead to an array in it")
    return path


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, ValueError | RecursionError | MemoryError):
        return reason_of(error)
    return "they are not built as OME-NGFF says"


# ---- axes -------------------------------------------------------------------------------


def _axis(axis: Any, number: int, scale: float | None) -> Axis:
    """Return an axis made from its entry, which up to OME-NGFF 0.3 is a text.

    A unit without a scale says nothing and is left out.
    """
    said = axis if isinstance(axis, dict) else {"name": axis}
    name = str(said.get("name") or f"axis{number}")
    unit = str(said["unit"]) if said.get("unit") and scale is not None else None
    named = Axis.named(name, unit, 1.0 if scale is None else scale)
    return Axis(name, str(said["type"]), unit, named.scale) if said.get("type") else named


def _placement(image: Any, n_axes: int) -> tuple[tuple[float, ...] | None, tuple[float, ...]]:
    """Return scale and translation of level 0; None for a scale not said or without sense."""
    steps = [
        *(image["datasets"][0].get("coordinateTransformations") or ()),
        *(image.get("coordinateTransformations") or ()),
    ]
    scale: list[float] | None = None
    translation = nowhere = [0.0] * n_axes
    for step in steps:
        if step.get("type") == "scale":
            factors = _numbers(step.get("scale"), n_axes)
            if factors is None or min(factors, default=1.0) <= 0:
                return None, tuple(nowhere)
            scale = _products(scale or [1.0] * n_axes, factors)
            translation = _products(translation, factors)
        elif step.get("type") == "translation":
            offsets = _numbers(step.get("translation"), n_axes) or nowhere
            translation = [a + b for a, b in zip(translation, offsets, strict=True)]
    return None if scale is None else tuple(scale), tuple(translation)


def _products(numbers: Sequence[float], factors: Sequence[float]) -> list[float]:
    return [a * b for a, b in zip(numbers, factors, strict=True)]


def _numbers(given: Any, count: int) -> list[float] | None:
    """Return a list of `count` finite numbers as floats, None if it is something else."""
    if not isinstance(given, list) or len(given) != count:
        return None
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in given):
        return None
    return [float(n) for n in given]


def _channel_names(omero: Any, axes: Sequence[Axis], shape: Sequence[int]) -> tuple[str, ...]:
    """Return the labels of the channels; empty if they are not those of the channel axis."""
    listed = omero.get("channels") if isinstance(omero, dict) else None
    channels = listed if isinstance(listed, list) else []
    labels = [channel.get("label") for channel in channels if isinstance(channel, dict)]
    lengths = [n for axis, n in zip(axes, shape, strict=False) if axis.type == _CHANNEL]
    return tuple(map(str, labels)) if lengths == [len(labels)] and all(labels) else ()


# ---- labels -----------------------------------------------------------------------------


def _label_names(label: Any) -> LabelNames | None:
    if not isinstance(label, dict):
        return None
    properties, colors = label.get("properties") or (), label.get("colors") or ()
    return LabelNames(
        {int(p["label-value"]): str(p["class"]) for p in properties if "class" in p},
        {int(c["label-value"]): _rgba(c["rgba"]) for c in colors if c.get("rgba") is not None},
    )


def _rgba(given: Any) -> tuple[int, ...]:
    rgba = tuple(bytes(given))
    if len(rgba) not in (3, 4):
        raise ValueError(f"{given} is no colour of three or four numbers from 0 to 255")
    return rgba
