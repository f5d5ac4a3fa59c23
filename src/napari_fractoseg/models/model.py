"""A segmentation model: a card and a network; nothing else knows torch modules."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import save_file

from napari_fractoseg.errors import ImageError, ModelError, OutputError, translated
from napari_fractoseg.files import draft_folder, file_sha256
from napari_fractoseg.jobs import Job, Progress, as_part, drain
from napari_fractoseg.models import DEFAULT_MODEL
from napari_fractoseg.models.card import (
    CARD,
    CONFIG,
    FAMILIAR,
    README,
    REHEARSED,
    WEIGHTS,
    ModelCard,
)
from napari_fractoseg.models.image_scale import nearest_scale
from napari_fractoseg.models.networks.network import build_network, config_of, load_network
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.registry import check_place, find_model, sweep_models
from napari_fractoseg.models.side_files.familiarity import Familiarity
from napari_fractoseg.models.side_files.rehearsal import Rehearsal

__all__ = [
    "ScaleLevel",
    "SegmentationModel",
    "enlarged",
    "image_pixels",
    "load_model",
    "network_pixels",
    "own_scores",
    "reduced",
    "summed",
    "tempered",
]

_LEAST_SIGMA, _SIGMAS = 0.2, 4
_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class ScaleLevel:
    """A resolution at which a model is applied to a plane; lengths in image pixels.

    Parameters
    ----------
    reduction : int
        Edge of the blocks of (enlarged) image pixels that are averaged to one pixel of the network.
    stride_px : int
        Stride of the network: windows start and end at multiples of it.
    halo_px : int
        Width of the halo around a tile, which is computed and thrown away.
    number : int
        Place among the scale levels of its model, from 0 for the coarsest.
    enlargement : int
        How many times the image is enlarged before; 1 for not at all.
    sigma : float
        Standard deviation in pixels of the network of the Gaussian that it sees the image
        smoothed by; 0 for not at all. It is meant in pixels of the images that the model learnt
        from, at whatever scale it sees an image (`SegmentationModel.at_scale`).
    """

    reduction: int
    stride_px: int
    halo_px: int
    number: int = 0
    enlargement: int = 1
    sigma: float = 0.0

    def smoothed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return a batch in pixels of the network, shape (N, C, Y, X), as the network sees it."""
        return blurred(inputs, self.sigma)

    def in_network(self, length_px: int) -> int:
        """Return a length in pixels of the network, rounded down."""
        return length_px * self.enlargement // self.reduction

    def in_image(self, length: int) -> int:
        """Return a length in pixels of the network in image pixels, rounded down."""
        return length * self.reduction // self.enlargement


