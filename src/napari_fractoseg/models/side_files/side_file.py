"""Files that a model folder has beside its weights: tensors, tied to the weights by their hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file

from napari_fractoseg.files import read_file

__all__ = ["check_tensors", "read_side_file", "write_side_file"]

_WEIGHTS = "weights"
"""Entry of the metadata with the hash of the weights."""


def write_side_file(
    path: Path, tensors: Mapping[str, torch.Tensor], entry: str, form: str, digest: str
) -> None:
    """Write a file for a model folder.

    Parameters
    ----------
    path : Path
        File to write.
    tensors : mapping of str to Tensor
        Content of the file.
    entry, form : str
        Entry of its metadata, and text in it, which says how the tensors were made.
    digest : str
        SHA-256 of the weights file of the model.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={entry: form, _WEIGHTS: digest})


def read_side_file(
    path: Path, entry: str, digest: str, most_bytes: int
) -> tuple[str, dict[str, torch.Tensor]] | None:
    """Return the text and the tensors of a file of a model folder; None if it is not there.

    Parameters
    ----------
    path : Path
        File that `write_side_file` wrote.
    entry : str
        Entry of its metadata with the text.
    digest : str
        SHA-256 of the weights file of the model.
    most_bytes : int
        Largest size of the file.

    Raises
    ------
    ValueError
        If it is damaged, or belongs to other weights.
    """
    try:
        data = read_file(path, most_bytes)
    except FileNotFoundError:
        return None
    metadata = _metadata_of(data)
    if metadata.get(_WEIGHTS) != digest:
        raise ValueError("it was made for other weights")
    return str(metadata.get(entry)), load(data)


def check_tensors(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Raise ValueError unless tensors have the shapes and types expected, and finite numbers."""
    for name, kind in expected.items():
        tensor = found.get(name)
        if tensor is None or (tuple(tensor.shape), tensor.dtype) != kind:
            raise ValueError(f"{name!r} is not {kind[1]} of shape {kind[0]}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name!r} is NaN or infinite")


def _metadata_of(data: bytes) -> Mapping[str, Any]:
    """Return the metadata of a safetensors file; ValueError if it is cut off or none."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("it is cut off or no safetensors file")
    header = json.loads(data[8 : 8 + length])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}
