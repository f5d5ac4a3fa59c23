"""Which attribute of a VIA document holds the class, and which value is which class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from napari_fractoseg.annotations.document import AnnotatedImage, Region, ViaDocument
from napari_fractoseg.classes import ClassScheme, FractureClass
from napari_fractoseg.errors import AnnotationError
from napari_fractoseg.text import counted, listed

__all__ = [
    "RESEARCH_MASK_VALUES",
    "ClassMapping",
    "attribute_values",
    "class_attribute",
    "map_classes",
]

RESEARCH_MASK_VALUES: Mapping[int, str] = {0: "background", 1: "transgranular", 2: "intergranular"}
"""Value -> class of the PNG masks that the research code wrote.

Its own table of classes said 1 intergranular, 2 transgranular; the two were
swapped on export.
"""

_CLOSED_KINDS = ("dropdown", "radio", "checkbox", "image")
_MOST_CATEGORIES = 20


@dataclass(frozen=True)
class ClassMapping:
    """Which class a region belongs to.

    Parameters
    ----------
    attribute : str
        Name of the region attribute that holds the class.
    scheme : ClassScheme
        Classes that regions can belong to.
    classes : mapping of str to str or None
        Value of the attribute -> name of the class; None leaves regions with
        that value out on purpose. ``""`` stands for no value. Case and outer
        blanks of a value do not matter.
    several : {"error", "first"}
        Whether a region whose ticked options are different classes is refused,
        or belongs to the first of them in the order of the scheme; then one
        option that is left out leaves the region out.
    program : str
        Program in which regions are mended, as errors say it.
    """

    attribute: str
    scheme: ClassScheme
    classes: Mapping[str, str | None]
    several: Literal["error", "first"] = "error"
    program: str = "VIA"

    def __post_init__(self) -> None:
        if self.several not in ("error", "first"):
            raise AnnotationError(f"several={self.several!r} is neither 'error' nor 'first'.")

    def class_of(self, region: Region, where: str) -> FractureClass | None:
        """Return the class of a region; None if regions like it are left out.

        The errors begin with `where`, such as ``image 'a.png', region 3``.

        Raises
        ------
        AnnotationError
            If the region has no value, a value that is not mapped, or several
            classes although ``several`` is ``"error"``.
        """
        ticked = region.ticked(self.attribute)
        found = {self._name_of(value, where) for value in ticked or ("",)}
        if len(found) == 1:
            name = found.pop()
            return None if name is None else self.scheme.find(name)
        if self.several == "error":
            raise AnnotationError(
                f"{where}: the ticked options {listed(map(repr, ticked))} of attribute "
                f"{self.attribute!r} are several classes. Tick one of them in {self.program}, or "
                "have the first of them taken.",
                options=("several=first",),
            )
        if None in found:
            return None
        return min((self.scheme.find(n) for n in found if n), key=self.scheme.classes.index)

    def left_out(self, document: Iterable[AnnotatedImage]) -> int:
        """Return the number of regions that could be drawn and are left out for want of a class.

        Raises
        ------
        AnnotationError
            If a region has no class, as in `class_of`.
        """
        return sum(self.class_of(region, where) is None for where, region in _drawable(document))

    def notes(self, document: Iterable[AnnotatedImage]) -> tuple[str, ...]:
        """Return sentences on how many regions have several ticks, and how many are left out.

        Parameters
        ----------
        document : iterable of AnnotatedImage
            Images whose regions are drawn.

        Raises
        ------
        AnnotationError
            If a region has no class, as in `class_of`.
        """
        images = tuple(document)
        left_out, ticked = self.left_out(images), self.several_ticked(images)
        several = counted(ticked, "region has", "regions have")
        without = counted(left_out, "region without a class is", "regions without a class are")
        notes = {
            f"{several} several ticks; the first class counts.": ticked,
            f"{without} left out of the labels.": left_out,
        }
        return tuple(note for note, number in notes.items() if number)

    def several_ticked(self, document: Iterable[AnnotatedImage]) -> int:
        """Return the number of regions that have ticked options of different classes."""
        return sum(
            len({self._name_of(value, where) for value in region.ticked(self.attribute)}) > 1
            for where, region in _drawable(document)
        )

    def _name_of(self, value: str, where: str) -> str | None:
        """Return the name of the class in the spelling of the scheme, None if left out."""
        if (key := _key(self.classes, value)) is not None:
            name = self.classes[key]
            return None if name is None else self.scheme.find(name).name
        if not value.strip():
            raise AnnotationError(
                f"{where}: attribute {self.attribute!r} has no value. Give the region one of "
                f"{listed(self.scheme.names)} in {self.program}, or have regions without a class "
                "left out.",
                options=("skip_unclassified",),
            )
        raise AnnotationError(
            f"{where}: {value!r} (attribute {self.attribute!r}) is mapped to no class of the "
            f"scheme: {listed(self.scheme.names)}. Rename it in {self.program}, or map it."
        )


def attribute_values(document: Iterable[AnnotatedImage]) -> dict[str, Counter[str]]:
    """Count the values of each region attribute, over the regions that can be drawn.

    Parameters
    ----------
    document : iterable of AnnotatedImage
        Images of one annotation file.

    Returns
    -------
    dict of str to Counter
        Attribute -> value -> number of regions. Each ticked option of a
        checkbox counts. ``""`` counts the regions without a value: the
        attribute is missing, empty, or nothing is ticked.
    """
    regions = [region for _, region in _drawable(document)]
    # A dict rather than a set: the order is that of the file.
    names = dict.fromkeys(name for region in regions for name in region.attributes)
    return {
        name: Counter(value for region in regions for value in region.ticked(name) or ("",))
        for name in names
    }


def class_attribute(document: Iterable[AnnotatedImage], scheme: ClassScheme) -> str:
    """Return the region attribute that holds the class.

    Parameters
    ----------
    document : ViaDocument or iterable of AnnotatedImage
        Images of one annotation file; a document also knows options of attributes.
    scheme : ClassScheme
        Classes whose names and aliases are looked for among the values.

    Returns
    -------
    str
        The only attribute all of whose values are classes of the scheme, by
        name, alias or description of the option; else the only dropdown, radio,
        checkbox or image; else the only one with at most 20 values, each of which
        stands for two regions on average; else the only one with at most 20.

    Raises
    ------
    AnnotationError
        If no attribute or several fit; the message lists them with their values.
    """
    document = _as_document(document)
    counted = attribute_values(document)
    values = {name: filled for name, counts in counted.items() if (filled := _filled(counts))}
    if not values:
        raise AnnotationError(
            f"no region has a value in any attribute; attributes: {listed(map(repr, counted))}. "
            f"Add one in {document.flavour.program}, give each region one of "
            f"{listed(scheme.names)}, and export again; or say which class all regions are.",
            options=("all_as",),
        )
    fitting = [
        name
        for name, counts in values.items()
        if all(_find(scheme, document.definition(name).options, value) for value in counts)
    ]
    if len(fitting) == 1:
        return fitting[0]
    found = _categorical(document, {name: values[name] for name in fitting or values}, not fitting)
    if len(found) == 1:
        return found[0]
    candidates = fitting or found
    problem = (
        f"each of {listed(map(repr, candidates))} may hold" if candidates else "no attribute holds"
    )
    raise AnnotationError(
        f"{problem} the class. Attributes with their values: {_listed(values)}. Name the attribute "
        f"that holds the class, or rename its values in {document.flavour.program} to "
        f"{listed(scheme.names)}.",
        options=("attribute",) if candidates else ("attribute", "all_as"),
    )


def map_classes(
    document: Iterable[AnnotatedImage],
    scheme: ClassScheme,
    *,
    attribute: str | None = None,
    values: Mapping[str, str | None] | None = None,
    new_classes: bool = False,
    several: Literal["error", "first"] = "error",
) -> ClassMapping:
    """Find out which value of which attribute is which class.

    Parameters
    ----------
    document : ViaDocument or iterable of AnnotatedImage
        Images of one annotation file; a document also knows options of attributes.
    scheme : ClassScheme
        Classes whose names and aliases are looked for among the values.
    attribute : str, optional
        Name of the region attribute that holds the class; by default found by
        `class_attribute`.
    values : mapping of str to str or None, optional
        Value -> name of its class, asked before the scheme; None leaves regions with that
        value out.
    new_classes : bool
        Whether unknown values become classes, named by their description if any: in the order
        of the attribute's options, then by name, whatever the order of the regions.
    several : {"error", "first"}
        Whether a region whose ticked options are different classes is refused, or belongs to
        the first of them in the order of the scheme.

    Returns
    -------
    ClassMapping
        Mapping of all values that occur; its scheme includes the new classes.

    Raises
    ------
    AnnotationError
        If the attribute is not there or cannot be told, or values are unknown; the message
        lists all of them with counts.
    """
    document = _as_document(document)
    counted = attribute_values(document)
    if attribute is None:
        attribute = class_attribute(document, scheme)
    elif attribute not in counted:
        raise AnnotationError(
            f"no region has an attribute {attribute!r}. Attributes with their values: "
            f"{_listed(counted) or 'none'}. Name one of these.",
            options=("attribute",),
        )
    named = {v: n for v, n in (values or {}).items() if n is not None}
    scheme = _with_classes(scheme, list(named.values()), new_classes)
    classes = {**(values or {}), **{v: scheme.find(n).name for v, n in named.items()}}
    occurring, options = _filled(counted[attribute]), document.definition(attribute).options
    unmapped = [value for value in occurring if _key(classes, value) is None]
    if new_classes:
        strange = [value for value in unmapped if _find(scheme, options, value) is None]
        strange.sort(key=lambda value: _place(options, value))
        scheme = scheme.with_names(options.get(value, "").strip() or value for value in strange)
    classes |= {v: found.name for v in unmapped if (found := _find(scheme, options, v))}
    unknown = [f"{v!r} {n}" for v, n in occurring.most_common() if not _key(classes, v)]
    if unknown:
        raise AnnotationError(
            f"values of attribute {attribute!r} are not in the scheme of {listed(scheme.names)}: "
            f"{', '.join(unknown)} (regions). Rename them in {document.flavour.program}, map them "
            "to classes, or have new classes made of them.",
            options=("new_classes",),
        )
    return ClassMapping(attribute, scheme, classes, several, document.flavour.program)


def _with_classes(scheme: ClassScheme, names: list[str], new_classes: bool) -> ClassScheme:
    strange = sorted({name for name in names if scheme.get(name) is None})
    if strange and not new_classes:
        raise AnnotationError(
            f"values are mapped to {listed(map(repr, strange))}, not in the scheme of "
            f"{listed(scheme.names)}. Correct the names, or have new classes made of them.",
            options=("new_classes",),
        )
    return scheme.with_names(strange)


def _as_document(document: Iterable[AnnotatedImage]) -> ViaDocument:
    return document if isinstance(document, ViaDocument) else ViaDocument(tuple(document))


def _drawable(document: Iterable[AnnotatedImage]) -> Iterable[tuple[str, Region]]:
    for image in document:
        for number, region in enumerate(image.regions):
            if not region.problem:
                yield f"image {image.filename!r}, region {number}", region


def _filled(counts: Counter[str]) -> Counter[str]:
    return Counter({value: n for value, n in counts.items() if value.strip()})


def _key(classes: Iterable[str], value: str) -> str | None:
    """Return the key that stands for a value; its exact spelling wins."""
    folded = value.strip().casefold()
    same = [known for known in classes if known.strip().casefold() == folded]
    return value if value in same else next(iter(same), None)


def _place(options: Mapping[str, str], value: str) -> tuple[int, str]:
    option = _key(options, value)
    number = len(options) if option is None else list(options).index(option)
    return number, value.strip().casefold()


def _find(scheme: ClassScheme, options: Mapping[str, str], value: str) -> FractureClass | None:
    return scheme.get(value) or scheme.get(options.get(value, ""))


def _categorical(
    document: ViaDocument, values: Mapping[str, Counter[str]], by_values: bool
) -> list[str]:
    """Return the attributes that look most like a choice among few values."""
    closed = [name for name in values if document.definition(name).kind in _CLOSED_KINDS]
    if closed or not by_values:
        return closed
    few = [name for name, counts in values.items() if len(counts) <= _MOST_CATEGORIES]
    return [name for name in few if 2 * len(values[name]) <= values[name].total()] or few


def _listed(values: Mapping[str, Counter[str]]) -> str:
    """Return each attribute with its five most common values and their counts."""
    return "; ".join(
        f"{name!r}: "
        + ", ".join(f"{value!r} {n}" for value, n in counts.most_common(5))
        + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")
        for name, counts in values.items()
    )