class SegmentationModel:
    """A trained network with its model card.

    Parameters
    ----------
    card : ModelCard
        Card of the model: classes, test-time choices, provenance.
    network : torch.nn.Module
        Network of segmentation-models-pytorch with one input channel, and one output channel
        for each class of the card.
    digest : str
        SHA-256 of the weights file that it was loaded from; empty for a new network.
    known_channels : tuple of int or None
        Output channels of the classes that it learnt; None means all. Other channels were
        added for new classes and are still random.
    rehearsal : Rehearsal or None
        Sample of what it sees and answers in images it knows; None if it has none.

    Attributes
    ----------
    familiarity : Familiarity or None
        Statistics of what its encoder saw in its training images; None if it has none.
    notes : tuple of str
        Sentences on what in its folder cannot be used, without which it segments all the same.
    image_scale : Fraction
        How many image pixels stand for one of the images that it learnt from (`at_scale`).

    Examples
    --------
    >>> from napari_fractoseg.models.model import SegmentationModel
    >>> model = SegmentationModel.load("models/fracture-modes")  # doctest: +SKIP
    >>> model.card.scheme.names  # doctest: +SKIP
    ('intergranular', 'transgranular', 'background')
    """

    def __init__(
        self,
        card: ModelCard,
        network: torch.nn.Module,
        digest: str = "",
        known_channels: tuple[int, ...] | None = None,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self.card, self.network, self.digest = card, network, digest
        self.known_channels, self.rehearsal = known_channels, rehearsal
        self.familiarity: Familiarity | None = None
        self.notes: tuple[str, ...] = ()
        self.image_scale = Fraction(1)

    @classmethod
    def create(cls, card: ModelCard, **options: Any) -> SegmentationModel:
        """Make a model with random weights for a card.

        Parameters
        ----------
        card : ModelCard
            Card that names architecture, encoder and classes.
        **options
            Arguments for segmentation-models-pytorch, such as ``decoder_channels``.

        Raises
        ------
        ModelError
            If there is no such architecture or encoder, or an option is not possible.
        """
        needed = {"encoder_name": card.encoder, "in_channels": 1, "classes": len(card.scheme)}
        network = build_network(card.architecture, {**options, **needed})
        return cls(card, network)

    @classmethod
    def load(cls, folder: Path | str) -> SegmentationModel:
        """Load a model folder; nothing in it is executed or unpickled.

        Parameters
        ----------
        folder : Path or str
            Folder with ``card.json``, ``config.json`` and ``model.safetensors``, and perhaps
            ``rehearsal.safetensors`` and ``familiarity.safetensors``: if these are damaged,
            `notes` say so.

        Raises
        ------
        ModelError
            If the folder is incomplete, damaged or not one of ours.
        """
        folder = Path(folder)
        missing = [n for n in (CARD, CONFIG, WEIGHTS) if _is_missing(folder / n)]
        if missing:
            raise ModelError(
                f"{folder} is not a model folder: {', '.join(missing)} missing. Choose a folder "
                f"with {CARD}, {CONFIG} and {WEIGHTS}."
            )
        card = ModelCard.read(folder)
        network = load_network(folder, card)
        digest = file_sha256(folder / WEIGHTS)
        model = cls(card, network.eval(), digest)
        try:
            model.rehearsal = Rehearsal.read(folder, digest, network, len(card.scheme))
        except ModelError as error:  # what segments is whole
            model.notes = (f"{error} Until then, what is learnt from it may forget other images.",)
        try:
            model.familiarity = Familiarity.read(folder, digest, network)
        except ModelError as error:
            text = f"{error} Until then, nothing is said of images that it does not know."
            model.notes = (*model.notes, text)
        return model

    def save(self, folder: Path | str, *, half: bool = False) -> Path:
        """Write the model folder: all of it, or nothing.

        Parameters
        ----------
        folder : Path or str
            Folder to write; it must not exist yet.
        half : bool
            Whether to store weights in half precision: half the size, rounded to about
            three digits. Weights beyond its range (65504) stay in single precision.

        Returns
        -------
        Path
            The folder that was written.

        Raises
        ------
        OutputExistsError
            If the folder exists, or if it would be an own model with the name of a
            bundled one.
        OutputError
            If it cannot be written, such as on a full disk.
        """
        folder = Path(folder)
        check_place(folder)
        sweep_models(folder.parent)
        config = config_of(self.network)
        with (
            translated(OutputError, f"{folder} cannot be written", "Make room there."),
            draft_folder(folder) as draft,
        ):
            # As smp's `save_pretrained`, which would write the weights as well.
            (draft / CONFIG).write_text(json.dumps(config, sort_keys=True, indent=2), "utf-8")
            state = {name: _stored(t, half) for name, t in self.network.state_dict().items()}
            save_file(state, draft / WEIGHTS, metadata={"format": "pt"})
            if self.rehearsal is not None:
                self.rehearsal.write(draft, file_sha256(draft / WEIGHTS))
            if self.familiarity is not None:
                self.familiarity.write(draft, file_sha256(draft / WEIGHTS))
            (draft / CARD).write_text(self.card.to_json(), encoding="utf-8")
            (draft / README).write_text(readme_text(self.card), encoding="utf-8")
        self.digest = file_sha256(folder / WEIGHTS)
        return folder

    @property
    def stride_px(self) -> int:
        """Least common multiple of the strides of all scale levels, in image pixels."""
        return math.lcm(*(scale.stride_px for scale in self.scale_levels))

    @property
    def scale_levels(self) -> tuple[ScaleLevel, ...]:
        """Scale levels of the model, the coarsest first.

        The halo on the card is that of the finest level; coarser ones have the same
        number of network pixels, at any scale of the image (`at_scale`).
        """
        encoder = getattr(self.network, "encoder", None)
        stride = max(int(getattr(encoder, "output_stride", 32) or 32), 32)
        reductions, halo_px = self.card.inference.reductions, self.card.inference.halo_px
        n_strides = -(-halo_px // (stride * min(reductions)))
        levels = []
        for number, reduction in enumerate(sorted(set(reductions), reverse=True)):
            edge = reduction * self.image_scale
            px = int(stride * edge)  # 32 can be divided by all denominators
            sigma = self.card.inference.smoothing_px / reduction
            level = ScaleLevel(edge.numerator, px, n_strides * px, number, edge.denominator, sigma)
            levels.append(level)
        return tuple(levels)

    def to(self, device: torch.device) -> SegmentationModel:
        """Move the network to a device, in the channels-last memory layout; return this model."""
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def with_card(self, **changes: Any) -> SegmentationModel:
        """Return a model of the same network, with entries of the card replaced by name."""
        result = SegmentationModel(
            replace(self.card, **changes),
            self.network,
            self.digest,
            self.known_channels,
            self.rehearsal,
        )
        result.familiarity, result.notes = self.familiarity, self.notes
        result.image_scale = self.image_scale
        return result

    def with_network(self, network: torch.nn.Module) -> SegmentationModel:
        """Return a model that is applied in the same way, with another form of its network."""
        result = SegmentationModel(self.card, network, self.digest)
        result.image_scale = self.image_scale
        return result

    def at_scale(self, factor: float | Fraction) -> SegmentationModel:
        """Return a model of the same network that sees images smaller, or larger.

        Labels are on the grid of the image all the same. The card stays: it tells of the images
        that the model learnt from.

        Parameters
        ----------
        factor : float or Fraction
            How many image pixels make one pixel of the images that it learnt from: at 2 an image
            is seen at half its size. The nearest scale is used (`nearest_scale`, within 22 %).

        Returns
        -------
        SegmentationModel
            Model whose `image_scale` is that scale.

        Raises
        ------
        OptionError
            If the factor is not from 1/8 to 16.
        """
        result = self.with_card()
        result.image_scale = nearest_scale(factor)
        return result

    def with_rehearsal(self, rehearsal: Rehearsal) -> SegmentationModel:
        """Return a model of the same network with a rehearsal sample, which its card tells of."""
        sample = {"places": len(rehearsal), "images": rehearsal.form.n_images}
        plan = {**self.card.lineage.plan, REHEARSED: sample}
        result = self.with_card(lineage=replace(self.card.lineage, plan=plan))
        result.rehearsal = rehearsal
        return result

    def with_familiarity(
        self, familiarity: Familiarity, *, of_start: bool = False
    ) -> SegmentationModel:
        """Return a model of the same network with statistics of images, told on its card.

        Parameters
        ----------
        familiarity : Familiarity
            Statistics of its training images.
        of_start : bool
            Whether they are those of the model that it started from, as its own are too few.
        """
        entry = {"images": familiarity.n_images} | ({"of_start": True} if of_start else {})
        return self._with_familiar(familiarity, entry)

    def without_familiarity(self, n_images: int | None = None) -> SegmentationModel:
        """Return a model of the same network without statistics of its images.

        Parameters
        ----------
        n_images : int, optional
            Number of its training images, if there are none because these were too few: the card
            tells of it.
        """
        return self._with_familiar(None, {} if n_images is None else {"too_few": n_images})

    def _with_familiar(
        self, familiarity: Familiarity | None, entry: Mapping[str, Any]
    ) -> SegmentationModel:
        plan = {name: told for name, told in self.card.lineage.plan.items() if name != FAMILIAR}
        if entry:
            plan[FAMILIAR] = dict(entry)
        result = self.with_card(lineage=replace(self.card.lineage, plan=plan))
        result.familiarity = familiarity
        return result

    def with_flips(self, flips: bool | None) -> SegmentationModel:
        """Return a model of the same network, with or without flips; None leaves it to the card."""
        inference = self.card.inference
        if flips is None or flips == inference.flips:
            return self
        return self.with_card(inference=replace(inference, flips=flips))

    def probabilities(self, batch: torch.Tensor | npt.NDArray[np.float32]) -> torch.Tensor:
        """Return the probability of each class at each pixel.

        Parameters
        ----------
        batch : Tensor or ndarray of float32, shape (N, 1, Y, X)
            Normalised grey levels (`images.GreyRange`); Y and X are multiples
            of `stride_px`.

        Returns
        -------
        Tensor of float32, shape (N, K, Y, X)
            Channels in the order of the card's scheme; they add up to 1.

        Raises
        ------
        ImageError
            If the batch has another shape.
        ModelError
            If what the network computes are no numbers (NaN).
        """
        return drain(self.probabilities_job(batch))

    @torch.inference_mode()
    def probabilities_job(self, batch: torch.Tensor | npt.NDArray[np.float32]) -> Job[torch.Tensor]:
        """Compute `probabilities` as a job, which can be stopped between its steps.

        Parameters
        ----------
        batch : Tensor or ndarray of float32, shape (N, 1, Y, X)
            Normalised grey levels; Y and X are multiples of `stride_px`.

        Yields
        ------
        Progress
            Between two passes of the network (flips and scale levels).

        Returns
        -------
        Tensor of float32, shape (N, K, Y, X)
            Probability of each class, averaged over flips and scale levels, then `calibrated`.
        """
        self._check_shape(tuple(batch.shape))
        inputs = torch.as_tensor(batch)
        parts, scales = [], self.scale_levels
        for number, scale in enumerate(scales):
            margin = 1 if scale.enlargement > 1 else 0
            seen = F.pad(inputs, (margin,) * 4, mode="reflect") if margin else inputs
            job = self.scale_job(network_pixels(seen, scale.reduction, scale.enlargement), scale)
            found = yield from as_part(job, number, len(scales), "")
            parts.append(image_pixels(found, scale.reduction, scale.enlargement))
        probabilities = self.calibrated(self.combined(parts))
        if not bool(torch.isfinite(probabilities).all()):
            raise self.no_numbers()
        return probabilities

    def combined(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the probabilities of the classes from what `scale_job` gave at each scale level.

        Parameters
        ----------
        parts : sequence of Tensor of float32, shape (..., K, Y, X)
            Results of all scale levels at the same pixels.

        Returns
        -------
        Tensor of float32, shape (..., K, Y, X)
            Mean of the probabilities; for a readout the softmax of the sum of its scores.
        """
        if self.card.inference.combine == "sum":
            return summed(parts).softmax(dim=-3)
        return _mean(parts)

    def calibrated(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return combined probabilities as users see them: at the temperature of the card."""
        return tempered(probabilities, self.card.inference.temperature)

    def no_numbers(self, device: str = "") -> ModelError:
        """Return the error for a network whose output is NaN, on a device that is named."""
        return ModelError(
            f"Model {self.card.name!r} gives no numbers (NaN) for this image"
            f"{f' on {device}' if device else ''}: its weights lead beyond the range of the "
            "network's numbers. Choose another model, or train it again."
        )

    @torch.inference_mode()
    def scale_job(self, inputs: torch.Tensor, scale: ScaleLevel) -> Job[torch.Tensor]:
        """Compute the probabilities of a batch at one scale level, averaged over flips.

        Parameters
        ----------
        inputs : Tensor of float32, shape (N, 1, Y, X)
            Normalised grey levels in network pixels (`reduced`); Y and X are multiples of
            the network's stride.
        scale : ScaleLevel
            The scale level.

        Yields
        ------
        Progress
            Between two flips.

        Returns
        -------
        Tensor of float32, shape (N, K, Y, X)
            Probability of each class at each network pixel, on the model's device; for a
            readout, what the scale level adds to the score of each class.
        """
        inputs = scale.smoothed(inputs.to(next(self.network.parameters()).device))
        if self.network.training:
            self.network.eval()
        results: list[torch.Tensor] = []
        for axes in self._flip_axes:
            if results:
                yield Progress(len(results), len(self._flip_axes))
            flipped = inputs.flip(axes).contiguous(memory_format=torch.channels_last)
            results.append(self._scores(self.network(flipped).float(), scale).flip(axes))
        return _mean(results)

    def _scores(self, outputs: torch.Tensor, scale: ScaleLevel) -> torch.Tensor:
        """Return what a scale level contributes to `combined` from outputs of the network."""
        if self.card.inference.combine == "sum":
            return own_scores(outputs, scale.number, len(self.card.scheme))
        return outputs.softmax(dim=1)

    @property
    def n_flips(self) -> int:
        """Passes of the network for each window: 4 with flips (test-time augmentation), else 1."""
        return len(self._flip_axes)

    @property
    def _flip_axes(self) -> tuple[tuple[int, ...], ...]:
        return _FLIPS if self.card.inference.flips else _FLIPS[:1]

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        stride = self.stride_px
        if len(shape) != 4 or shape[1] != 1 or 0 in shape or shape[2] % stride or shape[3] % stride:
            raise ImageError(
                f"A batch of shape {shape} does not fit: it must be (N, 1, Y, X), with Y and X "
                f"multiples of {stride} (stride_px). Pad it, or use `segment`, which does."
            )


def _is_missing(path: Path) -> bool:
    """Whether a file is not there; False if that cannot be seen, of which reading says why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def blurred(inputs: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth a batch of shape (N, C, Y, X) by a Gaussian of `sigma` pixels, up to four of them.

    Of less than a fifth of a pixel a Gaussian leaves all as it is, within rounding.
    """
    if sigma < _LEAST_SIGMA:
        return inputs
    from torchvision.transforms.v2.functional import gaussian_blur  # takes a second

    reach = min(math.ceil(_SIGMAS * sigma), min(inputs.shape[-2:]) - 1)
    smooth: torch.Tensor = gaussian_blur(inputs, [2 * reach + 1] * 2, [sigma] * 2)
    return smooth


def reduced(inputs: torch.Tensor, reduction: int) -> torch.Tensor:
    """Average a batch of shape (N, C, Y, X) over blocks of `reduction` pixels edge."""
    return F.avg_pool2d(inputs, reduction) if reduction > 1 else inputs


def enlarged(probabilities: torch.Tensor, reduction: int) -> torch.Tensor:
    """Interpolate a batch of shape (N, K, y, x) bilinearly to image pixels, (N, K, Y, X)."""
    if reduction == 1:
        return probabilities
    return F.interpolate(probabilities, scale_factor=reduction, mode="bilinear")


def network_pixels(inputs: torch.Tensor, reduction: int, enlargement: int = 1) -> torch.Tensor:
    """Return a batch of image pixels, shape (N, C, Y, X), as pixels of the network.

    Parameters
    ----------
    inputs : Tensor
        Grey levels; if it is enlarged, with one pixel more on each side, so that pixels at the
        border of a window are interpolated as those inside it.
    reduction, enlargement : int
        Those of a `ScaleLevel`: first it is enlarged bilinearly, then blocks are averaged.
    """
    if enlargement > 1:
        inside = slice(enlargement, -enlargement)
        larger = F.interpolate(inputs, scale_factor=enlargement, mode="bilinear")
        inputs = larger[..., inside, inside]
    return reduced(inputs, reduction)


def image_pixels(probabilities: torch.Tensor, reduction: int, enlargement: int = 1) -> torch.Tensor:
    """Return a batch of pixels of the network, shape (N, K, y, x), as image pixels.

    It is interpolated bilinearly (`enlarged`); where the image was enlarged before, an image
    pixel has the mean over its parts.
    """
    return reduced(enlarged(probabilities, reduction), enlargement)


def tempered(probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return probabilities at a temperature T: proportional to :math:`p^{1/T}`.

    Parameters
    ----------
    probabilities : Tensor of float32, shape (..., K, Y, X)
        Probabilities of K classes.
    temperature : float
        Temperature above 0. At 1 the same tensor is returned; above 1 the probabilities are
        nearer to one another, below 1 further apart. Their order stays.

    Notes
    -----
    The same as the softmax of scores divided by T, where the probabilities are the softmax of
    scores: Guo, C., Pleiss, G., Sun, Y. & Weinberger, K. Q., "On calibration of modern neural
    networks", ICML 2017, section 4.2.
    """
    if temperature == 1:
        return probabilities
    # Divided by the highest first: else all would be 0 at low temperatures.
    powers = (probabilities / probabilities.amax(dim=-3, keepdim=True)).pow(1 / temperature)
    return powers / powers.sum(dim=-3, keepdim=True)


def own_scores(outputs: torch.Tensor, number: int, n_classes: int) -> torch.Tensor:
    """Return the scores that scale level `number` takes from what a readout gives for all."""
    return outputs[:, number * n_classes : (number + 1) * n_classes]


def summed(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of the scores of all scale levels."""
    return sum(parts[1:], start=parts[0])


def _mean(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return summed(parts) / len(parts) if len(parts) > 1 else parts[0]


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    halved = tensor.half() if half and tensor.is_floating_point() else tensor
    return halved if bool(torch.isfinite(halved).all()) else tensor


def load_model(name_or_folder: str | Path = DEFAULT_MODEL) -> SegmentationModel:
    """Load a model by its name or folder.

    Parameters
    ----------
    name_or_folder : str or Path
        ``default`` (the one that comes with the package), the name of a model
        (`list_models`), or a model folder.

    Returns
    -------
    SegmentationModel
        The model, in evaluation mode on the CPU.

    Raises
    ------
    ModelError
        If there is no such model or its folder is damaged.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> nf.load_model("default").card.scheme.names
    ('intergranular', 'transgranular', 'background')
    """
    return SegmentationModel.load(find_model(name_or_folder))
