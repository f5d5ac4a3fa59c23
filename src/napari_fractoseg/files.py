"""Writing files so that nothing is overwritten unasked and nothing is left half-written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from napari_fractoseg.errors import OutputExistsError

__all__ = ["refuse_existing", "write_bytes"]


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


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file: all of it, or nothing.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing.
    data : bytes
        Content.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    OutputExistsError
        If the file exists and `overwrite` is False.
    """
    if not overwrite:
        refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).chmod(0o644)  # mkstemp writes for the owner alone
        os.replace(draft, path)  # noqa: PTH105 - atomic on one file system
    finally:
        Path(draft).unlink(missing_ok=True)
    return path
