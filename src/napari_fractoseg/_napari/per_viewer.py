"""Objects of which each viewer has one, whichever docks and commands ask for it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_fractoseg._napari.layers import unwrapped

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PerViewer"]

T = TypeVar("T")


class PerViewer(Generic[T]):
    """One object for each viewer, made when it is first asked for; gone with the viewer.

    Parameters
    ----------
    make : callable
        Function of the viewer that returns its object.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._known: list[tuple[weakref.ref[Any], T]] = []

    def of(self, viewer: napari.viewer.Viewer) -> T:
        """Return the object of a viewer; plugins get the viewer in a wrapper."""
        viewer = unwrapped(viewer)
        self._known[:] = [pair for pair in self._known if pair[0]() is not None]
        for reference, known in self._known:
            if reference() is viewer:  # viewers that look alike are equal
                return known
        made = self._make(viewer)
        self._known.append((weakref.ref(viewer), made))
        return made
