"""Familiarity: statistics of what a model saw in its training images, kept in its folder.

What lies far from the features of the training images is out of distribution: Kimin Lee et al.,
"A simple unified framework for detecting out-of-distribution samples and adversarial attacks",
NeurIPS 2018. How the distance is measured: `window_statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pydantic.dataclasses
import torch
from pydantic import ConfigDict, Field, TypeAdapter

from napari_fractoseg.errors import ModelError, translated
from napari_fractoseg.models.card import FAMILIARITY
from napari_fractoseg.models.networks.encoder_stage import features_of
from napari_fractoseg.models.side_files.side_file import (
    check_tensors,
    read_side_file,
    write_side_file,
)
from napari_fractoseg.models.side_files.window_statistics import (
    WINDOW_BLOCKS,
    BlockMap,
    Pieces,
    WindowSize,
    WindowSource,
    source_of,
)

__all__ = [
    "BLOCK_PX",
    "FEWEST_BLOCKS",
    "LARGEST_BYTES",
    "STRIDE",
    "Familiarity",
    "FamiliarityForm",
    "Judgement",
    "blocks_of",
]

LARGEST_BYTES = 1_000_000
"""Largest size of ``familiarity.safetensors``."""
BLOCK_PX = 64
"""Edge in network pixels of the blocks whose mean and spread are kept."""
STRIDE = 8
"""Stride in network pixels of the stage of the encoder that is looked at, the third of five."""
_MOST_CHANNELS = 64
_MOST_EXCLUDED = 0.5
_MOST_SOURCES = 8
_MOST_MAPS = 512
FEWEST_BLOCKS = 2
"""Blocks along the edge of a plane, below which noise is as near as an image like those learnt."""
_ENTRY = "familiarity"
_AGAIN = "Download the model again, or train it again."


@torch.inference_mode()
def blocks_of(
    stage_of: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    excluded: torch.Tensor | None = None,
) -> BlockMap:
    """Return mean and spread of what the encoder of a network sees, block by block.

    Parameters
    ----------
    stage_of : callable
        Function that gives what the encoder sees in inputs, shape (1, C, y, x): `EncoderStage` of
        stride `STRIDE`.
    inputs : Tensor of float32, shape (1, 1, Y, X)
        Normalised grey levels in network pixels; Y and X are multiples of `BLOCK_PX`.
    excluded : Tensor of float32, shape (1, 1, y, x), optional
        Share of equal parts of the piece that is excluded: parts of more than half are left out.
    """
    stage = stage_of(inputs)
    channels = np.linspace(0, stage.shape[1] - 1, min(stage.shape[1], _MOST_CHANNELS))
    found = stage[0, channels.round().astype(np.intp)].float()
    rows, columns = (length // BLOCK_PX for length in inputs.shape[-2:])
    height, width = found.shape[1] // rows, found.shape[2] // columns

    def by_block(values: torch.Tensor) -> torch.Tensor:
        parts = values.reshape(-1, rows, height, columns, width).permute(1, 3, 0, 2, 4)
        return parts.flatten(3)

    if excluded is None:
        spread, mean = torch.std_mean(by_block(found), dim=3, correction=0)
        return BlockMap(mean.cpu().numpy(), spread.cpu().numpy())
    share = torch.nn.functional.adaptive_max_pool2d(excluded.to(found.device), found.shape[-2:])
    is_used = by_block((share[0] <= _MOST_EXCLUDED).float())
    count = is_used.sum(dim=3).clamp(min=1)
    mean = (by_block(found) * is_used).sum(dim=3) / count
    rest = (by_block(found) - mean[..., None]) * is_used
    spread = (rest.square().sum(dim=3) / count).sqrt()
    used = is_used.mean(dim=3)[..., 0]
    return BlockMap(*(part.cpu().numpy() for part in (mean, spread, used)))


@pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FamiliarityForm:
    """How the statistics were read.

    Parameters
    ----------
    reduction : int
        Edge of the blocks of image pixels that are averaged to one network pixel.
    finest : int
        Smallest reduction of the model's scale levels then; at other scales the image is
        reduced in the same ratio to it.
    images : tuple of int
        Number of images of each source: those of the models that a readout reads, and last those
        of the training itself.
    earlier : tuple of int
        Reduction at which each source but the last was read; empty if all were read alike.
    """

    reduction: Annotated[int, Field(ge=1, le=64)]
    finest: Annotated[int, Field(ge=1, le=64)]
    images: Annotated[
        tuple[Annotated[int, Field(ge=1, le=10**6)], ...],
        Field(min_length=1, max_length=_MOST_SOURCES),
    ]
    earlier: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(max_length=_MOST_SOURCES - 1)
    ] = ()

    @property
    def reductions(self) -> tuple[int, ...]:
        """Reduction at which each source was read."""
        return (*(self.earlier or (self.reduction,) * (len(self.images) - 1)), self.reduction)


_FORM: TypeAdapter[FamiliarityForm] = TypeAdapter(FamiliarityForm)


@dataclass(frozen=True, eq=False)
class Judgement:
    """How far the windows of a plane are from what a model learnt.

    Parameters
    ----------
    scores : ndarray of float64, shape (y, x)
        Distance of each window; NaN of windows that are excluded for the most part.
    limit : float
        Distance that an image of this size like the training images stays below.
    """

    scores: npt.NDArray[np.float64]
    limit: float


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What the encoder of a model saw in its training images.

    Parameters
    ----------
    form : FamiliarityForm
        How it was read.
    maps : tuple of BlockMap
        Pieces of the training images.
    sources, images, groups : tuple of int
        Of each piece: number of its source, of its image, and of the images that are left out
        together when the limit is measured, such as those of one specimen.
    """

    form: FamiliarityForm
    maps: tuple[BlockMap, ...]
    sources: tuple[int, ...]
    images: tuple[int, ...]
    groups: tuple[int, ...]
    _made: dict[tuple[int, WindowSize], WindowSource | None] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def n_images(self) -> int:
        """Number of images of the model's own training."""
        return self.form.images[-1]

    @property
    def limits(self) -> tuple[float, ...]:
        """Limit of each source that has enough windows."""
        found = (self._source(number, _FULL) for number in range(len(self.form.images)))
        return tuple(source.limit for source in found if source is not None)

    def judge(self, pieces: Mapping[int, Pieces]) -> Judgement | None:
        """Compare a plane with the source that it is nearest to.

        Parameters
        ----------
        pieces : mapping of int to sequence of sequence of BlockMap
            Reduction at which sources were read (`FamiliarityForm.reductions`) -> pieces of the
            plane as it is seen then.

        Returns
        -------
        Judgement or None
            None if the plane is smaller than two blocks, or too much of it is excluded, to tell.

        Raises
        ------
        ModelError
            If the model learnt from too little to say anything (`is_enough`).
        """
        if not self.is_enough:
            raise ModelError("The model learnt from too few images to say what it knows.")
        if min(min(_largest_window(seen)) for seen in pieces.values()) < FEWEST_BLOCKS:
            return None
        found = []
        for number, reduction in enumerate(self.form.reductions):
            source = self._source(number, _largest_window(pieces[reduction]))
            if source is not None:
                found.append(Judgement(source.scores(pieces[reduction]), source.limit))
        told = [judgement for judgement in found if not np.isnan(judgement.scores).all()]
        return min(told, key=lambda j: float(np.nanmean(j.scores)) / j.limit, default=None)

    @property
    def is_enough(self) -> bool:
        """Whether the model's own training images are enough for a limit."""
        return self._source(len(self.form.images) - 1, _FULL) is not None

    def _source(self, number: int, largest: WindowSize) -> WindowSource | None:
        if (number, largest) not in self._made:
            chosen = [place for place, source in enumerate(self.sources) if source == number]
            self._made[number, largest] = source_of(
                [self.maps[place] for place in chosen],
                [self.images[place] for place in chosen],
                [self.groups[place] for place in chosen],
                largest,
            )
        return self._made[number, largest]

    def and_then(self, later: Familiarity) -> Familiarity:
        """Return these statistics with those of a readout's own images as one more source."""
        kept = len(self.form.images) - max(len(self.form.images) + 1 - _MOST_SOURCES, 0)
        places = [place for place, source in enumerate(self.sources) if source < kept]
        n_images = 1 + max(self.images)
        n_groups = 1 + max(self.groups)
        return replace(
            later,
            form=replace(
                later.form,
                images=(*self.form.images[:kept], *later.form.images),
                earlier=(*self.form.reductions[:kept], *later.form.reductions[:-1]),
            ),
            maps=(*(self.maps[place] for place in places), *later.maps),
            sources=(*(self.sources[p] for p in places), *(kept + s for s in later.sources)),
            images=(*(self.images[p] for p in places), *(n_images + i for i in later.images)),
            groups=(*(self.groups[p] for p in places), *(n_groups + g for g in later.groups)),
        )

    # ---- the file -----------------------------------------------------------------------

    def write(self, folder: Path, digest: str) -> None:
        """Write ``familiarity.safetensors`` into a model folder.

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
        n_channels = self.maps[0].mean.shape[-1]
        both = {
            name: np.concatenate([getattr(m, name).reshape(-1, n_channels) for m in self.maps])
            for name in ("mean", "spread")
        }
        used = np.concatenate([m.shares.ravel() for m in self.maps])
        scale = np.maximum(np.maximum(abs(both["mean"]), both["spread"]).max(axis=0), 1e-12)
        tensors = {name: torch.from_numpy(part / scale).half() for name, part in both.items()}
        tensors["scale"] = torch.from_numpy(scale)
        if used.min() < 1:
            tensors["used"] = torch.from_numpy(used).half()
        places = [
            (*m.shape, *of)
            for m, of in zip(
                self.maps, zip(self.sources, self.images, self.groups, strict=True), strict=True
            )
        ]
        tensors["places"] = torch.tensor(places, dtype=torch.int32)
        n_bytes = sum(t.numel() * t.element_size() for t in tensors.values())
        if n_bytes > LARGEST_BYTES:
            raise ModelError(
                f"Statistics of {len(self.maps)} parts of images have {n_bytes / 1e6:.1f} MB; at "
                f"most {LARGEST_BYTES / 1e6:g} MB are kept. Take fewer images."
            )
        form = _FORM.dump_json(self.form).decode()
        write_side_file(folder / FAMILIARITY, tensors, _ENTRY, form, digest)

    @classmethod
    def read(cls, folder: Path, digest: str, network: torch.nn.Module) -> Familiarity | None:
        """Read the statistics of a model folder; None if it has none.

        Parameters
        ----------
        folder : Path
            Model folder.
        digest : str
            SHA-256 of its weights file.
        network : torch.nn.Module
            Its network.

        Raises
        ------
        ModelError
            If the file is damaged, too large, or belongs to other weights.
        """
        path = folder / FAMILIARITY
        with translated(ModelError, f"{path} does not say what the model knows", _AGAIN):
            content = read_side_file(path, _ENTRY, digest, LARGEST_BYTES + 2**16)
            if content is None:
                return None
            text, found = content
            form = _FORM.validate_json(text)
            _check(found, form, network)
            mean, spread = ((found[n].float() * found["scale"]).numpy() for n in ("mean", "spread"))
            places = found["places"].tolist()
            ends = np.cumsum([rows * columns for rows, columns, *_ in places])[:-1]
            used = found.get("used", torch.ones(len(mean))).float().numpy()
            maps = tuple(
                BlockMap(m.reshape(*shape, -1), s.reshape(*shape, -1), u.reshape(shape))
                for m, s, u, (*shape, _, _, _) in zip(
                    *(np.split(part, ends) for part in (mean, spread, used)), places, strict=True
                )
            )
            sources, images, groups = zip(*(of for _, _, *of in places), strict=True)
            return cls(form, maps, sources, images, groups)


_FULL = (WINDOW_BLOCKS, WINDOW_BLOCKS)


def _largest_window(pieces: Pieces) -> WindowSize:
    """Return rows and columns in blocks of the largest windows that a plane has room for."""
    shapes = [piece.shape for row in pieces for piece in row]
    rows, columns = np.minimum(np.min(shapes, axis=0), _FULL).tolist()
    return rows, columns


def _check(
    found: Mapping[str, torch.Tensor], form: FamiliarityForm, network: torch.nn.Module
) -> None:
    """Raise ValueError unless tensors of a file fit one another and a network."""
    weight = next(network.parameters())
    probe = torch.zeros(1, 1, BLOCK_PX, BLOCK_PX, device=weight.device, dtype=weight.dtype)
    n_channels = blocks_of(partial(features_of, network, stride=STRIDE), probe).mean.shape[-1]
    places = found.get("places")
    if places is None or places.dtype != torch.int32 or places.ndim != 2 or places.shape[1] != 5:
        raise ValueError("'places' is not int32 of shape (n, 5)")
    if not 1 <= len(places) <= _MOST_MAPS or int(places[:, :2].min()) < 1 or int(places.min()) < 0:
        raise ValueError("it holds no parts of images, or too many")
    n_sources = len(form.images)
    if set(places[:, 2].tolist()) != set(range(n_sources)):
        raise ValueError(f"its parts are not of {n_sources} sources")
    n_blocks = int((places[:, 0].long() * places[:, 1].long()).sum())
    expected = {
        "mean": ((n_blocks, n_channels), torch.float16),
        "spread": ((n_blocks, n_channels), torch.float16),
        "scale": ((n_channels,), torch.float32),
    }
    check_tensors(found, expected)
    if len(form.earlier) not in (0, n_sources - 1):
        raise ValueError(f"it tells how {len(form.earlier) + 1} of {n_sources} sources were read")
    used = found.get("used")
    if used is not None and (
        (tuple(used.shape), used.dtype) != ((n_blocks,), torch.float16)
        or not bool(((used >= 0) & (used <= 1)).all())
    ):
        raise ValueError("'used' is not the share of each part that is used")
    if float(found["spread"].min()) < 0 or float(found["scale"].min()) <= 0:
        raise ValueError("a spread or scale is negative")
