"""Follows the list of layers of a viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

if TYPE_CHECKING:
    from napari.components import LayerList

__all__ = ["follow_layers"]


def follow_layers(layers: LayerList, refresh: Callable[..., Any]) -> None:
    """Call a method whenever a layer comes, goes, or gets another name.

    Parameters
    ----------
    layers : LayerList
        Layers of a viewer.
    refresh : callable
        Method of an object, which is held weakly, as by napari. It may take the event.
    """
    events = layers.events
    for event in (events.inserted, events.removed):
        event.connect(refresh)
    renamed = getattr(events, "renamed", None)
    if renamed is not None:
        renamed.connect(refresh)
    else:  # napari before 0.7 passes on all events of the layers, by their own names
        events.connect(_when_renamed(WeakMethod(refresh)))


def _when_renamed(method: WeakMethod[Callable[..., Any]]) -> Callable[[Any], None]:
    """Call a method at those events only that are a layer's new name."""

    def pass_on(event: Any) -> None:
        call = method() if event.type == "name" else None
        if call is not None:
            call()

    return pass_on
