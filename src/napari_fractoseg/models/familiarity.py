"""Familiarity: statistics of what a model saw in its training images, kept in its folder.

What lies far from the features of the training images is out of distribution: Kimin Lee et al.,
"A simple unified framework for detecting out-of-distribution samples and adversarial attacks",
NeurIPS 2018. Here the features are mean and standard deviation of each channel in a window, and
the distance is what their first principal components leave (the residual of Haoqi Wang et al.,
"ViM: Out-of-distribution with virtual-logit matching", CVPR 2022).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pydantic.dataclasses
import torch
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors.torch import load, save_file
from scipy import stats

from napari_fractoseg.errors import ModelError, translated
from napari_fractoseg.files import read_file
from napari_fractoseg.models.card import FAMILIARITY
from napari_fractoseg.models.readout import encoded, network_below
from napari_fractoseg.models.rehearsal import metadata_of

__all__ = [
    "BLOCK_PX",
    "LARGEST_BYTES",
    "WINDOW_BLOCKS",
    "BlockMap",
    "Familiarity",
    "FamiliarityForm",
    "Judgement",
    "blocks_of",
]

LARGEST_BYTES = 1_000_000
"""Largest size of ``familiarity.safetensors``."""
BLOCK_PX = 64
"""Edge in network pixels of the blocks whose mean and spread are kept."""
WINDOW_BLOCKS = 5
"""Edge in blocks of the windows that are judged: 320 network pixels."""
_SMALL_WINDOW = 3
"""Edge in blocks of the windows where there are too few of the usual ones."""
_FEWEST_WINDOWS = 9
"""Windows of a set of images from which statistics are worth something."""
_STRIDE = 8
"""Stride in network pixels of the stage of the encoder that is looked at, the third of five."""
_MOST_CHANNELS = 64
_MOST_SOURCES = 8
_MOST_MAPS = 512
_COMPONENTS = 8
"""Principal components of the windows that are left out of the distance."""
_FEWEST_GROUPS = 4
"""Groups of images from which each in turn is left out; of fewer, quarters of each image are."""
_FLOOR = 0.02
"""Smallest spread of a channel among the windows, in parts of its mean."""
_PRIOR_SPREAD, _PRIOR_COUNT = 0.25, 8
"""Spread of log scores among unseen images that is expected, and how many images that counts."""
_QUANTILE = 0.98
_FEW_IMAGES = 1.25
"""Factor on a limit from quarters of images: other images differ more than quarters of one do."""
_ENTRY, _WEIGHTS = "familiarity", "weights"
_AGAIN = "Download the model again, or train it again."


@dataclass(frozen=True, eq=False)
class BlockMap:
    """Mean and spread of each channel in the blocks of a piece of an image.

    Parameters
    ----------
    mean, spread : ndarray of float32, shape (Y, X, C)
        Mean and standard deviation of C channels in Y x X blocks.
    """

    mean: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        rows, columns = self.mean.shape[:2]
        return rows, columns

    def windows(self, edge: int, step: int = 1) -> npt.NDArray[np.float64]:
        """Return what is told of each window: mean and spread of its pixels, shape (y, x, 2 C).

        Parameters
        ----------
        edge : int
            Edge of a window in blocks; a map with fewer rows or columns has one window there.
        step : int
            About how many blocks lie between the starts of two windows; the first and the last
            window touch the edges.
        """
        size = [min(edge, length) for length in self.shape]
        starts = [_starts(n, part, step) for n, part in zip(self.shape, size, strict=True)]
        moments = [self.mean, self.spread**2 + self.mean**2]
        mean, square = (
            np.lib.stride_tricks.sliding_window_view(m.astype(np.float64), size, axis=(0, 1))[
                np.ix_(*starts)
            ].mean(axis=(-2, -1))
            for m in moments
        )
        return np.concatenate([mean, np.sqrt(np.maximum(square - mean**2, 0))], axis=-1)


def _starts(length: int, part: int, step: int) -> npt.NDArray[np.intp]:
    count = -(-(length - part) // step) + 1
    return np.unique(np.linspace(0, length - part, count).round().astype(np.intp))


@torch.inference_mode()
def blocks_of(network: torch.nn.Module, inputs: torch.Tensor) -> BlockMap:
    """Return mean and spread of what the encoder of a network sees, block by block.

    Parameters
    ----------
    network : torch.nn.Module
        Network; of a readout, the one below it is looked at.
    inputs : Tensor of float32, shape (1, 1, Y, X)
        Normalised grey levels in network pixels; Y and X are multiples of `BLOCK_PX`.
    """
    stages = encoded(network_below(network), inputs)
    edge = inputs.shape[-1]
    stage = min(stages, key=lambda s: abs(math.log2(edge / s.shape[-1] / _STRIDE)))
    channels = np.linspace(0, stage.shape[1] - 1, min(stage.shape[1], _MOST_CHANNELS))
    found = stage[0, channels.round().astype(np.intp)].float()
    rows, columns = (length // BLOCK_PX for length in inputs.shape[-2:])
    height, width = found.shape[1] // rows, found.shape[2] // columns
    parts = found.reshape(-1, rows, height, columns, width).permute(1, 3, 0, 2, 4)
    spread, mean = torch.std_mean(parts.flatten(3), dim=3, correction=0)
    return BlockMap(mean.cpu().numpy(), spread.cpu().numpy())


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
        Number of images of each source: the training itself and, for a readout, those of the
        models that it reads.
    """

    reduction: Annotated[int, Field(ge=1, le=64)]
    finest: Annotated[int, Field(ge=1, le=64)]
    images: Annotated[
        tuple[Annotated[int, Field(ge=1, le=10**6)], ...],
        Field(min_length=1, max_length=_MOST_SOURCES),
    ]


