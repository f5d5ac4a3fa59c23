"""Reading of TIFF files: small ones are loaded, large ones are read when they are sliced."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.images.axes import Axis
from napari_fractoseg.images.formats.channels import CHANNEL, Source, last_axis_is_colour
from napari_fractoseg.images.lazy import LazyArray, at_index, converted
from napari_fractoseg.images.memory import array_bytes, refuse_if_not_in, refuse_if_too_large

__all__ = ["LOADED_VALUES", "TIFF_SUFFIXES", "quiet_tifffile", "read_tiff", "tiff_description"]

TIFF_SUFFIXES = (".tif", ".tiff")
LOADED_VALUES = 2**26
"""Largest number of values (pixels times samples) of a TIFF series that is loaded."""
_MINISWHITE, _MINISBLACK, _SEPARATED = 0, 1, 5
"""Photometric interpretations of TIFF: 0 is white, 0 is black, separated inks (CMYK)."""
_ALPHA = (1, 2)
"""Codes of extra samples that are an alpha channel."""
_SIDE_PICTURES = ("thumbnail", "label", "macro")
"""Names of series that slide scanners write beside the image."""
_MOST_NAMES = 5
_NAMES = {"S": "c", "I": "plane", "Q": "plane"}
"""Axis names of tifffile's axis codes that are not the code in lower case; the meaning of I and Q
is unknown."""


def read_tiff(
    path: Path,
    *,
    rgb: bool | None = None,
    channel: int | str | None = None,
    as_shown: bool = True,
    most_values: int = LOADED_VALUES,
) -> Source:
    """Read the first series of a TIFF, at full resolution.

    Parameters
    ----------
    path : Path
        TIFF file.
    rgb : bool, optional
        Whether 3 or 4 samples are colours; by default as the file says.
    channel : int or str, optional
        Number or name of the channel that the caller will take; then a last axis of 3 or 4
        channels is not taken for colours.
    as_shown : bool
        Whether to invert files in which 0 is white, so that it is black.
    most_values : int
        Largest number of values that are loaded. Larger series stay on disk: uncompressed
        contiguous ones are mapped into memory while they are read, of others the strips and
        tiles that are needed are decoded.

    Returns
    -------
    Source
        Content of the file; the values are the same, whether they are loaded or not.
    """
    with quiet_tifffile(), tifffile.TiffFile(path) as tif:
        _refuse_other_places(tif, path)
        series, notes = _image_of(tif, path)
        codes, page, shape = series.axes, series.keyframe, tuple(series.shape)
        names = _channel_names(tif)
        _refuse_wrong_sizes(series, path)
        data = series.asarray() if math.prod(shape) <= most_values else _open(path, series)
    # A Zeiss or JEOL palette runs from black to white: the index is the grey level.
    if as_shown and int(page.photometric) == _MINISWHITE:
        bits = int(page.bitspersample)
        data = converted(data, lambda block: _inverted(block, bits))
    axes = tuple(Axis.named(_NAMES.get(code, code.lower())) for code in codes)
    if "S" in codes:
        return replace(_with_samples(data, axes, codes.index("S"), page, rgb), notes=notes)
    if rgb is None:
        rgb = last_axis_is_colour(axes, shape, channel)
    n_channels = [n for axis, n in zip(axes, shape, strict=True) if axis.type == CHANNEL]
    names = names if n_channels == [len(names)] else ()
    return Source(data, bool(rgb), axes, names, notes=notes)


def tiff_description(path: Path) -> str:
    """Return the text that a TIFF says of its first page; empty if there is none.

    Of foreign or damaged files, and of files that are not there, it is empty, too: they
    say nothing.
    """
    try:
        with translated(ImageError, f"{path} cannot be read"):
            if not path.is_file():
                return ""
            with quiet_tifffile(), tifffile.TiffFile(path) as tif:
                return str(tif.pages.first.description)
    except ImageError:
        return ""


def _image_of(tif: Any, path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the image that a file holds, a series of pages, and notes on what else is in it.

    Raises
    ------
    ImageError
        If it holds several images: pages of different sizes, that are no smaller copies.
    """
    if not tif.series:
        raise ValueError("it is damaged, incomplete or no image")
    sides = [series for series in tif.series if _is_side_picture(series)]
    images = [series for series in tif.series if series not in sides] or sides[:1]
    if len(images) > 1:
        sizes = ", ".join(_size_text(series) for series in images[:_MOST_NAMES])
        more = ", ..." if len(images) > _MOST_NAMES else ""
        raise ImageError(
            f"{path} holds {len(images)} images of different sizes, types or names: {sizes}{more}. "
            "Save the one to look at as an image of its own."
        )
    others = [series for series in sides if series is not images[0] and not _is_copy(series)]
    if not others:
        return images[0], ()
    named = ", ".join(f"{series.name} ({_size_text(series)})" for series in others[:_MOST_NAMES])
    return images[0], (f"{path.name}: pictures beside the image are not read: {named}.",)


def _is_side_picture(series: Any) -> bool:
    """Whether a series shows the image smaller, masks it, or shows what the specimen lay in."""
    is_named_so = str(series.name).strip().lower() in _SIDE_PICTURES
    return is_named_so or _is_copy(series) or bool(series.keyframe.is_mask)


def _is_copy(series: Any) -> bool:
    return bool(series.keyframe.is_reduced)


def _size_text(series: Any) -> str:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return f"{sizes.get('X', '?')} x {sizes.get('Y', '?')} px of {series.dtype}"


