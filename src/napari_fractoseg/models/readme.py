"""A model card in words: the README of a model folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_fractoseg.models.card import ModelCard

__all__ = ["readme_text"]

_FIGURES = {
    "mode_agreement": "two-mode agreement",
    "agreement": "agreement of all classes",
    "mean_iou": "mean IoU",
    "fraction_error": "error of the fraction",
}


def readme_text(card: ModelCard) -> str:
    """Return the README of a model folder, in Markdown.

    Parameters
    ----------
    card : ModelCard
        Cross-validation figures, if the card has any, become a table for each
        reference.
    """
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    yield from (f"# {card.name}", "", card.description, "")
    looks = " and ".join(f"1/{r}" for r in card.inference.reductions)
    yield (
        f"A {card.architecture} network with encoder `{card.encoder}`, for napari-fractoseg. It "
        f"sees the image at {looks} of its resolution"
        f"{', and its four mirror images' if card.inference.flips else ''}. Training plan and "
        "hashes of the data are in `card.json`."
    )
    yield from ("", "| value | class | looks like |", "|--:|---|---|")
    for c in card.scheme:
        yield f"| {c.value} | {c.name} | {c.description} |"
    validation = card.metrics.get("cross_validation")
    if isinstance(validation, Mapping):
        yield from ("", "## Cross-validation", "", str(validation.get("method", "")))
        for reference, figures in validation.items():
            if isinstance(figures, Mapping) and "mean" in figures:
                yield from _table(reference, figures)
    yield from ("", f"Licence: {card.licence or 'not stated'}")


def _table(reference: str, figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"Reference: {reference}", "")
    yield f"| image | {' | '.join(_FIGURES.values())} |"
    yield f"|---|{'--:|' * len(_FIGURES)}"
    rows = {**figures.get("images", {}), "**mean**": figures["mean"]}
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(_figure(row.get(key)) for key in _FIGURES)} |"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
