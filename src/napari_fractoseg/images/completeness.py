"""Whether an image is read as it was written: files and chunks that are not there are said."""

from __future__ import annotations

from pathlib import Path

from napari_fractoseg.errors import ImageError
from napari_fractoseg.images.chunks import ChunkCount, count_chunks
from napari_fractoseg.images.lazy import chunk_counts
from napari_fractoseg.images.micrograph import MicrographStack
from napari_fractoseg.images.ome_zarr import read_metadata
from napari_fractoseg.images.zarr_header import read_header

__all__ = ["ChunkWatch"]


class ChunkWatch:
    """Watch over the chunks of an image while it is read; they are counted at once.

    Parameters
    ----------
    image : MicrographStack
        Image that is going to be read.

    Notes
    -----
    Zarr takes chunks that are not there as its fill value. It writes none for areas of that
    value, so they may be right, or the copy of a folder may be incomplete: nobody can tell.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_fractoseg.images import ChunkWatch, MicrographStack
    >>> ChunkWatch(MicrographStack(np.zeros((4, 5)))).notes()
    ()
    """

    def __init__(self, image: MicrographStack) -> None:
        self._image = image
        self._before = self._counts()

    def _counts(self) -> list[ChunkCount]:
        counts = chunk_counts(self._image.data)
        return counts or ([] if self._image.file is None else _counts_in(self._image.file))

    def notes(self) -> tuple[str, ...]:
        """Count again; return a sentence for each array of which chunks were not there.

        Returns
        -------
        tuple of str
            Sentences for the user; empty if all chunks were there, now and at the beginning.
        """
        after = self._counts() if self._before else []
        if len(after) != len(self._before):
            return (f"{self._image.name}: files of the image were removed while it was read.",)
        found = map(_note, self._before, after)
        return tuple(note for note in found if note)


def _counts_in(folder: Path) -> list[ChunkCount]:
    """Count the chunks of the zarr array in a folder, of an OME-Zarr those of level 0."""
    try:
        if read_header(folder) is not None:
            array = folder
        else:
            metadata = read_metadata(folder)
            if metadata is None:
                return []
            array = folder / metadata.paths[0]
        count = count_chunks(array, folder.name)
    except ImageError:  # whoever opened it knows more of it
        return []
    return [] if count is None else [count]


def _note(before: ChunkCount, after: ChunkCount) -> str:
    if before.n_there > after.n_there:
        return (
            f"{before.n_there - after.n_there} of {before.n_chunks} chunks of {before.name} were "
            "removed while it was read, and may have been taken as grey level "
            f"{before.fill_value}. Copy the image again and segment it again."
        )
    if before.n_missing:
        return (
            f"{before.n_missing} of {before.n_chunks} chunks of {before.name} are not there; they "
            f"are taken as grey level {before.fill_value}. If the copy is incomplete, copy it "
            "again. If it is complete, write these chunks, too (zarr: write_empty_chunks)."
        )
    return ""
