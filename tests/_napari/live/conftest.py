"""A mouse over a labels layer."""

from types import SimpleNamespace

import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)


class Event:
    """A mouse event; while a button is held, napari puts the latest one into the first."""

    def __init__(self, kind, position):
        self.__wrapped__ = SimpleNamespace(
            type=kind, position=position, button=1, modifiers=[], is_dragging=True
        )

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)


@pytest.fixture(scope="session")
def press():
    """Function that returns the event of a press of the left button at a place."""
    return lambda position: Event("mouse_press", position)


@pytest.fixture(scope="session")
def drag():
    """Function that moves the mouse over a layer with the left button down."""

    def move(layer, way):
        mouse_press_callbacks(layer, Event("mouse_press", way[0]))
        for place in way[1:]:
            mouse_move_callbacks(layer, Event("mouse_move", place))
        mouse_release_callbacks(layer, Event("mouse_release", way[-1]))

    return move
