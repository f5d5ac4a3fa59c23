"""Keys of a point count on napari's canvas, whichever layer is selected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari_fractoseg._napari.layers import unwrapped

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["CanvasKeys"]


class CanvasKeys:
    """Keys that do something of ours while they are on, instead of what napari does with them.

    napari asks the layer that is selected for a key first: so the keys are bound to that layer,
    and go with the selection. What a layer had bound before is given back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer whose canvas has the keys.
    actions : mapping of str to callable
        Key as napari names it, such as ``Control-Z`` -> what it does.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, actions: Mapping[str, Callable[[], object]]
    ) -> None:
        self._viewer = unwrapped(viewer)
        self._actions = actions
        self._owner: Any = None
        self._before: dict[str, Any] = {}

    def start(self) -> None:
        """Take the keys."""
        self._viewer.layers.selection.events.active.connect(self._follow)
        self._follow()

    def stop(self) -> None:
        """Give the keys back."""
        self._viewer.layers.selection.events.active.disconnect(self._follow)
        self._give_back()

    def _follow(self, _event: Any = None) -> None:
        self._give_back()
        active = self._viewer.layers.selection.active
        owner = self._owner = self._viewer if active is None else active
        for key, action in self._actions.items():
            self._before[key] = owner.bind_key(key, _pressed(action), overwrite=True)

    def _give_back(self) -> None:
        for key, before in self._before.items():
            self._owner.bind_key(key, before, overwrite=True)
        self._owner, self._before = None, {}


def _pressed(action: Callable[[], object]) -> Callable[[Any], Callable[[], None]]:
    """Return what napari calls for a key; what that returns is called when it is released.

    Without that, napari would call what an earlier key left there (see `make_paintable`).
    """

    def press(_owner: Any) -> Callable[[], None]:
        action()
        return _release

    return press


def _release() -> None:
    """Do nothing."""
