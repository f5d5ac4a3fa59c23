"""Texts about a segmentation: its title, its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.result import RunRecord

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fractions_text", "result_text", "run_title"]

_MOST_NOTES = 3


def run_title(image: MicrographStack, planes: tuple[tuple[int, ...], ...]) -> str:
    """Return the title of a run, such as ``s17 · all 34 planes`` or ``s17 · plane 5``.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg._napari.segment.texts import run_title
    >>> from napari_fractoseg.images import MicrographStack
    >>> stack = MicrographStack(np.zeros((3, 4, 4)), name="s17")
    >>> run_title(stack, tuple(stack.indices())), run_title(stack, ((1,),))
    ('s17 · all 3 planes', 's17 · plane 2')
    """
    if image.n_planes == 1:
        return image.name
    if len(planes) == 1:
        return f"{image.name} · {image.plane_name(planes[0]).partition(' of ')[0]}"
    every = "all " if len(planes) == image.n_planes else ""
    return f"{image.name} · {every}{len(planes)} planes"


def result_text(table: pd.DataFrame, record: RunRecord) -> str:
    """Return what a run found, and which planes it left unlabelled.

    Parameters
    ----------
    table : DataFrame
        Area fractions, as `class_fractions` returns them.
    record : RunRecord
        Record of the planes that the run finished and left out.
    """
    notes = [left_out.reason for left_out in record.left_out.values()]
    if len(notes) > _MOST_NOTES:
        more = len(notes) - _MOST_NOTES
        notes = [*notes[:_MOST_NOTES], f"{more} more planes were left unlabelled."]
    found = [fractions_text(table)] if record.finished else []
    return "\n".join([*found, *record.notes, *notes])


def fractions_text(table: pd.DataFrame) -> str:
    """Return one line on area fractions: each fracture mode's share of the area of all modes.

    Parameters
    ----------
    table : DataFrame
        Area fractions, as `class_fractions` returns them.
    """
    modes = table[table["is_fracture_mode"]]
    classified = float(modes["fraction_of_image"].sum())
    if classified == 0:
        names = " or ".join(modes["class_name"])
        return f"No {names} area was found."
    shares = [
        f"{str(name).capitalize()} {share:.1%}"
        for name, share in zip(modes["class_name"], modes["fraction_of_modes"], strict=True)
    ]
    # Lines break between the parts only.
    parts = [_unbroken(part) for part in (*shares, f"of {classified:.0%} classified")]
    return "   ".join(parts)


def _unbroken(text: str) -> str:
    return text.replace("%", " %").replace(" ", "\u00a0")
