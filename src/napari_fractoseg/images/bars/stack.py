"""The info bar of a stack: the same rows on all planes, as far as they were looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_fractoseg.images.bars.info_bar import InfoBar, find_info_bar
from napari_fractoseg.images.calibration.facts import SemFacts
from napari_fractoseg.images.micrograph import LazyPlane, MicrographStack

__all__ = ["find_bar_of_stack"]


def find_bar_of_stack(stack: MicrographStack, facts: Sequence[SemFacts] = ()) -> InfoBar:
    """Find the info bar of an image or stack; the rows that are bar on all planes.

    Parameters
    ----------
    stack : MicrographStack
        Image. Of a stack in memory the first, middle and last plane are looked at, of one on disk
        the first; only the rows near their edges are read.
    facts : sequence of SemFacts, optional
        What the files of the first planes say, see `find_info_bar`; of a single file what it says
        of all. Planes with a file of their own are all looked at.

    Returns
    -------
    InfoBar
        Rows that are bar on each of these planes, so that nothing of any plane is cut off; None
        where one of them has no bar, or another edge: then text is over the image of some.
    """
    indices = list(stack.indices())
    is_loaded = isinstance(stack.data, np.ndarray)
    chosen = {0, len(indices) // 2, len(indices) - 1} if is_loaded else {0}
    if len(facts) > 1:
        chosen = set(range(min(len(facts), len(indices))))
    said = (facts[0] if facts else SemFacts(),) * len(indices) if len(facts) < 2 else facts
    bars = [
        find_info_bar(LazyPlane(stack.data, indices[number], stack.rgb), said[number])
        for number in sorted(chosen)
    ]
    found = [bar.rows for bar in bars if bar.rows is not None]
    if len(found) < len(bars):
        over = next((bar for bar in bars if bar.is_over_image), bars[0])
        if not found:
            return over
        why = f"{len(found)} of {len(bars)} planes have an info bar: no rows are left out."
        return InfoBar(None, why, True)
    first, end = max(rows[0] for rows in found), min(rows[1] for rows in found)
    if first >= end:
        return InfoBar(
            None, "The info bars of the planes are at different edges: none is left out.", True
        )
    return InfoBar((first, end), bars[0].why)
