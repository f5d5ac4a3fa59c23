"""Checkpoints of a training run: one file, replaced in one go, with nothing to unpickle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file

from napari_fractoseg.errors import OutputError, TrainingError, translated
from napari_fractoseg.files import draft_of, scratch_folder

__all__ = ["Checkpoint", "damage_named", "kept_in", "pack", "unpack"]

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
        """Write the checkpoint as a file; a crash while writing leaves the earlier file.

        Raises
        ------
        OutputError
            If it cannot be written, such as on a full disk; the earlier file is still there.
        """
        tensors = {
            name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
            for name, tensor in self.tensors.items()
        }
        with (
            draft_of(path, overwrite=True) as draft,
            scratch_folder(path) as scratch,
            translated(OutputError, f"{path} cannot be written", "Make room there."),
        ):
            save_file(tensors, scratch / "tensors", metadata={_FACTS: json.dumps(self.facts)})
            os.replace(scratch / "tensors", draft)  # noqa: PTH105 - atomic on one file system

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
        with damage_named(path):
            if not path.is_file():  # a pipe would be waited for
                raise TrainingError(f"{path} is no file. Remove it to start anew.")
            with safetensors.safe_open(path, framework="pt") as file:
                facts = dict(json.loads((file.metadata() or {})[_FACTS]))
                names = file.keys() if with_tensors else ()
                return cls({name: file.get_tensor(name) for name in names}, facts)

    @property
    def plan(self) -> Mapping[str, Any]:
        """Entries of the plan of the run; empty if the facts have none."""
        fingerprint = self.facts.get("fingerprint")
        plan = fingerprint.get("plan") if isinstance(fingerprint, dict) else None
        return plan if isinstance(plan, dict) else {}


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise whatever goes wrong in the block as damage of a checkpoint, which is named."""
    with translated(
        TrainingError,
        f"{path} is damaged or no checkpoint of a training",
        "Remove it to start anew.",
    ):
        yield


@contextmanager
def kept_in(checkpoint: Path) -> Iterator[None]:
    """Say where a training is kept, if its result cannot be written in the block.

    Parameters
    ----------
    checkpoint : Path
        File of the checkpoint.

    Raises
    ------
    OutputError
        If anything goes wrong in the block.
    """
    try:
        with translated(OutputError, "The result of the training cannot be written"):
            yield
    except OutputError as error:
        if not checkpoint.exists():
            raise
        raise OutputError(
            f"{error} The training is not lost: {checkpoint} has it. Go on with it when this is "
            "mended.",
            options=("resume",),
        ) from error


def pack(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors with a prefix and a slash before their names."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def unpack(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors whose names have a prefix, without it."""
    start = f"{prefix}/"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
