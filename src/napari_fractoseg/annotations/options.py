"""Choices that an annotation file leaves open, the same in docks, command line and Python.

The module imports nothing that takes long, so that the command line can describe its options.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from napari_fractoseg.options import described

__all__ = ["LENIENT", "STRICT", "AnnotationOptions"]


@described
@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class AnnotationOptions:
    """Choices that an annotation file leaves open: classes of regions, and what is left out.

    The defaults are `STRICT`; windows use `LENIENT`.

    Examples
    --------
    >>> from napari_fractoseg.annotations.options import AnnotationOptions
    >>> AnnotationOptions(several="first").skip_unclassified
    False
    """

    attribute: Annotated[
        str | None,
        Field(
            description="Region attribute that holds the class, or COCO's categories; by default "
            "the one that fits."
        ),
    ] = None
    new_classes: Annotated[bool, Field(description="Make classes of unknown values.")] = False
    several: Annotated[
        Literal["error", "first"],
        Field(
            description="What regions with ticks of two classes are: an error, or of the class "
            "that comes first."
        ),
    ] = "error"
    skip_unclassified: Annotated[
        bool, Field(description="Leave regions without a class out, and say how many.")
    ] = False
    skip_damaged: Annotated[
        bool, Field(description="Leave damaged regions out, and say how many.")
    ] = False
    all_as: Annotated[
        str | None,
        Field(
            description="Class of all regions, whatever they say: for files whose regions have no "
            "attribute."
        ),
    ] = None

    def to_dict(self) -> dict[str, Any]:
        """Return the choices as plain JSON types."""
        return dict(_ADAPTER.dump_python(self, mode="json"))


_ADAPTER = TypeAdapter(AnnotationOptions)

STRICT = AnnotationOptions()
"""Options for results: what is not clear is an error, and nothing is left out unasked."""

LENIENT = AnnotationOptions(
    new_classes=True, several="first", skip_unclassified=True, skip_damaged=True
)
"""Options for opening a file in a window: all that can be drawn is, and notes name the rest."""
