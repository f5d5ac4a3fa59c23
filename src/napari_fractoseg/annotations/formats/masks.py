"""Label masks: image files whose pixel values are class values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.class_mapping import RESEARCH_MASK_VALUES
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import AnnotationError, ClassSchemeError, translated
from napari_fractoseg.files import read_file
from napari_fractoseg.images import read_mask
from napari_fractoseg.text import listed

__all__ = [
    "LABEL_SUFFIX",
    "RESEARCH",
    "SCHEME_FILE",
    "image_of_mask",
    "mask_stem",
    "parse_mask_values",
    "read_label_mask",
    "read_scheme",
]

SCHEME_FILE = "classes.json"
"""Name of the file beside masks that says which value is which class."""

LABEL_SUFFIX = "_labels"
"""Ending that the name of an image may have in the name of its mask."""

RESEARCH = "research"
"""Word for the values of the masks that the research code wrote."""


def parse_mask_values(text: str) -> dict[int, str]:
    """Read ``"0=background,1=transgranular"`` as value -> class name.

    The word ``research`` stands for `RESEARCH_MASK_VALUES`.

    Raises
    ------
    AnnotationError
        If an entry is not of that form, or a value occurs twice.

    Examples
    --------
    >>> from napari_fractoseg.annotations.formats.masks import parse_mask_values
    >>> parse_mask_values("1=dimples, 2=cleavage")
    {1: 'dimples', 2: 'cleavage'}
    """
    if text.strip() == RESEARCH:
        return dict(RESEARCH_MASK_VALUES)
    values: dict[int, str] = {}
    for entry in text.split(","):
        value, equals, name = (part.strip() for part in entry.partition("="))
        if not (equals and name and value.isdigit() and int(value) not in values):
            raise AnnotationError(
                f"Mask values {text!r}: entry {entry!r} is not of the form VALUE=CLASS with each "
                'value once. Example: "0=background,1=transgranular,2=intergranular".'
            )
        values[int(value)] = name
    return values


def mask_stem(path: Path) -> str:
    """Return the name, without suffix, of the image that a mask belongs to."""
    return path.stem.removesuffix(LABEL_SUFFIX)


def image_of_mask(mask: Path, images: ImageLookup) -> Path | None:
    """Return the image that a mask belongs to, None if there is none.

    Parameters
    ----------
    mask : Path
        Mask file: ``NAME.png`` or ``NAME_labels.tif`` belongs to the image ``NAME.*``.
    images : ImageLookup
        Image files to choose from. Of several with that name the nearest counts; of equally
        near ones that with the suffix of the mask.

    Raises
    ------
    AnnotationError
        If several images fit equally well; the message names them.
    """
    found = images.with_stem(mask_stem(mask))
    if len(found) > 1:
        found = tuple(path for path in found if path.name == mask.name) or found
    if len(found) > 1:
        raise AnnotationError(
            f"{mask} fits several images in {images.root}: {images.listed(found)}. Rename those "
            "that it was not made for."
        )
    return found[0] if found else None


def read_label_mask(
    path: Path, scheme: ClassScheme, mask_values: Mapping[int, str] | None = None
) -> npt.NDArray[np.uint8]:
    """Read a mask as labels of a scheme.

    Parameters
    ----------
    path : Path
        Mask file: a greyscale image of whole numbers.
    scheme : ClassScheme
        Classes whose values are those of the mask, unless `mask_values` says
        otherwise.
    mask_values : mapping of int to str, optional
        Value in the file -> name of a class of the scheme; values that are not
        listed are unlabelled.

    Returns
    -------
    ndarray of uint8, shape (Y, X)
        Class values; 0 is unlabelled.

    Raises
    ------
    ImageError, ClassSchemeError
        If the file is no mask, or holds values that are no class.
    AnnotationError
        If none of `mask_values` occurs in the file.
    """
    mask: npt.NDArray[Any] = read_mask(path)
    if mask_values is None:
        try:
            scheme.check_labels(mask)
        except ClassSchemeError as error:
            raise error.at(path) from error
        return mask.astype(np.uint8)
    labels = np.zeros(mask.shape, dtype=np.uint8)
    for value, name in mask_values.items():
        labels[mask == value] = scheme.find(name).value
    if not labels.any():
        raise AnnotationError(
            f"{path}: none of the mask values {listed(sorted(mask_values))} occurs; the file "
            f"has {listed(np.unique(mask)[:10])}. Correct the list of mask values."
        )
    return labels


def read_scheme(path: Path) -> ClassScheme:
    """Read a class scheme from a JSON file.

    Raises
    ------
    ClassSchemeError
        If the file cannot be read or holds no scheme; the message names it.
    """
    try:
        with translated(ClassSchemeError, "It cannot be read"):
            return ClassScheme.from_json(read_file(path).decode("utf-8"))
    except ClassSchemeError as error:
        raise ClassSchemeError(
            f"{path}: {error} Correct it, remove it, or say which value is which class.",
            options=("mask_values",),
        ) from error
