"""Strokes on labels layers: where a paint event of napari changed something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["stroke_box"]


def stroke_box(event: Any) -> tuple[slice, ...] | None:
    """Return the box that a stroke lies in.

    Parameters
    ----------
    event : Event
        Event of ``layer.events.paint``; its value is the list of changes of one stroke.

    Returns
    -------
    tuple of slice or None
        From the first changed index to the one after the last, for each axis of the layer's
        data; None if nothing was changed or it cannot be told.
    """
    boxes = list(_boxes(getattr(event, "value", None) or ()))
    if not boxes or None in boxes:
        return None
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*(box for box in boxes if box is not None), strict=True)
    )


def _boxes(changes: Iterable[Any]) -> Iterator[tuple[slice, ...] | None]:
    for change in changes:
        key = getattr(change, "slice_key", None)  # napari 0.9: boxes with a mask
        if key is None:  # before, and of `data_setitem`: indices, old and new values
            key = change[0] if isinstance(change, tuple) and len(change) == 3 else ()
        box = tuple(_part(part) for part in key)
        yield None if not box or None in box else box  # type: ignore[misc]


def _part(part: Any) -> slice | None:
    if isinstance(part, slice):
        return part if None not in (part.start, part.stop) else None
    indices = np.atleast_1d(np.asarray(part))
    return slice(int(indices.min()), int(indices.max()) + 1) if indices.size else None
