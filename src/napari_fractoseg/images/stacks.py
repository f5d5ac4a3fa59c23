"""Stacks of image files: a folder, or a list of files, whose images are planes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.axes import SAME_EDGE, Axis
from napari_fractoseg.images.calibration import SemFacts
from napari_fractoseg.images.chunks import ChunkCount
from napari_fractoseg.images.lazy import LazyArray, chunk_counts
from napari_fractoseg.images.micrograph import MicrographStack
from napari_fractoseg.images.reading import find_images, image_header, read_image, safe_facts
from napari_fractoseg.text import size_text

__all__ = ["natural_order", "read_stack"]


def read_stack(
    images: Path | str | Sequence[Path | str], *, channel: int | str | None = None
) -> MicrographStack:
    """Open images as the planes of one stack; each is read when it is needed.

    Parameters
    ----------
    images : Path, str, or sequence of them
        Folder, whose images are taken in natural order (``plane2`` before
        ``plane10``), or image files in the order of the planes.
    channel : int or str, optional
        Number (from 0) or name of the channel to take of each file.

    Returns
    -------
    MicrographStack
        Stack of shape (plane, Y, X), named like the folder. Of images with colours
        the alpha channel is left out. Its pixel size is that of the files, if all say the same.

    Raises
    ------
    ImageError
        If there is no image, if one of them cannot be read or has several planes,
        or if they differ in size, type, or in having colours.
    """
    if isinstance(images, Path | str):
        folder = Path(images)
        paths = sorted(find_images(folder), key=lambda path: natural_order(path.name))
    else:
        paths = [Path(path) for path in images]
        if not paths:
            raise ImageError("A stack needs images, the list is empty. Name one or more files.")
        folder = paths[0].absolute().parent
    shape, dtype, rgb = _plane_header(paths[0], channel)
    facts = [safe_facts(path) for path in paths]
    for path in paths[1:]:
        header = _plane_header(path, channel)
        if header != (shape, dtype, rgb):
            raise ImageError(
                f"{path} does not fit into the stack of {folder}: it is {_described(*header)}, "
                f"{paths[0].name} is {_described(shape, dtype, rgb)}. Give all images the same "
                "size and type, or segment them as single images."
            )
    data = _FileStack(paths, shape, dtype, rgb, channel)
    axes = (Axis("plane"), Axis.named("y"), Axis.named("x"))
    size_um, origin, notes = _common_size(facts, folder)
    return MicrographStack(data, rgb, size_um, folder.name, axes, notes, pixel_size_from=origin)


def _common_size(
    facts: Sequence[SemFacts], folder: Path
) -> tuple[float | None, str, tuple[str, ...]]:
    """Return the pixel size that all files say, its origin, and a note if they differ."""
    first = facts[0]
    sizes = [one.pixel_size_um for one in facts]
    if all(size is None for size in sizes):
        return None, "", ()
    size_um = first.pixel_size_um
    if size_um and all(s and math.isclose(s, size_um, rel_tol=SAME_EDGE) for s in sizes):
        return size_um, first.pixel_size_from, ()
    known = sorted({size for size in sizes if size is not None})
    n_silent = sizes.count(None)
    silent = f"; {n_silent} say none" if n_silent else ""
    return None, "", (
        f"{folder.name}: the files do not all say the same pixel size ({known[0]:.4g} to "
        f"{known[-1]:.4g} µm{silent}): that of the stack is not known.",
    )  # fmt: skip


def natural_order(name: str) -> tuple[Any, ...]:
    """Return the sort key of a name by which ``plane2`` comes before ``plane10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    numbered = [int(part) if i % 2 else part for i, part in enumerate(parts)]
    return (*numbered, name)  # a difference in capitals or leading zeros has an order, too


class _FileStack(LazyArray):
    """Array of files of one plane each; the file that was read last stays open."""

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        rgb: bool,
        channel: int | str | None,
    ) -> None:
        super().__init__((len(paths), *shape, *[3] * rgb), dtype)
        self._paths, self._rgb, self._channel = tuple(paths), rgb, channel
        self._last: tuple[int, Any] = (-1, None)

    def _read(self, keys: tuple[Any, ...]) -> npt.NDArray[Any]:
        number, *inside = keys
        chosen = range(len(self._paths))[number]
        if isinstance(chosen, range):
            planes = [self._part(n, inside) for n in chosen]
            return np.stack(planes) if planes else np.empty(self.shape, self.dtype)[keys]
        return self._part(chosen, inside)

    def chunk_counts(self, at: Mapping[int, int]) -> list[ChunkCount]:
        """Count the chunks of the files that are zarr."""
        inside = {axis - 1: index for axis, index in at.items() if axis}
        folders = [n for n, path in enumerate(self._paths) if path.is_dir()]
        return [count for n in folders for count in chunk_counts(self._open(n), inside)]

    def _part(self, number: int, inside: list[Any]) -> npt.NDArray[Any]:
        last, data = self._last
        if last != number:
            data = self._open(number)
            self._last = number, data
        if self._rgb:
            rows, columns, colours = inside
            return np.asarray(data[rows, columns])[..., :3][..., colours]
        return np.asarray(data[tuple(inside)])

    def _open(self, number: int) -> Any:
        path = self._paths[number]
        stack = read_image(path, channel=self._channel)
        planes = stack.shape[:-2]
        if stack.shape[-2:] != self.shape[1:3] or stack.rgb != self._rgb:
            raise ImageError(
                f"{path} was changed while it was used: it is {size_text(stack.shape)} now. Open "
                "the stack again."
            )
        return stack.data[(0,) * len(planes)] if planes else stack.data


def _plane_header(
    path: Path, channel: int | str | None
) -> tuple[tuple[int, int], np.dtype[Any], bool]:
    """Return size and type of an image of one plane, and whether it has colours."""
    shape, dtype, rgb = image_header(path, channel)
    *leading, rows, columns = shape[:-1] if rgb else shape
    if any(n > 1 for n in leading):
        raise ImageError(
            f"{path} has {np.prod(leading)} planes, not one; in a stack of files each "
            "holds one. Segment it by itself."
        )
    return (rows, columns), dtype, rgb


def _described(shape: tuple[int, int], dtype: np.dtype[Any], rgb: bool) -> str:
    rows, columns = shape
    return f"{columns} x {rows} px of {dtype}{' in colours' if rgb else ''}"
