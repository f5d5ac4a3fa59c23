"""Magnification guard: at which scale a model sees an image, and the sentence that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator

from napari_fractoseg.errors import OptionError
from napari_fractoseg.models.card import ModelCard
from napari_fractoseg.models.image_scale import HIGHEST_FACTOR, LOWEST_FACTOR, nearest_scale
from napari_fractoseg.options import is_truth_value

__all__ = ["AUTO", "FAR_APART", "NONE", "Magnification", "ScaleChoice", "scale_text"]

AUTO: Literal["auto"] = "auto"
NONE: Literal["none"] = "none"
FAR_APART = 1.5
"""Ratio of pixel sizes from which on an image is seen rescaled."""


def scale_text(choice: str | float) -> str:
    """Return a choice of the scale as text: ``auto``, ``none`` or a factor such as ``2``.

    Raises
    ------
    ValueError
        If it is none of them, or a factor that is not from 1/8 to 16.
    """
    if isinstance(choice, str) and choice in (AUTO, NONE):
        return choice
    try:
        factor = math.nan if is_truth_value(choice) else float(choice)
    except (TypeError, ValueError):
        factor = math.nan
    if not LOWEST_FACTOR <= factor <= HIGHEST_FACTOR:
        raise ValueError(
            f"It can be {AUTO}, {NONE}, or a factor from {LOWEST_FACTOR:g} to {HIGHEST_FACTOR:g}"
        )
    return f"{factor:g}"


ScaleChoice = Annotated[str, BeforeValidator(scale_text)]
"""``auto``, ``none``, or a scale factor as text."""


@dataclass(frozen=True)
class Magnification:
    """Scale at which a model sees an image.

    Parameters
    ----------
    scale : Fraction
        How many image pixels stand for one pixel of the images that the model learnt from.
    sentence : str
        Sentence for the user; empty if the image is seen as it is, and nothing speaks against it.
    is_asked : bool
        Whether the user set the factor.

    Examples
    --------
    >>> from napari_fractoseg.classes import DEFAULT_SCHEME
    >>> from napari_fractoseg.inference.magnification import Magnification
    >>> from napari_fractoseg.models.card import ModelCard
    >>> card = ModelCard("mine", DEFAULT_SCHEME, "Unet", "resnet18", pixel_size_um=0.18)
    >>> Magnification.of(card, 0.088).sentence
    'Seen at half its size, as the model learnt at 0.18 µm and this image has 0.088 µm a pixel.'
    """

    scale: Fraction = Fraction(1)
    sentence: str = ""
    is_asked: bool = False

    @classmethod
    def of(
        cls, card: ModelCard, pixel_size_um: float | None, choice: str | float = AUTO
    ) -> Magnification:
        """Return the scale at which a model sees an image.

        Parameters
        ----------
        card : ModelCard
            Card of the model, with the pixel size of the images that it learnt from.
        pixel_size_um : float or None
            Edge of a pixel of the image in micrometres; None where it is not known.
        choice : str or float
            ``auto``: the image is seen rescaled where both pixel sizes are known and differ by
            more than `FAR_APART`; ``none``: never; or a factor, see `SegmentationModel.at_scale`.

        Raises
        ------
        OptionError
            If the choice is none of these, or the pixel sizes differ by more than any scale that
            can be used.
        """
        try:
            text = scale_text(choice)
        except ValueError as error:
            raise OptionError(f"scale is {choice!r:.80}. {error}.") from error
        if text not in (AUTO, NONE):
            return cls._asked(float(text))
        if not card.pixel_size_um or not pixel_size_um:
            return cls()
        ratio = card.pixel_size_um / pixel_size_um
        if 1 / FAR_APART <= ratio <= FAR_APART:
            return cls()
        sizes = (
            f"the model learnt at {card.pixel_size_um:.3g} µm and this image has "
            f"{pixel_size_um:.3g} µm a pixel"
        )
        if text == NONE:
            return cls(sentence=f"Seen as it is, although {sizes}: its labels may be wrong.")
        if not LOWEST_FACTOR <= ratio <= HIGHEST_FACTOR:
            larger = max(ratio, 1 / ratio)
            raise OptionError(
                f"{sizes[0].upper()}{sizes[1:]}: they differ {larger:.3g} times, and no scale "
                f"factor from {LOWEST_FACTOR:g} to {HIGHEST_FACTOR:g} makes up for that. Check the "
                "pixel size of the image, or have it segmented as it is.",
                options=("scale=none",),
            )
        scale = nearest_scale(ratio)
        return cls(scale, f"Seen {_size_text(scale)}, as {sizes}.{_warning(scale)}")

    @classmethod
    def _asked(cls, factor: float) -> Magnification:
        scale = nearest_scale(factor)
        if scale == 1:
            return cls(is_asked=True)
        used = f"{float(scale):g}"
        if f"{factor:g}" != used:
            used += f", the nearest to {factor:g}"
        return cls(scale, f"Seen {_size_text(scale)} (scale factor {used}).{_warning(scale)}", True)


def _size_text(scale: Fraction) -> str:
    """Return the size at which an image is seen in words, such as ``at half its size``."""
    size = 1 / scale
    if size.denominator == 1:
        return "at twice its size" if size == 2 else f"at {size} times its size"
    if size > 1:
        return f"at {float(size):.2f} times its size"
    return "at half its size" if size == Fraction(1, 2) else f"at {size} of its size"


def _warning(scale: Fraction) -> str:
    return " Finer details than it shows are missing." if scale < 1 else ""