def _refuse_other_places(tif: Any, path: Path) -> None:
    """Raise if an OME-TIFF of several files names other places than files of its folder.

    Raises
    ------
    ImageError
        If one leads out of the folder, or to a pipe or device, which would be waited for.
    """
    for name in re.findall(r'FileName\s*=\s*["\']([^"\']*)["\']', (tif.ome_metadata or "")):
        part = path.parent / name
        if "/" in name or "\\" in name or (part.exists() and not part.is_file()):
            raise ImageError(
                f"{path} says that planes of it are in {name!r}, which is no file beside it. Save "
                "it as one file."
            )


def _with_samples(
    data: Any, axes: tuple[Axis, ...], at: int, page: Any, rgb: bool | None
) -> Source:
    """Return a source whose samples are told apart: colours, grey with alpha, or channels."""
    n_samples, photometric = data.shape[at], int(page.photometric)
    others = (*axes[:at], *axes[at + 1 :])
    if rgb is None:
        rgb = n_samples in (3, 4) and photometric not in (_MINISWHITE, _MINISBLACK)
    if rgb:
        convert = _from_cmyk if photometric == _SEPARATED and n_samples == 4 else None
        n_colours = 3 if convert else n_samples
        return Source(converted(data, convert, at, n_colours), True, (*others, axes[at]))
    if n_samples == 2 and any(int(extra) in _ALPHA for extra in page.extrasamples):
        return Source(at_index(data, at, 0), False, others)
    return Source(data, False, axes)


def _open(path: Path, series: Any) -> Any:
    """Return a lazy array of a series, without reading its pixels."""
    if series.dataoffset is not None and not series.is_multifile:
        byteorder = series.keyframe.parent.byteorder
        dtype = series.dtype.newbyteorder(byteorder)
        return _TiffMap(path, tuple(series.shape), dtype, series.dataoffset)
    for page in series.pages:
        if page is not None and _is_cut_off(page):
            raise ValueError("it ends early")
    # Imported here because it takes zarr along, which most files do not need.
    from napari_fractoseg.images.formats.tiff_parts import decoded_parts

    return _TiffArray(path, decoded_parts(series))


def _refuse_wrong_sizes(series: Any, path: Path) -> None:
    """Raise if a series takes more memory than there is, or says a size that it cannot have."""
    if not series.is_multifile:
        whole = array_bytes(series.shape, series.dtype)
        refuse_if_not_in(path.stat().st_size, whole, f"{path}: reading it")
    if series.dataoffset is None:  # a strip or tile is decoded as a whole
        part = array_bytes(series.keyframe.chunks, series.dtype)
        refuse_if_too_large(part, f"{path}: decoding a single strip or tile of it")


def _is_cut_off(page: Any) -> bool:
    """Whether a page lists fewer strips or tiles than it has, or some that are not in the file."""
    n_bytes, n_parts = page.parent.filehandle.size, math.prod(page.chunked)
    ends = zip(page.dataoffsets, page.databytecounts, strict=False)
    return n_parts > len(page.dataoffsets) or any(o + count > n_bytes for o, count in ends)


class _TiffArray(LazyArray):
    """Lazy array of a series whose strips and tiles are decoded when they are needed."""

    def __init__(self, path: Path, array: Any) -> None:
        super().__init__(array.shape, array.dtype)
        self._path, self._array = path, array

    def _values(self) -> Any:
        return self._array

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        remedy = "The file is damaged or was changed; copy or export it again."
        with translated(ImageError, f"{self._path} cannot be read", remedy):
            return np.array(self._values()[keys])


class _TiffMap(_TiffArray):
    """Lazy array of a contiguous series, mapped into memory only while it is read.

    Pages of a map count as memory of the process as long as the map is kept, and Dask stops
    workers that take too much.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any, offset: int) -> None:
        super().__init__(path, np.broadcast_to(np.empty((), dtype), shape))
        self._offset = offset
        self._values()  # a file that is too short is refused now

    def _values(self) -> Any:
        return np.memmap(self._path, self.dtype, "r", self._offset, self.shape)


def _channel_names(tif: Any) -> tuple[str, ...]:
    """Return the names of the channels that OME or ImageJ wrote; empty if there are none."""
    if tif.is_ome:
        image = tifffile.xml2dict(tif.ome_metadata)["OME"].get("Image", {})
        first = image[0] if isinstance(image, list) else image
        channels = first.get("Pixels", {}).get("Channel", ())
        channels = channels if isinstance(channels, list | tuple) else [channels]
        names = tuple(str(channel.get("Name") or "") for channel in channels)
    else:
        labels = (tif.imagej_metadata or {}).get("Labels") or ()
        names = tuple(map(str, [labels] if isinstance(labels, str) else labels))
    return names if all(names) else ()


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Silence tifffile's log messages in the block, which repeat what the raised error says."""
    logger = logging.getLogger("tifffile")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _inverted(data: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Invert grey levels in which 0 is white; the type stays."""
    if data.dtype.kind == "f":
        return -data
    inverted: npt.NDArray[Any] = np.invert(data)
    return inverted & data.dtype.type(2**bits - 1) if data.dtype.kind == "u" else inverted


def _from_cmyk(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert cyan, magenta, yellow, black on the last axis to red, green, blue."""
    is_float = data.dtype.kind == "f"
    full = 1.0 if is_float else np.iinfo(data.dtype).max
    light = 1 - data.astype(np.float64) / full
    rgb = light[..., :3] * light[..., 3:] * full
    return (rgb if is_float else np.rint(rgb)).astype(data.dtype)
