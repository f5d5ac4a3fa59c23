"""Option of several commands: which rows are left out as the info bar. Imports no numpy."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["AUTO", "NONE", "BarChoice", "checked_choice"]

AUTO, NONE = "auto", "none"
_ROWS = re.compile(r"([0-9]{1,9})(?::([0-9]{1,9}))?")


def checked_choice(choice: str) -> str:
    """Return a choice if it is one.

    Raises
    ------
    ValueError
        If it is none; says what is.
    """
    if choice in (AUTO, NONE):
        return choice
    found = _ROWS.fullmatch(choice)
    first, end = (0, 0) if found is None else (int(found[1]), int(found[2] or 0))
    if found is None or (not first if found[2] is None else first >= end):
        raise ValueError(
            "Give auto, none, a number of rows at the lower edge (77), or the first row and the "
            "one after the last, counted from 0 (691:768)."
        )
    return choice


BarChoice = Annotated[
    str,
    AfterValidator(checked_choice),
    Field(
        description="Rows to leave out as the info bar of the microscope: auto (found in each "
        "file by its metadata, or by the band of one grey level with text), none, a number of rows "
        "at the lower edge (77), or the first row and the one after the last, counted from 0 "
        "(691:768). Labels there are 0, and nothing is learnt from them."
    ),
]
"""Choice of the user: ``auto``, ``none``, ``ROWS`` or ``FIRST:END``."""
