"""Training data from folders of masks, and from VIA files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.class_mapping import map_classes
from napari_fractoseg.annotations.document import ViaDocument
from napari_fractoseg.annotations.formats.masks import (
    SCHEME_FILE,
    mask_stem,
    read_label_mask,
    read_scheme,
)
from napari_fractoseg.annotations.raster import rasterise
from napari_fractoseg.annotations.via import read_via
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet, merge_training_sets
from napari_fractoseg.errors import AnnotationError, TrainingError
from napari_fractoseg.images import Micrograph, find_images, read_image, read_mask
from napari_fractoseg.results.record import Origin, origin_of, read_record

__all__ = ["GROUPS_FILE", "read_training_set", "read_training_sets"]

GROUPS_FILE = "groups.json"
"""Beside images: name without suffix -> group (`TrainingPair.group`), such as the specimen."""

_MOST_NAMES = 5

logger = logging.getLogger(__name__)


def read_training_set(
    images: Path | str,
    labels: Path | str,
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    share: float = 1.0,
    predictions_as_truth: bool = False,
) -> TrainingSet:
    """Read images with their labels.

    Parameters
    ----------
    images : Path or str
        Folder of images.
    labels : Path or str
        Folder of masks (``NAME.png`` or ``NAME_labels.tif`` for the image
        ``NAME.*``), or a VIA file.
    scheme : ClassScheme
        Classes that are known.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name; names that are new make new
        classes, values that are not listed are unlabelled. By default values
        are those of ``classes.json`` beside the masks, or of the scheme.
    unlabelled_as : str, optional
        Class that pixels without a label belong to, such as ``background``.
    share : float
        See `TrainingPair`.
    predictions_as_truth : bool
        Take masks for truth that a model gave and nobody touched since, and only warn
        of them.

    Returns
    -------
    TrainingSet
        One pair for each image that has labels.

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If nothing fits together, naming the file, or masks are untouched predictions:
        a network would learn what it said itself.
    """
    paths = {p.stem: p for p in find_images(Path(images))}
    labels = Path(labels)
    if mask_values:
        scheme = scheme.with_names(mask_values.values())
    elif (labels / SCHEME_FILE).is_file():
        own = read_scheme(labels / SCHEME_FILE)
        scheme = own if scheme == DEFAULT_SCHEME else scheme.joined(own)
        mask_values = {c.value: c.name for c in own}
    if labels.is_dir():
        loaded = _from_masks(paths, labels, scheme, mask_values, predictions_as_truth)
    else:
        loaded = _from_via(paths, labels, scheme)
    if not loaded:
        raise TrainingError(
            f"No image in {images} has labels in {labels}. Labels are found by the name of the "
            f"image, for example {next(iter(paths))}.png."
        )
    if unlabelled_as is not None:
        value = scheme.find(unlabelled_as).value
        loaded = [(i, np.where(a == UNLABELLED, np.uint8(value), a)) for i, a in loaded]
    groups = _groups(Path(images) / GROUPS_FILE)
    pairs = (TrainingPair(i, a, share, groups.get(i.name, "")) for i, a in loaded)
    return TrainingSet(tuple(pairs), scheme)


def _groups(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise TrainingError(
            f'{path} is not of the form {{"image": "group"}}: {error}. Correct or remove it.'
        ) from error


_Loaded = list[tuple[Micrograph, npt.NDArray[np.uint8]]]


def _from_masks(
    images: Mapping[str, Path],
    folder: Path,
    scheme: ClassScheme,
    mask_values: Mapping[int, str] | None,
    predictions_as_truth: bool,
) -> _Loaded:
    loaded, predictions = [], {}
    for path in find_images(folder):
        stem = mask_stem(path)
        if stem not in images:
            logger.warning("%s: no image named %s; left out.", path, stem)
            continue
        loaded.append((_one_plane(images[stem]), read_label_mask(path, scheme, mask_values)))
        if (model := _predicted_by(path)) is not None:
            predictions[path.name] = model
    _judge(predictions, folder, predictions_as_truth)
    return loaded


def _predicted_by(mask: Path) -> str | None:
    """Return the model whose untouched prediction a mask is; None if it is none, as far as told."""
    record = read_record(mask)
    if record is None or origin_of(read_mask(mask), record) is not Origin.PREDICTION:
        return None
    return record.model_name


def _judge(predictions: Mapping[str, str], folder: Path, as_truth: bool) -> None:
    """Refuse masks that are untouched predictions, or only warn of them."""
    if not predictions:
        return
    names, models = list(predictions), ", ".join(sorted(set(predictions.values())))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    text = f"{folder}: {', '.join(names[:_MOST_NAMES])}{more} are untouched predictions of {models}"
    if not as_truth:
        raise TrainingError(
            f"{text}: the network would learn what it said itself. Correct them first, leave them "
            "out, or say that they are right (predictions_as_truth=True; --predictions-as-truth)."
        )
    logger.warning("%s, and are taken for truth.", text)


def _from_via(images: Mapping[str, Path], path: Path, scheme: ClassScheme) -> _Loaded:
    document = read_via(path)
    annotated = document.with_images([image for image in document if image.regions])
    try:
        return _draw_regions(images, path, annotated, scheme)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from error


def _draw_regions(
    images: Mapping[str, Path], path: Path, annotated: ViaDocument, scheme: ClassScheme
) -> _Loaded:
    mapping = map_classes(annotated, scheme)
    loaded = []
    for entry in annotated:
        # The file name is data: only its stem is compared with the files of the image folder.
        stem = Path(entry.filename.replace("\\", "/")).stem
        if stem not in images:
            logger.warning("%s: image %s is not in the image folder; left out.", path, stem)
            continue
        image = _one_plane(images[stem])
        loaded.append((image, rasterise(entry, image.shape, mapping).labels))
    return loaded


def _one_plane(path: Path) -> Micrograph:
    stack = read_image(path)
    if stack.n_planes != 1:
        raise TrainingError(
            f"{path} has {stack.n_planes} planes of shape {stack.shape}. Save the planes to learn "
            "from as single images."
        )
    return stack.plane(next(stack.indices()))


def read_training_sets(
    images: Sequence[Path | str],
    labels: Sequence[Path | str],
    shares: Sequence[float] = (),
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    predictions_as_truth: bool = False,
) -> TrainingSet:
    """Read several sources and join them.

    Parameters
    ----------
    images, labels : sequence of Path or str
        One of each for every source; see `read_training_set`.
    shares : sequence of float
        One for every source, or none: then each image counts the same.
    scheme, mask_values, unlabelled_as, predictions_as_truth
        For all sources; see `read_training_set`.

    Returns
    -------
    TrainingSet

    Raises
    ------
    TrainingError
        If the numbers of images, labels and shares do not fit together.
    """
    if not len(images) == len(labels) == (len(shares) or len(images)):
        raise TrainingError(
            f"{len(images)} image folders, {len(labels)} labels and {len(shares)} shares do not "
            "fit together. Give each image folder its labels, and all of them a share or none."
        )
    return merge_training_sets(
        [
            read_training_set(
                image_folder,
                its_labels,
                scheme=scheme,
                mask_values=mask_values,
                unlabelled_as=unlabelled_as,
                share=share,
                predictions_as_truth=predictions_as_truth,
            )
            for image_folder, its_labels, share in zip(
                images, labels, shares or [1.0] * len(images), strict=True
            )
        ]
    )
