"""Saving of corrected annotations as the kind of VIA file that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_fractoseg._napari.jobs import Run, State
from napari_fractoseg._napari.layer_metadata import add_facts, facts_of
from napari_fractoseg._napari.layers import unique_name
from napari_fractoseg._napari.via.documents import FullLayerData, corrected_document_job
from napari_fractoseg._napari.widgets.plain_text import plain_errors, show_info
from napari_fractoseg.annotations import Flavour, ViaDocument, write_via
from napari_fractoseg.annotations.conversion.flavours import in_flavour, named_after
from napari_fractoseg.annotations.conversion.kept import own_flavour
from napari_fractoseg.annotations.via import SUFFIXES
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.jobs import Job
from napari_fractoseg.text import counted

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SaveBackRun", "ask_where", "layers_to_save", "save_back"]


@dataclass(frozen=True)
class _Saved:
    path: Path
    n_images: int
    n_regions: int
    notes: tuple[str, ...]


class SaveBackRun(Run):
    """Run that writes the VIA file that layers came from, with their corrections.

    Parameters
    ----------
    layers : sequence of Layer
        Labels and shapes layers of one VIA file, from `layers_to_save`. They are copied: what is
        painted meanwhile is not saved.
    path : Path
        File to write; an existing one is replaced.
    """

    goes_on = "Saving goes on in the background."
    finishes = True

    def __init__(self, layers: Sequence[Layer], path: Path) -> None:
        super().__init__(_save_job([_copy_of(layer) for layer in layers], path), "saving to VIA")
        self._layers = tuple(layers)

    def conclude(self, state: State) -> State:
        """Remember the file, which is proposed when the layers are saved again."""
        if state is State.DONE:
            for layer in self._layers:
                via = facts_of(layer).get("via") or {}
                add_facts(layer, {"via": {**via, "saved": str(self.result.path)}})
        return state

    def end_text(self) -> str:
        """Return a text on what was written, and what could not be kept."""
        if self.state is not State.DONE:
            return super().end_text()
        saved = self.result
        regions = counted(saved.n_regions, "region")
        done = f"Saved {regions} of {counted(saved.n_images, 'image')} in {saved.path}."
        return "\n".join((done, *saved.notes))


def _copy_of(layer: Layer) -> FullLayerData:
    data, arguments, kind = layer.as_layer_data_tuple()
    return (data.copy() if isinstance(data, np.ndarray) else data), arguments, kind


def _save_job(layers: Sequence[FullLayerData], path: Path) -> Job[_Saved]:
    document = yield from corrected_document_job(layers)
    document = named_after(in_flavour(document, _flavour_of(document, path)), path)
    notes = write_via(document, path, overwrite=True)
    n_regions = sum(len(image.regions) for image in document)
    return _Saved(path, len(document), n_regions, (*document.notes, *notes))


def _flavour_of(document: ViaDocument, path: Path) -> Flavour:
    """Return the flavour to write: that of the file, unless the suffix wants another one."""
    kind = own_flavour(document)
    if SUFFIXES[kind] == path.suffix.lower():
        return kind
    return Flavour.VIA2_CSV if path.suffix.lower() == ".csv" else Flavour.VIA2_PROJECT


def layers_to_save(viewer: napari.viewer.Viewer) -> list[Layer]:
    """Return the labels and shapes layers of one VIA file: that of the active layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer with the layers. If the active one is of no VIA file, the only VIA file counts.

    Raises
    ------
    AnnotationError
        If no layer came from a VIA file, or it is not clear which file is meant.
    """
    documents = {layer: _document_of(layer) for layer in viewer.layers}
    active = viewer.layers.selection.active
    wanted = None if active is None else documents.get(active)
    if wanted is None:
        different = {id(d): d for d in documents.values() if d is not None}
        if not different:
            raise AnnotationError(
                "No layer here came from a VIA file, so there is nothing to save back. Open one, "
                "or save labels and shapes by File > Save Selected Layers as a VIA 2 project."
            )
        if len(different) > 1:
            raise AnnotationError(
                f"The layers here came from {len(different)} VIA files. Select a layer of the one "
                "to save."
            )
        (wanted,) = different.values()
    return [layer for layer, document in documents.items() if document is wanted]


def _document_of(layer: Layer) -> ViaDocument | None:
    document = (facts_of(layer).get("via") or {}).get("document")
    return document if isinstance(document, ViaDocument) else None


def suggested_path(layer: Layer) -> Path:
    """Return a path to propose: the one saved last, else a new one beside the layer's VIA file."""
    via = facts_of(layer).get("via") or {}
    if via.get("saved"):
        return Path(via["saved"])
    source, document = Path(via.get("source") or "via.json"), _document_of(layer)
    suffix = SUFFIXES[Flavour.VIA2_PROJECT if document is None else own_flavour(document)]
    taken = {path.stem for path in source.parent.glob(f"*{suffix}")}
    return source.with_name(unique_name(f"{source.stem} corrected", taken) + suffix)


def ask_where(layers: Sequence[Layer], parent: QWidget | None = None) -> Path | None:
    """Ask for the file to write; None if the user cancels. Qt asks before one is replaced."""
    path = suggested_path(layers[0])
    name, _ = QFileDialog.getSaveFileName(
        parent, "Save back to VIA", str(path), "VIA annotations (*.json *.csv)"
    )
    if not name:
        return None
    chosen = Path(name)
    return chosen if chosen.suffix else chosen.with_suffix(path.suffix)


def save_back() -> None:
    """Save the VIA file of the active layer: the command in the menus."""
    viewer = napari.current_viewer()
    if viewer is None:
        return
    with plain_errors():
        layers = layers_to_save(viewer)
    path = ask_where(layers, QApplication.activeWindow())
    if path is not None:
        run = SaveBackRun(layers, path)
        run.ended.connect(partial(_say_end, run))
        run.start()


def _say_end(run: SaveBackRun) -> None:
    if run.state is State.DONE:  # napari shows errors by itself
        show_info(run.end_text())
