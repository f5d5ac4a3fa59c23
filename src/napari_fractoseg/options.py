"""Options, described once as fields of a pydantic class: text, bounds and default.

Command line, tooltips, docstrings and reference pages are made from these fields, so that an
option has the same name, bounds and explanation everywhere.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
import types
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from napari_fractoseg.errors import OptionError

__all__ = ["OptionField", "described", "is_truth_value", "option_field", "option_fields", "refusal"]

C = TypeVar("C")
_WIDTH = 88


@dataclass(frozen=True)
class OptionField:
    """Description of one option.

    Parameters
    ----------
    name : str
        Name of the option in Python; the command line has dashes for underscores.
    type : object
        Type of the values, without None.
    is_optional : bool
        Whether None is allowed.
    default : object
        Value if none is given; ``...`` if the option is required.
    description : str
        Explanation for people who do not program.
    lowest, highest : float or None
        Smallest and largest allowed value; None without a bound.
    choices : tuple
        Allowed values, where there are only a few; otherwise empty.
    """

    name: str
    type: Any
    is_optional: bool
    default: Any
    description: str
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def type_text(self) -> str:
        """Type of the values in the notation of numpydoc."""
        kind = getattr(self.type, "__name__", str(self.type))
        if self.choices:
            kind = "{" + ", ".join(f'"{c}"' for c in self.choices) + "}"
        elif get_origin(self.type) is not None:
            kind = str(get_origin(self.type).__name__)
        return f"{kind} or None" if self.is_optional else kind


def option_fields(settings: type) -> dict[str, OptionField]:
    """Return the options of a pydantic class or dataclass: name -> description.

    Examples
    --------
    >>> from napari_fractoseg.batch import SegmentSettings
    >>> from napari_fractoseg.options import option_fields
    >>> field = option_fields(SegmentSettings)["tile_px"]
    >>> field.type_text, field.lowest, field.default
    ('int or None', 32, None)
    """
    known: dict[str, FieldInfo] = settings.__pydantic_fields__  # type: ignore[attr-defined]
    return {name: _field(name, info) for name, info in known.items()}


def option_field(settings: type, name: str) -> OptionField:
    """Return the description of one option of a pydantic class or dataclass."""
    return option_fields(settings)[name]


def _field(name: str, info: FieldInfo) -> OptionField:
    members = _members(info.annotation)
    kind = next(m for m in members if m is not types.NoneType)
    default = info.get_default(call_default_factory=True)
    return OptionField(
        name=name,
        type=kind,
        is_optional=types.NoneType in members,
        default=... if default is PydanticUndefined else default,
        description=info.description or "",
        lowest=next((limit.ge for limit in info.metadata if hasattr(limit, "ge")), None),
        highest=next((limit.le for limit in info.metadata if hasattr(limit, "le")), None),
        choices=get_args(kind) if get_origin(kind) is Literal else (),
    )


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union type; for any other type that type alone."""
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if is_union else (annotation,)


def described(settings: type[C]) -> type[C]:
    """Class decorator for options: document the fields, and raise `OptionError` for wrong values.

    The docstring gets a section *Parameters* made from the descriptions of the fields. The error
    names option, value and bound.
    """
    lines = ["Parameters", "----------"]
    for field in option_fields(settings).values():
        lines.append(f"{field.name} : {field.type_text}")
        lines += textwrap.wrap(
            field.description, _WIDTH, initial_indent="    ", subsequent_indent="    "
        )
    text, examples, rest = inspect.cleandoc(settings.__doc__ or "").partition("Examples\n---")
    settings.__doc__ = "\n".join((text.rstrip(), "", *lines, "", examples + rest))
    make, numbers = settings.__init__, _numbers_of(settings)
    names = tuple(option_fields(settings))

    @functools.wraps(make)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        given = {**dict(zip(names, values, strict=False)), **named}
        for name in numbers & given.keys():
            if is_truth_value(given[name]):  # which pydantic takes for 0 or 1
                raise OptionError(f"{name} is {given[name]}. It is a number.", options=(name,))
        try:
            make(self, *values, **named)
        except pydantic.ValidationError as error:
            raise OptionError(refusal(error)) from error

    settings.__init__ = checked  # type: ignore[method-assign]
    return settings


def is_truth_value(value: object) -> bool:
    """Whether a value is True or False, which Python and NumPy take for the numbers 1 and 0."""
    return type(value).__name__ in ("bool", "bool_")


def _numbers_of(settings: type) -> set[str]:
    """Return the names of the options of a class that are numbers."""
    known: dict[str, FieldInfo] = settings.__pydantic_fields__  # type: ignore[attr-defined]
    members = {name: _members(info.annotation) for name, info in known.items()}
    return {name for name, of in members.items() if {int, float} & {*of} and bool not in of}


def refusal(error: pydantic.ValidationError) -> str:
    """Return the first error of pydantic as a sentence: the entry, its value, what is allowed."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where} is {first['input']!r:.80}. {message}."
