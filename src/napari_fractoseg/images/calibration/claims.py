"""What is to be believed of a pixel size that another program gave an opened image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import SAME_EDGE
from napari_fractoseg.images.calibration.facts import PixelSize, SemFacts, length_text
from napari_fractoseg.images.calibration.prints import INCH_UM, print_dpi, print_edges_um
from napari_fractoseg.images.calibration.read import sem_facts

__all__ = ["LAYER_SCALE", "FileSays", "file_says", "same_edges"]

LAYER_SCALE = "the layer's scale"
"""Origin of a pixel size that somebody gave to an opened image."""


@dataclass(frozen=True)
class FileSays:
    """What the file of an image says about its pixel size.

    Parameters
    ----------
    facts : SemFacts
        What the microscope, or a program, wrote; a file that cannot be read has a note.
    print_um : tuple of float or None
        Edges of a pixel in a print, along a column and along a row, in micrometres.
    """

    facts: SemFacts = field(default_factory=SemFacts)
    print_um: tuple[float, float] | None = None

    def judge(self, y_um: float, x_um: float) -> PixelSize:
        """Return what is believed of edges that an opened image of this file has.

        Parameters
        ----------
        y_um, x_um : float
            Edges along a column and along a row, in micrometres, as a reader or the user set them.

        Returns
        -------
        PixelSize
            The same with its origin; unknown, with a note, if it is the resolution of a print and
            the file does not say it as pixel size.
        """
        said = self.facts.pixel_size
        if same_edges(said, PixelSize(x_um, y_um)):
            return said
        dpi = self._print_dpi(y_um, x_um)
        if dpi is not None:
            return PixelSize().unknown(
                f"The layer has {length_text(x_um)} a pixel: {dpi:.0f} dots per inch is the "
                "resolution of a screen or print, not of the specimen."
            )
        return PixelSize(x_um, y_um, LAYER_SCALE)

    def _print_dpi(self, y_um: float, x_um: float) -> float | None:
        of_file = () if self.print_um is None else [INCH_UM / um for um in self.print_um]
        dpi = print_dpi(x_um, of_file)
        return None if print_dpi(y_um, of_file) is None else dpi


def file_says(path: Path | str) -> FileSays:
    """Return what a file says about the pixel size of its image; no pixels are read.

    Parameters
    ----------
    path : Path or str
        Image file. Of one that cannot be read the facts have a note.
    """
    path = Path(path)
    try:
        facts = sem_facts(path)
    except ImageError as error:
        facts = SemFacts(notes=(str(error),))
    return FileSays(facts, print_edges_um(path))


def same_edges(first: PixelSize, second: PixelSize) -> bool:
    """Tell whether two pixel sizes are known and the same."""
    if first.x_um is None or first.y_um is None or second.x_um is None or second.y_um is None:
        return False
    return math.isclose(first.x_um, second.x_um, rel_tol=SAME_EDGE) and math.isclose(
        first.y_um, second.y_um, rel_tol=SAME_EDGE
    )
