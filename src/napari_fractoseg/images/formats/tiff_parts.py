"""Strips and tiles of compressed TIFFs, decoded when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import zarr
from zarr.storage import WrapperStore

__all__ = ["decoded_parts"]

_KEPT_BYTES = 2**28
"""Decoded strips and tiles that are kept."""


def decoded_parts(series: Any) -> Any:
    """Return a series of a TIFF as an array whose strips and tiles are decoded as it is sliced.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        Of a file, of a pyramid level 0 is taken. The file is opened for each read.

    Returns
    -------
    zarr.Array
        Keeps up to 256 MB of what was decoded last.
    """
    # The file is opened for each read: nobody tells when the last one was.
    return zarr.open_array(_DecodedParts(series.aszarr(level=0, _openfiles=0)), mode="r")


class _DecodedParts(WrapperStore):  # type: ignore[misc]
    """Keeps the strips and tiles that were decoded last.

    A strip is as wide as the image: without this, each of the tiles that are segmented beside
    each other would decode the same strips.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._n_bytes = 0

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        part = await self._store.get(key, prototype, byte_range)
        if part is not None and key not in self._kept:
            self._kept[key] = part
            self._n_bytes += len(part)
            while self._n_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._n_bytes -= len(self._kept.popitem(last=False)[1])
        return part
