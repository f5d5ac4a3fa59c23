"""Layer that outlines the facet under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels, Layer, Vectors

from napari_fractoseg._napari.camera import screen_px
from napari_fractoseg._napari.layer_metadata import metadata_with
from napari_fractoseg._napari.layers import placement, unique_name
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.annotations.facets import Facet

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["FacetOutline"]

_COLOR = "#ffd54a"
_WIDTH_SCREEN_PX = 2.5


class FacetOutline:
    """Outline of a facet on a layer of its own, above all others; the labels stay selected.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that gets the layer.
    labels : Labels
        Layer that is painted on.

    Attributes
    ----------
    is_changing : bool
        Whether the layer is being added or removed now.
    """

    def __init__(self, viewer: napari.viewer.Viewer, labels: Labels) -> None:
        self._viewer, self._labels = viewer, labels
        self._layer: Vectors | None = None
        self.is_changing = False

    def is_shown_by(self, layer: Layer) -> bool:
        """Tell whether a layer is that of the outline."""
        return layer is self._layer

    def add(self) -> Vectors:
        """Add the layer, without a facet."""
        names = [layer.name for layer in self._viewer.layers]
        layer = self._layer = Vectors(
            self._no_lines(),
            ndim=self._labels.ndim,
            name=plain_text(unique_name(f"{self._labels.name} · facet", names)),
            metadata=metadata_with({"helper": "facet"}),
            edge_color=_COLOR,
            vector_style="line",
            opacity=1.0,
            **placement(self._labels),
        )
        self.is_changing = True
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = self._labels
        self.is_changing = False
        return layer

    def show(self, facet: Facet | None, plane: tuple[int, ...]) -> None:
        """Outline a facet, or none.

        Parameters
        ----------
        facet : Facet or None
            Facet of the plane.
        plane : tuple of int
            Index of the plane on the leading axes of the labels.
        """
        if facet is None:
            if self._layer is not None and len(self._layer.data):
                self._layer.data = self._no_lines()
            return
        lines = facet.outline()
        vectors = np.zeros((len(lines), 2, self._labels.ndim))
        vectors[:, 0, :-2] = plane
        vectors[:, 0, -2:] = lines[:, 0]
        vectors[:, 1, -2:] = lines[:, 1] - lines[:, 0]
        layer = self._layer or self.add()
        layer.data = vectors
        layer.edge_width = _WIDTH_SCREEN_PX / screen_px(self._viewer, layer)

    def remove(self) -> None:
        """Remove the layer; `show` adds it again."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self.is_changing = True
            self._viewer.layers.remove(layer)
            self.is_changing = False

    def _no_lines(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
        return np.zeros((0, 2, self._labels.ndim))
