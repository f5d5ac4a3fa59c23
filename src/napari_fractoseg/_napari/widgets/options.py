"""Controls made of options that are described once, with their tooltip, bounds and choices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, SpinBox

from napari_fractoseg._napari.widgets.controls import narrow
from napari_fractoseg.options import option_field

__all__ = ["choice_of", "number_of", "tick_of"]

_LARGEST_INT = 2**31 - 1
"""What Qt's spin boxes can hold."""


def choice_of(
    settings: type, name: str, label: str, choices: Iterable[Any] = (), **initial: Any
) -> ComboBox:
    """Return a list to choose the value of an option from.

    Parameters
    ----------
    settings : type
        Pydantic class that describes the option.
    name : str
        Name of the option.
    label : str
        What stands before the list.
    choices : iterable, optional
        Values, or pairs of the text that is shown and the value; by default those of the option.
    **initial
        ``value`` to begin with; by default the first one.
    """
    field = option_field(settings, name)
    box = ComboBox(
        label=label,
        choices=tuple(choices) or field.choices,
        tooltip=field.description,
        **initial,
    )
    narrow(box)
    return box


def number_of(
    settings: type, name: str, label: str, value: float, step: float = 1
) -> SpinBox | FloatSpinBox:
    """Return a box for the number of an option, within its bounds; the others as `choice_of`."""
    field = option_field(settings, name)
    make = FloatSpinBox if field.type is float else SpinBox
    highest = _LARGEST_INT if field.highest is None else field.highest
    return make(
        label=label,
        value=value,
        min=0 if field.lowest is None else field.lowest,
        max=highest,
        step=step,
        tooltip=field.description,
    )


def tick_of(settings: type, name: str, text: str, value: bool) -> CheckBox:
    """Return a box to tick for an option; the others as `choice_of`."""
    return CheckBox(text=text, value=value, tooltip=option_field(settings, name).description)
