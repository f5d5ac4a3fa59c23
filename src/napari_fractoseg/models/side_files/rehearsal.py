"""Rehearsal sample: what a model sees and answers in images it knows, kept in its folder.

A readout that is learnt on one image forgets the others unless it rehearses them: Anthony Robins,
"Catastrophic forgetting, rehearsal and pseudorehearsal", Connection Science 7 (1995) 123-146.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from napari_fractoseg.errors import ModelError, translated
from napari_fractoseg.models.card import REHEARSAL
from napari_fractoseg.models.limits import Reductions
from napari_fractoseg.models.networks.readout import ReadoutNetwork, n_filters_of, widths_of
from napari_fractoseg.models.side_files.side_file import (
    check_tensors,
    read_side_file,
    write_side_file,
)

__all__ = ["LARGEST_BYTES", "Rehearsal", "RehearsalForm", "n_places_within"]

LARGEST_BYTES = 2_000_000
"""Largest size of ``rehearsal.safetensors``."""
_HEADER_BYTES = 4096
"""Room for names, shapes and metadata in the file."""
_ENTRY = "rehearsal"
"""Entry of the metadata of the file that holds a `RehearsalForm`."""
_AGAIN = "Download the model again, or train it again, to have its sample."


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RehearsalForm:
    """How the features of a rehearsal sample were read.

    Parameters
    ----------
    reductions : tuple of int
        Reductions of the scale levels, the coarsest first.
    n_components : int
        Number of principal components that were asked for at each, beside filters and answers.
    grid_px : int
        Edge in network pixels of the cells at which features are read.
    n_images : int
        Number of images that the places are in.
    """

    reductions: Annotated[Reductions, Field(min_length=1)]
    n_components: Annotated[int, Field(ge=1, le=8192)]
    grid_px: Annotated[int, Field(ge=1, le=8)]
    n_images: Annotated[int, Field(ge=1, le=10**6)]


_FORM: TypeAdapter[RehearsalForm] = TypeAdapter(RehearsalForm)


@dataclass(frozen=True, eq=False, config=ConfigDict(arbitrary_types_allowed=True))
class Rehearsal:
    """Features at places in images that a model knows, and its own answers there.

    Parameters
    ----------
    form : RehearsalForm
        How the features were read.
    axes : Tensor of float32, shape (P, C)
        Weights of the C channels that the network sees (`seen`) in each of the P components
        (`ReadoutNetwork.set_sum`).
    offset : Tensor of float32, shape (P,)
        What is added to each component.
    features : Tensor of float16, shape (n, L P)
        Components at n places, scale level by scale level.
    answers : Tensor of uint8, shape (n,)
        Output channel of the class that the model gives each place.
    """

    form: RehearsalForm
    axes: torch.Tensor
    offset: torch.Tensor
    features: torch.Tensor
    answers: torch.Tensor

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def size_text(self) -> str:
        """Text on what it holds, such as "3400 places in 16 images"."""
        n_images = self.form.n_images
        return f"{len(self)} places in {n_images} image{'s' if n_images > 1 else ''}"

    def at_levels(
        self, reductions: Sequence[int], n_components: int, grid_px: int
    ) -> Rehearsal | None:
        """Return the part for some of its scale levels; None if it was read in another way.

        Parameters
        ----------
        reductions : sequence of int
            Reductions of the scale levels, the coarsest first.
        n_components, grid_px : int
            Components and cells that the features must have.
        """
        form, wanted = self.form, tuple(reductions)
        if (form.n_components, form.grid_px) != (n_components, grid_px):
            return None
        if not set(wanted) <= set(form.reductions):
            return None
        levels = self.features.view(len(self), len(form.reductions), -1)
        numbers = [form.reductions.index(reduction) for reduction in wanted]
        features = levels[:, numbers].flatten(1)
        return replace(self, form=replace(form, reductions=wanted), features=features)

    def write(self, folder: Path, digest: str) -> None:
        """Write ``rehearsal.safetensors`` into a model folder.

        Parameters
        ----------
        folder : Path
            Folder to write into.
        digest : str
            SHA-256 of the weights file of the model.

        Raises
        ------
        ModelError
            If the file would be larger than `LARGEST_BYTES`.
        """
        scale = self.axes.abs().amax(dim=0).clamp(min=1e-12)
        tensors = {
            # Channels differ by orders of magnitude, which half precision does not bear.
            "axes": (self.axes / scale).half(),
            "scale": scale,
            "offset": self.offset,
            "features": self.features,
            "answers": self.answers,
        }
        n_bytes = sum(t.numel() * t.element_size() for t in tensors.values()) + _HEADER_BYTES
        if n_bytes > LARGEST_BYTES:
            raise ModelError(
                f"A rehearsal sample of {self.size_text} has {n_bytes / 1e6:.1f} MB; at most "
                f"{LARGEST_BYTES / 1e6:g} MB are kept. Take fewer places or components."
            )
        form = _FORM.dump_json(self.form).decode()
        write_side_file(folder / REHEARSAL, tensors, _ENTRY, form, digest)

    @classmethod
    def read(
        cls, folder: Path, digest: str, network: torch.nn.Module, n_classes: int
    ) -> Rehearsal | None:
        """Read the sample of a model folder; None if it has none.

        Parameters
        ----------
        folder : Path
            Model folder.
        digest : str
            SHA-256 of its weights file.
        network : torch.nn.Module
            Its network.
        n_classes : int
            Number of its classes.

        Raises
        ------
        ModelError
            If the file is damaged, too large, or belongs to other weights.
        """
        path = folder / REHEARSAL
        with translated(ModelError, f"{path} is not a rehearsal sample", _AGAIN):
            content = read_side_file(path, _ENTRY, digest, LARGEST_BYTES)
            if content is None:
                return None
            text, found = content
            form = _FORM.validate_json(text)
            _check(found, form, network, n_classes)
            axes = found["axes"].float() * found["scale"]
            return cls(form, axes, found["offset"], found["features"], found["answers"])


def n_places_within(n_outputs: int, n_channels: int, n_levels: int) -> int:
    """Return how many places a sample has room for; 0 if not even its components have.

    Parameters
    ----------
    n_outputs : int
        Number of components P of a scale level.
    n_channels : int
        Number of channels C that they are made of.
    n_levels : int
        Number of scale levels L.
    """
    rest = LARGEST_BYTES - _HEADER_BYTES - (2 * n_outputs + 4) * n_channels - 4 * n_outputs
    return max(rest // (2 * n_levels * n_outputs + 1), 0)


def _check(
    found: Mapping[str, torch.Tensor],
    form: RehearsalForm,
    network: torch.nn.Module,
    n_classes: int,
) -> None:
    """Raise ValueError unless tensors of a file fit one another and a network."""
    widths = network.shape.widths if isinstance(network, ReadoutNetwork) else widths_of(network)
    n_channels = sum(widths)
    n_kept = n_filters_of(widths) + widths[-1]
    n_outputs = min(form.n_components, n_channels - n_kept) + n_kept
    n_places = len(found["answers"]) if found.get("answers") is not None else 0
    if form.reductions != tuple(sorted(set(form.reductions), reverse=True)):
        raise ValueError(f"its scale levels {form.reductions} are not in order")
    expected = {
        "axes": ((n_outputs, n_channels), torch.float16),
        "scale": ((n_channels,), torch.float32),
        "offset": ((n_outputs,), torch.float32),
        "features": ((n_places, len(form.reductions) * n_outputs), torch.float16),
        "answers": ((n_places,), torch.uint8),
    }
    check_tensors(found, expected)
    if not n_places or int(found["answers"].max()) >= n_classes:
        raise ValueError(f"its answers are not those of {n_classes} classes")
