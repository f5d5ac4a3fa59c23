"""Contents of an annotation file: images, their regions, and what else it says, as VIA has it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.text import listed

__all__ = [
    "TEXT",
    "UNKNOWN_SIZE",
    "AnnotatedImage",
    "AttributeDefinition",
    "Flavour",
    "Region",
    "ViaDocument",
    "is_number",
]

UNKNOWN_SIZE = -1
"""Size in bytes that VIA writes for an image file whose size it does not know."""

_MOST_DIGITS = 18
"""Most digits that are read as a number: files have no larger ones, and int() refuses thousands."""

_TRUE = (True, "true", "True", "1", 1)


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number without a sign, of at most 18 digits.

    Examples
    --------
    >>> from napari_fractoseg.annotations.document import is_number
    >>> is_number("12"), is_number("-1"), is_number("9" * 5000)
    (True, False, False)
    """
    return text.isdecimal() and len(text) <= _MOST_DIGITS


class Flavour(enum.StrEnum):
    """Kind of annotation file: what a version of VIA writes, or another program."""

    VIA1 = "via1"
    VIA1_CSV = "via1-csv"
    VIA2 = "via2"
    VIA2_CSV = "via2-csv"
    VIA2_PROJECT = "via2-project"
    VIA2_ATTRIBUTES = "via2-attributes"
    COCO = "coco"
    VIA3 = "via3"
    VIA3_CSV = "via3-csv"
    COCO_DATASET = "coco-dataset"
    LABELME = "labelme"
    PASCAL_VOC = "pascal-voc"
    IMAGEJ_ROI = "imagej-roi"

    @property
    def label(self) -> str:
        """Name of the flavour in messages, such as ``VIA 2 project``."""
        return _LABELS[self]

    @property
    def program(self) -> str:
        """Program in which regions are mended, as messages say it."""
        return _PROGRAMS.get(self, "VIA")

    @property
    def is_via(self) -> bool:
        """Whether it is a file of VIA, rather than of another program."""
        return self not in _PROGRAMS

    @property
    def has_one_image(self) -> bool:
        """Whether there is such a file for each image, rather than one for all of them."""
        return self in (Flavour.LABELME, Flavour.PASCAL_VOC, Flavour.IMAGEJ_ROI)

    @property
    def is_closed(self) -> bool:
        """Whether polygons repeat their first point at the end."""
        return self in (Flavour.VIA1, Flavour.VIA1_CSV)

    @property
    def has_definitions(self) -> bool:
        """Whether such a file says which types its attributes have, such as text or dropdown."""
        return self in _WITH_DEFINITIONS


_LABELS = {
    Flavour.VIA1: "VIA 1 annotations (JSON)",
    Flavour.VIA1_CSV: "VIA 1 annotations (CSV)",
    Flavour.VIA2: "VIA 2 annotations (JSON)",
    Flavour.VIA2_CSV: "VIA 2 annotations (CSV)",
    Flavour.VIA2_PROJECT: "VIA 2 project",
    Flavour.VIA2_ATTRIBUTES: "VIA 2 attributes",
    Flavour.COCO: "VIA 2 export in COCO format",
    Flavour.VIA3: "VIA 3 project",
    Flavour.VIA3_CSV: "VIA 3 annotations (CSV)",
    Flavour.COCO_DATASET: "COCO annotations",
    Flavour.LABELME: "LabelMe annotations",
    Flavour.PASCAL_VOC: "Pascal VOC annotations",
    Flavour.IMAGEJ_ROI: "ImageJ ROIs",
}
_PROGRAMS = {
    Flavour.COCO_DATASET: "the program that wrote the file",
    Flavour.LABELME: "LabelMe",
    Flavour.PASCAL_VOC: "the program that wrote the file",
    Flavour.IMAGEJ_ROI: "ImageJ",
}
"""Flavour that is not VIA's -> program in which its regions are mended."""

_WITH_DEFINITIONS = (
    Flavour.VIA2_PROJECT, Flavour.VIA2_ATTRIBUTES, Flavour.VIA3, Flavour.VIA3_CSV,
)  # fmt: skip


@dataclass(frozen=True)
class Region:
    """One shape on an image, with its attributes.

    Parameters
    ----------
    shape : mapping
        VIA's ``shape_attributes``: ``name`` and coordinates in pixels, as the
        file has them. Coordinates are pixel edges: x from 0 to the width of
        the image, y to its height.
    attributes : mapping
        VIA's ``region_attributes``: name -> value, such as ``name`` -> ``i``;
        one of them holds the class.
    extras : mapping
        Other entries of the file about the region, kept to be written again.
    problem : str
        Reason why the region cannot be drawn; empty if it can be. Such regions
        are kept to be written again (``read_via(..., strict=False)``).
    """

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    problem: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """Kind of the shape, such as ``polygon``; `shapes.KINDS` lists those that can be drawn."""
        return str(self.shape.get("name", ""))

    def ticked(self, attribute: str) -> tuple[str, ...]:
        """Return the values that the region has for an attribute.

        A checkbox is a mapping of options to whether they are ticked: each
        ticked one is a value. Other attributes have one value, or none if the
        text is empty.
        """
        value = self.attributes.get(attribute)
        if isinstance(value, Mapping):
            return tuple(str(option) for option, on in value.items() if on in _TRUE)
        if value is None or (isinstance(value, str) and not value.strip()):
            return ()
        return (str(value),)


