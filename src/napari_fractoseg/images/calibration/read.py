"""Pixel size, detector, voltage and more of an image file, whichever microscope wrote it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.files import would_be_waited_for
from napari_fractoseg.images.calibration.facts import PixelSize, Said, SemFacts, agreed
from napari_fractoseg.images.calibration.fei import read_fei, read_fei_xml
from napari_fractoseg.images.calibration.hitachi import read_hitachi
from napari_fractoseg.images.calibration.sidecars import read_sidecar
from napari_fractoseg.images.calibration.tescan import read_tescan
from napari_fractoseg.images.calibration.written import read_description, read_zarr_scale
from napari_fractoseg.images.calibration.zeiss import read_zeiss
from napari_fractoseg.images.formats.pictures import picture_header
from napari_fractoseg.images.formats.sem_tags import TiffTags, read_tags
from napari_fractoseg.images.formats.tiff import TIFF_SUFFIXES
from napari_fractoseg.images.formats.zarr import is_zarr

__all__ = ["sem_facts"]

_TAGS: tuple[Callable[[TiffTags], SemFacts | None], ...] = (
    read_description,
    read_fei,
    read_fei_xml,
    read_zeiss,
    read_tescan,
    read_hitachi,
)
"""Readers of tags: the most trusted first."""


def sem_facts(path: Path | str) -> SemFacts:
    """Return what an image file, or a file beside it, says about how it was taken.

    Parameters
    ----------
    path : Path or str
        TIFF, PNG, JPEG, BMP, or OME-Zarr. No pixels are read.

    Returns
    -------
    SemFacts
        Pixel size with its origin, detector, voltage, working distance, magnification, date. What
        is not known is None or empty; what the file says, but cannot be true, is a note.

    Raises
    ------
    ImageError
        If the file is not there, or no image.

    Notes
    -----
    Read are the tags of FEI / Thermo Fisher (34680, 34682, 34683), Zeiss (34118), TESCAN (50431),
    Hitachi (40092) and Phenom (34683), the files beside the image of JEOL, Hitachi (``.txt``) and
    TESCAN (``.hdr``), and what programs write: OME-TIFF, ImageJ, OME-Zarr, and our own results. The
    resolution of a print (XResolution) is never taken for a pixel size.
    """
    path = Path(path)
    with translated(ImageError, f"{path} cannot be read as an image", "Copy or export it again."):
        if not path.exists():
            raise ImageError(f"{path} does not exist. Check the path.")
        if would_be_waited_for(path):
            raise ImageError(f"{path} is no file but a pipe or device. Choose an image file.")
        if is_zarr(path):
            return read_zarr_scale(path)
        if path.suffix.lower() not in TIFF_SUFFIXES:
            rows, columns = picture_header(path).shape[:2]
            return read_sidecar(path, (rows, columns)) or SemFacts()
        return _of_tiff(path)


def _of_tiff(path: Path) -> SemFacts:
    tags = read_tags(path)
    beside = read_sidecar(path, tags.shape)
    return _chosen([*_said_by(tags), *([] if beside is None else [beside])])


def _said_by(tags: TiffTags) -> list[SemFacts]:
    """Return what each reader finds; one that fails on damaged metadata says so in a note."""
    found = []
    for reader in _TAGS:
        name = reader.__name__.removeprefix("read_").replace("_", " ")
        try:
            with translated(ImageError, f"The metadata ({name}) cannot be read"):
                facts = reader(tags)
        except ImageError as error:
            facts = SemFacts(notes=(str(error),))
        found += [] if facts is None else [facts]
    return found


def _chosen(said: Sequence[SemFacts]) -> SemFacts:
    """Return the facts of all sources: of each the first that is known, and all notes."""
    if not said:
        return SemFacts()
    known = [facts for facts in said if facts.pixel_size.source]
    known = [facts for facts in known if not facts.is_estimated] or known
    first = known[0] if known else SemFacts()
    size = first.pixel_size
    for other in known[1:]:
        size = _or_contradiction(size, other.pixel_size)
    values = {}
    for field in fields(SemFacts):
        found = [getattr(facts, field.name) for facts in (first, *said)]
        values[field.name] = next((value for value in found if value), found[0])
    notes = tuple(note for facts in said for note in facts.notes)
    return SemFacts(**{**values, "pixel_size": size, "is_estimated": first.is_estimated,
                       "notes": notes})  # fmt: skip


def _or_contradiction(size: PixelSize, other: PixelSize) -> PixelSize:
    """Return the pixel size, unknown with a note if another source says another one."""
    if size.x_um is None or other.x_um is None:
        return size
    both = Said(size.x_um, size.source), Said(other.x_um, other.source)
    found = agreed(both)
    return size if found.source else found
