"""JSON text as VIA writes and reads it: compact, in UTF-8, with finite numbers."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.errors import AnnotationError

__all__ = ["dumps", "is_encodable", "is_too_deep", "loads", "with_finite_numbers"]

_MOST_LEVELS = 100
"""Most levels of lists and objects in one another; VIA's own files have six."""

_REPEATED = "Keys that occur twice in the file, of which the last counts, as in VIA"
_NOT_FINITE = "Numbers that are not finite are written as null, as JavaScript does"


def loads(text: str, tally: Tally) -> Any:
    """Read JSON; keys that occur twice in an object are added to the tally.

    Raises
    ------
    ValueError, RecursionError
        If the text is no JSON, or nested more than 100 deep.
    """

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            tally[_REPEATED] += [repr(key) for key, n in counts.items() if n > 1]
        return found

    data = json.loads(text, object_pairs_hook=as_dict)
    if is_too_deep(data):
        raise ValueError(f"lists and objects are nested more than {_MOST_LEVELS} deep")
    return data


def is_too_deep(data: Any) -> bool:
    """Tell whether JSON data are nested more than 100 deep; those that recurse would fail."""
    level = [[data]]
    for _ in range(_MOST_LEVELS + 1):
        level = [
            list(part.values()) if isinstance(part, dict) else part
            for whole in level
            for part in whole
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True


def dumps(data: Any) -> str:
    """Return compact JSON that UTF-8 can hold.

    Raises
    ------
    ValueError, TypeError
        If there is a value that JSON does not have.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half of a surrogate pair, as broken file names have it, only exists as an escape.
    return text if is_encodable(text) else json.dumps(data, separators=(",", ":"))


def is_encodable(text: str) -> bool:
    """Tell whether UTF-8 can hold a text: it cannot hold halves of surrogate pairs."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def with_finite_numbers(document: ViaDocument) -> tuple[ViaDocument, tuple[str, ...]]:
    """Return a document that JSON can hold, and notes on what was replaced.

    NaN and infinity become null in attributes and in damaged regions.

    Raises
    ------
    AnnotationError
        If such a number is a coordinate of a region that can be drawn, or a value is of a type
        that JSON does not have; the message names image and region.
    """
    tally = Tally()
    images = []
    for image in document:
        where = f"Image {image.filename!r}"
        regions = (
            _finite_region(region, f"{where}, region {number}", tally)
            for number, region in enumerate(image.regions)
        )
        images.append(_finite_image(replace(image, regions=tuple(regions)), where, tally))
    where = "The project"
    finite = replace(
        document,
        images=tuple(images),
        definitions=_finite(document.definitions, where, tally),
        settings=_finite(document.settings, where, tally),
        extras=_finite(document.extras, where, tally),
    )
    return finite, tally.notes


def _finite_image(image: AnnotatedImage, where: str, tally: Tally) -> AnnotatedImage:
    return replace(
        image,
        attributes=_finite(image.attributes, where, tally),
        extras=_finite(image.extras, where, tally),
    )


def _finite_region(region: Region, where: str, tally: Tally) -> Region:
    before = len(tally.get(_NOT_FINITE, ()))
    shape = _finite(region.shape, where, tally)
    if len(tally.get(_NOT_FINITE, ())) > before and not region.problem:
        raise _refusal(where, region.shape, "it cannot be drawn")
    return replace(
        region,
        shape=shape,
        attributes=_finite(region.attributes, where, tally),
        extras=_finite(region.extras, where, tally),
    )


def _finite(value: Any, where: str, tally: Tally) -> Any:
    """Return a value with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(entry, where, tally) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry, where, tally) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        tally[_NOT_FINITE].append(where)
        return None
    if not (value is None or isinstance(value, str | int | float)):
        raise _refusal(where, value, f"JSON has no {type(value).__name__}")
    return value


def _refusal(where: str, value: object, why: str) -> AnnotationError:
    return AnnotationError(
        f"{where}: {value!s:.80} cannot be written: {why}. Use finite numbers, texts, or lists "
        "and mappings of them."
    )