@dataclass(frozen=True)
class AnnotatedImage:
    """Entry of a VIA file about one image.

    Parameters
    ----------
    filename : str
        Name of the image as the file says; it is data, not a path to be trusted.
    regions : tuple of Region
        Regions on the image in the order in which they were drawn.
    size : int, str or None
        Size of the image file in bytes as the file says: -1 where VIA did not
        know it, a text after an import from CSV, None where nothing is said.
    attributes : mapping
        VIA's ``file_attributes``: name -> value, about the image as a whole.
    key : str
        Key of the entry, where it is not file name and size; else empty.
    extras : mapping
        Other entries of the file about the image, kept to be written again.
    """

    filename: str
    regions: tuple[Region, ...] = ()
    size: int | str | None = UNKNOWN_SIZE
    attributes: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int | None:
        """Size of the image file in bytes, None where VIA did not know it or it is no number."""
        text = str(self.size)
        return int(text) if is_number(text) else None

    @property
    def image_key(self) -> str:
        """Key of the entry; VIA's own is the file name followed by the size."""
        return self.key or self.filename + ("" if self.size is None else str(self.size))

    @property
    def drawable(self) -> tuple[Region, ...]:
        """Regions that can be drawn: those that are not damaged."""
        return tuple(r for r in self.regions if not r.problem)


@dataclass(frozen=True)
class AttributeDefinition:
    """Type of an attribute, and the values that can be chosen for it.

    Parameters
    ----------
    kind : str
        Type that VIA shows it as: ``text``, ``dropdown``, ``radio``,
        ``checkbox`` or ``image``.
    options : mapping of str to str
        Option -> description, empty if there is none; no options for texts.
    """

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)


TEXT = AttributeDefinition("text")
"""Definition of an attribute that the file does not define."""


@dataclass(frozen=True)
class ViaDocument(Sequence[AnnotatedImage]):
    """Contents of an annotation file, in VIA's words; also the sequence of its images.

    Parameters
    ----------
    images : tuple of AnnotatedImage
        Images in the order of the file.
    flavour : Flavour
        Kind of file that it was read from, or is to be written as.
    definitions : mapping
        VIA 2's ``_via_attributes``: ``region`` and ``file`` -> name of an
        attribute -> its type, options and so on.
    settings : mapping
        VIA 2's ``_via_settings``: name of the project, look of its window.
    extras : mapping
        Other entries of the file, kept to be written again.
    notes : tuple of str
        Sentences for the user on what was skipped, mended or not understood.
    """

    images: tuple[AnnotatedImage, ...]
    flavour: Flavour = Flavour.VIA2
    definitions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[AnnotatedImage, ...]: ...

    def __getitem__(self, index: int | slice) -> AnnotatedImage | tuple[AnnotatedImage, ...]:
        return self.images[index]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[AnnotatedImage]:
        return iter(self.images)

    def definition(self, attribute: str) -> AttributeDefinition:
        """Return type and options of a region attribute; `TEXT` if the file does not define it."""
        group = self.definitions.get("region")
        raw = group.get(attribute) if isinstance(group, Mapping) else None
        if not isinstance(raw, Mapping):
            return TEXT
        kind, options = str(raw.get("type", "text")), raw.get("options")
        texts = options if isinstance(options, Mapping) else {}
        # Options of images are described by a URL or the data of a picture, which name nothing.
        named = kind != "image"
        return AttributeDefinition(
            kind, {str(k): str(v) if v is not None and named else "" for k, v in texts.items()}
        )

    def shape_counts(self) -> dict[str, int]:
        """Return the number of regions of each kind of shape."""
        counts = Counter(region.kind for image in self.images for region in image.regions)
        return dict(counts)

    def damaged(self) -> list[str]:
        """Return a line about each region that cannot be drawn."""
        return [
            f"image {image.filename!r}, region {number}: {region.problem}"
            for image in self.images
            for number, region in enumerate(image.regions)
            if region.problem
        ]

    def find(self, filename: str) -> AnnotatedImage:
        """Return the first image with this file name.

        Raises
        ------
        AnnotationError
            If no image has that name.
        """
        for image in self.images:
            if image.filename == filename:
                return image
        raise AnnotationError(
            f"No image {filename!r} among the {len(self)} annotated ones; the first are "
            f"{listed(i.filename for i in self.images[:5])}."
        )

    def with_images(self, images: Sequence[AnnotatedImage]) -> ViaDocument:
        """Return the document with other images and everything else as it was."""
        return replace(self, images=tuple(images))
