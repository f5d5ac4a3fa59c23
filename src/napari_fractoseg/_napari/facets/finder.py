"""Facets of the planes of image layers, found in the background and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from napari.layers import Image
from qtpy.QtCore import QObject, Signal, Slot

from napari_fractoseg._napari.excluded import area_of, areas_of, key_of, stack_with_area
from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg.annotations.facets import (
    FacetTree,
    RecentSizes,
    TreeCache,
    facet_tree_job,
)
from napari_fractoseg.images import MicrographStack
from napari_fractoseg.jobs import Job

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["FacetFinder"]

_CACHE_BYTES = 256 * 2**20
_WAIT = "Finding the facets of this plane …"
_FAILED = "No facets could be found on this plane."

_Plane: TypeAlias = tuple[Any, tuple[int, ...]]


def _job(stack: MicrographStack, index: tuple[int, ...]) -> Job[FacetTree]:
    """Read a plane and find its facets; nothing of it happens in the GUI thread."""
    return (yield from facet_tree_job(stack.plane(index)))


class FacetFinder(QObject):
    """Facets of planes, as far as they have been found; one plane is looked at after the other.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that has the images. Nothing is seen of what is left out of them.
    parent : QObject, optional
        Owner of the finder.

    Attributes
    ----------
    text : str
        Text for users on what is waited for or went wrong; empty if the facets of the plane
        that was asked for last are there.
    """

    changed = Signal()
    """Signal that `text` is new; what was asked for may be there."""
    outdated = Signal()
    """Signal that an image has changed, and its facets are forgotten."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._areas: dict[Any, Any] = {}
        areas_of(viewer).changed.connect(self._on_areas)
        self.text = ""
        self._trees: TreeCache[_Plane] = TreeCache(_CACHE_BYTES)
        self._images: dict[Any, Image] = {}
        self._sizes: dict[Any, RecentSizes] = {}
        self._failed: set[_Plane] = set()
        self._run: Run | None = None
        self._run_plane: _Plane | None = None

    def tree(self, image: Image, index: tuple[int, ...]) -> FacetTree | None:
        """Return the facets of a plane; None if they must be found first, or cannot be.

        Parameters
        ----------
        image : Image
            Image layer of one resolution.
        index : tuple of int
            Index of the plane on its leading axes.
        """
        plane = (image.unique_id, index)
        tree = self._trees.get(plane)
        if tree is not None:
            self._say("")
        elif plane in self._failed:
            self._say(_FAILED)
        elif not (self._is_running and self._run_plane == plane):
            self._find(image, plane)
        return tree

    def sizes(self, image: Image) -> RecentSizes:
        """Return the sizes of the facets that were painted last on an image."""
        return self._sizes.setdefault(image.unique_id, RecentSizes())

    def forget(self, image: Image) -> None:
        """Forget the facets of an image that has changed or was removed."""
        if self._images.pop(image.unique_id, None) is not None:
            image.events.data.disconnect(self._on_data)
        self._sizes.pop(image.unique_id, None)
        self._trees.forget(lambda plane: plane[0] == image.unique_id)
        self._failed = {plane for plane in self._failed if plane[0] != image.unique_id}
        if self._run_plane is not None and self._run_plane[0] == image.unique_id:
            self.cancel()

    def cancel(self) -> None:
        """Stop looking; what failed is tried again next time."""
        if self._run is not None and self._is_running:
            self._run.abandon()
        self._run = self._run_plane = None
        self._failed.clear()

    @property
    def _is_running(self) -> bool:
        return self._run is not None and not self._run.state.has_ended

    def _find(self, image: Image, plane: _Plane) -> None:
        if self._run is not None and self._is_running:
            self._run.abandon()
        if plane[0] not in self._images:
            self._images[plane[0]] = image
            image.events.data.connect(self._on_data)
            self._areas[plane[0]] = self._area_key(image)
        run = Run(_job(stack_with_area(self._viewer, image), plane[1]), "facets")
        self._run, self._run_plane = run, plane
        run.progressed.connect(self._on_progress)
        run.ended.connect(self._on_end)
        run.start()
        self._say(_WAIT)

    def _on_progress(self) -> None:
        run = self._run
        if run is not None and run.progress is not None and not run.state.has_ended:
            done, total = run.progress.done, run.progress.total
            self._say(f"Finding the facets of this plane: {done} of {total} …")

    def _on_end(self) -> None:
        run, plane = self._run, self._run_plane
        if run is None or plane is None:
            return
        if run.state is State.DONE:
            self._trees.put(plane, run.result)
            self._say("")
        elif run.state is State.FAILED:  # napari shows why
            self._failed.add(plane)
            self._say(_FAILED)

    def _on_data(self, event: Any) -> None:
        self.forget(event.source)
        self.outdated.emit()

    def _area_key(self, image: Image) -> Any:
        return key_of(area_of(self._viewer, image))

    @Slot()
    def _on_areas(self) -> None:
        """Forget the facets of images of which something else is left out now."""
        for image in list(self._images.values()):
            if self._areas.get(image.unique_id) != self._area_key(image):
                self.forget(image)
                self.outdated.emit()

    def _say(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self.changed.emit()
