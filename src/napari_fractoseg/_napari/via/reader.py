"""Reader for napari of annotation files: VIA's and those of others. Never imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_fractoseg._napari.via import layers as via_layers
from napari_fractoseg._napari.via.layers import OPEN_ANNOTATIONS, LayerData, layers_job
from napari_fractoseg._napari.widgets.plain_text import plain_errors, show_warning
from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.options import LENIENT
from napari_fractoseg.annotations.reading import flavour_of, is_damaged
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.classes import DEFAULT_SCHEME
from napari_fractoseg.errors import AnnotationError, ClassSchemeError
from napari_fractoseg.jobs import drain

__all__ = ["get_reader", "read_layers"]


def get_reader(
    path: str | list[str],
) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return `read_layers` if all files hold annotations, else None: others may read them.

    It is returned, too, for such files that were cut off or damaged since: its error says why
    they cannot be read.
    """
    return read_layers if all(flavour_of(p) or is_damaged(p) for p in _paths(path)) else None


def read_layers(path: str | list[str]) -> list[LayerData]:
    """Read annotation files as napari layers, without asking anything.

    Parameters
    ----------
    path : str or list of str
        Files that `read_annotations` reads.

    Returns
    -------
    list of (data, arguments, layer type)
        Layers of image, labels and shapes for the images that lie beside the
        annotation file or in its subfolders; images of the same size are a
        stack. Of other images the shapes alone. Only the first set is visible.

    Raises
    ------
    AnnotationError
        If a file cannot be read, or has no regions.
    """
    layers: list[LayerData] = []
    for file in _paths(path):
        with plain_errors():
            new, notes = _layers_of(file)
        for _, arguments, _ in new:
            arguments["visible"] = arguments["visible"] and not layers
        layers += new
        if notes:
            show_warning(f"{file.name}: " + "\n".join(notes))
    return layers


def _paths(path: str | list[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]


def _layers_of(file: Path) -> tuple[list[LayerData], list[str]]:
    source = drain(AnnotationSource.open_job(file, file.parent, LENIENT))
    document = source.document
    if not source.annotated:
        raise AnnotationError(
            f"{file}: there are no regions in it ({document.flavour.label}, {len(document)} "
            f"images). Draw some in {document.flavour.program} and save again."
        )
    mapping, remark = _guessed(source)
    layers, notes = drain(layers_job(source, mapping, path=file, max_sets=via_layers.MAX_SETS))
    return layers, [*document.notes, *remark, *source.assembly.notes, *notes]


def _guessed(source: AnnotationSource) -> tuple[ClassMapping | None, list[str]]:
    """Return the classes of a document, None if they cannot be told, and notes for the user."""
    try:
        mapping = source.mapping(DEFAULT_SCHEME)
    except (AnnotationError, ClassSchemeError) as error:
        return None, [f"No labels were made: {error} {OPEN_ANNOTATIONS} lets you choose."]
    new = [c.name for c in mapping.scheme if DEFAULT_SCHEME.get(c.name) is None]
    return mapping, [f"New classes: {', '.join(new)}."] if new else []
