"""What we keep in ``layer.metadata``: the one place that knows its keys. Imports no napari."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "METADATA_KEY",
    "PREDICTION_KEY",
    "LayerFacts",
    "add_facts",
    "facts_in",
    "facts_of",
    "metadata_with",
]

METADATA_KEY = "fractoseg"
"""Key in ``layer.metadata`` of the `LayerFacts`."""

PREDICTION_KEY = "fractoseg_prediction"
"""Key in ``layer.metadata`` of the labels as the model gave them: an array of the layer's shape,
beside the facts because it is large and no JSON."""


class LayerFacts(TypedDict, total=False):
    """What we know of a layer; each layer has those that apply.

    Attributes
    ----------
    scheme : dict
        Of labels and shapes: the classes, from `ClassScheme.to_dict`.
    image : str
        Of labels and uncertainty: name of the image layer that was segmented or painted on.
    planes : str or list of list of int
        Of a segmentation: ``"all"``, or the indices of the planes that are labelled completely.
    version, model, model_name, model_digest, device : str
        Of a segmentation: which program, model and device it is from.
    flips : bool
        Of a segmentation: whether mirror images were averaged.
    tile_px, halo_px : int
        Of a segmentation: edge of a tile, and of the surroundings it is computed with.
    labels_sha256 : str
        Of a segmentation: hash of the labels as the model gave them.
    is_truth : bool
        Of labels: a person said that all of them are right, or drew them.
    in_doubt : bool
        Of labels that cover most of an image: nobody has said yet that they are right.
    changed_since : str
        Of labels: name of the model whose prediction they were, before somebody else changed them.
    via : dict
        Of annotations: the VIA document that they were read from, and how; no JSON.
    helper : str
        Of a layer that only shows something about another one: what it shows. Such layers are
        never learnt from.
    checked_for : str
        Of a layer of checked areas: ``unique_id`` of the labels layer that they belong to.
    synthetic : bool
        Of sample data: made by a program, with labels that are exact.
    seed : int
        Of sample data: what it was made from.
    pixel_size_um : float
        Of sample data: edge of a pixel.
    """

    scheme: dict[str, Any]
    image: str
    planes: str | list[list[int]]
    version: str
    model: str
    model_name: str
    model_digest: str
    device: str
    flips: bool
    tile_px: int
    halo_px: int
    labels_sha256: str
    is_truth: bool
    in_doubt: bool
    changed_since: str
    via: dict[str, Any]
    helper: str
    checked_for: str
    synthetic: bool
    seed: int
    pixel_size_um: float


def facts_in(metadata: Mapping[str, Any] | None) -> LayerFacts:
    """Return a copy of what a layer's metadata say; empty for those of other plugins.

    Examples
    --------
    >>> from napari_fractoseg._napari.layer_metadata import facts_in, metadata_with
    >>> facts_in(metadata_with({"image": "s17"})), facts_in({"fractoseg": 3}), facts_in(None)
    ({'image': 's17'}, {}, {})
    """
    facts = (metadata or {}).get(METADATA_KEY)
    return cast("LayerFacts", dict(facts)) if isinstance(facts, Mapping) else LayerFacts()


def facts_of(layer: Layer | None) -> LayerFacts:
    """Return a copy of what we know of a layer; empty if it is not one of ours."""
    return facts_in(None if layer is None else layer.metadata)


def metadata_with(facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata of a new layer that we know something of."""
    return {METADATA_KEY: dict(facts or {})}


def add_facts(layer: Layer, facts: Mapping[str, Any]) -> None:
    """Write down more about a layer; what it says already is kept where nothing is newer."""
    layer.metadata = {**layer.metadata, METADATA_KEY: {**facts_of(layer), **facts}}
