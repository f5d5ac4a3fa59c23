"""README of a model folder: its model card as readable text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from napari_fractoseg.models.card import (
    CALIBRATED,
    FAMILIAR,
    FAMILIARITY,
    LEARNT_FROM_ALL,
    REHEARSAL,
    REHEARSED,
    ModelCard,
    entries_of,
    is_number,
)
from napari_fractoseg.models.confidence import confidence_text, reliability_bins
from napari_fractoseg.text import printable

__all__ = ["kept_text", "painted_text", "readme_text", "untold_reason"]

_FIGURES = {
    "mode_agreement": "two-mode agreement",
    "agreement": "agreement of all classes",
    "mean_iou": "mean IoU",
    "fraction_error": "error of the fraction",
}
_WELL_PAINTED = 0.95
"""Share of the painted pixels that a model should give as they were painted."""
_CANDIDATES = {"deep": "all weights trained", "readout": "the readout", "start": "the start"}


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
    figures = entries_of(card.metrics.get("validation"))
    before, now = figures.get("mean_iou_before"), figures.get("mean_iou")
    text = _kept_text(card, figures)
    is_readout = card.lineage.plan.get("method") == "readout"
    if is_readout or not (isinstance(before, float) and isinstance(now, float)) or now >= before:
        return text
    # The best is kept: only a parent that sees images at another scale can be better.
    return (
        f"{text} The model that it started from does better on the held-out pixels, as it sees "
        "these images rescaled: keep that one, or train longer."
    ).lstrip()


def _kept_text(card: ModelCard, figures: Mapping[str, Any]) -> str:
    compared = entries_of(card.metrics.get("candidates"))
    if compared.get("kept") in ("readout", "start"):
        return _best_text(compared)
    if card.lineage.plan.get("method") == "readout":
        return _readout_text(figures)
    steps = card.lineage.plan.get("steps_done")
    best = figures.get("step")
    if not is_number(steps):
        return ""
    if not is_number(best):
        return f"Kept: the weights of step {steps} of {steps}, the last one."
    if best == 0:
        return "No step was better than the start on the held-out pixels: the model is as it was."
    return f"Kept: the weights of step {best} of {steps}, the best on the held-out pixels."


def _best_text(compared: Mapping[str, Any]) -> str:
    """Return a sentence on why not all weights were trained in the end, with all figures."""
    figures, kept = entries_of(compared.get("figures")), compared["kept"]
    judged = "on the held-out pixels" if compared.get("by") == "mean_iou" else "on what is painted"
    unit = "mean IoU" if compared.get("by") == "mean_iou" else "share that is right"
    said = "; ".join(
        f"{name} {_figure(figures[key])}"
        for key, name in _CANDIDATES.items()
        if is_number(figures.get(key))
    )
    best = "The readout, learnt in seconds," if kept == "readout" else "The model as it was"
    text = f"{best} did better {judged} than longer training ({unit}: {said}): it was kept."
    if compared.get(LEARNT_FROM_ALL) is not True:
        return text
    return (
        f"{text} Then it learnt from the held-out pixels, too: the figures are those of the "
        "readout without them."
    )


def painted_text(card: ModelCard) -> str:
    """Return a sentence on how many of the painted pixels come out as they were painted.

    Under 95 % it says what to do. It is empty if the card does not tell.
    """
    figures = entries_of(card.metrics.get("painted"))
    right, n_images, of_images = (figures.get(k) for k in ("right", "n_images", "of_images"))
    if not is_number(right):
        return ""
    where = "" if n_images == of_images else f" on {n_images} of {of_images} images"
    percent = math.floor(100 * float(right))
    if right >= _WELL_PAINTED:
        return f"{percent} % of the painted pixels{where} come out as painted."
    worst = _worst_class(entries_of(figures.get("classes")))
    return (
        f"Only {percent} % of the painted pixels{where} come out as painted{worst}. Paint more "
        "strokes where it is wrong, of each class that meets there, or train longer."
    )


def _worst_class(classes: Mapping[str, Any]) -> str:
    known = {name: share for name, share in classes.items() if is_number(share)}
    if len(known) < 2:
        return ""
    name = min(known, key=lambda key: known[key])
    return f", least of {printable(name)}: {math.floor(100 * known[name])} %"


def _readout_text(figures: Mapping[str, Any]) -> str:
    """Return a sentence on whether a readout does better than the model it reads."""
    before, now = figures.get("mean_iou_before"), figures.get("mean_iou")
    if not (isinstance(before, float) and isinstance(now, float)):
        return ""
    if now == before:
        return "On the held-out pixels it does as well as the model that it started from."
    if now > before:
        return "On the held-out pixels it does better than the model that it started from."
    return (
        "On the held-out pixels it does worse than the model that it started from: paint more, or "
        "keep that one."
    )


def readme_text(card: ModelCard) -> str:
    """Return the README of a model folder, in Markdown.

    What the card says stays text: no image, link or markup of its author takes effect, and
    figures of another kind than ours are passed over.

    Parameters
    ----------
    card : ModelCard
        Card of the model; its cross-validation figures, if it has any, become a table
        for each reference.
    """
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    yield from (f"# {_cell(card.name)}", "", _text(card.description), "")
    *more, last = (f"1/{r}" if r > 1 else "full" for r in card.inference.reductions)
    scales = " and ".join(filter(None, (", ".join(more), last)))
    sigma = card.inference.smoothing_px
    smoothed = f", smoothed by a Gaussian of {sigma:g} px" if sigma else ""
    resolution = "resolution" if scales == "full" else "of its resolution"
    yield (
        f"A {card.architecture} network with encoder `{card.encoder}`, for napari-fractoseg. It "
        f"sees the image at {scales} {resolution}"
        f"{', and its four mirror images' if card.inference.flips else ''}{smoothed}. Training "
        "plan and hashes of the data are in `card.json`."
    )
    yield from ("", "| value | class | colour | fracture mode | looks like |")
    yield "|--:|---|---|---|---|"
    for c in card.scheme:
        colour = "transparent" if c.is_transparent else c.color
        mode = "yes" if c.is_fracture_mode else "no"
        yield f"| {c.value} | {_cell(c.name)} | {colour} | {mode} | {_cell(c.description)} |"
    validation = entries_of(card.metrics.get("cross_validation"))
    if validation:
        yield from ("", "## Cross-validation", "", _text(validation.get("method", "")))
        for reference, figures in validation.items():
            if isinstance(figures, Mapping) and "mean" in figures:
                yield from _table(reference, figures)
    if found := entries_of(card.metrics.get("validation")):
        yield from _validation(found, kept_text(card))
    if painted := painted_text(card):
        yield from ("", _text(painted))
    yield from _confidence(card)
    if not card.metrics:
        yield from ("", "How well it does was not measured.")
    yield from ("", "## Where it comes from", "")
    size = f"{card.pixel_size_um:g} µm" if card.pixel_size_um else "not stated"
    yield f"- Images it learnt from: {len(card.lineage.data)}; pixel size: {size}"
    yield from _facets(entries_of(card.metrics.get("facets")))
    yield f"- Made: {_cell(card.lineage.created or 'not stated')}"
    if card.lineage.parent:
        yield f"- Fine-tuned from the model with hash {_cell(card.lineage.parent[:12])}"
    yield from _kept_lines(card.lineage.plan)
    yield f"- Licence: {_cell(card.licence or 'not stated')}"


def untold_reason(plan: Mapping[str, Any]) -> str:
    """Return why a model cannot tell which images look unlike what it learnt, if its card says.

    Parameters
    ----------
    plan : mapping
        Plan in the lineage of its card.

    Returns
    -------
    str
        Part of a sentence; empty if the card does not say.
    """
    n_images = entries_of(plan.get(FAMILIAR)).get("too_few")
    if not is_number(n_images):
        return ""
    if n_images == 1:
        return "it was trained on one image of a size that is too small for it"
    return f"it was trained on {n_images} images, too few or too small for it"


def _kept_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield the Markdown lines on what the model keeps of its training images."""
    sample = entries_of(plan.get(REHEARSED))
    if is_number(sample.get("places")) and is_number(sample.get("images")):
        yield (
            f"- Rehearsal sample: {sample['places']} places in {sample['images']} images, what the "
            f"network sees and answers there (`{REHEARSAL}`), so that what is learnt from this "
            "model in seconds does not forget them"
        )
    known = entries_of(plan.get(FAMILIAR))
    if is_number(known.get("images")):
        of_start = " of the model that it started from" if known.get("of_start") is True else ""
        yield (
            f"- Statistics of what its encoder sees in {known['images']} images{of_start} "
            f"(`{FAMILIARITY}`), so that it is said which images look unlike them"
        )
    elif why := untold_reason(plan):
        yield f"- Which images look unlike what it learnt it cannot tell: {why}"


