"""Models whose labels are measured, with their cards as far as these are at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from napari_fractoseg.errors import ModelError
from napari_fractoseg.files import file_sha256
from napari_fractoseg.measurement.texts import FractionError, fraction_error
from napari_fractoseg.models.card import WEIGHTS, ModelCard
from napari_fractoseg.models.readme import readme_text
from napari_fractoseg.models.registry import find_model
from napari_fractoseg.results.record import LabelRecord

__all__ = ["ModelUsed", "models_used"]


@dataclass(frozen=True)
class ModelUsed:
    """Model that gave labels.

    Parameters
    ----------
    name : str
        Title of the model.
    digest : str
        SHA-256 of its weights; empty where it is not known.
    card : ModelCard or None
        Its card; None where a model of this name with these weights is not on this computer.
    n_images : int
        Number of images whose labels it gave, whether or not somebody changed them since.
    """

    name: str
    digest: str = ""
    card: ModelCard | None = None
    n_images: int = 1

    @property
    def error(self) -> FractionError:
        """Error of its fractions, as the card tells it."""
        if self.card is None:
            return FractionError(None, "the model is not on this computer")
        return fraction_error(self.card)

    @property
    def readme(self) -> str:
        """The whole card as text; empty where there is none."""
        return "" if self.card is None else readme_text(self.card)


def models_used(records: Iterable[LabelRecord]) -> tuple[ModelUsed, ...]:
    """Return the models that gave labels, by the records of these.

    Parameters
    ----------
    records : iterable of LabelRecord
        Records of the labels of each image.

    Returns
    -------
    tuple of ModelUsed
        Each model once, those of most images first. A model that is at hand under the name by
        which it was chosen, but with other weights, is not taken for it.
    """
    numbers = Counter((r.model_name, r.model_digest, r.model) for r in records)
    merged: dict[tuple[str, str], ModelUsed] = {}
    for (name, digest, chosen), n in numbers.most_common():
        known = merged.get((name, digest))
        card = _card(chosen, digest) if known is None or known.card is None else known.card
        merged[name, digest] = ModelUsed(name, digest, card, n + (known.n_images if known else 0))
    return tuple(sorted(merged.values(), key=lambda model: -model.n_images))


def _card(chosen: str, digest: str) -> ModelCard | None:
    try:
        folder = find_model(chosen or "?")
        card = ModelCard.read(folder)
    except ModelError:
        return None
    weights = folder / WEIGHTS
    return card if weights.is_file() and file_sha256(weights) == digest else None
