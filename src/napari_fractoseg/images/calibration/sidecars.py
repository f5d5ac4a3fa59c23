"""Files of text that microscopes write beside an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.files import read_file
from napari_fractoseg.images.calibration.facts import SemFacts
from napari_fractoseg.images.calibration.hitachi import read_hitachi_sidecar
from napari_fractoseg.images.calibration.jeol import read_jeol_sidecar
from napari_fractoseg.images.calibration.tescan import read_tescan_sidecar
from napari_fractoseg.images.calibration.texts import decoded

__all__ = ["read_sidecar"]

_MOST_BYTES = 2**20
_READERS: dict[str, tuple[Callable[[str, tuple[int, int]], SemFacts | None], ...]] = {
    ".txt": (read_hitachi_sidecar, read_jeol_sidecar),
    ".hdr": (read_tescan_sidecar,),
}


def read_sidecar(path: Path, shape: tuple[int, int]) -> SemFacts | None:
    """Return what the file of a microscope beside an image says.

    Parameters
    ----------
    path : Path
        The image; beside ``a.tif`` it may be ``a.txt``, ``a.hdr`` or ``a-tif.hdr``.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    SemFacts or None
        None if there is no such file; a note, if there is one that cannot be read.
    """
    for ending, readers in _READERS.items():
        for beside in _beside(path, ending):
            try:
                with translated(ImageError, f"{beside.name} beside the image cannot be read"):
                    text = decoded(read_file(beside, _MOST_BYTES))
                    for reader in readers:
                        if (facts := reader(text, shape)) is not None:
                            return facts
            except ImageError as error:
                return SemFacts(notes=(str(error),))
    return None


def _beside(path: Path, ending: str) -> list[Path]:
    names = [f"{path.stem}{ending}", f"{path.stem}{ending.upper()}"]
    names.append(f"{path.stem}-{path.suffix.lstrip('.')}{ending}")
    found = [path.with_name(name) for name in names]
    return [beside for beside in found if beside.exists() and not beside.is_dir()]
