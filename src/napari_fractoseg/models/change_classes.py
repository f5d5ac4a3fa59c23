"""Change of a model's classes: its head gets other channels, known classes keep their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ModelError
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.networks.readout import ReadoutNetwork
from napari_fractoseg.text import listed

__all__ = ["with_classes"]


def with_classes(
    model: SegmentationModel,
    scheme: ClassScheme,
    *,
    renamed: Mapping[str, str] | None = None,
    seed: int = 0,
) -> SegmentationModel:
    """Return a model for another class scheme, which keeps what it learnt of known classes.

    Parameters
    ----------
    model : SegmentationModel
        Model to start from; it is not changed.
    scheme : ClassScheme
        Classes of the result. Those that the model knows, by name or alias,
        keep their weights; others start from random ones; those of the model
        that are not listed are forgotten.
    renamed : mapping of str to str, optional
        New name -> name in the model's scheme.
    seed : int
        Seed of the random weights of new classes.

    Returns
    -------
    SegmentationModel
        Model with a channel for each class, on the same device; its `digest` is that of
        `model`.

    Raises
    ------
    ModelError
        If no class is left that the model knows, or a renamed one is not there.

    Examples
    --------
    >>> import napari_fractoseg as nf
    >>> from napari_fractoseg.models.change_classes import with_classes
    >>> model = nf.load_model("default")
    >>> larger = with_classes(model, model.card.scheme.with_names(["dimples"]))
    >>> larger.card.scheme.names
    ('intergranular', 'transgranular', 'background', 'dimples')
    """
    before = model.card.scheme
    if scheme == before and not renamed:
        return model
    origin = _origin(before, scheme, renamed or {})
    if not origin:
        raise ModelError(
            f"Of the classes {listed(scheme.names)} model {model.card.name!r} knows none; it has "
            f"{listed(before.names)}. Start a new model, or say which class was renamed."
        )
    known = tuple(sorted(origin))
    result = SegmentationModel(
        replace(model.card, scheme=scheme), model.network, model.digest, known_channels=known
    )
    result.familiarity = model.familiarity  # the encoder stays
    if origin == {channel: channel for channel in range(len(before))} and len(scheme) == len(
        before
    ):
        result.rehearsal = model.rehearsal
        return result  # other names, values or colours only
    result.card = result.card.uncalibrated()
    if isinstance(model.network, ReadoutNetwork):
        result.network = model.network.with_classes(origin, len(scheme)).eval()
        return result
    result.network = _network(model, scheme, seed)
    _copy(model.network.state_dict(), result.network, origin, (len(before), len(scheme)))
    result.network.eval()
    return result


def _origin(before: ClassScheme, scheme: ClassScheme, renamed: Mapping[str, str]) -> dict[int, int]:
    """Return the mapping of new channel to old channel, for classes that the model knows."""
    unknown = sorted(set(renamed.values()) - set(before.names))
    if unknown:
        raise ModelError(
            f"The model has no class {listed(unknown)} to rename; it has {listed(before.names)}."
        )
    origin = {}
    for channel, fracture_class in enumerate(scheme):
        found = before.get(renamed.get(fracture_class.name, fracture_class.name))
        if found is not None:
            origin[channel] = before.classes.index(found)
    return origin


def _network(model: SegmentationModel, scheme: ClassScheme, seed: int) -> torch.nn.Module:
    """Return a network of the same architecture for another number of classes, random weights."""
    config = dict(model.network.config)  # type: ignore[arg-type]
    options = {
        key: value
        for key, value in config.items()
        if key not in ("classes", "in_channels", "encoder_name", "encoder_weights")
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SegmentationModel.create(replace(model.card, scheme=scheme), **options).network


@torch.no_grad()
def _copy(
    weights: Mapping[str, torch.Tensor],
    network: torch.nn.Module,
    origin: Mapping[int, int],
    n_classes: tuple[int, int],
) -> None:
    """Copy all weights into a network; those of the segmentation head by class (`origin`)."""
    before, after = n_classes
    for name, target in network.state_dict().items():
        source = weights[name]
        if "segmentation_head" in name and source.shape[:1] == (before,):
            if target.shape[:1] != (after,):
                raise ModelError(f"The head of this network cannot be changed ({name}).")
            for new, old in origin.items():
                target[new].copy_(source[old])
        else:
            target.copy_(source)
