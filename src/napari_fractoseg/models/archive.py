"""Export and import of models as one zip file with card, weights, licence and hashes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from napari_fractoseg.errors import ModelError, OutputError, translated
from napari_fractoseg.files import draft_folder, draft_of, file_sha256, writing
from napari_fractoseg.models.card import (
    CARD,
    CONFIG,
    FAMILIARITY,
    HASHES,
    LICENCE,
    README,
    REHEARSAL,
    WEIGHTS,
    is_model_file,
)
from napari_fractoseg.models.model import SegmentationModel
from napari_fractoseg.models.registry import find_model, model_place, user_folder

__all__ = ["export_model", "import_model", "remove_model"]

_MAX_BYTES = 4 * 2**30
"""Largest total size of the unpacked files of a model."""
_MOST_TEXT_BYTES = 2**24
"""Largest size of a file that is not the weights."""
_MOST_FILES = 32
_CHUNK = 2**20
_ENCRYPTED = 1
"""Bit in the flags of a file in a zip file."""


def export_model(name_or_folder: str | Path, out: Path | str) -> Path:
    """Pack a model into a zip file.

    Parameters
    ----------
    name_or_folder : str or Path
        Name or folder of the model, as for `load_model`.
    out : Path or str
        Zip file to write; it must not exist.

    Returns
    -------
    Path
        The zip file.

    Raises
    ------
    ModelError
        If the model is damaged, or one of its files is a link: what it points to might be no
        part of the model.
    OutputExistsError
        If the file exists.
    """
    folder, out = find_model(name_or_folder), Path(out)
    contents = {p.name: p for p in sorted(folder.iterdir()) if is_model_file(p.name)}
    for path in contents.values():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ModelError(
                f"{path} is a link, pipe or folder, and only files are packed. Put a copy of the "
                "file in its place, or remove it."
            )
    card = SegmentationModel.load(folder).card
    hashes = {name: file_sha256(path) for name, path in contents.items()}
    with draft_of(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in contents.items():
            archive.write(path, name)
        archive.writestr(LICENCE, f"{card.licence or 'not stated'}\n")
        archive.writestr(HASHES, json.dumps(hashes, indent=2) + "\n")
    return out


def import_model(path: Path | str, name: str | None = None) -> Path:
    """Unpack a model into the folder of the user's own models.

    Parameters
    ----------
    path : Path or str
        Zip file written by `export_model`.
    name : str, optional
        Name of the new model folder; by default that of the file.

    Returns
    -------
    Path
        The new model folder.

    Raises
    ------
    ModelError
        If the file is damaged, holds anything but a model, or is too large.
    OutputExistsError
        If there is a model of this name.
    OutputError
        If the disk has too little room.
    """
    path = Path(path)
    place = model_place(name or path.stem)
    with _opened(path) as archive, draft_folder(place) as draft:
        _unpack(archive, path, draft)
        SegmentationModel.load(draft)  # all of it fits together
    return place


def remove_model(name: str) -> Path:
    """Delete one of the user's own models.

    Parameters
    ----------
    name : str
        Name of its folder.

    Returns
    -------
    Path
        The folder that was removed. If it is a link, only the link is removed.

    Raises
    ------
    ModelError
        If there is no own model of this name.
    OutputError
        If it cannot be removed.
    """
    folder = user_folder() / name
    if PurePosixPath(name).name != name or not _is_model(folder):
        own = sorted(p.name for p in user_folder().glob("*") if _is_model(p))
        raise ModelError(
            f"There is no own model {name!r} to remove; own models are {own}. Those that come "
            "with the package stay."
        )
    with writing(folder):
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    return folder


def _is_model(folder: Path) -> bool:
    return folder.is_symlink() or os.path.lexists(folder / CARD)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with translated(ModelError, f"{path} cannot be read as a zip file", "Export the model again."):
        if not path.is_file():
            raise ValueError("it is not there, or a folder or pipe")
        with zipfile.ZipFile(path) as archive:
            yield archive


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    """Unpack the files of a model into a folder, and compare their hashes; refuse any others."""
    members = {m.filename: m for m in archive.infolist() if not m.is_dir()}
    if len(archive.infolist()) > _MOST_FILES or len(members) < len(archive.namelist()):
        raise ModelError(f"{path} is no exported model: it holds folders, or names twice.")
    for member in members.values():
        _check_member(member, path)
    size = sum(m.file_size for m in members.values())
    if size > _MAX_BYTES:
        raise ModelError(f"{path} would unpack to {size / 2**30:.1f} GB; at most 4 GB are taken.")
    if size > (free := shutil.disk_usage(folder).free):
        raise OutputError(
            f"{path} would unpack to {size / 2**20:.0f} MB, and {free / 2**20:.0f} MB are free in "
            f"{folder.parent}. Make room there."
        )
    missing = [n for n in (CARD, CONFIG, WEIGHTS, HASHES) if n not in members]
    if missing:
        raise ModelError(f"{path} is no exported model: {', '.join(missing)} missing.")
    with translated(ModelError, f"{path} is damaged", "Copy or export it again."):
        hashes = json.loads(archive.read(members[HASHES]))
        if not isinstance(hashes, dict):
            raise ValueError(f"{HASHES} holds no names with hashes")
        for name in filter(is_model_file, members):
            _copy(archive, members[name], folder / name)
            if hashes.get(name) != file_sha256(folder / name):
                raise ModelError(
                    f"{path}: {name} is not what was exported (other hash). Copy it again."
                )


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    """Refuse a file in a zip file that no exported model has, before any of it is read."""
    name, mode = member.filename, member.external_attr >> 16
    if not is_model_file(name) and name not in (LICENCE, HASHES):
        raise ModelError(
            f"{path} holds {name!r:.200}, which does not belong to a model. Only the files "
            f"{', '.join((CARD, CONFIG, WEIGHTS, README, REHEARSAL, FAMILIARITY))} and licences "
            "are taken, at the top of the zip file."
        )
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ModelError(f"{path}: {name} is a link or device. Export the model again.")
    if member.flag_bits & _ENCRYPTED:
        raise ModelError(f"{path}: {name} is encrypted. Export the model without a password.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(
            f"{path}: {name} is packed by method {member.compress_type}. Use stored or deflated "
            "files, as 'models export' does."
        )
    if name != WEIGHTS and member.file_size > _MOST_TEXT_BYTES:
        raise ModelError(
            f"{path}: {name} has {member.file_size / 2**20:.0f} MB; at most "
            f"{_MOST_TEXT_BYTES / 2**20:.0f} MB are taken."
        )


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack one file; zipfile reads no more than the size that was checked."""
    with archive.open(member) as source, target.open("wb") as out:
        while block := source.read(_CHUNK):
            with writing(target):  # zipfile raises errors of the system for offsets that are wrong
                out.write(block)
                out.flush()
