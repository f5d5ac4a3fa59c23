"""Which rows of an image are left out as its info bar: those that are found, or given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_fractoseg.bar_option import AUTO, NONE, checked_choice
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.bars.stack import find_bar_of_stack
from napari_fractoseg.images.calibration import SemFacts
from napari_fractoseg.images.excluded import ExcludedArea
from napari_fractoseg.images.micrograph import MicrographStack
from napari_fractoseg.images.reading import safe_facts

__all__ = ["Bar", "chosen_bar", "without_bar"]


@dataclass(frozen=True)
class Bar:
    """What is left out of an image as its info bar.

    Parameters
    ----------
    area : ExcludedArea or None
        The rows; None if nothing is left out.
    why : str
        Sentence for the user: where the rows come from, or why there are none.
    notes : tuple of str
        Sentences for the user on what else there is, such as text over the image.
    """

    area: ExcludedArea | None
    why: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return rows and reason as plain JSON types."""
        area = ExcludedArea((0, 0)) if self.area is None else self.area
        return {**area.to_dict(), "source": self.why}


def chosen_bar(stack: MicrographStack, choice: str = AUTO, facts: Sequence[SemFacts] = ()) -> Bar:
    """Return the rows of an image that are left out, by the choice of the user.

    Parameters
    ----------
    stack : MicrographStack
        Image; of large ones only the rows near the edges are read.
    choice : str
        ``auto``, ``none``, a number of rows at the lower edge, or ``FIRST:END``.
    facts : sequence of SemFacts
        What the files of the first planes say (`sem_facts`). With ``auto`` only what is a bar in
        all of these planes is left out, as `find_bar_of_stack` finds it.

    Raises
    ------
    ImageError
        If the choice is none of these, or the image does not have these rows.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.images import MicrographStack
    >>> from napari_fractoseg.images.bars.choice import chosen_bar
    >>> chosen_bar(MicrographStack(np.zeros((20, 30))), "4").area.bands
    ((16, 20),)
    """
    if choice == NONE:
        return Bar(None, "No info bar was looked for.")
    if choice != AUTO:
        return _given(stack, choice)
    bar = find_bar_of_stack(stack, facts)
    notes = (f"{stack.name}: {bar.why} It was segmented as well.",) if bar.is_over_image else ()
    return Bar(ExcludedArea.of_bar(bar, stack.shape), bar.why, notes)


def without_bar(
    stack: MicrographStack, choice: str = AUTO, paths: Sequence[Path] = ()
) -> tuple[MicrographStack, Bar]:
    """Return an image with its info bar as excluded area and notes on it, and the bar.

    Parameters
    ----------
    stack : MicrographStack
        Image; what is excluded of it already stays so.
    choice : str
        As in `chosen_bar`.
    paths : sequence of Path
        File of the image, or of each plane, for what it says of the bar.
    """
    facts = [safe_facts(path) for path in paths] if choice == AUTO else []
    bar = chosen_bar(stack, choice, facts)
    area = bar.area if stack.excluded is None else stack.excluded.joined(bar.area)
    return replace(stack, excluded=area, notes=(*stack.notes, *bar.notes)), bar


def _given(stack: MicrographStack, choice: str) -> Bar:
    try:
        checked_choice(choice)
    except ValueError as error:
        raise ImageError(f"{choice!r} says no rows of an info bar. {error}") from None
    n_rows = stack.shape[-2]
    first, _, end = choice.partition(":")
    if not end and int(first) > n_rows:
        raise ImageError(
            f"{first} rows at the lower edge cannot be left out of {stack.name}: the image has "
            f"{n_rows} rows only. Give fewer rows."
        )
    rows = (int(first), int(end)) if end else (n_rows - int(first), n_rows)
    why = f"These rows were given ({choice})."
    return Bar(ExcludedArea(stack.shape, bands=(rows,), source=why), why)
