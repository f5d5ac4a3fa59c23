"""Label files and micrographs among files and folders; nothing read is replaced."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_fractoseg.annotations.formats.masks import mask_stem
from napari_fractoseg.annotations.image_lookup import ImageLookup
from napari_fractoseg.errors import ImageError, OptionError
from napari_fractoseg.images import find_images
from napari_fractoseg.images.formats.zarr import is_zarr
from napari_fractoseg.measurement.files.labels import LABELS

__all__ = ["find_label_files", "find_micrographs", "refuse_as_inputs"]


def find_label_files(inputs: Iterable[Path]) -> list[Path]:
    """Return the label files among files and folders.

    Of a folder those that ``fractoseg segment`` wrote (``NAME_labels.tif`` or ``.zarr``), or
    all its images where there is none.

    Parameters
    ----------
    inputs : iterable of Path
        Files and folders.

    Raises
    ------
    ImageError
        If something is not there, a folder has no image, or two files have one name.
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir() and not is_zarr(path):
            images = find_images(path)
            found += [p for p in images if p.stem.endswith(LABELS)] or images
        elif path.exists():
            found.append(path)
        else:
            raise ImageError(f"{path} does not exist. Check the path.")
    by_name: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        other = by_name.setdefault(mask_stem(path), path)
        if other != path:
            raise ImageError(
                f"{other} and {path} are both of an image {mask_stem(path)!r}, so that their "
                "numbers could not be told apart. Rename one, or measure them one by one."
            )
    return list(by_name.values())


def find_micrographs(inputs: Iterable[Path]) -> ImageLookup:
    """Return the micrographs among files and folders, to find those of labels in.

    Parameters
    ----------
    inputs : iterable of Path
        Image files, and folders that are searched down to three levels.

    Raises
    ------
    ImageError
        If something is not there, or nothing is given.
    """
    paths: list[Path] = []
    is_complete = True
    given = list(inputs)
    if not given:
        raise ImageError("No micrograph was given. Name image files or folders.")
    for path in given:
        if path.is_dir() and not is_zarr(path):
            found = ImageLookup.scan(path)
            paths += found.paths
            is_complete &= found.is_complete
        elif path.exists():
            paths.append(path)
        else:
            raise ImageError(f"{path} does not exist. Check the path.")
    return ImageLookup(given[0].parent, tuple(dict.fromkeys(paths)), is_complete)


def refuse_as_inputs(places: Iterable[Path], inputs: Iterable[Path | str | None]) -> None:
    """Raise an error if what is read is where a result may be written or removed.

    Parameters
    ----------
    places : iterable of Path
        Files that may be written or removed.
    inputs : iterable of Path, str or None
        Files that are read; what is no file is passed over.

    Raises
    ------
    OptionError
        If one has such a place; says which.
    """
    own = {place.resolve() for place in places}
    for path in inputs:
        if path is not None and Path(path).resolve() in own:
            raise OptionError(
                f"{path} is an input, and would be replaced by a result of that name. Choose "
                "another folder for the results, or rename it.",
                options=("out",),
            )
