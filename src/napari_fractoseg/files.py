"""Writing files so that nothing is overwritten unasked and nothing is left half-written."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_fractoseg.errors import OutputExistsError

__all__ = ["draft_of", "file_sha256", "refuse_existing", "write_bytes"]


def refuse_existing(*paths: Path | None, remedy: str = "Choose another name.") -> None:
    """Raise if one of the paths exists.

    Raises
    ------
    OutputExistsError
        Naming the path, with the remedy.
    """
    for path in paths:
        if path is not None and path.exists():
            raise OutputExistsError(f"{path} exists already. {remedy}")


@contextmanager
def draft_of(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a name to write to; the file takes its place when the block ends without an error.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    Path
        A file in the same folder and with the same suffix; it is removed after an
        error.

    Raises
    ------
    OutputExistsError
        If the file exists and `overwrite` is False.
    """
    if not overwrite:
        refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)  # mkstemp writes for the owner alone
        os.replace(draft, path)  # noqa: PTH105 - atomic on one file system
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file: all of it, or nothing; see `draft_of`."""
    with draft_of(path, overwrite=overwrite) as draft:
        draft.write_bytes(data)
    return path


def file_sha256(path: Path, parts: Iterable[Path] | None = None) -> str:
    """Return the SHA-256 of a file, or of the names and hashes of a folder's files.

    Parameters
    ----------
    path : Path
        File or folder.
    parts : iterable of Path, optional
        The files of a folder that count; by default all, also those in its folders (zarr).
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    files = parts if parts is not None else (p for p in path.rglob("*") if p.is_file())
    for part in sorted(files):
        digest.update(f"{part.relative_to(path).as_posix()} {file_sha256(part)}\n".encode())
    return digest.hexdigest()