_FORM: TypeAdapter[FamiliarityForm] = TypeAdapter(FamiliarityForm)


@dataclass(frozen=True, eq=False)
class Judgement:
    """How far the windows of a plane are from what a model learnt.

    Parameters
    ----------
    scores : ndarray of float64, shape (y, x)
        Distance of each window.
    limit : float
        Distance that an image like the training images stays below.
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

    @property
    def n_images(self) -> int:
        """Number of images of the model's own training."""
        return self.form.images[-1]

    @property
    def limits(self) -> tuple[float, ...]:
        """Limit of each source that has enough windows."""
        return tuple(source.limit for source in self._statistics)

    def judge(self, pieces: Sequence[Sequence[BlockMap]]) -> Judgement:
        """Compare a plane with the source that it is nearest to.

        Parameters
        ----------
        pieces : sequence of sequence of BlockMap
            Pieces of the plane, row by row; one that covers it, or several beside one another.

        Raises
        ------
        ModelError
            If the model learnt from too little to say anything (`is_enough`).
        """
        if not self._statistics:
            raise ModelError("The model learnt from too few images to say what it knows.")
        found = [source.judge(pieces) for source in self._statistics]
        return min(found, key=lambda judgement: judgement.scores.mean() / judgement.limit)

    @property
    def is_enough(self) -> bool:
        """Whether the model's own training images are enough for a limit."""
        return bool(self._statistics) and self._statistics[-1].number == len(self.form.images) - 1

    @functools.cached_property
    def _statistics(self) -> tuple[_Source, ...]:
        made = (self._source(number) for number in range(len(self.form.images)))
        return tuple(source for source in made if source is not None)

    def _source(self, number: int) -> _Source | None:
        chosen = [place for place, source in enumerate(self.sources) if source == number]
        maps = [self.maps[place] for place in chosen]
        images, groups = ([of[place] for place in chosen] for of in (self.images, self.groups))
        largest = max(min(m.shape) for m in maps)
        for edge in (min(WINDOW_BLOCKS, largest), min(_SMALL_WINDOW, largest)):
            windows = _Windows.of(maps, edge, 1, images, groups)
            if len(windows.rows) >= _FEWEST_WINDOWS:
                fitted = _Statistics.of(windows.rows, windows.images)
                return _Source(number, edge, fitted, _limit(maps, edge, images, groups))
        return None

    def and_then(self, later: Familiarity) -> Familiarity:
        """Return these statistics with those of a readout's own images as one more source."""
        kept = len(self.form.images) - max(len(self.form.images) + 1 - _MOST_SOURCES, 0)
        places = [place for place, source in enumerate(self.sources) if source < kept]
        n_images = 1 + max(self.images)
        n_groups = 1 + max(self.groups)
        return replace(
            later,
            form=replace(later.form, images=(*self.form.images[:kept], *later.form.images)),
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
        scale = np.maximum(np.maximum(abs(both["mean"]), both["spread"]).max(axis=0), 1e-12)
        tensors = {name: torch.from_numpy(part / scale).half() for name, part in both.items()}
        tensors["scale"] = torch.from_numpy(scale)
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
        metadata = {_ENTRY: _FORM.dump_json(self.form).decode(), _WEIGHTS: digest}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, folder / FAMILIARITY, metadata=metadata)

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
            try:
                data = read_file(path, LARGEST_BYTES + 2**16)
            except FileNotFoundError:
                return None
            metadata = metadata_of(data)
            if metadata.get(_WEIGHTS) != digest:
                raise ValueError("it was made for other weights")
            form = _FORM.validate_json(str(metadata.get(_ENTRY)))
            found = load(data)
            _check(found, form, network)
            mean, spread = ((found[n].float() * found["scale"]).numpy() for n in ("mean", "spread"))
            places = found["places"].tolist()
            ends = np.cumsum([rows * columns for rows, columns, *_ in places])[:-1]
            maps = tuple(
                BlockMap(m.reshape(rows, columns, -1), s.reshape(rows, columns, -1))
                for m, s, (rows, columns, *_) in zip(
                    np.split(mean, ends), np.split(spread, ends), places, strict=True
                )
            )
            sources, images, groups = zip(*(of for _, _, *of in places), strict=True)
            return cls(form, maps, sources, images, groups)


