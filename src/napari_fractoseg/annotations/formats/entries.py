"""What all flavours share: regions and image entries made from what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_fractoseg.annotations.document import Region
from napari_fractoseg.annotations.shapes import problem_of

__all__ = ["as_mapping", "make_region", "no_mappings", "with_extras"]


def make_region(
    shape: object, attributes: object = None, extras: Mapping[str, Any] | None = None
) -> Region:
    """Make a region of what a file says; one that cannot be drawn says why."""
    if not isinstance(shape, Mapping):
        return Region({}, as_mapping(attributes), extras or {}, f"no shape in {shape!r:.60}")
    return Region(shape, as_mapping(attributes), extras or {}, problem_of(shape))


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else, such as null."""
    return value if isinstance(value, Mapping) else {}


def no_mappings(said: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return what stands in a file where a mapping should be, for the way back."""
    values = {key: said.get(key) for key in keys}
    return {k: v for k, v in values.items() if not (v is None or isinstance(v, Mapping))}


def with_extras(data: dict[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be written with the extras; they do not replace what has been filled."""
    return data | {k: v for k, v in extras.items() if not data.get(k)}
