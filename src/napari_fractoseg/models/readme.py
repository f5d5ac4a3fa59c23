"""README of a model folder: its model card as readable text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_fractoseg.models.card import ModelCard

__all__ = ["kept_text", "readme_text"]

_FIGURES = {
    "mode_agreement": "two-mode agreement",
    "agreement": "agreement of all classes",
    "mean_iou": "mean IoU",
    "fraction_error": "error of the fraction",
}


def kept_text(card: ModelCard) -> str:
    """Return a sentence on which weights of its training a model has, and why these.

    Parameters
    ----------
    card : ModelCard
        Card of a trained model; it names the steps.

    Returns
    -------
    str
        A sentence, such as "Kept: the weights of step 120 of 160, the best on the
        held-out pixels."; empty if the card does not tell.
    """
    steps, validation = card.lineage.plan.get("steps_done"), card.metrics.get("validation")
    if steps is None:
        return ""
    if not isinstance(validation, Mapping) or "step" not in validation:
        return f"Kept: the weights of step {steps} of {steps}, the last one."
    if validation["step"] == 0:
        return "No step was better than the start on the held-out pixels: the model is as it was."
    return (
        f"Kept: the weights of step {validation['step']} of {steps}, the best on the held-out "
        "pixels."
    )


def readme_text(card: ModelCard) -> str:
    """Return the README of a model folder, in Markdown.

    Parameters
    ----------
    card : ModelCard
        Card of the model; its cross-validation figures, if it has any, become a table
        for each reference.
    """
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    yield from (f"# {card.name}", "", card.description, "")
    scales = " and ".join(f"1/{r}" if r > 1 else "full" for r in card.inference.reductions)
    resolution = "resolution" if scales == "full" else "of its resolution"
    yield (
        f"A {card.architecture} network with encoder `{card.encoder}`, for napari-fractoseg. It "
        f"sees the image at {scales} {resolution}"
        f"{', and its four mirror images' if card.inference.flips else ''}. Training plan and "
        "hashes of the data are in `card.json`."
    )
    yield from ("", "| value | class | colour | fracture mode | looks like |")
    yield "|--:|---|---|---|---|"
    for c in card.scheme:
        colour = "transparent" if c.is_transparent else c.color
        mode = "yes" if c.is_fracture_mode else "no"
        yield f"| {c.value} | {c.name} | {colour} | {mode} | {c.description} |"
    validation = card.metrics.get("cross_validation")
    if isinstance(validation, Mapping):
        yield from ("", "## Cross-validation", "", str(validation.get("method", "")))
        for reference, figures in validation.items():
            if isinstance(figures, Mapping) and "mean" in figures:
                yield from _table(reference, figures)
    validation = card.metrics.get("validation")
    if isinstance(validation, Mapping):
        yield from _validation(validation, kept_text(card))
    if not card.metrics:
        yield from ("", "How well it does was not measured.")
    yield from ("", "## Where it comes from", "")
    size = f"{card.pixel_size_um:g} µm" if card.pixel_size_um else "not stated"
    yield f"- Images it learnt from: {len(card.lineage.data)}; pixel size: {size}"
    yield f"- Made: {card.lineage.created or 'not stated'}"
    if card.lineage.parent:
        yield f"- Fine-tuned from the model with hash {card.lineage.parent[:12]}"
    yield f"- Licence: {card.licence or 'not stated'}"


def _validation(figures: Mapping[str, Any], kept: str) -> Iterator[str]:
    """Yield the Markdown lines of the table of figures on held-out pixels.

    Parameters
    ----------
    figures : mapping
        Figures of a training, the entry ``validation`` of the card's metrics.
    kept : str
        Sentence on which weights were kept.
    """
    yield from ("", "## Validation", "")
    before = figures.get("mean_iou_before")
    was = "" if before is None else f" (before training {_figure(before)})"
    yield f"On held-out pixels, mean IoU {_figure(figures.get('mean_iou'))}{was}. {kept}".rstrip()
    yield from ("", "| class | IoU | labelled pixels |", "|---|--:|--:|")
    for name, row in figures.get("classes", {}).items():
        yield f"| {name} | {_figure(row.get('iou'))} | {row.get('labelled_px', '-')} |"
    if figures.get("notes"):
        yield ""
    for note in figures.get("notes", ()):
        yield f"- {note}"


def _table(reference: str, figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"Reference: {reference}", "")
    yield f"| image | {' | '.join(_FIGURES.values())} |"
    yield f"|---|{'--:|' * len(_FIGURES)}"
    rows = {**figures.get("images", {}), "**mean**": figures["mean"]}
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(_figure(row.get(key)) for key in _FIGURES)} |"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
