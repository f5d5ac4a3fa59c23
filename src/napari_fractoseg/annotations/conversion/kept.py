"""Annotations kept in a file beside the labels that were drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from napari_fractoseg.annotations.class_mapping import ClassMapping
from napari_fractoseg.annotations.conversion.flavours import in_flavour
from napari_fractoseg.annotations.document import Flavour, ViaDocument
from napari_fractoseg.annotations.raster import Overlap
from napari_fractoseg.annotations.reading import read_annotations
from napari_fractoseg.annotations.via import SUFFIXES, write_via
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import AnnotationError, translated
from napari_fractoseg.files import file_sha256

__all__ = ["KEPT", "KeptAnnotations", "own_flavour"]

KEPT = "annotations"
"""Entry beside labels on the annotations that they were drawn from."""

_SAME_KIND = tuple(set(SUFFIXES) - {Flavour.COCO, Flavour.VIA2_ATTRIBUTES})
_REMOTE = ("\\\\", "//")


def own_flavour(document: ViaDocument) -> Flavour:
    """Return the flavour in which a document is saved: its own where that loses nothing.

    The others become a VIA 2 project.

    Examples
    --------
    >>> from napari_fractoseg.annotations.conversion.kept import own_flavour
    >>> from napari_fractoseg.annotations.document import Flavour, ViaDocument
    >>> own_flavour(ViaDocument((), Flavour.VIA2_CSV)).value
    'via2-csv'
    >>> own_flavour(ViaDocument((), Flavour.LABELME)).value
    'via2-project'
    """
    return document.flavour if document.flavour in _SAME_KIND else Flavour.VIA2_PROJECT


@dataclass(frozen=True, eq=False)
class KeptAnnotations:
    """Annotations that labels were drawn from, and how.

    Parameters
    ----------
    document : ViaDocument
        The whole file.
    images : tuple of str
        Keys of the images that the planes of the labels are.
    source : str
        File that it was read from.
    mapping : ClassMapping or None
        Classes of the regions.
    drawing : mapping of str to str or None
        ``overlap`` and ``unannotated``, as in `rasterise`.
    saved : str
        File that corrections were saved to last; empty if they were not.
    """

    document: ViaDocument
    images: tuple[str, ...]
    source: str
    mapping: ClassMapping | None
    drawing: Mapping[str, Any]
    saved: str = ""

    def write(self, folder: Path, name: str) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
        """Write the document, and return what to keep with the labels (`read`).

        Parameters
        ----------
        folder : Path
            Folder of the labels.
        name : str
            Name of the image; the file is called ``NAME_via.json`` or ``NAME_via.csv``.

        Returns
        -------
        path : Path
            File that was written.
        entry : dict
            JSON types.
        notes : tuple of str
            Sentences on what the file could not hold.

        Raises
        ------
        AnnotationError
            If it cannot be written.
        OutputExistsError
            If the file exists.
        """
        document = in_flavour(replace(self.document, notes=()), own_flavour(self.document))
        path = folder / f"{name}_via{SUFFIXES[document.flavour]}"
        notes = (*document.notes, *write_via(document, path))
        # Another flavour may give an image another key: its place in the file stays.
        places = {image.image_key: place for place, image in enumerate(self.document)}
        mapping = self.mapping
        entry = {
            "file": path.name,
            "sha256": file_sha256(path),
            "images": [places[key] for key in self.images if key in places],
            "source": self.source,
            "saved": self.saved,
            "drawing": dict(self.drawing),
            "mapping": None
            if mapping is None
            else {
                "attribute": mapping.attribute,
                "scheme": mapping.scheme.to_dict(),
                "classes": dict(mapping.classes),
                "several": mapping.several,
                "program": mapping.program,
            },
        }
        return path, entry, notes

    @classmethod
    def read(cls, labels: Path, entry: Any) -> KeptAnnotations:
        """Read annotations that were written beside labels.

        Parameters
        ----------
        labels : Path
            File or OME-Zarr group of the labels.
        entry : object
            What is kept with them, from `write`; it may be anything.

        Raises
        ------
        AnnotationError
            If the file is not there any more, is another one than then, or cannot be read.
        """
        what = f"{labels.name}: what is said of its annotations cannot be read"
        with translated(AnnotationError, what):
            path = labels.with_name(PurePosixPath(str(entry["file"])).name)
            if not path.is_file() or file_sha256(path) != entry["sha256"]:
                raise AnnotationError(
                    f"{path.name}, from which {labels.name} was drawn, is not beside it any more, "
                    "or was changed since."
                )
            document = read_annotations(path, strict=False)
            return cls(
                document,
                tuple(document[int(place)].image_key for place in entry["images"]),
                str(_place(entry["source"], labels.parent)),
                _mapping(entry["mapping"]),
                _drawing(entry["drawing"]),
                str(_place(entry["saved"], labels.parent)) if entry["saved"] else "",
            )


def _place(text: Any, folder: Path) -> Path:
    """Return a path that is proposed to save at; beside the labels if it is on another computer."""
    path = Path(str(text))
    is_local = path.is_absolute() and not str(text).startswith(_REMOTE)
    return path if is_local and path.parent.is_dir() else folder / path.name


def _mapping(entry: Any) -> ClassMapping | None:
    if entry is None:
        return None
    scheme = ClassScheme.from_dict(entry["scheme"])
    classes = {str(v): n and scheme.find(n).name for v, n in entry["classes"].items()}
    attribute, program = str(entry["attribute"]), str(entry["program"])
    return ClassMapping(attribute, scheme, classes, entry["several"], program)


def _drawing(entry: Any) -> dict[str, Any]:
    overlap, unannotated = entry["overlap"], entry["unannotated"]
    if overlap not in get_args(Overlap) or not isinstance(unannotated, str | None):
        raise AnnotationError(f"{entry!r:.80} is no way to draw regions.")
    return {"overlap": overlap, "unannotated": unannotated}