# ---- statistics -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Statistics:
    """Mean and spread of windows, and the components in which they vary most."""

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    @classmethod
    def of(cls, windows: npt.NDArray[np.float64], images: npt.NDArray[np.intp]) -> _Statistics:
        """Fit windows, shape (n, D), of images that count alike."""
        _, number, count = np.unique(images, return_inverse=True, return_counts=True)
        weights = 1 / count[number]
        weights /= weights.sum()
        mean = weights @ windows
        floor = _FLOOR * np.abs(mean) + 1e-3 * np.median(np.abs(mean)) + 1e-9
        spread = np.sqrt(weights @ (windows - mean) ** 2 + floor**2)
        rows = (windows - mean) / spread * np.sqrt(weights)[:, None]
        axes = np.linalg.svd(rows, full_matrices=False)[2]
        return cls(mean, spread, axes[: min(_COMPONENTS, len(windows) // 3)])

    def scores(self, windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the distance of each window, shape (n,): what the components leave of it."""
        rows = (windows - self.mean) / self.spread
        rest = rows - rows @ self.axes.T @ self.axes
        return np.asarray(np.sqrt((rest**2).mean(axis=-1)))


@dataclass(frozen=True, eq=False)
class _Source:
    """Statistics of the images of one training, and the limit that belongs to them."""

    number: int
    edge: int
    fitted: _Statistics
    limit: float

    def judge(self, pieces: Sequence[Sequence[BlockMap]]) -> Judgement:
        rows = [[self._scores(piece) for piece in row] for row in pieces]
        return Judgement(np.block(rows), self.limit)

    def _scores(self, piece: BlockMap) -> npt.NDArray[np.float64]:
        windows = piece.windows(self.edge, _step(self.edge))
        return self.fitted.scores(_flat(windows)).reshape(windows.shape[:2])


def _step(edge: int) -> int:
    """Return how far apart windows are judged: they overlap by about half."""
    return -(-edge // 2)


def _flat(windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return windows.reshape(-1, windows.shape[-1])


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows of several pieces of images: their image, and the group they are left out with."""

    rows: npt.NDArray[np.float64]
    images: npt.NDArray[np.intp]
    groups: npt.NDArray[np.intp]

    @classmethod
    def of(
        cls,
        maps: Sequence[BlockMap],
        edge: int,
        step: int,
        images: Sequence[int],
        groups: Sequence[int] | None,
    ) -> _Windows:
        """Cut windows; without groups the quarters of each image are groups."""
        found: list[npt.NDArray[np.float64]] = []
        places: list[tuple[int, int]] = []
        for number, block_map in enumerate(maps):
            windows = block_map.windows(edge, step)
            found.append(_flat(windows))
            for place in np.ndindex(windows.shape[:2]):
                lower, right = (
                    2 * n >= size for n, size in zip(place, windows.shape, strict=False)
                )
                quarter = 4 * images[number] + 2 * lower + right
                places.append((images[number], quarter if groups is None else groups[number]))
        of_image, of_group = np.array(places, np.intp).T
        return cls(np.concatenate(found), of_image, of_group)


def _limit(
    maps: Sequence[BlockMap], edge: int, images: Sequence[int], groups: Sequence[int]
) -> float:
    """Return the distance that an unseen image like these stays below, with probability 0.98.

    Each group of images is left out in turn; of the largest distance of each the logarithm is
    taken, and a prediction limit of a normal distribution is computed (Gerald Hahn and William
    Meeker, "Statistical Intervals", 1991, section 4.7), whose spread is mixed with what is
    expected, as a few groups cannot tell it. Of fewer than four groups quarters of each image are
    left out instead.
    """
    by_group = len(set(groups)) >= _FEWEST_GROUPS
    dense = _Windows.of(maps, edge, 1, images, groups if by_group else None)
    judged = _Windows.of(maps, edge, _step(edge), images, groups if by_group else None)
    largest = []
    for group in sorted(set(judged.groups)):
        kept = dense.groups != group
        fitted = _Statistics.of(dense.rows[kept], dense.images[kept])
        largest.append(fitted.scores(judged.rows[judged.groups == group]).max())
    logs = np.log(np.maximum(largest, 1e-9))
    count = len(logs)
    freedom = _PRIOR_COUNT + count - 1
    total = _PRIOR_COUNT * _PRIOR_SPREAD**2 + ((logs - logs.mean()) ** 2).sum()
    factor = stats.t.ppf(_QUANTILE, freedom) * math.sqrt(1 + 1 / count)
    limit = float(np.exp(logs.mean() + factor * math.sqrt(total / freedom)))
    return limit if by_group else _FEW_IMAGES * limit


def _check(
    found: Mapping[str, torch.Tensor], form: FamiliarityForm, network: torch.nn.Module
) -> None:
    """Raise ValueError unless tensors of a file fit one another and a network."""
    weight = next(network.parameters())
    probe = torch.zeros(1, 1, BLOCK_PX, BLOCK_PX, device=weight.device, dtype=weight.dtype)
    n_channels = blocks_of(network, probe).mean.shape[-1]
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
    for name, kind in expected.items():
        tensor = found.get(name)
        if tensor is None or (tuple(tensor.shape), tensor.dtype) != kind:
            raise ValueError(f"{name!r} is not {kind[1]} of shape {kind[0]}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name!r} is NaN or infinite")
    if float(found["spread"].min()) < 0 or float(found["scale"].min()) <= 0:
        raise ValueError("a spread or scale is negative")
