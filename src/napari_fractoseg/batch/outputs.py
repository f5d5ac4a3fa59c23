"""Results of one image on disk: in their places all together, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from napari_fractoseg.errors import OutputError
from napari_fractoseg.files import draft_of

__all__ = ["placed_together", "refuse_full_disk", "remove_result"]

_LEAST_LABEL_BYTES = 1 / 1000
"""Bytes on disk for each pixel of labels: compressed ones are larger, save for empty images."""
_LEAST_UNCERTAINTY_BYTES = 1 / 10


@contextmanager
def placed_together(finish: Callable[[], object]) -> Iterator[Callable[[Path], Path]]:
    """Provide a function that gives drafts, which get their places when the block ends.

    After an error in the block, or while they are moved, none of them is in its place.

    Parameters
    ----------
    finish : callable
        Function that is called when all are in their places; they are removed if it fails.

    Yields
    ------
    callable
        Function from the path of a file to that of its draft (`draft_of`). What was asked for
        first is moved last.
    """
    drafts, placed = ExitStack(), list[Path]()

    def draft(path: Path) -> Path:
        def note(kind: object, *_: object) -> None:
            if kind is None:  # it was moved
                placed.append(path)

        drafts.push(note)
        return drafts.enter_context(draft_of(path, overwrite=True))

    try:
        with drafts:
            yield draft
        finish()
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        raise


def remove_result(path: Path) -> None:
    """Delete a result: a file, or the folder of a zarr."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_full_disk(out: Path, n_px: int, n_uncertainties: int) -> None:
    """Raise if the results of an image can certainly not be stored.

    Parameters
    ----------
    out : Path
        Folder of the results, which exists.
    n_px : int
        Number of pixels of the image.
    n_uncertainties : int
        Number of kinds of uncertainty (confidence, margin) that are kept.

    Raises
    ------
    OutputError
        Says what is needed at least, and what is free.
    """
    least = n_px * (_LEAST_LABEL_BYTES + n_uncertainties * _LEAST_UNCERTAINTY_BYTES)
    free = shutil.disk_usage(out).free
    if least > free:
        raise OutputError(
            f"{out}: the results take {least / 1e9:.1f} GB at least, and {free / 1e9:.1f} GB are "
            "free there. Make room, or choose a folder on another disk."
        )
