"""Export and import of models as one zip file with card, weights, licence and hashes."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from napari_fractoseg.errors import ModelError
from napari_fractoseg.files import draft_of, file_sha256
from napari_fractoseg.models.card import CARD, WEIGHTS
from napari_fractoseg.models.model import CONFIG, README, SegmentationModel
from napari_fractoseg.models.registry import find_model, model_place, user_folder

__all__ = ["export_model", "import_model", "remove_model"]

LICENCE, HASHES = "LICENCE.txt", "hashes.json"
_OTHER_LICENCE = re.compile(r"LICEN[CS]E[-\w.]*\.(txt|md)")
"""Names of third-party licence files, such as that of the encoder's pretrained weights."""
_FILES = (CARD, CONFIG, WEIGHTS, README)
_MAX_BYTES = 4 * 2**30
"""Largest total size of the unpacked files of a model."""
_CHUNK = 2**20


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
        If the model is damaged.
    OutputExistsError
        If the file exists.
    """
    folder, out = find_model(name_or_folder), Path(out)
    card = SegmentationModel.load(folder).card
    contents = {p.name: p for p in sorted(folder.iterdir()) if _belongs(p.name)}
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
    """
    path = Path(path)
    place = model_place(name or path.stem)
    user_folder().mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=user_folder()))
    try:
        with _opened(path) as archive:
            _unpack(archive, path, draft)
        SegmentationModel.load(draft)  # all of it fits together
        draft.chmod(0o755)
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
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
        The folder that was removed.

    Raises
    ------
    ModelError
        If there is no own model of this name.
    """
    folder = user_folder() / name
    if PurePosixPath(name).name != name or not (folder / CARD).is_file():
        own = sorted(p.name for p in user_folder().glob("*") if (p / CARD).is_file())
        raise ModelError(
            f"There is no own model {name!r} to remove; own models are {own}. Those that come "
            "with the package stay."
        )
    shutil.rmtree(folder)
    return folder


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} cannot be read as a zip file ({error}). Export the model again."
        ) from error


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    """Unpack the files of a model into a folder, and compare their hashes; refuse any others."""
    members = {m.filename: m for m in archive.infolist() if not m.is_dir()}
    strange = sorted(n for n in members if not _belongs(n) and n not in (LICENCE, HASHES))
    if strange:
        raise ModelError(
            f"{path} holds {strange[0]!r}, which does not belong to a model. Only the files "
            f"{', '.join(_FILES)} and licences are taken, at the top of the zip file."
        )
    size = sum(m.file_size for m in members.values())
    if size > _MAX_BYTES:
        raise ModelError(f"{path} would unpack to {size / 2**30:.1f} GB; at most 4 GB are taken.")
    missing = [n for n in (CARD, CONFIG, WEIGHTS, HASHES) if n not in members]
    if missing:
        raise ModelError(f"{path} is no exported model: {', '.join(missing)} missing.")
    try:
        hashes = json.loads(archive.read(HASHES))
        for name in filter(_belongs, members):
            _copy(archive, members[name], folder / name)
            if hashes[name] != file_sha256(folder / name):
                raise ModelError(
                    f"{path}: {name} is not what was exported (other hash). Copy it again."
                )
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}). Copy or export it again.") from error


def _belongs(name: str) -> bool:
    """Whether a name in the zip file is that of a file of a model; names with folders never are."""
    return name in _FILES or (name != LICENCE and _OTHER_LICENCE.fullmatch(name) is not None)


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack one file; its real size is limited, whatever the zip file says of it."""
    left = _MAX_BYTES
    with archive.open(member) as source, target.open("wb") as out:
        while block := source.read(_CHUNK):
            left -= len(block)
            if left < 0:
                raise ModelError(f"{archive.filename}: {member.filename} is larger than 4 GB.")
            out.write(block)
