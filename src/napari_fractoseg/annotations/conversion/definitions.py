"""Definitions of attributes, as a VIA 2 project has them: made, joined, or told by the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from napari_fractoseg.annotations.document import ViaDocument
from napari_fractoseg.annotations.formats.entries import as_mapping
from napari_fractoseg.classes import ClassScheme

__all__ = [
    "class_definitions",
    "complete_definitions",
    "joined_definitions",
    "with_used_options",
]

_MOST_BUTTONS, _MOST_OPTIONS = 5, 20
"""Most values that are shown as radio buttons, and most that are shown as a dropdown."""
_LONGEST_OPTION = 40


def complete_definitions(document: ViaDocument) -> dict[str, Any]:
    """Return VIA 2's definitions of all attributes of a document.

    Parameters
    ----------
    document : ViaDocument
        Document of any flavour.

    Returns
    -------
    dict
        Definitions of the file; of attributes that it does not define, the type is told by
        their values. Mappings make a checkbox. Short texts that recur, twice each on average,
        make radio buttons if there are at most 5 different ones, and a dropdown up to 20. All
        others are texts, which VIA shows whatever they are.
    """
    values = {
        "region": [r.attributes for i in document for r in i.regions],
        "file": [i.attributes for i in document],
    }
    groups: dict[str, dict[str, Any]] = {}
    for group, occurring in values.items():
        groups[group] = dict(as_mapping(document.definitions.get(group)))
        for name in dict.fromkeys(name for attributes in occurring for name in attributes):
            if name not in groups[group]:
                groups[group][name] = _definition_of([a[name] for a in occurring if name in a])
    return groups


def _definition_of(values: Iterable[object]) -> dict[str, Any]:
    filled = [value for value in values if value not in (None, "")]
    if filled and all(isinstance(value, Mapping) for value in filled):
        return _choice("checkbox", (str(o) for value in filled for o in as_mapping(value)))
    counts = Counter(value for value in filled if isinstance(value, str) and _is_option(value))
    recur = 2 * len(counts) <= counts.total() == len(filled)
    if counts and recur and len(counts) <= _MOST_OPTIONS:
        return _choice("radio" if len(counts) <= _MOST_BUTTONS else "dropdown", sorted(counts))
    return {"type": "text", "description": "", "default_value": ""}


def _is_option(text: str) -> bool:
    return len(text) <= _LONGEST_OPTION and text.isprintable() and text == text.strip()


def _choice(kind: str, options: Iterable[str]) -> dict[str, Any]:
    # VIA shows the description, and calls COCO's categories by it.
    named = {option: option for option in options}
    return {"type": kind, "description": "", "options": named, "default_options": {}}


def class_definitions(
    scheme: ClassScheme, attribute: str, word: Callable[[str], str] = str, kind: str = "radio"
) -> dict[str, Any]:
    """Return VIA 2's definitions with one attribute: a choice among the classes of a scheme.

    Parameters
    ----------
    scheme : ClassScheme
        Classes to choose from.
    attribute : str
        Name of the attribute.
    word : callable
        Function from the name of a class to the value that stands for it.
    kind : str
        Type that VIA shows the attribute as: ``radio`` or ``checkbox``.
    """
    options = {word(c.name): c.name for c in scheme}
    choice = {"type": kind, "description": scheme.name, "options": options, "default_options": {}}
    return {"region": {attribute: choice}, "file": {}}


def joined_definitions(kept: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return VIA 2's definitions of both; options of an attribute that both define are joined."""
    result: dict[str, Any] = {**kept}
    for group in ("region", "file"):
        result[group] = dict(as_mapping(kept.get(group)))
        for name, definition in as_mapping(added.get(group)).items():
            known = result[group].setdefault(name, definition)
            options = as_mapping(as_mapping(definition).get("options"))
            if known is not definition and isinstance(as_mapping(known).get("options"), Mapping):
                result[group][name] = {**known, "options": {**options, **known["options"]}}
    return result


def with_used_options(document: ViaDocument, attribute: str) -> ViaDocument:
    """Return a document that defines an option for each value that an attribute has.

    VIA shows nothing where a value is none of the options. An attribute of
    the type text stays as it is.
    """
    definition = document.definition(attribute)
    if definition.kind == "text":
        return document
    used = dict.fromkeys(
        value for image in document for r in image.regions for value in r.ticked(attribute)
    )
    missing = {value: value for value in used if value not in definition.options}
    raw = document.definitions["region"][attribute]
    region = {
        **document.definitions["region"],
        attribute: {**raw, "options": {**as_mapping(raw.get("options")), **missing}},
    }
    definitions = {**document.definitions, "region": region}
    return replace(document, definitions=definitions) if missing else document
