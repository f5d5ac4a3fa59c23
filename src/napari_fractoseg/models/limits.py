"""Limits of what cards, configurations and training plans of others may say of a network."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, Field

__all__ = ["LibraryName", "Reductions"]

_LARGEST_MULTIPLE = 240
"""Largest common multiple of reductions: windows have edges of 32 px times this."""


def _library_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError(
            "must be a plain name that segmentation-models-pytorch or timm has, no address or path"
        )
    return name


def _with_small_multiple(reductions: tuple[int, ...]) -> tuple[int, ...]:
    if math.lcm(*reductions) > _LARGEST_MULTIPLE:
        raise ValueError(
            f"must have a common multiple of at most {_LARGEST_MULTIPLE}, not "
            f"{math.lcm(*reductions)}: tiles have edges of 32 times this"
        )
    return reductions


LibraryName = Annotated[str, AfterValidator(_library_name)]
"""Name of an architecture or encoder; never an address, of which timm would fetch a network."""

Reductions = Annotated[
    tuple[Annotated[int, Field(ge=1, le=16)], ...],
    Field(max_length=8),
    AfterValidator(_with_small_multiple),
]
"""Reductions of scale levels, whose tiles do not become too large."""
