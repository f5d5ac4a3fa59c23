"""What a network sees in a plane, on a coarse grid and in few components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fractoseg.images import Micrograph
from napari_fractoseg.images.excluded import PlaneMask
from napari_fractoseg.inference.device_io import transfers_for
from napari_fractoseg.inference.multiscale import PlaneWindows, levels_of, tile_batches
from napari_fractoseg.jobs import Job, Progress
from napari_fractoseg.models.card import Inference
from napari_fractoseg.models.devices import Device, choose_device
from napari_fractoseg.models.model import ScaleLevel, SegmentationModel, enlarged
from napari_fractoseg.models.networks.optimise import folded
from napari_fractoseg.models.networks.readout import (
    ReadoutNetwork,
    ReadoutShape,
    n_filters_of,
    network_below,
    on_grid,
    seen,
    widths_of,
)
from napari_fractoseg.models.side_files.rehearsal import Rehearsal
from napari_fractoseg.tiling import Box, Tile
from napari_fractoseg.training.readout.plan import ReadoutPlan

__all__ = ["FeatureReader", "LevelFeatures", "PlaneFeatures"]

_TILE_PX = 1344
"""Edge of a core in network pixels: a region is one tile, and the stages of one take about 1 GB."""
_MARGIN = 2
"""Cells around a region that interpolation inside it reads."""
_BAND_CELLS = 16
"""Rows of cells whose scores are computed at once."""
_BASIS_PLANES, _BASIS_CELLS = 16, 20_000
"""Planes and cells that the components are found from: more changes nothing but the time."""


@dataclass(frozen=True, eq=False)
class LevelFeatures:
    """Features of a part of a plane at one scale level.

    Parameters
    ----------
    values : Tensor of float16, shape (P, y, x)
        Components at cells of the grid.
    grid_px : int
        Edge of a cell in network pixels.
    reduction : int
        Edge in image pixels of a network pixel.
    first : tuple of int
        Row and column of the first cell in the grid of the plane.
    """

    values: torch.Tensor
    grid_px: int
    reduction: int
    first: tuple[int, int] = (0, 0)

    @property
    def cell_px(self) -> int:
        """Edge of a cell in image pixels."""
        return self.grid_px * self.reduction

    def at(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> torch.Tensor:
        """Return the components at n pixels, interpolated bilinearly: float32, shape (n, P)."""
        if not len(rows):
            return torch.zeros(0, len(self.values))
        height, width = self.values.shape[-2:]
        row0, row1 = _cells_around(rows, self.cell_px, self.first[0], height)
        column0, column1 = _cells_around(columns, self.cell_px, self.first[1], width)
        # Turning all cells into float32 takes longer than the rest.
        part = self.values[
            :,
            row0 - self.first[0] : row1 - self.first[0],
            column0 - self.first[1] : column1 - self.first[1],
        ].float()
        across = [
            (torch.from_numpy(index) - start * self.cell_px + 0.5) / (n * self.cell_px) * 2 - 1
            for index, start, n in (
                (columns, column0, column1 - column0),
                (rows, row0, row1 - row0),
            )
        ]
        places = torch.stack(across, dim=-1).float()[None, None]
        found = F.grid_sample(part[None], places, padding_mode="border", align_corners=False)
        return found[0, :, 0].T


@dataclass(frozen=True, eq=False)
class PlaneFeatures:
    """Features of a plane, or a part of it, at all scale levels.

    Parameters
    ----------
    levels : tuple of LevelFeatures
        Features at each scale level, the coarsest first.
    box : Box
        Part of the plane whose pixels they are for; without a bar at the lower edge.
    excluded : PlaneMask, optional
        Pixels of the plane that show no specimen.
    """

    levels: tuple[LevelFeatures, ...]
    box: Box
    excluded: PlaneMask | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the box."""
        return self.box.shape

    @property
    def n_bytes(self) -> int:
        """Memory that they take."""
        return sum(level.values.nbytes for level in self.levels)

    def at(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> torch.Tensor:
        """Return the features at n pixels of the box: float32, shape (n, D), level by level.

        Rows and columns are those of the plane.
        """
        return torch.cat([level.at(rows, columns) for level in self.levels], dim=1)

    def scores(self, weights: torch.Tensor, box: Box | None = None) -> torch.Tensor:
        """Return the score of each class at the pixels of a box, as a saved readout gives them.

        Parameters
        ----------
        weights : Tensor of float32, shape (K, D + 1)
            Weights of the readout (`fit_readout`).
        box : Box, optional
            Part of `box`; by default all of it.

        Returns
        -------
        Tensor of float32, shape (K, Y, X)
            Scores before the softmax.
        """
        box = self.box if box is None else box
        total = weights[:, -1][:, None, None]
        first = 0
        for level in self.levels:
            n_components = level.values.shape[0]
            own = weights[:, first : first + n_components]
            total = total + _enlarged_scores(own, level, box)
            first += n_components
        return total

    def channels(self, weights: torch.Tensor, box: Box | None = None) -> torch.Tensor:
        """Return the channel of the highest of the `scores`: int64, shape (Y, X)."""
        # Ten times as fast as argmax over the first axis.
        return self.scores(weights, box).max(dim=0).indices


def _enlarged_scores(weights: torch.Tensor, level: LevelFeatures, box: Box) -> torch.Tensor:
    """Return the scores of a scale level in a box, interpolated bilinearly, shape (K, Y, X)."""
    cell_px, (height, width) = level.cell_px, level.values.shape[-2:]
    first_row, first_column = level.first
    row0, row1 = _cells(box.row0, box.row1, cell_px, first_row, height)
    column0, column1 = _cells(box.column0, box.column1, cell_px, first_column, width)
    part = level.values[
        :, row0 - first_row : row1 - first_row, column0 - first_column : column1 - first_column
    ]
    # A few rows at a time, so that they are in the cache as float32.
    bands = torch.split(part, _BAND_CELLS, dim=1)
    scores = torch.cat([torch.einsum("kp,pyx->kyx", weights, b.float()) for b in bands], dim=1)
    # In two steps, as the network and then the scale levels of a saved readout do it.
    full = F.interpolate(scores[None], scale_factor=level.grid_px, mode="bilinear")
    full = enlarged(full, level.reduction)[0]
    row, column = box.row0 - row0 * cell_px, box.column0 - column0 * cell_px
    rows, columns = box.shape
    return full[:, row : row + rows, column : column + columns]


def _cells_around(
    pixels: npt.NDArray[np.intp], cell_px: int, first: int, n_cells: int
) -> tuple[int, int]:
    """Return the range of cells that interpolation at pixels needs, of those that there are."""
    return _cells(int(pixels.min()), int(pixels.max()) + 1, cell_px, first, n_cells)


def _cells(start: int, stop: int, cell_px: int, first: int, n_cells: int) -> tuple[int, int]:
    """Return the range of cells that a range of pixels needs, of those that there are."""
    return (
        max(start // cell_px - _MARGIN, first),
        min(-(-stop // cell_px) + _MARGIN, first + n_cells),
    )


def _pixels_of(level: LevelFeatures) -> Box:
    """Return the pixels that lie in the cells of features; some may be beyond the plane."""
    (row, column), cell_px = level.first, level.cell_px
    rows, columns = level.values.shape[-2:]
    return Box(
        row * cell_px, (row + rows) * cell_px, column * cell_px, (column + columns) * cell_px
    )


class FeatureReader:
    """Reads what the network of a model sees in planes.

    Parameters
    ----------
    model : SegmentationModel
        Model whose network is read; of a readout, that below it.
    plan : ReadoutPlan
        Scale levels, number of components and size of the cells.
    device : Device, optional
        Device that computes; by default the best one there is.
    rehearses : bool
        Whether the components are those of the rehearsal sample of the model, if it has one.

    Attributes
    ----------
    rehearsal : Rehearsal or None
        The model's rehearsal sample, if it was read in the same way: its components are taken.
    projector : ReadoutNetwork or None
        Network that gives the components; None until `find_basis` was run, if there is no
        rehearsal sample.
    """

    def __init__(
        self,
        model: SegmentationModel,
        plan: ReadoutPlan,
        device: Device | None = None,
        rehearses: bool = True,
    ) -> None:
        self.device, self.plan = device or choose_device(), plan
        self.reductions = tuple(sorted(set(plan.reductions), reverse=True))
        base = network_below(model.network)
        card = model.card.inference
        halo_px = card.halo_px * self.reductions[-1] // min(card.reductions)
        inference = Inference(
            self.reductions, flips=False, halo_px=halo_px, smoothing_px=card.smoothing_px
        )
        self._seen_by = SegmentationModel(model.card, base).with_card(inference=inference)
        self.base = folded(base).to(self.device.torch, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._transfers = transfers_for(self.device.torch)
        self._levels = levels_of(self._seen_by, _TILE_PX * self.reductions[-1])
        self.projector: ReadoutNetwork | None = None
        self.rehearsal: Rehearsal | None = None
        if model.rehearsal is not None and rehearses:
            self.rehearsal = model.rehearsal.at_levels(
                self.reductions, plan.n_components, plan.grid_px
            )
        if self.rehearsal is not None:
            self.projector = self._projector_of(self.rehearsal.axes, self.rehearsal.offset)

    @property
    def projector_shape(self) -> ReadoutShape:
        """Numbers of components and channels that they are made of."""
        return self._ready.shape

    @property
    def basis(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights of the channels in each component and its offset, on the CPU (`Rehearsal`)."""
        axes, offset = self._ready.sum_of()
        return axes.cpu(), offset.cpu()

    @property
    def answers(self) -> slice:
        """Place of the model's log-probabilities among the features of a scale level."""
        return slice(self._ready.shape.n_outputs - self._ready.shape.widths[-1], None)

    @property
    def filters(self) -> slice:
        """Place of the fixed filters among the features of a scale level."""
        return slice(n_filters_of(self._ready.shape.widths))

    @property
    def inference(self) -> Inference:
        """Test-time choices of a readout of these features, without `combine`."""
        return self._seen_by.card.inference

    # ---- the basis ----------------------------------------------------------------------

    @torch.inference_mode()
    def find_basis(self, planes: Sequence[Micrograph], seed: int = 0) -> None:
        """Find the components that features of some planes vary most in.

        Each channel is standardised first. The fixed filters and the network's own answer are no
        part of them: they are kept as they are. Where there are components already, they stay.

        Parameters
        ----------
        planes : sequence of Micrograph
            Planes to look at, at least one.
        seed : int
            Seed of the random choice of cells.
        """
        if self.projector is not None:
            return
        random = torch.Generator().manual_seed(seed)
        planes = planes[:: -(-len(planes) // _BASIS_PLANES)]
        share = _BASIS_CELLS // (len(planes) * len(self.reductions))
        cells = []
        for plane in planes:
            windows = PlaneWindows(plane, self._transfers)
            for level in self._levels:
                (tile,) = next(tile_batches(level, plane.used_shape, None, 1))
                parts = self._parts(self._inputs(windows, tile, level.scale))
                found = torch.cat([part[0].flatten(1) for part in parts]).cpu()
                cells.append(found[:, torch.randperm(found.shape[1], generator=random)[:share]])
        self.projector = self._projector(torch.cat(cells, dim=1))

    def _inputs(self, windows: PlaneWindows, tile: Tile, scale: ScaleLevel) -> torch.Tensor:
        """Return the window of a tile as the network takes it, on the device."""
        inputs = windows.of([tile], scale.reduction).to(self.device.torch)
        return scale.smoothed(inputs).contiguous(memory_format=torch.channels_last)

    def _parts(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """Return all that the network sees in a batch of windows, on the grid."""
        size = [length // self.plan.grid_px for length in inputs.shape[-2:]]
        return [on_grid(part.float(), size) for part in seen(self.base, inputs)]

    def _projector(self, cells: torch.Tensor) -> ReadoutNetwork:
        """Return the network that gives the features of a readout, found in samples (C, n)."""
        widths = widths_of(self.base)
        n_filters, n_answers = n_filters_of(widths), widths[-1]
        channels = cells[:-n_answers]
        mean, spread = channels.mean(dim=1), channels.std(dim=1).clamp(min=1e-6)
        standardised = (channels - mean[:, None]) / spread[:, None]
        stages = standardised[n_filters:]
        n_components = min(self.plan.n_components, len(stages))
        _, axes = torch.linalg.eigh(stages @ stages.T / stages.shape[1])
        weights = torch.zeros(n_filters + n_components + n_answers, sum(widths))
        weights[:n_filters, :n_filters] = torch.eye(n_filters)
        weights[n_filters:-n_answers, n_filters:-n_answers] = axes[:, -n_components:].flip(1).T
        weights[:, :-n_answers] /= spread
        offset = -weights[:, :-n_answers] @ mean
        weights[-n_answers:, -n_answers:] = torch.eye(n_answers)
        return self._projector_of(weights, offset)

    def _projector_of(self, axes: torch.Tensor, offset: torch.Tensor) -> ReadoutNetwork:
        shape = ReadoutShape(len(axes), 1, widths_of(self.base), self.plan.grid_px)
        network = ReadoutNetwork(self.base, shape).to(self.device.torch)
        network.set_sum(axes, offset)
        return network.eval()

    # ---- planes -------------------------------------------------------------------------

    def plane_job(self, plane: Micrograph, within: Box | None = None) -> Job[PlaneFeatures]:
        """Read the features of a plane.

        Parameters
        ----------
        plane : Micrograph
            Plane to read.
        within : Box, optional
            Part of the plane to read, exactly as in the whole plane; by default all of it. A
            bar at the lower edge is never read.

        Yields
        ------
        Progress
            Before each tile.
        """
        self.find_basis([plane])
        shape = plane.used_shape
        box = Box(0, shape[0], 0, shape[1]) if within is None else within.clipped(shape)
        windows = PlaneWindows(plane, self._transfers)
        found = tuple(self._empty(level.scale, shape, box) for level in self._levels)
        tiles = [
            (tile, level.scale, into)
            for level, into in zip(self._levels, found, strict=True)
            for tile in level.tiler.tiles(shape, _pixels_of(into))
        ]
        for done, (tile, scale, into) in enumerate(tiles):
            yield Progress(done, len(tiles), "reading features")
            self._read(windows, tile, scale, into)
        return PlaneFeatures(found, box, plane.excluded)

    def _empty(self, scale: ScaleLevel, shape: tuple[int, int], box: Box) -> LevelFeatures:
        cell_px = self.plan.grid_px * scale.reduction
        rows, columns = (-(-n // scale.stride_px) * scale.stride_px // cell_px for n in shape)
        row0, row1 = _cells(box.row0, box.row1, cell_px, 0, rows)
        column0, column1 = _cells(box.column0, box.column1, cell_px, 0, columns)
        n_components = self._ready.shape.n_outputs
        values = torch.zeros(n_components, row1 - row0, column1 - column0, dtype=torch.half)
        return LevelFeatures(values, self.plan.grid_px, scale.reduction, (row0, column0))

    @property
    def _ready(self) -> ReadoutNetwork:
        assert self.projector is not None  # noqa: S101 - found before
        return self.projector

    @torch.inference_mode()
    def _read(
        self, windows: PlaneWindows, tile: Tile, scale: ScaleLevel, into: LevelFeatures
    ) -> None:
        """Write the features of the core of a tile to their cells, as far as there are any."""
        found = self._ready.on_cells(self._inputs(windows, tile, scale))[0]
        parts = []
        for start, stop, origin, first, length in (
            (tile.core.row0, tile.core.row1, tile.window.row0, into.first[0], into.values.shape[1]),
            (
                tile.core.column0,
                tile.core.column1,
                tile.window.column0,
                into.first[1],
                into.values.shape[2],
            ),
        ):
            begin = max(start // into.cell_px, first)
            end = min(-(-stop // into.cell_px), first + length)
            offset = origin // into.cell_px
            parts.append((slice(begin - first, end - first), slice(begin - offset, end - offset)))
        (rows, own_rows), (columns, own_columns) = parts
        into.values[:, rows, columns] = found[:, own_rows, own_columns].half().cpu()

    # ---- a model ------------------------------------------------------------------------

    def network_of(self, weights: torch.Tensor) -> ReadoutNetwork:
        """Return the network that gives the scores of a readout of these features.

        Parameters
        ----------
        weights : Tensor of float32, shape (K, D + 1)
            Weights of the readout (`fit_readout`).
        """
        projector, n_classes = self._ready, len(weights)
        n_levels, n_components = len(self.reductions), projector.shape.n_outputs
        by_level = weights[:, :-1].view(n_classes, n_levels, n_components).transpose(0, 1)
        by_level = by_level.reshape(n_levels * n_classes, n_components)
        axes, offset = self.basis
        bias = by_level @ offset
        bias[:n_classes] += weights[:, -1]
        shape = ReadoutShape(n_classes, n_levels, projector.shape.widths, self.plan.grid_px)
        network = ReadoutNetwork(self._seen_by.network, shape)
        network.set_sum(by_level @ axes, bias)
        return network.eval()
