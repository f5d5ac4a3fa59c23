"""Entries that we keep in ``layer.metadata``, with all their keys. Imports no napari."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "FILE_KEY",
    "FIRST_ANSWER_KEY",
    "METADATA_KEY",
    "PIXEL_SIZE_KEY",
    "PLANE_NAMES_KEY",
    "PREDICTION_KEY",
    "LayerFacts",
    "add_facts",
    "facts_in",
    "facts_of",
    "file_of",
    "metadata_with",
    "opened_from",
    "opened_path",
    "unwrapped",
]

AnyThing = TypeVar("AnyThing")

METADATA_KEY = "fractoseg"
"""Key in ``layer.metadata`` of the `LayerFacts`."""

PREDICTION_KEY = "fractoseg_prediction"
"""Key in ``layer.metadata`` of the labels as the model gave them: an array of the layer's shape,
beside the facts because it is large and no JSON."""


PIXEL_SIZE_KEY = "fractoseg_pixel_size"
"""Key in ``layer.metadata`` of the origin of the pixel size of a layer that is not ours, such as
an image: the entry ``pixel_size`` of `LayerFacts`."""

PLANE_NAMES_KEY = "fractoseg_plane_names"
"""Key in ``layer.metadata`` of the names of the images that the planes of a stack are: a list."""

FIRST_ANSWER_KEY = "fractoseg_first_answer"
"""Key in ``layer.metadata`` of the labels as they were before *Live* learnt from strokes."""

FILE_KEY = "fractoseg_file"
"""Key in ``layer.metadata`` of the file of a layer that was opened through another one."""

_ANNOTATION_SUFFIXES = (".json", ".csv", ".xml", ".roi", ".zip")
_GROUP_FILES = ("zarr.json", ".zattrs", ".zgroup")


class LayerFacts(TypedDict, total=False):
    """Facts that we keep with a layer; each layer has the entries that apply to it.

    Attributes
    ----------
    scheme : dict
        Classes of a labels or shapes layer, as `ClassScheme.to_dict` gives them.
    classes_of : str
        Name or folder of the model whose classes were given to a layer of labels painted by hand.
    image : str
        Name of the image layer that was segmented or painted on.
    planes : str or list of list of int
        Planes of a segmentation that are labelled completely: ``"all"``, or their indices.
    version : str
        Version of the program that segmented.
    model : str
        Name or folder by which the model of a segmentation was chosen.
    model_name : str
        Title of that model.
    model_digest : str
        SHA-256 of that model's weights.
    device : str
        Processor or GPU that segmented, in words.
    flips : bool
        Whether a segmentation averaged mirror images.
    tile_px : int
        Edge length of the core of a segmentation's tiles, in pixels.
    halo_px : int
        Width of the halo around that core, in pixels.
    labels_sha256 : str
        Hash of a segmentation's labels as the model gave them.
    familiarity, familiarity_limit : float or None
        How far the image is from what the model learnt, and from where on that is far.
    unlike : str
        Sentence on what looks unlike what the model learnt.
    untold : str
        Sentence on why that is not known.
    learnt_strokes : int
        Number of strokes that the labels were learnt from beside the model (*Live*).
    is_truth : bool
        Whether a person said that all labels are right, or drew them.
    in_doubt : bool
        Whether labels cover most of an image, and nobody has said yet that they are right.
    changed_since : str
        Name of the model whose prediction labels were, before somebody else changed them.
    via : dict
        VIA document that annotations were read from, and how it was read; no JSON.
    helper : str
        Word for what a layer shows about another one, such as ``checked``. Layers with this
        entry are never learnt from.
    checked_for : str
        Labels layer, by its ``unique_id``, that a layer of checked areas belongs to.
    excluded_for : str
        Image layer, by its ``unique_id``, that a layer of the excluded area belongs to.
    excluded : dict
        Area that was left out of a segmentation, as `ExcludedArea.to_dict` gives it.
    synthetic : bool
        Whether sample data are made by a program, with labels that are exact.
    seed : int
        Seed that synthetic sample data were made from.
    pixel_size_um : float
        Edge length of a pixel of sample data, in micrometres.
    pixel_size : dict
        Pixel size that the layer was given, as `PixelSize.to_dict`; ``layer_um``: edges that the
        layer had then, along a column and a row, where these are not believed.
    scale_factor : float
        How many image pixels stood for one pixel of the images that the model learnt from.
    """

    scheme: dict[str, Any]
    classes_of: str
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
    familiarity: float | None
    familiarity_limit: float | None
    unlike: str
    untold: str
    learnt_strokes: int
    is_truth: bool
    in_doubt: bool
    changed_since: str
    via: dict[str, Any]
    helper: str
    checked_for: str
    excluded_for: str
    excluded: dict[str, Any]
    synthetic: bool
    seed: int
    pixel_size_um: float
    pixel_size: dict[str, Any]
    scale_factor: float


def facts_in(metadata: Mapping[str, Any] | None) -> LayerFacts:
    """Return a copy of our facts in the metadata of a layer; empty for layers of other plugins.

    Examples
    --------
    >>> from napari_fractoseg._napari.layer_metadata import facts_in, metadata_with
    >>> facts_in(metadata_with({"image": "s17"})), facts_in({"fractoseg": 3}), facts_in(None)
    ({'image': 's17'}, {}, {})
    """
    facts = (metadata or {}).get(METADATA_KEY)
    return cast("LayerFacts", dict(facts)) if isinstance(facts, Mapping) else LayerFacts()


def opened_from(layer: Layer | None) -> Path | None:
    """Return the file or OME-Zarr folder that a layer was opened from, None if it has none."""
    if layer is None:
        return None
    path = layer.metadata.get(FILE_KEY) or layer.source.path
    return opened_path(Path(str(path))) if path else None


def file_of(layer: Layer | None) -> Path | None:
    """Return the file that holds the pixels of a layer; None if it has none.

    Annotation files hold none: many layers are opened from one.
    """
    path = opened_from(layer)
    return None if path is None or path.suffix.lower() in _ANNOTATION_SUFFIXES else path


def opened_path(path: Path) -> Path:
    """Return a path; the folder of a zarr group for the file in it that says what it is.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_fractoseg._napari.layer_metadata import opened_path
    >>> opened_path(Path("s17_labels.zarr/zarr.json")).name
    's17_labels.zarr'
    """
    return path.parent if path.name in _GROUP_FILES else path


def facts_of(layer: Layer | None) -> LayerFacts:
    """Return a copy of the facts kept with a layer; empty if it has none."""
    return facts_in(None if layer is None else layer.metadata)


def metadata_with(facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata of a new layer, with facts as `facts_in` reads them."""
    return {METADATA_KEY: dict(facts or {})}


def add_facts(layer: Layer, facts: Mapping[str, Any]) -> None:
    """Add facts to those kept with a layer; an entry that is there already is replaced."""
    layer.metadata = {**layer.metadata, METADATA_KEY: {**facts_of(layer), **facts}}


def unwrapped(thing: AnyThing) -> AnyThing:
    """Return a viewer or layer itself, of which napari hands plugins a new wrapper each time."""
    return cast("AnyThing", getattr(thing, "__wrapped__", thing))
