"""Layers that show a segmentation while it is computed and afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer

from napari_fractoseg._napari.calibrate.sizes import size_entry
from napari_fractoseg._napari.corrections import remember_prediction
from napari_fractoseg._napari.layer_metadata import add_facts
from napari_fractoseg._napari.layers import (
    apply_scheme,
    labels_layer,
    placement,
    scheme_of,
    uncertainty_layer,
    unique_names,
)
from napari_fractoseg._napari.segment.familiarity_layer import familiarity_layer
from napari_fractoseg._napari.segment.request import Segmentation
from napari_fractoseg._napari.widgets.plain_text import plain_text
from napari_fractoseg.jobs import Throttle

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ShownResult"]

_REFRESH_INTERVAL_S = 0.5
_REFRESH_SHARE = 10
"""Least time between two drawings of a growing result, in durations of a drawing."""


class ShownResult:
    """Layers that show a segmentation; used in the GUI thread only.

    Parameters
    ----------
    task : Segmentation
        Segmentation whose arrays a worker fills.
    viewer : napari.viewer.Viewer
        Viewer that gets the layers.
    place : dict, optional
        Scale, place and units of the layers, as `placement` returns them.
    earlier : ShownResult, optional
        Earlier result whose layers show the arrays of `task` already.
    image : Layer, optional
        Layer of the image that is segmented.

    Attributes
    ----------
    in_background : bool
        Whether the run starts by itself: then its layers are not selected, so that the
        user can go on painting, and those of a hidden image are hidden.
    """

    def __init__(
        self,
        task: Segmentation,
        viewer: napari.viewer.Viewer,
        place: dict[str, Any] | None = None,
        earlier: ShownResult | None = None,
        image: Layer | None = None,
    ) -> None:
        self.task, self.viewer = task, viewer
        self._place, self._image = place or {}, image
        self.in_background = False
        self.labels: Labels | None = None
        self.uncertainties: list[Image] = []
        self._number = 1
        self._refresh = Throttle(_REFRESH_INTERVAL_S)
        if earlier is not None and earlier.labels is not None:
            self.labels, self.uncertainties = earlier.labels, earlier.uncertainties
            self._number = earlier._number
            self.labels.editable = False

    def show(self) -> None:
        """Show the tiles that are finished; layers are added with the first one."""
        if self.task.record.n_tiles == 0:
            return
        if self.labels is None:
            selection = self.viewer.layers.selection
            before = set(selection)
            self._add_layers()
            if self.in_background:
                selection.update(before)
                selection.intersection_update(before)
        elif self._refresh.ready():
            began = time.monotonic()
            self.refresh()
            # Large planes on disk take long to draw; the window is for the user.
            self._refresh.slow_down(_REFRESH_SHARE * (time.monotonic() - began))

    def _add_layers(self) -> None:
        image, scheme = self.task.request.image, self.task.request.scheme
        place, facts = self._place, self.task.label_record().to_dict()
        if self._image is not None and self._image in self.viewer.layers:
            # It may have got its pixel size since the run was asked for.
            place = placement(self._image)
            facts |= {"pixel_size": size_entry(self._image)}
        taken = [layer.name for layer in self.viewer.layers]
        whats = (*self.task.uncertainties, scheme.name)
        bases = [plain_text(f"{image.name} · {what}") for what in whats]
        names, self._number = unique_names(bases, taken)  # one number: they belong together
        for name, uncertainty in zip(names, self.task.uncertainties.values(), strict=False):
            layer = uncertainty_layer(
                uncertainty,
                name=name,
                place=place,
                metadata=facts,
            )
            self.uncertainties.append(layer)
            self.viewer.add_layer(layer)
        self.labels = labels_layer(
            self.task.labels,
            scheme,
            name=names[-1],
            place=place,
            metadata=facts,
        )
        # Strokes on a plane that is still to come would be painted over.
        self.labels.editable = False
        if self.in_background and self._image is not None:
            self.labels.visible = self._image.visible
        self.viewer.add_layer(self.labels)

    def refresh(self) -> None:
        """Draw the layers again; they share the arrays that the worker fills."""
        for layer in (self.labels, *self.uncertainties):
            if layer is not None and layer in self.viewer.layers:
                layer.refresh()

    def finish(self) -> None:
        """Show the whole result after the end of the job, and allow painting on it."""
        self.refresh()
        if self.labels is not None:
            if self.task.arrays.predicted is not None:
                remember_prediction(self.labels, self.task.arrays.predicted)
            self.labels.editable = True
        record = self.task.label_record()
        for layer in (self.labels, *self.uncertainties):
            if layer is not None:
                add_facts(layer, {"planes": record.planes})
        if self.labels is not None:
            add_facts(
                self.labels,
                {
                    "labels_sha256": record.labels_sha256,
                    "familiarity": record.familiarity,
                    "familiarity_limit": record.familiarity_limit,
                    "unlike": record.unlike,
                    "untold": record.untold,
                },
            )

    def show_familiarity(self) -> None:
        """Add a layer that shows where the image looks unlike what the model learnt."""
        image, found = self.task.request.image, self.task.familiarity
        taken = [layer.name for layer in self.viewer.layers]
        base = plain_text(f"{image.name} · unlike what the model learnt")
        (name,), _ = unique_names([base], taken, self._number)
        selected = set(self.viewer.layers.selection)
        layer = familiarity_layer(found, image.shape, name=name, place=self._place)
        self.viewer.add_layer(layer)
        self.viewer.layers.selection = selected

    def recolour(self, palette: str | None) -> None:
        """Show the classes in the colours of a palette, or None for those of the model."""
        scheme = scheme_of(self.labels)
        if self.labels is None or scheme is None:
            return
        original = self.task.request.model.card.scheme
        apply_scheme(self.labels, scheme.in_palette(palette, original))

    def lost_its_layer(self) -> bool:
        """Tell whether the user removed the labels layer that is being filled."""
        return self.labels is not None and self.labels not in self.viewer.layers

    def saved_text(self) -> str:
        """Return a sentence on where the result is on disk; empty if it is in memory."""
        place = self.task.arrays.place
        return f"Saved as {place.name}, and so is each brush stroke." if place else ""

    def kept_text(self) -> str:
        """Return a sentence on what is left of a run that was stopped."""
        if self.lost_its_layer():
            return "The result layer was removed."
        if self.labels is None:
            return "Nothing was finished."
        finished, wanted = len(self.task.record.finished), len(self.task.request.planes)
        if wanted == 1:
            return "The tiles that were finished are in the layer."
        return f"{finished} of {wanted} planes are finished and in the layer."
