"""Sizes of the facets that were painted last, by which the next one is looked for."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["RecentSizes"]

_REMEMBERED = 5


class RecentSizes:
    """Sizes of the five facets that were painted last.

    Examples
    --------
    >>> from napari_fractoseg.annotations.facets import RecentSizes
    >>> sizes = RecentSizes()
    >>> sizes.next_px(400)
    400.0
    >>> sizes.note(900)
    >>> sizes.next_px(400)
    600.0
    """

    def __init__(self) -> None:
        self._areas: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, area_px: float) -> None:
        """Remember the area of a facet in pixels."""
        self._areas.append(area_px)

    def next_px(self, typical_px: float) -> float:
        """Return the area to look for next: the geometric mean of those and of a typical one.

        Parameters
        ----------
        typical_px : float
            Area in pixels to begin with, such as `FacetTree.typical_area_px`.
        """
        logs = [math.log(area) for area in (*self._areas, typical_px)]
        return round(math.exp(math.fsum(logs) / len(logs)), 6)
