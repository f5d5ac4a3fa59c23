"""Metadata of OME-Zarr images and label images. Reads small files only; never imports zarr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_fractoseg.classes import DEFAULT_SCHEME, PALETTES, ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError

__all__ = ["FRACTOSEG_ATTRIBUTE", "NgffImage", "read_ngff"]

FRACTOSEG_ATTRIBUTE = "fractoseg"
"""Name of the attribute of a zarr group that holds the provenance of our labels."""

_ATTRIBUTE_FILES = ("zarr.json", ".zattrs")
_COLOURS = PALETTES["standard"]


@dataclass(frozen=True)
class NgffImage:
    """Metadata of an OME-Zarr image or label image.

    Parameters
    ----------
    paths : tuple of str
        Names of the arrays in the group, that of full resolution first.
    axes : tuple of str
        Names of the axes of the arrays.
    scale : tuple of float
        Distance of two elements on each axis at full resolution, in `units`.
    units : tuple of str or None
        Unit of each axis, ``pixel`` where it has none; None if no axis has one.
    scheme : ClassScheme or None
        Classes of a label image; None if the values have no names.
    provenance : dict
        Origin of labels or uncertainty that this program wrote: image, model, settings. Empty
        for other files.
    """

    paths: tuple[str, ...]
    axes: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...] | None
    scheme: ClassScheme | None
    provenance: Mapping[str, Any]


def read_ngff(folder: Path) -> NgffImage | None:
    """Read the metadata of an OME-Zarr group, version 0.4 or 0.5.

    Parameters
    ----------
    folder : Path
        Folder of the group.

    Returns
    -------
    NgffImage or None
        The metadata; None if the folder is something else or its metadata are damaged.
    """
    attributes = _attributes(folder)
    try:
        ome = attributes.get("ome", attributes)
        multiscale = ome["multiscales"][0]
        datasets, axes = multiscale["datasets"], multiscale["axes"]
        scale = _scale(datasets[0]["coordinateTransformations"])
        names = tuple(str(a["name"] if isinstance(a, dict) else a) for a in axes)
        if len(names) != len(scale):
            return None
        provenance = attributes.get(FRACTOSEG_ATTRIBUTE)
        provenance = provenance if isinstance(provenance, dict) else {}
        return NgffImage(
            paths=tuple(str(d["path"]) for d in datasets),
            axes=names,
            scale=scale,
            units=_units(axes),
            scheme=_scheme(ome.get("image-label"), provenance),
            provenance=provenance,
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of a zarr group of format 2 or 3; empty if there are none."""
    for name in _ATTRIBUTE_FILES:
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            inner = found.get("attributes", {}) if name == "zarr.json" else found
            return inner if isinstance(inner, dict) else {}
    return {}


def _scale(transformations: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    found = next(t for t in transformations if t["type"] == "scale")
    return tuple(float(s) for s in found["scale"])


def _units(axes: Sequence[Any]) -> tuple[str, ...] | None:
    units = [a.get("unit") if isinstance(a, dict) else None for a in axes]
    if not any(units):
        return None
    return tuple(str(u or "pixel") for u in units)


def _own_scheme(provenance: Mapping[str, Any]) -> ClassScheme | None:
    """Return the class scheme in the provenance, with aliases; None if there is none."""
    try:
        return ClassScheme.from_dict(provenance["scheme"])
    except (KeyError, TypeError, ClassSchemeError):
        return None


def _scheme(label: Mapping[str, Any] | None, provenance: Mapping[str, Any]) -> ClassScheme | None:
    """Return the classes of a label image, by preference those in the provenance, or None."""
    if not isinstance(label, Mapping):
        return None
    if (own := _own_scheme(provenance)) is not None:
        return own
    colours = {c["label-value"]: c.get("rgba") for c in label.get("colors", ())}
    named = {p["label-value"]: p["class"] for p in label.get("properties", ()) if "class" in p}
    named.pop(0, None)
    if not named:
        return None
    try:
        classes = tuple(
            _class(value, str(name), colours.get(value)) for value, name in sorted(named.items())
        )
        return ClassScheme(_scheme_name(classes), classes)
    except ClassSchemeError:  # such as values above 255
        return None


def _class(value: int, name: str, rgba: Sequence[int] | None) -> FractureClass:
    """Return a class of a label image; what OME-Zarr does not say is as in the default scheme."""
    if rgba is None:
        color = _COLOURS[(value - 1) % len(_COLOURS)]
    else:
        digits = bytes(rgba).hex().ljust(8, "f")
        color = f"#{digits[:6] if digits.endswith('ff') else digits}"
    known = DEFAULT_SCHEME.get(name)
    if known is not None:
        return replace(known, value=value, name=name, color=color)
    new = FractureClass(value, name, color)
    return replace(new, is_fracture_mode=not new.is_transparent)


def _scheme_name(classes: Sequence[FractureClass]) -> str:
    known = all(DEFAULT_SCHEME.get(c.name) is not None for c in classes)
    return DEFAULT_SCHEME.name if known else "classes"
