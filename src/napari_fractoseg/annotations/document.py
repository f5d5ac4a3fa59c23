"""What a VIA file holds: images, their regions, and what else it says."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from napari_fractoseg.errors import AnnotationError

__all__ = [
    "TEXT",
    "AnnotatedImage",
    "AttributeDefinition",
    "Flavour",
    "Region",
    "ViaDocument",
    "is_number",
]

UNKNOWN_SIZE = -1
"""What VIA writes where it does not know the size of an image file."""

_MOST_DIGITS = 18
"""More of them are no number that a file of ours means; int() refuses thousands."""

_TRUE = (True, "true", "True", "1", 1)


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number, of at most 18 digits.

    Examples
    --------
    >>> from napari_fractoseg.annotations.document import is_number
    >>> is_number("12"), is_number("-1"), is_number("9" * 5000)
    (True, False, False)
    """
    return text.isdecimal() and len(text) <= _MOST_DIGITS


class Flavour(enum.StrEnum):
    """The kinds of files that VIA's versions write."""

    VIA1 = "via1"
    VIA1_CSV = "via1-csv"
    VIA2 = "via2"
    VIA2_CSV = "via2-csv"
    VIA2_PROJECT = "via2-project"
    VIA2_ATTRIBUTES = "via2-attributes"
    COCO = "coco"
    VIA3 = "via3"
    VIA3_CSV = "via3-csv"

    @property
    def label(self) -> str:
        """Name for people."""
        return _LABELS[self]

    @property
    def is_closed(self) -> bool:
        """Whether polygons repeat their first point at the end."""
        return self in (Flavour.VIA1, Flavour.VIA1_CSV)

    @property
    def has_definitions(self) -> bool:
        """Whether the file says what types its attributes are of."""
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
}
_WITH_DEFINITIONS = (
    Flavour.VIA2_PROJECT, Flavour.VIA2_ATTRIBUTES, Flavour.VIA3, Flavour.VIA3_CSV,
)  # fmt: skip


@dataclass(frozen=True)
class Region:
    """One annotated shape.

    Parameters
    ----------
    shape : mapping
        VIA's ``shape_attributes``: ``name`` and coordinates, as the file has
        them. Coordinates are pixel edges: x from 0 to the width of the image,
        y to its height.
    attributes : mapping
        VIA's ``region_attributes``.
    extras : mapping
        What else the file says about the region.
    problem : str
        Why the region cannot be drawn; empty if it can be. Such regions are
        kept for the way back (``read_via(..., strict=False)``).
    """

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    problem: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """``rect``, ``circle``, ``ellipse``, ``polygon``, ``polyline`` or ``point``."""
        return str(self.shape.get("name", ""))

    def ticked(self, attribute: str) -> tuple[str, ...]:
        """Return the value or values of an attribute: one, those ticked, or none.

        A checkbox is a mapping of options to whether they are ticked; an
        empty text is no value.
        """
        value = self.attributes.get(attribute)
        if isinstance(value, Mapping):
            return tuple(str(option) for option, on in value.items() if on in _TRUE)
        if value is None or (isinstance(value, str) and not value.strip()):
            return ()
        return (str(value),)


@dataclass(frozen=True)
class AnnotatedImage:
    """An image entry of a VIA file.

    Parameters
    ----------
    filename : str
        As the file says; it is data, not a path to be trusted.
    regions : tuple of Region
        In drawing order.
    size : int, str or None
        Size of the image file in bytes as the file says: -1 where VIA did not
        know it, a text after an import from CSV, None where nothing is said.
    attributes : mapping
        VIA's ``file_attributes``.
    key : str
        Key of the entry, where it is not file name and size.
    extras : mapping
        What else the file says about the image.
    """

    filename: str
    regions: tuple[Region, ...] = ()
    size: int | str | None = UNKNOWN_SIZE
    attributes: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int | None:
        """Size of the image file, None where VIA did not know it or it is no number."""
        text = str(self.size)
        return int(text) if is_number(text) else None

    @property
    def image_key(self) -> str:
        """Key of the entry; VIA's own is the file name followed by the size."""
        return self.key or self.filename + ("" if self.size is None else str(self.size))

    @property
    def drawable(self) -> tuple[Region, ...]:
        """The regions without a problem."""
        return tuple(r for r in self.regions if not r.problem)


@dataclass(frozen=True)
class AttributeDefinition:
    """What a VIA file says about an attribute.

    Parameters
    ----------
    kind : str
        ``text``, ``dropdown``, ``radio``, ``checkbox`` or ``image``.
    options : mapping of str to str
        Option -> description, empty if there is none; no options for texts.
    """

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)


TEXT = AttributeDefinition("text")
"""What an attribute is about which nothing is said."""


@dataclass(frozen=True)
class ViaDocument(Sequence[AnnotatedImage]):
    """A VIA file; also the sequence of its images.

    Parameters
    ----------
    images : tuple of AnnotatedImage
        In the order of the file.
    flavour : Flavour
        Which kind of file it was read from, or is to be written as.
    definitions : mapping
        VIA 2's ``_via_attributes``: ``region`` and ``file`` -> name -> type,
        options and so on.
    settings : mapping
        VIA 2's ``_via_settings``.
    extras : mapping
        What else the file says.
    notes : tuple of str
        What a user should know: what was skipped, mended or not understood.
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
        """Return what the file says about a region attribute; ``text`` if it says nothing."""
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
        """Return kind of shape -> number of regions."""
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
            If there is none.
        """
        for image in self.images:
            if image.filename == filename:
                return image
        raise AnnotationError(
            f"No image {filename!r} among the {len(self)} annotated ones; the first are "
            f"{[i.filename for i in self.images[:5]]}."
        )

    def with_images(self, images: Sequence[AnnotatedImage]) -> ViaDocument:
        """Return the document with other images and everything else as it was."""
        return replace(self, images=tuple(images))
