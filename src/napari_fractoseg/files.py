"""Safe writing of files: never overwritten unasked, never left half-written; and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_fractoseg.errors import FractosegError, OutputExistsError

__all__ = [
    "draft_of",
    "file_sha256",
    "hold",
    "is_held",
    "read_json_object",
    "refuse_existing",
    "write_bytes",
]


def refuse_existing(
    *paths: Path | None, remedy: str = "Choose another name.", replaceable: bool = False
) -> None:
    """Raise if one of the paths exists.

    Parameters
    ----------
    *paths : Path or None
        Paths to check; None is passed over.
    remedy : str
        Sentence that says what the user can do.
    replaceable : bool
        Whether the caller has a parameter ``overwrite``; the remedy is then this one.

    Raises
    ------
    OutputExistsError
        If one exists; names the path, and says the remedy.
    """
    if replaceable:
        remedy = "Choose another name, or have it replaced."
    for path in paths:
        if path is not None and path.exists():
            raise OutputExistsError(
                f"{path} exists already. {remedy}", options=("overwrite",) * replaceable
            )


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


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file holds; None if it is not there, damaged or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


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


_PATIENCE_S = 1.0
"""As long as `is_held` can be in the way of another process, and longer."""


@contextmanager
def hold(path: Path, refusal: FractosegError) -> Iterator[None]:
    """Have a file for this run alone while the block runs.

    Parameters
    ----------
    path : Path
        The file that nobody else may write meanwhile; it need not be there.
    refusal : FractosegError
        Raised if another run, in this process or another one, has it.

    Notes
    -----
    A hidden file beside it (``.NAME.lock``) is locked by the operating system, which gives the
    lock back when the process ends, however it ends. The lock's file is removed before it is
    released. Removed afterwards, it might be that of the next run already, and a third run would
    make and lock a new one. A run that opened the file before it was removed does not get its
    lock: filelock sees that it has no name any more.
    """
    lock = _lock_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout as error:
        raise refusal from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open; filelock does it there
            Path(lock.lock_file).unlink()
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a run has a file for itself; see `hold`."""
    lock = _lock_of(path)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock_of(path: Path) -> FileLock:
    # A job may be closed by another thread than the one that began it.
    return FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
