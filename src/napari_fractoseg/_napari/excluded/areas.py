"""Excluded areas of the images of a viewer: the info bars that were found, and edited areas."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_fractoseg._napari.excluded.layer import (
    add_layer,
    area_in,
    is_excluded_layer,
    layer_of,
    put_in_place,
)
from napari_fractoseg._napari.excluded.search import bar_job
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import facts_of, file_of
from napari_fractoseg._napari.layers import stack_of, unwrapped
from napari_fractoseg._napari.per_viewer import PerViewer
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ExcludedArea, InfoBar
from napari_fractoseg.jobs import drain

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ExcludedAreas", "areas_of"]

_AT_ONCE_PX = 2**22
"""Largest plane whose edges are looked through in the GUI thread: less than 0.1 s."""
_TELL_AFTER_MS = 250
_NOT_FOUND = InfoBar(None, "")


@dataclass(eq=False)
class _Known:
    """What is known of an image; `bar` is None while it is looked for."""

    bar: InfoBar | None = None
    is_left_out: bool = False
    area: ExcludedArea | None = None
    is_current: bool = False
    """Whether `area` is that of now."""
    run: Run | None = None


class ExcludedAreas(QObject):
    """Excluded areas of the image layers of a viewer.

    An info bar that is found is left out, unless the user says otherwise. What is painted on the
    layer of the area (`edit`) takes the place of the bar; if that layer is deleted, nothing is
    left out.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the images.
    """

    changed = Signal()
    """Signal that the area of an image is another, or was found."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = weakref.proxy(viewer)
        self._known: WeakKeyDictionary[Image, _Known] = WeakKeyDictionary()
        self._tell_soon = QTimer(self, singleShot=True, interval=_TELL_AFTER_MS)
        self._tell_soon.timeout.connect(self.changed)
        viewer.layers.events.removed.connect(self._on_removed)

    # ---- what is known ------------------------------------------------------------------

    def bar(self, image: Image) -> InfoBar | None:
        """Return the info bar that was found, or why there is none; None while it is looked for."""
        return self._look(image).bar

    def is_left_out(self, image: Image) -> bool:
        """Tell whether the area of an image is left out, if it has one."""
        return self._look(image).is_left_out

    def layer(self, image: Image) -> Labels | None:
        """Return the layer of the area of an image, None if it was never edited."""
        return layer_of(self._viewer, image)

    def area(self, image: Image) -> ExcludedArea | None:
        """Return what is left out of an image now; None if nothing is."""
        return self.known_area(image) if self.is_left_out(image) else None

    def known_area(self, image: Image) -> ExcludedArea | None:
        """Return the area of an image, whether it is left out now or not."""
        known = self._look(image)
        if not known.is_current:
            known.area, known.is_current = self._area_now(image, known), True
        return known.area

    def _area_now(self, image: Image, known: _Known) -> ExcludedArea | None:
        shape, layer = stack_of(image).shape, self.layer(image)
        if layer is not None:
            try:
                return area_in(layer, shape)
            except ImageError:  # somebody gave the layer, or the image, another array
                return None
        return None if known.bar is None else ExcludedArea.of_bar(known.bar, shape)

    # ---- what the user does -------------------------------------------------------------

    def leave_out(self, image: Image, is_left_out: bool) -> None:
        """Leave the area of an image out, or not; its layer is shown and hidden with it."""
        self._look(image).is_left_out = is_left_out
        layer = self.layer(image)
        if layer is not None:
            layer.visible = is_left_out
        self._note(image)

    def edit(self, image: Image) -> Labels:
        """Return the layer of the area of an image, made if need be, with the brush on it.

        Raises
        ------
        ImageError
            If there is no memory for it.
        """
        layer = self.layer(image)
        if layer is None:
            bar = self.bar(image)
            area = None if bar is None else ExcludedArea.of_bar(bar, stack_of(image).shape)
            layer = add_layer(self._viewer, image, area)
            self._follow(image, layer)
        self.leave_out(image, True)
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        return layer

    def restore(self, image: Image, area: ExcludedArea | None) -> bool:
        """Leave an area out of an image, as it was when its labels were saved.

        Nothing is changed where that is so already, or the area of the image was edited since.

        Returns
        -------
        bool
            False while its info bar is looked for, which `changed` tells the end of.
        """
        if self.bar(image) is None:
            return False
        if self.layer(image) is not None:
            return True
        known = self.known_area(image)
        if area is None or (known is not None and known.key == area.key):
            if self.is_left_out(image) != (area is not None):
                self.leave_out(image, area is not None)
            return True
        selected = set(self._viewer.layers.selection)
        self._follow(image, add_layer(self._viewer, image, area))
        self.leave_out(image, True)
        self._viewer.layers.selection = selected
        return True

    # ---- the search ---------------------------------------------------------------------

    def _look(self, image: Image) -> _Known:
        """Return what is known of an image; the first time its bar is looked for."""
        image = unwrapped(image)
        known = self._known.get(image)
        if known is not None:
            return known
        known = self._known[image] = _Known()
        image.events.data.connect(self._on_data)
        stack = stack_of(image)
        job = bar_job(stack, file_of(image))
        rows, columns = stack.shape[-2:]
        if rows * columns <= _AT_ONCE_PX:
            self._take(known, drain(job))
            return known
        run = known.run = Run(job, "looking for an info bar")
        run.ended.connect(self._on_found)
        run.start()
        return known

    def _take(self, known: _Known, bar: InfoBar) -> None:
        known.bar, known.is_left_out = bar, known.is_left_out or bar.rows is not None

    def _on_found(self) -> None:
        for known in list(self._known.values()):
            run = known.run
            if run is not None and run.state.has_ended:
                known.run = None
                self._take(known, run.result if run.state is State.DONE else _NOT_FOUND)
        self.changed.emit()

    def _on_data(self, event: Any) -> None:
        """Look again, as the layer has another image."""
        known = self._known.pop(event.source, None)
        event.source.events.data.disconnect(self._on_data)
        if known is not None and known.run is not None:
            known.run.abandon()
        self._tell_soon.start()

    # ---- the layers of areas ------------------------------------------------------------

    def _follow(self, image: Image, layer: Labels) -> None:
        """Take note of strokes on a layer, and move it with its image."""
        reference = weakref.ref(image)

        def note(_event: Any = None) -> None:
            image = reference()
            if image is not None:
                self._note(image)

        def follow(_event: Any = None) -> None:
            image = reference()
            if image is not None:
                put_in_place(layer, image)

        events = layer.events
        for event in (events.paint, events.data, events.set_data, events.labels_update):
            event.connect(note)
        moved = image.events
        for event in (moved.scale, moved.translate, moved.rotate, moved.shear, moved.affine,
                      moved.units):  # fmt: skip
            event.connect(follow)

    def _note(self, image: Image) -> None:
        self._look(image).is_current = False
        self._tell_soon.start()

    def _on_removed(self, event: Any) -> None:
        """Leave nothing out any more if the layer of an area was deleted."""
        if not is_excluded_layer(event.value):
            return
        wanted = facts_of(event.value).get("excluded_for")
        for image, known in list(self._known.items()):
            if str(image.unique_id) == wanted and self.layer(image) is None:
                known.is_left_out = known.is_current = False
        self._tell_soon.start()


_areas = PerViewer(ExcludedAreas)


def areas_of(viewer: napari.viewer.Viewer) -> ExcludedAreas:
    """Return the excluded areas of a viewer, which all docks share."""
    return _areas.of(viewer)
