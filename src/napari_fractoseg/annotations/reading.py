"""Reading of annotation files, whichever program wrote them: VIA, COCO, LabelMe and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from napari_fractoseg.annotations.conversion.definitions import joined_definitions
from napari_fractoseg.annotations.document import Flavour, ViaDocument
from napari_fractoseg.annotations.formats import coco, json_text, via3, via3_csv, via_csv, via_json
from napari_fractoseg.annotations.formats.csv_rows import Tally
from napari_fractoseg.annotations.formats.neighbours import (
    coco_dataset,
    imagej,
    labelme,
    pascal_voc,
)
from napari_fractoseg.annotations.formats.sniff import (
    UTF16,
    may_be_annotations,
    names_annotations,
)
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.files import read_file

__all__ = [
    "SUFFIXES_READ",
    "flavour_of",
    "is_annotation_folder",
    "is_damaged",
    "read_annotations",
]

SUFFIXES_READ = (".json", ".csv", ".xml", ".roi", ".zip")
"""Suffixes of annotation files in a folder; a file that is named is read whatever its suffix."""

_MOST_BYTES = 2**31
"""Largest annotation file that is read; the JSON of a thousand images has some megabytes."""

_MOST_FILES = 20_000


def flavour_of(path: Path | str) -> Flavour | None:
    """Return which kind of annotation file a file is, by its content; None if it is none.

    Examples
    --------
    >>> from napari_fractoseg.annotations.reading import flavour_of
    >>> flavour_of("pyproject.toml") is None
    True
    """
    try:
        if not may_be_annotations(Path(path)):
            return None
        return _recognise(Path(path), Tally())[0]
    except (AnnotationError, OSError):
        return None


def is_damaged(path: Path | str) -> bool:
    """Tell whether a file has words that only annotations have, but is cut off or no UTF-8.

    The error of `read_annotations` says what is wrong with such a file.
    """
    try:
        if not names_annotations(Path(path)):
            return False
        _recognise(Path(path), Tally())
    except AnnotationError:
        return True
    except OSError:
        pass
    return False


def is_annotation_folder(folder: Path) -> bool:
    """Tell whether a folder holds files with annotations of one image each.

    LabelMe, Pascal VOC and ImageJ write such files: a folder of them is one set of annotations.
    Folders of masks, and those with VIA files only, are none.
    """
    return any(map(_is_of_one_image, _candidates(folder)))


def _candidates(folder: Path) -> list[Path]:
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES_READ)
    return names[:_MOST_FILES]


def _is_of_one_image(path: Path) -> bool:
    flavour = flavour_of(path)
    # A damaged file is read, too, so that its error says why.
    return is_damaged(path) if flavour is None else flavour.has_one_image


def read_annotations(path: Path | str, *, strict: bool = True) -> ViaDocument:
    """Read annotations of any program that is known.

    Parameters
    ----------
    path : Path or str
        File to read: any file of the VGG Image Annotator (VIA 1, 2, 3), COCO's JSON, LabelMe's
        JSON, Pascal VOC's XML, or ImageJ's ROIs (``.roi``, ``RoiSet.zip``). Its kind is told by
        content, not by name. Or a folder of files of LabelMe, Pascal VOC or ImageJ, which have one
        image each.
    strict : bool
        Whether a damaged region is an error. Otherwise it is kept, with its
        ``problem``, is not drawn, and is counted in the document's notes.

    Returns
    -------
    ViaDocument
        Contents of the file in VIA's words, whatever program it came from; also a sequence of its
        images, in the order of the file. Notes say what was left out.

    Raises
    ------
    AnnotationError
        If it holds no annotations or cannot be read, naming file, image, region, value and remedy.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> document = nf.read_annotations("labelme/s17_3.json")  # doctest: +SKIP
    >>> document.flavour.label, document.shape_counts()  # doctest: +SKIP
    ('LabelMe annotations', {'polygon': 166})
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, strict)
    tally = Tally()
    with translated(AnnotationError, f"{path} cannot be read"):
        flavour, content = _recognise(path, tally)
    if flavour is None:
        raise AnnotationError(
            f"{path} is not a file of the VGG Image Annotator (VIA 1, 2 or 3), nor of COCO, "
            "LabelMe, Pascal VOC or ImageJ. Export it from VIA by Annotation > Export Annotations."
        )
    with translated(AnnotationError, f"{path} cannot be read as {flavour.label}"):
        document = _parse(content, flavour, str(path))
    document = replace(document, notes=(*tally.notes, *document.notes))
    return _checked(document, path, strict)


