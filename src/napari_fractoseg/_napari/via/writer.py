"""Writers for napari of VIA files. Never import PyTorch."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg._napari.via.documents import FullLayerData, document_of_layers
from napari_fractoseg._napari.widgets.plain_text import plain_errors, show_info
from napari_fractoseg.annotations import Flavour, write_via
from napari_fractoseg.annotations.conversion.flavours import in_flavour, named_after
from napari_fractoseg.text import counted

__all__ = ["write_via2", "write_via2_csv", "write_via2_project"]

_MOST_NAMES = 5


def write_via2_project(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as a VIA 2 project."""
    return _write(path, layers, Flavour.VIA2_PROJECT)


def write_via2(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as VIA 2 annotations (JSON)."""
    return _write(path, layers, Flavour.VIA2)


def write_via2_csv(path: str, layers: list[FullLayerData]) -> list[str]:
    """Write labels and shapes layers as VIA 2 annotations (CSV)."""
    return _write(path, layers, Flavour.VIA2_CSV)


def _write(path: str, layers: list[FullLayerData], flavour: Flavour) -> list[str]:
    """Write layers as a VIA file of a flavour; napari has asked before if the file exists."""
    with plain_errors():
        document = named_after(in_flavour(document_of_layers(layers), flavour), Path(path))
        notes = (*document.notes, *write_via(document, path, overwrite=True))
    names = ", ".join(image.filename for image in document[:_MOST_NAMES])
    regions = counted(sum(len(image.regions) for image in document), "region")
    more = ", ..." if len(document) > _MOST_NAMES else ""
    show_info("\n".join((f"{regions} of {names}{more} written to {path}.", *notes)))
    return [path]
