"""Reading of training data from folders of masks and from annotation files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_fractoseg.annotations.fit import fit_notes
from napari_fractoseg.annotations.formats.masks import (
    SCHEME_FILE,
    image_of_mask,
    read_label_mask,
    read_scheme,
)
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.annotations.raster import rasterise
from napari_fractoseg.annotations.reading import is_annotation_folder
from napari_fractoseg.annotations.source import AnnotationSource
from napari_fractoseg.bar_option import AUTO
from napari_fractoseg.classes import DEFAULT_SCHEME, UNLABELLED, ClassScheme
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet, merge_training_sets
from napari_fractoseg.errors import AnnotationError, ImageError, TrainingError, translated
from napari_fractoseg.files import read_json
from napari_fractoseg.images import Micrograph, find_images, read_image, read_mask
from napari_fractoseg.images.bars.choice import without_bar
from napari_fractoseg.jobs import drain
from napari_fractoseg.results.record import Origin, origin_of, read_record
from napari_fractoseg.text import counted, size_text

__all__ = ["GROUPS_FILE", "read_training_set", "read_training_sets"]

GROUPS_FILE = "groups.json"
"""Name of the file beside images that says to which group, such as a specimen, each belongs.

It holds a JSON object: image name without suffix -> group (`TrainingPair.group`).
"""

_MOST_NAMES = 5


def read_training_set(
    images: Path | str,
    labels: Path | str,
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    annotations: AnnotationOptions = STRICT,
    share: float = 1.0,
    predictions_as_truth: bool = False,
    exclude_bar: str = AUTO,
) -> TrainingSet:
    """Read images with their labels.

    Parameters
    ----------
    images : Path or str
        Folder of images; subfolders are searched, too.
    labels : Path or str
        Folder of masks (``NAME.png`` or ``NAME_labels.tif`` for the image
        ``NAME.*``), or annotations that `read_annotations` reads.
    scheme : ClassScheme
        Classes that are known.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name; names that are new make new
        classes, values that are not listed are unlabelled. By default values
        are those of ``classes.json`` beside the masks, or of the scheme.
    unlabelled_as : str, optional
        Class that pixels without a label belong to, such as ``background``;
        those of regions that are left out belong to none.
    annotations : AnnotationOptions
        Choice of the class of a region in a VIA file, and of what is left out.
    share : float
        Weight by which patches are drawn from each image, relative to other sources.
    predictions_as_truth : bool
        Whether masks that a model gave and nobody touched since are taken for truth, with a
        note only.
    exclude_bar : str
        Rows of the images that are left out as their info bar, as in `chosen_bar`: labels there
        do not teach.

    Returns
    -------
    TrainingSet
        Pairs, one for each image that has labels; the notes say what was left out.

    Raises
    ------
    TrainingError, AnnotationError, ImageError, ClassSchemeError
        If nothing fits together, naming the file, or masks are untouched predictions:
        a network would learn what it said itself.
    """
    folder, labels = Path(images), Path(labels)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder. Check the path.")
    if mask_values:
        scheme = scheme.with_names(mask_values.values())
    images_of = _Images(exclude_bar)
    if labels.is_dir() and not is_annotation_folder(labels):
        read = _from_masks(
            (folder, images_of), labels, scheme, mask_values, unlabelled_as, predictions_as_truth
        )
    else:
        read = _from_via((folder, images_of), labels, scheme, unlabelled_as, annotations)
    if not read.labelled:
        why = f" {' '.join(read.notes)}" if read.notes else ""
        raise TrainingError(
            f"No image in {folder} has labels in {labels}. Labels are found by the name of the "
            f"image, for example NAME.png for NAME.tif.{why}"
        )
    groups = _groups(folder / GROUPS_FILE)
    pairs = (TrainingPair(i, a, share, groups.get(i.name, "")) for i, a in read.labelled)
    notes = (f"{labels.name}: {note}" for note in (*read.notes, *images_of.notes()))
    return TrainingSet(tuple(pairs), read.scheme, tuple(notes))


def _groups(path: Path) -> dict[str, str]:
    if not os.path.lexists(path):
        return {}
    what, remedy = 'of the form {"image": "group"}', "Correct or remove it."
    with translated(TrainingError, f"{path} is not {what}", remedy):
        return {str(k): str(v) for k, v in read_json(path, TrainingError, what, remedy).items()}


@dataclass(frozen=True, eq=False)
class _Read:
    """Images with their labels, in the values of a scheme, and what was left out."""

    labelled: list[tuple[Micrograph, npt.NDArray[np.uint8]]]
    scheme: ClassScheme
    notes: tuple[str, ...]


class _Images:
    """Images of a source, of one plane each, without their info bars.

    Parameters
    ----------
    exclude_bar : str
        Rows that are left out, as in `chosen_bar`.
    """

    def __init__(self, exclude_bar: str) -> None:
        self._choice = exclude_bar
        self._bars: list[str] = []
        self._notes: list[str] = []

    def read(self, path: Path) -> Micrograph:
        """Read an image; notes are kept."""
        stack = read_image(path)
        if stack.n_planes != 1:
            raise TrainingError(
                f"{path} has {size_text(stack.shape)}. Save the planes to learn from as single "
                "images."
            )
        stack, bar = without_bar(stack, self._choice, [path])
        if bar.area is not None:
            self._bars.append(path.name)
        self._notes += bar.notes
        return stack.plane(next(stack.indices()))

    def notes(self) -> list[str]:
        """Return sentences on what was left out of the images that were read."""
        if not self._bars:
            return self._notes
        count = "1 image" if len(self._bars) == 1 else f"{len(self._bars)} images"
        return [*self._notes, f"info bar of {count} left out: {_some_of(self._bars)}"]


def _from_masks(
    images: tuple[Path, _Images],
    masks: Path,
    scheme: ClassScheme,
    mask_values: Mapping[int, str] | None,
    unlabelled_as: str | None,
    predictions_as_truth: bool,
) -> _Read:
    if not mask_values and (masks / SCHEME_FILE).is_file():
        own = read_scheme(masks / SCHEME_FILE)
        scheme = own if scheme == DEFAULT_SCHEME else scheme.joined(own)
        mask_values = {c.value: c.name for c in own}
    folder, images_of = images
    fill = UNLABELLED if unlabelled_as is None else scheme.find(unlabelled_as).value
    lookup = ImageLookup.scan(folder, without=masks, follow_links=True)
    paths = find_images(masks)
    labelled, without_image, predictions = [], [], {}
    for path in paths:
        image = image_of_mask(path, lookup)
        if image is None:
            without_image.append(path.name)
            continue
        labels = read_label_mask(path, scheme, mask_values)
        labels[labels == UNLABELLED] = fill
        labelled.append((images_of.read(image), labels))
        if (model := _predicted_by(path)) is not None:
            predictions[path.name] = model
    notes = _judged(predictions, masks, predictions_as_truth)
    if without_image:
        notes.append(
            f"{len(without_image)} of {len(paths)} masks have no image of their name in {folder}: "
            f"{_some_of(without_image)}"
        )
    return _Read(labelled, scheme, tuple(notes))


def _some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")


def _predicted_by(mask: Path) -> str | None:
    """Return the name of the model whose untouched prediction a mask is; None if it is none.

    A mask without a label record counts as none.
    """
    record = read_record(mask)
    if record is None or origin_of(read_mask(mask), record) is not Origin.PREDICTION:
        return None
    return record.model_name


def _judged(predictions: Mapping[str, str], folder: Path, as_truth: bool) -> list[str]:
    """Refuse masks that are untouched predictions, or return a note that they are."""
    if not predictions:
        return []
    models = ", ".join(sorted(set(predictions.values())))
    text = f"{_some_of(list(predictions))}: untouched predictions of {models}"
    if as_truth:
        return [f"{text}, taken for truth"]
    raise TrainingError(
        f"{folder}: {text}. The network would learn what it said itself. Correct them first, leave "
        "them out, or say that they are right.",
        options=("predictions_as_truth",),
    )


def _from_via(
    images: tuple[Path, _Images],
    path: Path,
    scheme: ClassScheme,
    unlabelled_as: str | None,
    options: AnnotationOptions,
) -> _Read:
    folder, images_of = images
    source = drain(AnnotationSource.open_job(path, folder, options, follow_links=True))
    try:
        return _draw_regions(source, images_of, scheme, unlabelled_as)
    except AnnotationError as error:
        raise error.at(path) from error


def _draw_regions(
    source: AnnotationSource, images_of: _Images, scheme: ClassScheme, unlabelled_as: str | None
) -> _Read:
    mapping, images = source.mapping(scheme), source.images
    labelled, sizes, n_empty = [], [], 0
    for entry, path in images.found:
        image = images_of.read(path)
        drawn = rasterise(entry, image.shape, mapping, unannotated=unlabelled_as)
        labelled.append((image, drawn.labels))
        sizes.append((entry, path, image.shape))
        n_empty += len(drawn.empty)
    notes = [*source.document.notes, *images.notes, *fit_notes(sizes)]
    notes += mapping.notes(entry for entry, _ in images.found)
    if n_empty:
        notes.append(f"{counted(n_empty, 'region covers', 'regions cover')} no pixel.")
    return _Read(labelled, mapping.scheme, tuple(notes))


def read_training_sets(
    images: Sequence[Path | str],
    labels: Sequence[Path | str],
    shares: Sequence[float] = (),
    *,
    scheme: ClassScheme = DEFAULT_SCHEME,
    mask_values: Mapping[int, str] | None = None,
    unlabelled_as: str | None = None,
    annotations: AnnotationOptions = STRICT,
    predictions_as_truth: bool = False,
    exclude_bar: str = AUTO,
) -> TrainingSet:
    """Read images with their labels from several sources, and join them.

    Parameters
    ----------
    images : sequence of Path or str
        Folders of images, one for every source.
    labels : sequence of Path or str
        Folders of masks or VIA files, one for every source.
    shares : sequence of float
        Weights by which patches are drawn from the images of each source; empty if all images
        count the same.
    scheme : ClassScheme
        Classes that are known.
    mask_values : mapping of int to str, optional
        Value in the mask files -> class name, as in `read_training_set`.
    unlabelled_as : str, optional
        Class that pixels without a label belong to; by default they are unlabelled.
    annotations : AnnotationOptions
        Choice of the class of a region in VIA files, and of what is left out.
    predictions_as_truth : bool
        Whether masks that a model gave and nobody touched since are taken for truth.
    exclude_bar : str
        Rows of the images that are left out as their info bar, as in `read_training_set`.

    Returns
    -------
    TrainingSet
        Pairs of all sources; classes are matched by name.

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
                annotations=annotations,
                share=share,
                predictions_as_truth=predictions_as_truth,
                exclude_bar=exclude_bar,
            )
            for image_folder, its_labels, share in zip(
                images, labels, shares or [1.0] * len(images), strict=True
            )
        ]
    )
