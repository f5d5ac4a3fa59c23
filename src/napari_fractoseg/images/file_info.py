"""What is known of an image file at a glance: its size, how it was taken, and its info bar."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.bars.info_bar import InfoBar, find_info_bar
from napari_fractoseg.images.calibration import SemFacts, sem_facts
from napari_fractoseg.images.micrograph import LazyPlane
from napari_fractoseg.images.reading import read_image

__all__ = ["FileInfo", "file_info"]


@dataclass(frozen=True)
class FileInfo:
    """Facts about an image file.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Shape of the image without colours, (..., Y, X); empty if it cannot be read.
    dtype : str
        Type of its values.
    facts : SemFacts
        What the file, or one beside it, says about how it was taken.
    bar : InfoBar or None
        Rows of the info bar, of a stack those of the first plane; None if it cannot be read.
    error : str
        Why it cannot be read; empty if it can.
    """

    path: Path
    shape: tuple[int, ...] = ()
    dtype: str = ""
    facts: SemFacts = field(default_factory=SemFacts)
    bar: InfoBar | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        bar = self.bar or InfoBar(None, "")
        return {
            "file": str(self.path),
            "shape": list(self.shape),
            "dtype": self.dtype,
            **self.facts.to_dict(),
            "pixel_size_um": self.facts.pixel_size_um,
            "info_bar_rows": None if bar.rows is None else list(bar.rows),
            "info_bar_why": bar.why,
            "text_over_image": bar.is_over_image,
            "error": self.error,
        }


def file_info(path: Path | str) -> FileInfo:
    """Return what is known of an image file; of large ones only the rows near the edges are read.

    Parameters
    ----------
    path : Path or str
        Image file, of the formats that `read_image` takes. One that cannot be read has an error.
    """
    path = Path(path)
    facts = SemFacts()
    try:
        facts = sem_facts(path)
        stack = read_image(path)
        index = next(iter(stack.indices()))
        bar = find_info_bar(LazyPlane(stack.data, index, stack.rgb), facts)
    except ImageError as error:
        return FileInfo(path, facts=facts, error=str(error))
    return FileInfo(path, stack.shape, str(stack.data.dtype), facts, bar)
