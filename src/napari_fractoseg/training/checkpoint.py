"""Checkpoints of a training run: one file, replaced in one go, with nothing to unpickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import draft_of

__all__ = ["Checkpoint", "pack", "unpack"]

_FACTS = "fractoseg"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that an interrupted training run needs to go on.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights, and the state of the optimiser.
    facts : mapping
        Other state in plain JSON types, such as the history of losses.
    """

    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write the checkpoint as a file; a crash while writing leaves the earlier file."""
        tensors = {
            name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
            for name, tensor in self.tensors.items()
        }
        with draft_of(path, overwrite=True) as draft:
            save_file(tensors, draft, metadata={_FACTS: json.dumps(self.facts)})

    @classmethod
    def read(cls, path: Path, *, with_tensors: bool = True) -> Checkpoint:
        """Read a checkpoint file.

        Parameters
        ----------
        path : Path
            File to read.
        with_tensors : bool
            Whether tensors are read, too; without them reading is quick.

        Raises
        ------
        TrainingError
            If the file is damaged or no checkpoint.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_FACTS])
                names = file.keys() if with_tensors else ()
                return cls({name: file.get_tensor(name) for name in names}, facts)
        except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path} is damaged or no checkpoint of a training ({error}). Remove it to start "
                "anew."
            ) from error


def pack(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors with a prefix and a slash before their names."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def unpack(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors whose names have a prefix, without it."""
    start = f"{prefix}/"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
