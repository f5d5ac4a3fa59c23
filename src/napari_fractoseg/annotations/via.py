"""Reading and writing of files of the VGG Image Annotator (VIA), whichever version wrote them."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats import (
    coco_write,
    json_text,
    via3_write,
    via_csv,
    via_json,
)
from napari_fractoseg.annotations.reading import read_annotations
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.files import refuse_existing, write_bytes

__all__ = [
    "SUFFIXES",
    "WRITABLE",
    "AnnotatedImage",
    "Region",
    "ViaDocument",
    "read_via",
    "write_via",
]

SUFFIXES = {
    Flavour.VIA1: ".json",
    Flavour.VIA1_CSV: ".csv",
    Flavour.VIA2: ".json",
    Flavour.VIA2_CSV: ".csv",
    Flavour.VIA2_PROJECT: ".json",
    Flavour.VIA2_ATTRIBUTES: ".json",
    Flavour.COCO: ".json",
    Flavour.VIA3: ".json",
}
"""Flavour that can be written -> suffix by which VIA chooses its importer."""

WRITABLE = tuple(SUFFIXES)
"""Flavours that can be written."""


def read_via(path: Path | str, *, strict: bool = True) -> ViaDocument:
    """Read a VIA file; `read_annotations` reads those of other programs, too.

    Parameters
    ----------
    path : Path or str
        File to read: VIA 1 JSON or CSV; VIA 2 annotations JSON, CSV, project,
        attributes file or COCO export; VIA 3 project or CSV. Its kind is told
        by content, not by name.
    strict : bool
        Whether a damaged region is an error. Otherwise it is kept, with its
        ``problem``, is not drawn, and is counted in the document's notes.

    Returns
    -------
    ViaDocument
        Contents of the file; also a sequence of its images, in the order of
        the file.

    Raises
    ------
    AnnotationError
        If it is no VIA file or cannot be read, naming file, image, region,
        value and remedy.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> document = nf.read_via("via_region_data.json")  # doctest: +SKIP
    >>> [(image.filename, len(image.regions)) for image in document]  # doctest: +SKIP
    [('s17_3.jpg', 166)]
    """
    document = read_annotations(path, strict=strict)
    if not document.flavour.is_via:
        raise AnnotationError(
            f"{path} is not a file of the VGG Image Annotator (VIA 1, 2 or 3): it has "
            f"{document.flavour.label}. read_annotations reads it."
        )
    return document


def write_via(
    document: ViaDocument,
    path: Path | str,
    *,
    overwrite: bool = False,
    attribute: str | None = None,
) -> tuple[str, ...]:
    """Write a document as a file of its flavour.

    Parameters
    ----------
    document : ViaDocument
        Document to write; `annotations.conversion.flavours.in_flavour` gives it another flavour.
    path : Path or str
        File to write; it ends in ``.json`` or ``.csv``, as VIA chooses its
        importer by that.
    overwrite : bool
        Whether an existing file is replaced.
    attribute : str, optional
        Region attribute whose values become the categories of COCO; by default the only one
        that can be. Other flavours hold all attributes.

    Returns
    -------
    tuple of str
        Notes on what the flavour could not hold.

    Raises
    ------
    AnnotationError
        If the flavour cannot be written, or cannot hold the document.
    OutputExistsError
        If the file exists and `overwrite` is False.
    """
    path = Path(path)
    suffix = SUFFIXES.get(document.flavour)
    if suffix is None:
        raise AnnotationError(
            f"{document.flavour.label} cannot be written. Convert it to one of "
            f"{', '.join(WRITABLE)}."
        )
    if path.suffix.lower() != suffix:
        raise AnnotationError(
            f"{path}: {document.flavour.label} are written to a file that ends in {suffix}; VIA "
            "chooses its importer by that. Rename it."
        )
    if not overwrite:
        refuse_existing(path)
    notes: tuple[str, ...] = ()
    try:
        text, losses = _render(document, path.stem, attribute)
    except (ValueError, TypeError):  # a value that JSON does not have
        document, notes = json_text.with_finite_numbers(document)
        text, losses = _render(document, path.stem, attribute)
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite)
    return (*notes, *losses)


def _render(document: ViaDocument, name: str, attribute: str | None) -> tuple[str, tuple[str, ...]]:
    if document.flavour in (Flavour.VIA1_CSV, Flavour.VIA2_CSV):
        return via_csv.render(document), ()
    if document.flavour is Flavour.COCO:
        data, notes = coco_write.render(document, attribute)
        return json_text.dumps(data), notes
    if document.flavour is Flavour.VIA3:
        data, notes = via3_write.render(document, name)
        return json_text.dumps(data), notes
    return json_text.dumps(via_json.render(document)), ()
