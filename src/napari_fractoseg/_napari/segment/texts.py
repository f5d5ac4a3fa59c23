"""Texts about a segmentation: its title, its result."""

from __future__ import annotations

from napari_fractoseg.images import MicrographStack
from napari_fractoseg.inference.result import RunRecord
from napari_fractoseg.results.familiar import unlike_text

__all__ = ["result_text", "run_title"]

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


def result_text(record: RunRecord, leading: tuple[int, ...] = ()) -> str:
    """Return what is to be said of a run: what the model does not know, was not read, or left out.

    Parameters
    ----------
    record : RunRecord
        Record of the planes that the run finished and left out.
    leading : tuple of int
        Lengths of the leading axes of the image.
    """
    notes = [left_out.reason for left_out in record.left_out.values()]
    if len(notes) > _MOST_NOTES:
        more = len(notes) - _MOST_NOTES
        notes = [*notes[:_MOST_NOTES], f"{more} more planes were left unlabelled."]
    unlike = unlike_text(record.familiarity, leading)
    return "\n".join([*filter(None, [unlike, record.untold]), *record.notes, *notes])
