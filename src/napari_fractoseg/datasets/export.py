"""Training data written as a folder, and the command that trains on it without a window."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import tifffile

from napari_fractoseg.annotations.formats.masks import LABEL_SUFFIX, SCHEME_FILE
from napari_fractoseg.annotations.options import STRICT, AnnotationOptions
from napari_fractoseg.datasets.dataset import TrainingPair, TrainingSet
from napari_fractoseg.datasets.sources import GROUPS_FILE
from napari_fractoseg.files import draft_folder

__all__ = [
    "label_folders",
    "training_command",
    "write_training_folder",
]

_IMAGES, _LABELS = "images", "labels"
_UNSAFE = re.compile(r"[^\w.,()+-]+")


def write_training_folder(training_set: TrainingSet, folder: Path) -> None:
    """Write images and labels as the folders that ``fractoseg train`` reads.

    Parameters
    ----------
    training_set : TrainingSet
        Images with labels. Pairs of the same image share its file; their labels
        go to ``labels``, ``labels_2`` and so on.
    folder : Path
        Folder to make.

    Raises
    ------
    OutputExistsError
        If the folder has images or labels already.
    OutputError
        If they cannot be written.

    Notes
    -----
    Folders of images and of labels appear when all of their files are complete, that of the
    images last.
    """
    names: dict[str, str] = {}
    groups: dict[str, str] = {}
    turns: dict[str, int] = {}
    with ExitStack() as stack:
        images = stack.enter_context(draft_folder(folder / _IMAGES))
        labels: dict[int, Path] = {}
        for pair in training_set.pairs:
            digest = pair.image_digest
            if digest not in names:
                names[digest] = _file_name(pair, names.values())
                tifffile.imwrite(images / f"{names[digest]}.tif", pair.image.data)
                groups[names[digest]] = pair.group or pair.name
            turn = turns[digest] = turns.get(digest, 0) + 1
            if turn not in labels:
                place = folder / (_LABELS if turn == 1 else f"{_LABELS}_{turn}")
                labels[turn] = stack.enter_context(draft_folder(place))
                scheme = training_set.scheme.to_json()
                (labels[turn] / SCHEME_FILE).write_text(scheme, encoding="utf-8")
            path = labels[turn] / f"{names[digest]}{LABEL_SUFFIX}.tif"
            tifffile.imwrite(path, pair.labels, compression="zlib")
        text = json.dumps(groups, indent=2) + "\n"
        (images / GROUPS_FILE).write_text(text, encoding="utf-8")


def _file_name(pair: TrainingPair, taken: Iterable[str]) -> str:
    """Return a file name without suffix that every file system takes and that is not taken."""
    base = _UNSAFE.sub(" ", pair.name).strip()[:80].strip(" .") or "image"
    name, number = base, 1
    while name.casefold() in {other.casefold() for other in taken}:
        number += 1
        name = f"{base} ({number})"
    return name


def training_command(
    folder: Path,
    out: Path,
    *,
    plan: Path,
    start: str | None,
    classes: Sequence[str],
    sources: Sequence[tuple[Path, Path]] = (),
    annotations: AnnotationOptions = STRICT,
    name: str = "",
) -> str:
    """Return the command that trains on a folder without a window.

    Parameters
    ----------
    folder : Path
        Folder of images and labels, as `write_training_folder` makes it.
    out : Path
        Folder of the new model.
    plan : Path
        JSON file of the training plan.
    start : str or None
        Name or folder of the model to fine-tune; None for a new network.
    classes : sequence of str
        Names of the classes of the new model.
    sources : sequence of tuple of Path
        Further folders of images, each with its folder of masks or VIA file.
    annotations : AnnotationOptions
        Choice of the class of a region in those VIA files, and of what is left out.
    name : str
        Title of the new model; empty for the default.

    Returns
    -------
    str
        Command line, quoted for a POSIX shell.
    """
    words = ["fractoseg", "train"]
    for images, labels in (*label_folders(folder), *sources):
        words += ["--images", str(images), "--labels", str(labels)]
    words += ["--plan", str(plan), "--classes", ",".join(classes)]
    if start is not None:
        words += ["--from", start]
    for option, value in annotations.to_dict().items():
        if value != getattr(STRICT, option):
            words += [f"--{option.replace('_', '-')}", *([] if value is True else [value])]
    if name:
        words += ["--name", name]
    return shlex.join([*words, "-o", str(out)])


def label_folders(folder: Path) -> list[tuple[Path, Path]]:
    """Return pairs of an image folder and a label folder in a folder of training data."""
    return [
        (folder / _IMAGES, labels)
        for labels in sorted(folder.glob(f"{_LABELS}*"))
        if labels.is_dir()
    ]
