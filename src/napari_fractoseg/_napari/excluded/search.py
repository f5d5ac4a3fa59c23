"""Search for the info bar of an image layer, without layers and Qt."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg.errors import FractosegError, ImageError, translated
from napari_fractoseg.images import InfoBar, MicrographStack, SemFacts
from napari_fractoseg.images.bars.stack import find_bar_of_stack
from napari_fractoseg.images.reading import image_header, safe_facts
from napari_fractoseg.jobs import Job, Progress

__all__ = ["bar_job"]


def bar_job(stack: MicrographStack, path: Path | None) -> Job[InfoBar]:
    """Look for the info bar of an image, in its file and in its rows near the edges.

    Parameters
    ----------
    stack : MicrographStack
        Image.
    path : Path or None
        File that it was opened from, if any.

    Yields
    ------
    Progress
        Once, before the file is read.
    """
    yield Progress(0, 0, "looking for an info bar")
    try:
        with translated(ImageError, f"The rows of {stack.name} cannot be read"):
            facts = _facts(stack, path)
            return find_bar_of_stack(stack, () if facts is None else (facts,))
    except ImageError as error:
        return InfoBar(None, str(error))


def _facts(stack: MicrographStack, path: Path | None) -> SemFacts | None:
    """Return what the file says; None where it is no image, or the layer shows a part of it."""
    if path is None:
        return None
    facts = safe_facts(path)
    if facts.image_rows is None:
        return facts
    try:
        shape, _, is_rgb = image_header(path)
    except FractosegError:
        return None
    plane = shape[-3:-1] if is_rgb else shape[-2:]
    return facts if plane == stack.shape[-2:] else None
