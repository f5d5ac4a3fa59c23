"""Sentences on the pixel size of layers, for the docks."""

from __future__ import annotations

from collections.abc import Sequence

from napari_fractoseg.images.calibration import PixelSize
from napari_fractoseg.images.calibration.claims import LAYER_SCALE, FileSays, same_edges
from napari_fractoseg.text import listed

__all__ = ["offer_of", "offers_text", "size_text", "state_text"]

_UNKNOWN = "Its file says no pixel size."


def size_text(size: PixelSize) -> str:
    """Return a pixel size and its origin, such as ``0.05582 µm a pixel (Zeiss ap_width)``.

    Examples
    --------
    >>> from napari_fractoseg.images.calibration import PixelSize
    >>> from napari_fractoseg._napari.calibrate.texts import size_text
    >>> size_text(PixelSize(0.0558, 0.0558, "Zeiss ap_width")), size_text(PixelSize())
    ('0.0558 µm a pixel (Zeiss ap_width)', 'unknown')
    >>> size_text(PixelSize(0.1, 0.2))
    '0.1 x 0.2 µm a pixel'
    """
    if size.x_um is None or size.y_um is None:
        return "unknown"
    x, y = f"{size.x_um:.4g}", f"{size.y_um:.4g}"
    edges = x if size.square_um is not None else f"{x} x {y}"
    return f"{edges} µm a pixel" + (f" ({size.source})" if size.source else "")


def offer_of(layer_has: PixelSize, says: FileSays | None) -> PixelSize | None:
    """Return the pixel size that a file says, if the layer does not have it; None otherwise."""
    if says is None or says.facts.pixel_size.x_um is None:
        return None
    said = says.facts.pixel_size
    return None if same_edges(layer_has, said) else said


def state_text(layer_has: PixelSize, says: FileSays | None, *, says_known: bool = True) -> str:
    """Return sentences on the pixel size of a layer, on that of its file, and on what is odd.

    Parameters
    ----------
    layer_has : PixelSize
        What is believed of the layer.
    says : FileSays or None
        What its file says; None without a file, or while it is being read.
    says_known : bool
        Whether to say where a pixel size that the layer has is from, and that it is not square.
    """
    offer, facts = offer_of(layer_has, says), None if says is None else says.facts
    parts = []
    if says_known and layer_has.source not in ("", LAYER_SCALE):
        parts.append(f"Pixel size: {layer_has.source}.")
    if offer is not None:
        parts.append(f"{size_text(offer)}." if layer_has.x_um is None else _other(offer))
    elif layer_has.x_um is None and facts is not None:
        parts.append(_UNKNOWN)
    if says_known and layer_has.x_um is not None and layer_has.square_um is None:
        parts.append("The pixels are not square: sizes are measured in pixels.")
    notes = [*layer_has.notes, *(() if facts is None else facts.notes)]
    return " ".join(dict.fromkeys([*parts, *map(_sentence, notes)]))


def _other(offer: PixelSize) -> str:
    return f"Its file says {size_text(offer)}."


def _sentence(note: str) -> str:
    return note if note.endswith((".", "!", "?")) else f"{note}."


def offers_text(has: Sequence[PixelSize], offers: Sequence[PixelSize | None]) -> str:
    """Return a sentence on the pixel sizes of several images, and on what their files say."""
    known = {size_text(size) for size in has if size.x_um is not None}
    new = {size_text(offer) for offer in offers if offer is not None}
    unknown = sum(size.x_um is None for size in has)
    parts = []
    if len(known) == 1 and not unknown:
        parts.append(f"{known.pop()}.")
    elif known:
        parts.append(f"{len(known)} different pixel sizes of {len(has)} images.")
    if unknown:
        parts.append(f"{unknown} of {len(has)} images have no pixel size.")
    if new:
        count = sum(offer is not None for offer in offers)
        files = "file of one says" if count == 1 else f"files of {count} say"
        parts.append(f"The {files} {listed(sorted(new)) if len(new) < 4 else 'other ones'}.")
    return " ".join(parts)
