"""What users change of a model's classes: kept for the session, for the model's next results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fractoseg._napari.per_viewer import PerViewer
from napari_fractoseg.classes import ClassScheme

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["ClassChanges", "class_changes_of"]


class ClassChanges:
    """Classes of models as a user changed them: renamed, recoloured, added."""

    def __init__(self) -> None:
        self._by_model: dict[str, ClassScheme] = {}

    def remember(self, model: str, scheme: ClassScheme) -> None:
        """Keep the classes of a layer as those of the model whose result it is.

        Parameters
        ----------
        model : str
            Name or folder by which the model was chosen.
        scheme : ClassScheme
            Classes as they are now.
        """
        self._by_model[model] = scheme

    def scheme_for(self, model: str, scheme: ClassScheme) -> ClassScheme:
        """Return the classes for the next result of a model.

        Parameters
        ----------
        model : str
            Name or folder by which the model was chosen.
        scheme : ClassScheme
            Classes of the model.
        """
        changed = self._by_model.get(model)
        return scheme if changed is None else scheme.changed_like(changed)

    def recolour(self, model: str, palette: str | None, scheme: ClassScheme) -> None:
        """Give the classes of a model other colours, as the user chose a palette for all.

        Parameters
        ----------
        model : str
            Name or folder by which the model was chosen.
        palette : str or None
            Name of a palette; None for the colours of the model.
        scheme : ClassScheme
            Classes of the model.
        """
        if model in self._by_model:
            self._by_model[model] = self._by_model[model].in_palette(palette, scheme)


_known = PerViewer(lambda _viewer: ClassChanges())


def class_changes_of(viewer: napari.viewer.Viewer) -> ClassChanges:
    """Return the changes that were made in a viewer, also with a dock that was closed since."""
    return _known.of(viewer)