def _checked(document: ViaDocument, path: Path, strict: bool) -> ViaDocument:
    """Refuse damaged regions, or count them in the notes."""
    damaged = document.damaged()
    if damaged and strict:
        more = f" ({len(damaged) - 1} more regions are damaged)" if len(damaged) > 1 else ""
        raise AnnotationError(
            f"{path}, {damaged[0]}{more}. Draw it again in {document.flavour.program}, or have "
            "damaged regions left out.",
            options=("skip_damaged",),
        )
    if damaged:
        note = f"{len(damaged)} damaged regions are left out: {'; '.join(damaged[:3])}"
        note += "; ..." if len(damaged) > 3 else ""
        return replace(document, notes=(*document.notes, note))
    return document


def _read_folder(folder: Path, strict: bool) -> ViaDocument:
    files = [path for path in _candidates(folder) if _is_of_one_image(path)]
    if not files:
        raise AnnotationError(
            f"{folder} holds no annotations of LabelMe, Pascal VOC or ImageJ. Name the file that "
            "holds the annotations."
        )
    return _joined([read_annotations(file, strict=strict) for file in files], files)


def _joined(documents: Sequence[ViaDocument], files: Sequence[Path]) -> ViaDocument:
    """Return documents of one image each as one; all of them are of the kind of the first."""
    first = documents[0].flavour
    same = [(d, f) for d, f in zip(documents, files, strict=True) if d.flavour is first]
    notes = [f"{file.name}: {note}" for document, file in same for note in document.notes]
    if others := len(documents) - len(same):
        notes.append(f"{others} files are of another kind than {files[0].name}, and left out.")
    return ViaDocument(
        tuple(image for document, _ in same for image in document),
        first,
        reduce(joined_definitions, (document.definitions for document, _ in same)),
        notes=tuple(notes),
    )


def _recognise(path: Path, tally: Tally) -> tuple[Flavour | None, Any]:
    """Return the flavour of a file, None if it holds no annotations, and what it holds.

    That is JSON data, the root of an XML, the text, or the bytes.
    """
    with translated(AnnotationError, f"{path} cannot be read"):
        data = read_file(path, _MOST_BYTES)
    if imagej.is_imagej(data):
        return Flavour.IMAGEJ_ROI, data
    text = _text(data, path)
    start = text.lstrip()[:1]
    if start == "<":
        root = pascal_voc.root_of(text, str(path))
        return None if root is None else Flavour.PASCAL_VOC, root
    if start not in ("{", "["):
        return via_csv.flavour_of_text(text), text
    remedy = "Was it cut off, or edited by hand? Export the annotations from VIA again."
    with translated(AnnotationError, f"{path} is not valid JSON", remedy):
        content = json_text.loads(text, tally)
    return _flavour_of_json(content), content


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8, "
            "or export it from VIA again."
        ) from error


def _flavour_of_json(data: Any) -> Flavour | None:
    if via3.is_via3(data):
        return Flavour.VIA3
    if coco.is_via_coco(data):
        return Flavour.COCO
    if coco_dataset.is_coco_dataset(data):
        return Flavour.COCO_DATASET
    if labelme.is_labelme(data):
        return Flavour.LABELME
    return via_json.flavour_of_data(data)


_PARSERS: Mapping[Flavour, Callable[[Any, str], ViaDocument]] = {
    Flavour.VIA3: via3.parse,
    Flavour.VIA3_CSV: via3_csv.parse_csv,
    Flavour.COCO: coco.parse,
    Flavour.VIA1_CSV: via_csv.parse,
    Flavour.VIA2_CSV: via_csv.parse,
    Flavour.COCO_DATASET: coco_dataset.parse,
    Flavour.LABELME: labelme.parse,
    Flavour.PASCAL_VOC: pascal_voc.parse,
    Flavour.IMAGEJ_ROI: imagej.parse,
}


def _parse(content: Any, flavour: Flavour, source: str) -> ViaDocument:
    parse = _PARSERS.get(flavour)
    return parse(content, source) if parse else via_json.parse(content, flavour, source)
