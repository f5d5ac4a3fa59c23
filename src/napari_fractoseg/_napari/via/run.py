"""Run of an import of annotations: labels are drawn in a thread, then layers are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg._napari.via.layers import LayerData
from napari_fractoseg.jobs import Job
from napari_fractoseg.text import counted

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ViaImportRun"]


class ViaImportRun(Run):
    """Run that adds the layers of a VIA file to a viewer; its result is notes for the user.

    Parameters
    ----------
    job : Job
        Job that makes the layers, from `layers_job`.
    viewer : napari.viewer.Viewer
        Viewer that gets the layers.
    """

    goes_on = "The import goes on in the background and adds its layers."

    def __init__(
        self, job: Job[tuple[list[LayerData], list[str]]], viewer: napari.viewer.Viewer
    ) -> None:
        super().__init__(job, "opening annotations")
        self._viewer = viewer
        self.layers: list[Layer] = []

    def conclude(self, state: State) -> State:
        """Add the layers to the viewer."""
        if state is State.DONE:
            data, self.result = self.result
            self.layers = [self._added(*layer) for layer in data]
        return state

    def _added(self, data: object, arguments: dict[str, object], kind: str) -> Layer:
        taken = [str(layer.name) for layer in self._viewer.layers]
        name = unique_name(str(arguments["name"]), taken)
        return self._viewer.add_layer(Layer.create(data, {**arguments, "name": name}, kind))

    def end_text(self) -> str:
        """Return a text on what was added, and what was left out or chosen."""
        if self.state is State.STOPPED:
            return "Stopped; no layer was added."
        if self.state is not State.DONE:
            return super().end_text()
        n_layers = len(self.layers)
        done = f"{counted(n_layers, 'layer')} added." if n_layers else "There is nothing to open."
        return "\n".join((done, *self.result))
