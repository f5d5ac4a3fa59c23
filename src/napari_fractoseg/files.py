"""Safe writing of files: never overwritten unasked, never left half-written; and their hashes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_fractoseg.errors import OutputExistsError

__all__ = ["RUN_FILE", "draft_of", "file_sha256", "refuse_existing", "write_bytes"]

RUN_FILE = "run.json"
"""Name of the report beside the results of a run: model, settings and images."""


def refuse_existing(*paths: Path | None, remedy: str = "Choose another name.") -> None:
    """Raise if one of the paths exists.

    Parameters
    ----------
    *paths : Path or None
        Paths to check; None is passed over.
    remedy : str
        Sentence that says what the user can do.

    Raises
    ------
    OutputExistsError
        If one exists; names the path, and says the remedy.
    """
    for path in paths:
        if path is not None and path.exists():
            raise OutputExistsError(f"{path} exists already. {remedy}")


@contextmanager
def draft_of(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Provide a draft to write to, which becomes the file when the block ends without an error.

    Parameters
    ----------
    path : Path
        File to write; its folder is made where it is missing.
    overwrite : bool
        Whether to replace an existing file.

    Yields
    ------
    Path
        Draft, a file in the same folder with the same suffix; it is removed after an
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
    """Write bytes to a file, all of them or nothing (`draft_of`), and return its path."""
    with draft_of(path, overwrite=overwrite) as draft:
        draft.write_bytes(data)
    return path


def file_sha256(path: Path, parts: Iterable[Path] | None = None) -> str:
    """Return the SHA-256 of a file, or of the names and hashes of a folder's files.

    Parameters
    ----------
    path : Path
        File or folder to hash.
    parts : iterable of Path, optional
        Files of the folder to include; by default all, also those in subfolders (zarr).
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    files = parts if parts is not None else (p for p in path.rglob("*") if p.is_file())
    for part in sorted(files):
        digest.update(f"{part.relative_to(path).as_posix()} {file_sha256(part)}\n".encode())
    return digest.hexdigest()
