"""Metadata of zarr arrays, which are checked before zarr opens one.

Zarr arrays can hold objects, and codecs of theirs run code of whoever wrote them (pickle). Only
real numbers and codecs of numbers pass. Reads small files only, and never imports zarr.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_fractoseg.errors import ImageError, translated
from napari_fractoseg.files import read_json_object

__all__ = ["ZarrHeader", "read_header"]

_MOST_AXES = 32
_REAL_V2 = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_REAL_V3 = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))}
_REAL_V3 |= {"float16", "float32", "float64"}

_NUMCODECS = frozenset({
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta",
    "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits",
    "pcodec", "quantize", "shuffle", "zfpy", "zlib", "zstd",
})  # fmt: skip
"""Codecs of numcodecs that turn numbers into bytes, or bytes into bytes, and nothing else."""
_SHARDING = "sharding_indexed"
_CODECS_V3 = {"blosc", "bytes", "crc32c", "endian", "gzip", "transpose", "zstd", _SHARDING}
_CODECS_V3 |= {f"numcodecs.{name}" for name in _NUMCODECS}
_DAMAGED = "Copy the folder again, or write the image again with the program that made it."


@dataclass(frozen=True)
class ZarrHeader:
    """Metadata of a zarr array of real numbers that nothing but numbers is decoded for.

    Parameters
    ----------
    zarr_format : {2, 3}
        Version of the format.
    shape : tuple of int
        Length of each axis.
    chunks : tuple of int
        Shape of what a file holds: a chunk, or a shard of several.
    decoded : tuple of int
        Shape of what is decoded as a whole: a chunk.
    dtype : numpy dtype
        Type of the values.
    fill_value : object
        Value of the chunks that are not there.
    key_prefix : tuple of str
        Names in front of the numbers in the names of the chunks' files.
    separator : {".", "/"}
        Text between these numbers.
    """

    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    decoded: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any
    key_prefix: tuple[str, ...]
    separator: str

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of files on each axis, if none is missing."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.chunks, strict=True))


def read_header(folder: Path) -> ZarrHeader | None:
    """Read and check the metadata of a zarr array.

    Parameters
    ----------
    folder : Path
        Folder of the array on a local disk.

    Returns
    -------
    ZarrHeader or None
        The metadata; None if there is no array: nothing, a group, or a file that is no JSON.

    Raises
    ------
    ImageError
        If the array holds something else than real numbers, if a codec is not one of numbers,
        or if the metadata are damaged.
    """
    with translated(ImageError, f"{folder}: its zarr metadata are damaged", _DAMAGED):
        node = read_json_object(folder / "zarr.json")
        if node is not None:
            return _format_3(folder, node) if node.get("node_type") == "array" else None
        node = read_json_object(folder / ".zarray")
        return None if node is None else _format_2(folder, node)


def _format_2(folder: Path, node: Mapping[str, Any]) -> ZarrHeader:
    kind = node["dtype"]
    if not isinstance(kind, str) or not _REAL_V2.fullmatch(kind):
        raise _no_numbers(folder, kind)
    given = [codec for codec in (*(node.get("filters") or ()), node.get("compressor")) if codec]
    _check_codecs(folder, [codec["id"] for codec in given], _NUMCODECS)
    shape, chunks = _lengths(node, "shape", 0), _lengths(node, "chunks", 1)
    separator = _separator(node.get("dimension_separator", "."))
    dtype = np.dtype(kind)
    return _header(2, shape, chunks, chunks, dtype, node.get("fill_value"), (), separator)


def _format_3(folder: Path, node: Mapping[str, Any]) -> ZarrHeader:
    kind = node["data_type"]
    if not isinstance(kind, str) or kind not in _REAL_V3:
        raise _no_numbers(folder, kind)
    if node.get("storage_transformers"):
        raise ValueError("it has storage transformers, which nobody knows")
    if node["chunk_grid"]["name"] != "regular":
        raise ValueError(f"its chunk grid is {node['chunk_grid']['name']!r} instead of 'regular'")
    shape = _lengths(node, "shape", 0)
    chunks = decoded = _lengths(node["chunk_grid"]["configuration"], "chunk_shape", 1)
    codecs = _named(node["codecs"])
    _check_codecs(folder, _all_names(codecs), _CODECS_V3)
    if [name for name, _ in codecs] == [_SHARDING]:  # a chunk of a shard is read by itself
        decoded = _lengths(codecs[0][1], "chunk_shape", 1)
    encoding = node["chunk_key_encoding"]
    is_default = encoding["name"] == "default"
    more = encoding.get("configuration") or {}
    separator = _separator(more.get("separator", "/" if is_default else "."))
    prefix = ("c",) if is_default else ()
    fill_value = node["fill_value"]
    return _header(3, shape, chunks, decoded, np.dtype(kind), fill_value, prefix, separator)


def _header(
    zarr_format: int,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    decoded: tuple[int, ...],
    dtype: np.dtype[Any],
    fill_value: Any,
    key_prefix: tuple[str, ...],
    separator: str,
) -> ZarrHeader:
    if not len(shape) == len(chunks) == len(decoded) <= _MOST_AXES:
        raise ValueError(f"its shape {shape} and its chunks {chunks} do not fit together")
    if math.prod(shape) > np.iinfo(np.int64).max:
        raise ValueError(f"its shape {shape} is none that a computer can hold")
    if not (fill_value is None or isinstance(fill_value, bool | int | float | str)):
        raise ValueError("its fill value is no number")
    return ZarrHeader(zarr_format, shape, chunks, decoded, dtype, fill_value, key_prefix, separator)


def _lengths(node: Mapping[str, Any], name: str, least: int) -> tuple[int, ...]:
    given = node[name]
    if not isinstance(given, list) or not all(type(n) is int and n >= least for n in given):
        raise ValueError(f"{name} is {given!s:.80} instead of whole numbers from {least} on")
    return tuple(given)


def _separator(given: Any) -> str:
    if given not in (".", "/"):
        raise ValueError(f"the separator of its chunks' names is {given!r}")
    return str(given)


def _named(codecs: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names and configurations of the codecs in a list of format 3."""
    both = [(c, {}) if isinstance(c, str) else (c["name"], c.get("configuration")) for c in codecs]
    return [(name, more or {}) for name, more in both]


def _all_names(codecs: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the names of codecs, and of those inside shards."""
    names = [name for name, _ in codecs]
    for name, more in codecs:
        if name == _SHARDING:
            for inside in ("codecs", "index_codecs"):
                names += _all_names(_named(more.get(inside) or ()))
    return names


def _check_codecs(folder: Path, names: list[Any], known: frozenset[str] | set[str]) -> None:
    for name in names:
        if name not in known:
            raise ImageError(
                f"{folder} is packed by {name!r}, which is no codec of numbers, and is not opened: "
                "some codecs run code of whoever wrote the file. Write the image again with a "
                "codec such as zstd or blosc."
            )


def _no_numbers(folder: Path, kind: Any) -> ImageError:
    return ImageError(
        f"{folder} holds values of type {kind!s:.80}, which are no grey levels or labels. Convert "
        "the image to uint8, uint16 or float32."
    )
