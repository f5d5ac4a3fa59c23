"""Safe writing of files: never overwritten unasked, never left half-written; and their hashes.

What is being written is a hidden draft beside its final place. It is on the disk before it is
moved there, and what a killed process leaves is removed a day later (`sweep_drafts`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_fractoseg.errors import (
    FractosegError,
    OutputError,
    OutputExistsError,
    reason_of,
    translated,
)

__all__ = [
    "LONGEST_NAME",
    "STALE_S",
    "check_writable",
    "draft_folder",
    "draft_of",
    "file_sha256",
    "file_stem",
    "hidden_beside",
    "hold",
    "is_held",
    "move_into_place",
    "read_file",
    "read_json",
    "read_json_object",
    "refuse_existing",
    "resolved",
    "scratch_folder",
    "sweep_drafts",
    "synced",
    "synced_tree",
    "would_be_waited_for",
    "write_bytes",
    "writing",
]

LONGEST_NAME = 255
"""Bytes of a file name that common file systems allow."""
_LONGEST_STEM = LONGEST_NAME - 40
"""Most bytes of the name of an image in that of its files: the rest is kind, number and draft."""
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_DRAFT = re.compile(r"\..*-[0-9a-f]{8}-draft(\.[^.]*)?", re.DOTALL)
STALE_S = 24 * 3600
"""Age in seconds from which a draft is what a killed process left."""
_MOST_JSON_BYTES = 2**28
_SYNCED_AT_ONCE = 16
"""Files that are waited for at the same time; file systems write such requests together."""


def file_stem(name: str) -> str:
    """Return the name of an image as a part of file names that all systems allow.

    Examples
    --------
    >>> from napari_fractoseg.files import file_stem
    >>> file_stem("s17: grain 3/4"), file_stem("..")
    ('s17_ grain 3_4', 'image')
    """
    stem = _NOT_IN_NAMES.sub("_", name).strip(" .") or "image"
    if len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = os.fsencode(stem)[:_LONGEST_STEM].decode(errors="ignore")
    return stem


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
        if path is not None and os.path.lexists(path):  # also a link to nowhere
            raise OutputExistsError(
                f"{path} exists already. {remedy}", options=("overwrite",) * replaceable
            )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise errors of the operating system in the block as an `OutputError` that names the path.

    Parameters
    ----------
    path : Path
        File or folder that the block writes.

    Raises
    ------
    OutputError
        Such as for a full disk, a folder without permission or a name that is too long.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {reason_of(error)}. Make room or allow writing there, or "
            "choose another place or name."
        ) from error


def check_writable(folder: Path) -> None:
    """Make a folder where it is missing, and try to write in it, before any long work.

    Raises
    ------
    OutputError
        If nothing can be written there.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = _new_draft(folder / "probe")
        probe.touch()
        probe.unlink()


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
    OutputError
        If it cannot be written.
    """
    if not overwrite:
        refuse_existing(path)
    draft = _new_draft(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(exist_ok=False)
        mode = draft.stat().st_mode  # as the user's umask says; some libraries set another one
        try:
            yield draft
            draft.chmod(mode)
            move_into_place(draft, path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Provide a draft of a folder, which becomes the folder when the block ends without an error.

    Parameters
    ----------
    folder : Path
        Folder to make; it must not exist.

    Yields
    ------
    Path
        Draft, an empty folder beside it; it is removed after an error.

    Raises
    ------
    OutputExistsError
        If the folder exists, or was made by another run meanwhile.
    OutputError
        If it cannot be written.
    """
    refuse_existing(folder)
    draft = _new_draft(folder)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        example = draft / "mode"
        example.touch()
        mode = example.stat().st_mode
        example.unlink()
        try:
            yield draft
            for path in draft.iterdir():
                if path.is_file():
                    path.chmod(mode)
            refuse_existing(folder)  # a rename would replace an empty folder
            try:
                move_into_place(draft, folder)
            except OSError:
                refuse_existing(folder)  # made by another run since then
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Provide an empty hidden folder beside a file, which is removed when the block ends.

    For libraries that put files of their own beside the one that they write: what they leave when
    the process is killed is then a draft (`sweep_drafts`).
    """
    folder = _new_draft(path)
    with writing(path):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into_place(draft: Path, path: Path) -> None:
    """Move a finished file or folder to its place in one step, after it is on the disk.

    Parameters
    ----------
    draft : Path
        File or folder on the same file system.
    path : Path
        Its place; a file there is replaced.
    """
    synced_tree(draft)
    os.replace(draft, path)  # noqa: PTH105 - atomic on one file system
    synced(path.parent)


def synced(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, are on the disk.

    Raises
    ------
    OSError
        If a file cannot be written there. Folders are left out where that cannot be waited for, as
        on Windows and on some network file systems.
    """
    if path.is_dir():
        with suppress(OSError):
            _sync(path, os.O_RDONLY)
    else:
        _sync(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def synced_tree(path: Path) -> None:
    """Wait until a file, or all files of a folder and of its subfolders, are on the disk."""
    if not path.is_dir():
        synced(path)
        return
    parts = [path, *(part for part in path.rglob("*") if not part.is_symlink())]
    with ThreadPoolExecutor(_SYNCED_AT_ONCE, thread_name_prefix="fractoseg-sync") as pool:
        for _ in pool.map(synced, parts):
            pass


def _is_draft(path: Path) -> bool:
    return _DRAFT.fullmatch(path.name) is not None


def sweep_drafts(folder: Path, is_draft: Callable[[Path], bool] = _is_draft) -> list[Path]:
    """Remove the drafts in a folder that processes left when they were killed; return their paths.

    Parameters
    ----------
    folder : Path
        Folder to look into; it need not be there.
    is_draft : callable
        Function of a path in it, whether it is a draft; by default those of `draft_of` and
        `draft_folder` are.

    Returns
    -------
    list of Path
        Drafts in which nothing was written for a day. Younger ones may be those of a run that
        is going on; they stay.
    """
    removed = []
    with suppress(OSError):  # a convenience, for which nothing else must fail
        for path in folder.iterdir():
            if is_draft(path) and time.time() - _last_change(path) > STALE_S:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
                removed.append(path)
    return removed


def _last_change(path: Path) -> float:
    parts = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max(float(part.lstat().st_mtime) for part in (path, *parts))


def _new_draft(path: Path) -> Path:
    """Return the path of a new draft beside a file, whose name is never too long."""
    ending = f"-{secrets.token_hex(4)}-draft{path.suffix}"
    most = LONGEST_NAME - len(os.fsencode(ending)) - 1
    stem = os.fsdecode(os.fsencode(path.stem)[: max(most, 0)])
    return path.with_name(f".{stem}{ending}")


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write bytes to a file, all of them or nothing (`draft_of`), and return its path."""
    with draft_of(path, overwrite=overwrite) as draft:
        draft.write_bytes(data)
    return path


def would_be_waited_for(path: Path) -> bool:
    """Whether a path is that of a pipe, socket or device, which may be waited for forever."""
    return path.exists() and not (path.is_file() or path.is_dir())


def read_file(path: Path, most_bytes: int = _MOST_JSON_BYTES) -> bytes:
    """Return the bytes of a regular file of limited size.

    Parameters
    ----------
    path : Path
        File to read.
    most_bytes : int
        Largest size in bytes.

    Raises
    ------
    OSError
        If it is not there or cannot be read.
    ValueError
        If it is larger, or a pipe, device or folder, which would be waited for forever.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file but a folder, pipe or device")
    with path.open("rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size  # Python takes memory for as many as it is told
        data = file.read(min(n_bytes, most_bytes) + 1)
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes / 2**20:.0f} MB")
    return data


def read_json(
    path: Path,
    kind: type[FractosegError],
    what: str,
    remedy: str = "",
    *,
    most_bytes: int = _MOST_JSON_BYTES,
) -> Any:
    """Read a JSON file of others.

    Parameters
    ----------
    path : Path
        File to read, in UTF-8.
    kind : type of FractosegError
        Error to raise.
    what : str
        What the file should be, such as "a training plan".
    remedy : str
        Sentence that says what the user can do if it is not.
    most_bytes : int
        Largest size in bytes.

    Returns
    -------
    object
        Content in plain JSON types.

    Raises
    ------
    FractosegError
        Of type `kind`, if the file is not there, too large, no regular file, no JSON, or nested
        too deeply.
    """
    with translated(kind, f"{path} is not {what}", remedy):
        return json.loads(read_file(path, most_bytes))


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file holds; None if it is not there, damaged or no object."""
    try:
        found = read_json(path, FractosegError, "JSON")
    except FractosegError:
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
    with writing(path):
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
    return FileLock(hidden_beside(path, ".lock"), thread_local=False)


def hidden_beside(path: Path, ending: str) -> Path:
    """Return the path of a hidden file beside another one, ``.NAME`` and the ending.

    Where that would be too long, the hash of the name stands for it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from napari_fractoseg.files import hidden_beside
    >>> hidden_beside(Path("a.zarr"), ".lock").name
    '.a.zarr.lock'
    """
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}{ending}"
    return path.with_name(name)


def resolved(path: Path) -> Path:
    """Return a path without links in it; those that lead in a circle stay."""
    return Path(os.path.realpath(path))  # `Path.resolve` does not bear circles
