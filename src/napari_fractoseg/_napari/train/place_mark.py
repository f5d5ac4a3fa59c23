"""Box around the place to paint next: a layer of its own, which goes once one paints there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Shapes

from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import placement, unique_name
from napari_fractoseg._napari.strokes import stroke_box

if TYPE_CHECKING:
    import napari.viewer

    from napari_fractoseg.training.active_learning import Suggestion

__all__ = ["PlaceMark"]

_NAME, _COLOR = "paint here next", "#f4d35e"
_EDGE = 1 / 24
"""Width of the box's edge in widths of the place."""


class PlaceMark:
    """Outlined box around a place of an image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer of the box.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._box: tuple[slice, ...] = ()
        self._painted: list[Labels] = []

    def show(self, place: Suggestion, image: Image) -> None:
        """Mark a place of an image, instead of the one before; what is selected stays so.

        Parameters
        ----------
        place : Suggestion
            Place with its plane, centre and size.
        image : Image
            Layer of the image.
        """
        self.remove()
        half = place.size_px // 2
        rows, columns = ((at - half, at + place.size_px - half) for at in (place.row, place.column))
        self._box = (*(slice(i, i + 1) for i in place.plane), slice(*rows), slice(*columns))
        corners = [(*place.plane, row, column) for row in rows for column in columns]
        selection = self._viewer.layers.selection
        active, chosen = selection.active, set(selection)
        self._layer = self._viewer.add_shapes(
            np.array(corners)[[0, 1, 3, 2]],
            shape_type="rectangle",
            name=unique_name(_NAME, [layer.name for layer in self._viewer.layers]),
            edge_color=_COLOR,
            edge_width=max(1.0, place.size_px * _EDGE),
            face_color="transparent",
            metadata=metadata_with({"helper": "place"}),
            **placement(image),
        )
        selection.clear()
        selection.update(chosen)
        selection.active = active
        self._painted = [layer for layer in self._viewer.layers if isinstance(layer, Labels)]
        for labels in self._painted:
            labels.events.paint.connect(self._on_paint)

    def remove(self) -> None:
        """Remove the box, if there is one."""
        for labels in self._painted:
            labels.events.paint.disconnect(self._on_paint)
        layer, self._layer, self._painted = self._layer, None, []
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_paint(self, event: Any) -> None:
        """Remove the box if a stroke lies in it, at least in part."""
        stroke = stroke_box(event)
        if stroke is not None and len(stroke) == len(self._box) and _overlap(stroke, self._box):
            self.remove()


def _overlap(one: tuple[slice, ...], other: tuple[slice, ...]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
