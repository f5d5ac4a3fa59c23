"""Parts that kinds of annotation files share: regions, and entries that are kept as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari_fractoseg.annotations.document import Region
from napari_fractoseg.annotations.shapes import problem_of

__all__ = ["as_mapping", "choice_among", "make_region", "no_mappings", "with_extras"]


def make_region(
    shape: object, attributes: object = None, extras: Mapping[str, Any] | None = None
) -> Region:
    """Return a region made from the entries of a file; one that cannot be drawn says why."""
    if not isinstance(shape, Mapping):
        return Region({}, as_mapping(attributes), extras or {}, f"no shape in {shape!r:.60}")
    return Region(shape, as_mapping(attributes), extras or {}, problem_of(shape))


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for anything else, such as null."""
    return value if isinstance(value, Mapping) else {}


def choice_among(attribute: str, values: Iterable[str]) -> dict[str, Any]:
    """Return VIA 2's definitions with one region attribute, a dropdown of values; none of none."""
    options = {value: value for value in values}
    if not options:
        return {"region": {}, "file": {}}
    dropdown = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    return {"region": {attribute: dropdown}, "file": {}}


def no_mappings(said: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the entries with these keys that are no mappings, though they should be.

    They are kept as extras, to be written again.
    """
    values = {key: said.get(key) for key in keys}
    return {k: v for k, v in values.items() if not (v is None or isinstance(v, Mapping))}


def with_extras(data: dict[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry to write, joined with extras that replace none of its filled values."""
    return data | {k: v for k, v in extras.items() if not data.get(k)}
