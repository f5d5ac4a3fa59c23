"""Reading and writing of files of the VGG Image Annotator (VIA), whichever version wrote them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_fractoseg.annotations.document import AnnotatedImage, Flavour, Region, ViaDocument
from napari_fractoseg.annotations.formats import (
    coco,
    coco_write,
    json_text,
    via3,
    via3_csv,
    via_csv,
    via_json,
)
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.sniff import UTF16, may_be_via, names_via
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.files import read_file, refuse_existing, write_bytes

__all__ = [
    "WRITABLE",
    "AnnotatedImage",
    "Region",
    "ViaDocument",
    "flavour_of",
    "is_damaged_via",
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
}
"""Flavour that can be written -> suffix by which VIA chooses its importer."""

_MOST_BYTES = 2**31
"""Largest annotation file that is read; the JSON of a thousand images has some megabytes."""

WRITABLE = tuple(SUFFIXES)
"""Flavours that can be written."""


def flavour_of(path: Path | str) -> Flavour | None:
    """Return which kind of VIA file a file is, by its content; None if it is none.

    Examples
    --------
    >>> from napari_fractoseg.annotations.via import flavour_of
    >>> flavour_of("pyproject.toml") is None
    True
    """
    try:
        if not may_be_via(Path(path)):
            return None
        return _recognise(_read_text(Path(path)), Path(path), Tally())[0]
    except (AnnotationError, OSError):
        return None


def is_damaged_via(path: Path | str) -> bool:
    """Tell whether a file has words that only VIA's have, but is cut off or no UTF-8.

    The error of `read_via` says what is wrong with such a file.
    """
    try:
        if not names_via(Path(path)):
            return False
        _recognise(_read_text(Path(path)), Path(path), Tally())
    except AnnotationError:
        return True
    except OSError:
        pass
    return False


def read_via(path: Path | str, *, strict: bool = True) -> ViaDocument:
    """Read a VIA file.

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
    path = Path(path)
    tally = Tally()
    flavour, content = _recognise(_read_text(path), path, tally)
    if flavour is None:
        raise AnnotationError(
            f"{path} is not a file of the VGG Image Annotator (VIA 1, 2 or 3). Export it from VIA "
            "by Annotation > Export Annotations."
        )
    with translated(AnnotationError, f"{path} cannot be read as {flavour.label}"):
        document = _parse(content, flavour, str(path))
    document = replace(document, notes=(*tally.notes, *document.notes))
    damaged = document.damaged()
    if damaged and strict:
        more = f" ({len(damaged) - 1} more regions are damaged)" if len(damaged) > 1 else ""
        raise AnnotationError(
            f"{path}, {damaged[0]}{more}. Draw it again in VIA, or have damaged regions left out.",
            options=("skip_damaged",),
        )
    if damaged:
        note = f"{len(damaged)} damaged regions are left out: {'; '.join(damaged[:3])}"
        note += "; ..." if len(damaged) > 3 else ""
        return replace(document, notes=(*document.notes, note))
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
        text, losses = _render(document, attribute)
    except (ValueError, TypeError):  # a value that JSON does not have
        document, notes = json_text.with_finite_numbers(document)
        text, losses = _render(document, attribute)
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite)
    return (*notes, *losses)


def _render(document: ViaDocument, attribute: str | None) -> tuple[str, tuple[str, ...]]:
    if document.flavour in (Flavour.VIA1_CSV, Flavour.VIA2_CSV):
        return via_csv.render(document), ()
    if document.flavour is Flavour.COCO:
        data, notes = coco_write.render(document, attribute)
        return json_text.dumps(data), notes
    return json_text.dumps(via_json.render(document)), ()


def _read_text(path: Path) -> str:
    with translated(AnnotationError, f"{path} cannot be read"):
        data = read_file(path, _MOST_BYTES)
    try:
        return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8, "
            "or export it from VIA again."
        ) from error


def _recognise(text: str, path: Path, tally: Tally) -> tuple[Flavour | None, Any]:
    """Return the flavour of a text, None if it is not VIA's, and its JSON data or the text."""
    if not text.lstrip().startswith(("{", "[")):
        return via_csv.flavour_of_text(text), text
    remedy = "Was it cut off, or edited by hand? Export the annotations from VIA again."
    with translated(AnnotationError, f"{path} is not valid JSON", remedy):
        data = json_text.loads(text, tally)
    if via3.is_via3(data):
        return Flavour.VIA3, data
    if coco.is_via_coco(data):
        return Flavour.COCO, data
    return via_json.flavour_of_data(data), data


def _parse(content: Any, flavour: Flavour, source: str) -> ViaDocument:
    if flavour is Flavour.VIA3:
        return via3.parse(content, source)
    if flavour is Flavour.VIA3_CSV:
        return via3_csv.parse_csv(content, source)
    if flavour is Flavour.COCO:
        return coco.parse(content, source)
    if flavour in (Flavour.VIA1_CSV, Flavour.VIA2_CSV):
        return via_csv.parse(content, source)
    return via_json.parse(content, flavour, source)
