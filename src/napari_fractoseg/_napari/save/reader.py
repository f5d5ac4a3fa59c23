"""Reader of ``run.json`` for napari: the images, labels and uncertainty that a run wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg._napari.calibrate.sizes import place_of
from napari_fractoseg._napari.layer_metadata import (
    FILE_KEY,
    METADATA_KEY,
    PIXEL_SIZE_KEY,
    PLANE_NAMES_KEY,
)
from napari_fractoseg._napari.result_reader import read_results
from napari_fractoseg._napari.save.restore import labels_data, placement_in
from napari_fractoseg._napari.via.layers import LayerData
from napari_fractoseg._napari.widgets.plain_text import plain_errors, plain_text, show_warning
from napari_fractoseg.errors import AnnotationError, FractosegError, ImageError
from napari_fractoseg.files import read_json_object
from napari_fractoseg.images import MicrographStack, find_images, read_image, read_stack
from napari_fractoseg.images.reading import IMAGE_SUFFIXES
from napari_fractoseg.inference.result import CONFIDENCE, MARGIN
from napari_fractoseg.results.record import read_entries
from napari_fractoseg.text import size_text

__all__ = ["get_run_reader", "read_runs"]

_RUN = "run.json"
_MOST = 24
"""Most images of a run that are opened."""
_SUFFIXES = (".tif", ".zarr")


def get_run_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_runs` if all paths are reports of our runs, or folders with one; else None."""
    paths = _paths(path)
    return read_runs if paths and all(_images_of(p) for p in paths) else None


def read_runs(path: str | list[str]) -> list[LayerData]:
    """Open what runs wrote: of each image the image itself, its labels, and its uncertainty.

    Parameters
    ----------
    path : str or list of str
        Reports (``run.json``) in the folders of the results.

    Returns
    -------
    list of (data, arguments, layer type)
        Layers for napari; those of the first image are visible. An image that is not where it was
        is looked for beside the report, and left out if it is not there.

    Raises
    ------
    AnnotationError
        If there are no labels any more.
    """
    layers: list[LayerData] = []
    notes: list[str] = []
    with plain_errors():
        for report in _paths(path):
            images = _images_of(report)
            for entry, labels in images[:_MOST]:
                new = list(_layers(report.parent, entry, labels, notes))
                for _, arguments, _ in new:
                    arguments["visible"] = arguments.get("visible", True) and not layers
                layers += new
            if len(images) > _MOST:
                notes.append(
                    f"{report.name}: the first {_MOST} of {len(images)} images are open. Open the "
                    "others by File > IO Utilities > Open labels or annotations."
                )
        if not layers:
            raise AnnotationError(f"{path}: the labels of this run are not in its folder any more.")
    if notes:
        show_warning("\n".join(notes))
    return layers


def _paths(path: str | list[str]) -> list[Path]:
    """Return the reports; the folder of one stands for it."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    return [p / _RUN if (p / _RUN).is_file() else p for p in paths]


def _images_of(report: Path) -> list[tuple[Mapping[str, Any], Path]]:
    """Return the images that a report and those before it list, with their labels."""
    if not report.name.endswith(_RUN) or not report.is_file():
        return []
    content = read_json_object(report) or {}
    earlier = content.get("earlier_runs", [])
    found = []
    for run in [content, *(earlier if isinstance(earlier, list) else [])]:
        files = run.get("files") if isinstance(run, dict) else None
        for entry in files if isinstance(files, list) else []:
            labels = _labels_of(report, entry)
            if labels is not None:
                found.append((entry, labels))
    return found


def _labels_of(report: Path, entry: Any) -> Path | None:
    """Return the labels of an image, the first of its outputs, if they are still there."""
    outputs = entry.get("outputs") if isinstance(entry, dict) else None
    if not isinstance(outputs, list) or not outputs:
        return None
    name = str(outputs[0])
    path = report.with_name(Path(name).name or "?")
    is_ours = path.suffix in _SUFFIXES and path.name == name
    return path if is_ours and path.exists() else None


def _layers(
    folder: Path, entry: Mapping[str, Any], labels: Path, notes: list[str]
) -> Iterator[LayerData]:
    entries, layer = read_entries(labels), _labels_layer(labels)
    image = _image_file(folder, entry)
    if image is not None:
        try:
            opened = _image_layer(image, entries, tuple(_finest(layer).shape))
            names = layer[1]["metadata"].get(PLANE_NAMES_KEY)
            if names:
                opened[1]["metadata"][PLANE_NAMES_KEY] = names
            yield opened
        except FractosegError as error:
            notes.append(str(error))
    elif entry.get("path"):
        notes.append(
            f"{labels.name}: its image ({entry['path']}) is not there any more. Put it beside the "
            "folder of the results."
        )
    for kind in (CONFIDENCE, MARGIN):
        path = labels.with_name(f"{labels.stem.removesuffix('_labels')}_{kind}{labels.suffix}")
        if path.exists():
            yield _uncertainty(path, kind, entries)
    yield layer


def _labels_layer(path: Path) -> LayerData:
    if not path.is_dir():
        return labels_data(path)
    (layer,) = read_results(str(path))
    layer[1]["metadata"][FILE_KEY] = str(path)
    return layer


def _finest(layer: LayerData) -> Any:
    return layer[0][0] if isinstance(layer[0], list) else layer[0]


def _image_file(folder: Path, entry: Mapping[str, Any]) -> Path | None:
    """Return the image beside the folder of the results, in it, or where it was.

    The report may be somebody else's: a path on another computer is not followed, for systems
    tell that computer who asks.
    """
    path = Path(str(entry.get("path") or "?"))
    is_local = path.is_absolute() and not str(path).startswith(("\\\\", "//"))
    places = [folder.parent / path.name, folder / path.name, *([path] if is_local else [])]
    for place in places:
        if place.is_dir() or (place.is_file() and place.suffix.lower() in IMAGE_SUFFIXES):
            return place
    return None


def _image_layer(path: Path, entries: Mapping[str, Any], shape: tuple[int, ...]) -> LayerData:
    is_stack = path.is_dir() and path.suffix.lower() != ".zarr" and bool(find_images(path))
    stack: MicrographStack = read_stack(path) if is_stack else read_image(path)
    if stack.shape != shape:
        raise ImageError(
            f"{path} has {size_text(stack.shape)}, its labels {size_text(shape)}: it is not opened."
        )
    size = stack.pixel_size
    place = placement_in(entries, len(shape)) or place_of(size, len(shape))
    metadata: dict[str, Any] = {FILE_KEY: str(path)}
    if size.x_um is not None:
        metadata[PIXEL_SIZE_KEY] = size.to_dict()
    name = plain_text(entries.get("image") or stack.name)
    return stack.data, {"name": name, "rgb": stack.rgb, "metadata": metadata, **place}, "image"


def _uncertainty(path: Path, kind: str, entries: Mapping[str, Any]) -> LayerData:
    if path.is_dir():
        ((data, arguments, _),) = read_results(str(path))
    else:
        stack = read_image(path)
        data, arguments = np.asarray(stack.data), place_of(stack.pixel_size, len(stack.shape))
    record = {k: v for k, v in entries.items() if k in ("image", "model_digest", "model_name")}
    return (
        data,
        {
            **arguments,
            **placement_in(entries, data.ndim),
            "name": plain_text(f"{entries.get('image') or path.stem} · {kind}"),
            "colormap": "viridis",
            "contrast_limits": (0, 1),
            "visible": False,
            "metadata": {METADATA_KEY: record, FILE_KEY: str(path)},
        },
        "image",
    )