def _facets(facets: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line on how wide facets were where it learnt, for images of unknown scale."""
    quartiles = facets.get("quartiles_px")
    numbers = [facets.get(name) for name in ("median_px", "n_facets", "n_images")]
    numbers += list(quartiles) if isinstance(quartiles, list | tuple) else []
    if len(numbers) != 5 or not all(map(is_number, numbers)):
        return
    median, n_facets, n_images, first, third = numbers
    yield (
        f"- Its facets were typically {median} px wide (median of {n_facets} in {n_images} images, "
        f"half of them {first} to {third} px; {_cell(facets.get('of', 'as annotated'))}). If yours "
        "are much larger or smaller, set the scale factor: the ratio of the widths."
    )


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
    for name, row in entries_of(figures.get("classes")).items():
        entries = entries_of(row)
        pixels = entries.get("labelled_px")
        labelled = str(pixels) if is_number(pixels) else "-"
        yield f"| {_cell(name)} | {_figure(entries.get('iou'))} | {labelled} |"
    notes = figures.get("notes")
    if isinstance(notes, Iterable) and not isinstance(notes, str | Mapping) and notes:
        yield from ("", *(f"- {_cell(note)}" for note in notes))


def _table(reference: str, figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"Reference: {_cell(reference)}", "")
    yield f"| image | {' | '.join(_FIGURES.values())} |"
    yield f"|---|{'--:|' * len(_FIGURES)}"
    rows = {_cell(name): row for name, row in entries_of(figures.get("images")).items()}
    for name, row in {**rows, "**mean**": figures["mean"]}.items():
        yield f"| {name} | {' | '.join(_figure(entries_of(row).get(key)) for key in _FIGURES)} |"


def _confidence(card: ModelCard) -> Iterator[str]:
    """Yield the Markdown lines on what the confidence of a model is worth, with its tables."""
    yield from ("", "## Confidence", "", _text(confidence_text(card)))
    method = entries_of(card.metrics.get(CALIBRATED)).get("method")
    if isinstance(method, str) and method:
        yield from ("", _text(method))
    for reference, bins in reliability_bins(card).items():
        yield from ("", f"Reference: {_cell(reference)}", "")
        yield "| confidence | mean | pixels that were right | pixels |"
        yield "|---|--:|--:|--:|"
        for row in bins:
            if row["n_px"]:
                figures = f"{row['confidence']:.3f} | {row['accuracy']:.3f} | {row['n_px']:.0f}"
                yield f"| {row['low']:.2f} to {row['high']:.2f} | {figures} |"


def _figure(value: object) -> str:
    return f"{value:.3f}" if is_number(value) else "-"


def _text(value: object) -> str:
    """Return text of others for Markdown, where it begins no image, link, tag or column."""
    return re.sub(r"([<\[|])", r"\\\1", printable(value))


def _cell(value: object) -> str:
    """Return text of others for one line of Markdown."""
    return " ".join(_text(value).split())
