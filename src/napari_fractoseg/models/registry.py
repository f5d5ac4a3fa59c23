"""Model folders by name: the bundled ones, which come with the package, and the user's own."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs

from napari_fractoseg.classes import class_name
from napari_fractoseg.errors import ModelError, OutputExistsError, translated
from napari_fractoseg.files import file_sha256, sweep_drafts
from napari_fractoseg.models import DEFAULT_MODEL
from napari_fractoseg.models.card import WEIGHTS, ModelCard, is_model_file

__all__ = [
    "ModelEntry",
    "bundled_folder",
    "check_place",
    "find_model",
    "list_models",
    "model_place",
    "sweep_models",
    "user_folder",
    "weights_digest",
]

_DEFAULT_FOLDER = "fracture-modes"
_NOT_IN_NAMES = '/\\:*?"<>|' + "".join(map(chr, range(32)))
"""Characters that some file systems forbid in names."""
_OLD_DRAFT = re.compile(r"\..+-[a-z0-9_]{8}", re.DOTALL)
"""Names of hidden folders in which earlier versions wrote a model."""
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be chosen by name.

    Parameters
    ----------
    key : str
        Name of the model folder, as `find_model` takes it.
    folder : Path
        The model folder.
    card : ModelCard
        Card of the model.
    is_bundled : bool
        Whether the model comes with the package.
    """

    key: str
    folder: Path
    card: ModelCard
    is_bundled: bool

    @property
    def title(self) -> str:
        """Title of the model for users, with a remark if it is bundled."""
        name = class_name(self.card.name)
        return f"{name} (bundled)" if self.is_bundled else name


def bundled_folder() -> Path:
    """Return the folder of the models that come with the package.

    Inside an installed wheel it is part of the package; in an editable install
    it is ``models/`` at the top of the checkout.
    """
    installed = _PACKAGE / "_bundled_models"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "models"


def user_folder() -> Path:
    """Return the folder of the user's own models (``FRACTOSEG_MODELS``, if it is set)."""
    chosen = os.environ.get("FRACTOSEG_MODELS")
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-fractoseg") / "models"


def list_models() -> list[ModelEntry]:
    """Return all models, the default one first, then bundled, then the user's own.

    Folders without a readable card are left out; `find_model` and `load_model` say why.
    """
    entries = [
        ModelEntry(folder.name, folder, card, is_bundled)
        for parent, is_bundled in ((bundled_folder(), True), (user_folder(), False))
        for folder in _folders(parent)
        if (card := _card(folder)) is not None
    ]
    return sorted(entries, key=lambda e: (not e.is_bundled, e.key != _DEFAULT_FOLDER, e.key))


def _folders(parent: Path) -> list[Path]:
    with suppress(OSError):  # it need not be there
        return sorted(path for path in parent.iterdir() if not path.name.startswith("."))
    return []


def _card(folder: Path) -> ModelCard | None:
    with suppress(ModelError):
        return ModelCard.read(folder)
    return None


def sweep_models(folder: Path) -> None:
    """Remove what killed processes left in a folder of models a day ago or earlier.

    Parameters
    ----------
    folder : Path
        Folder to look into. Besides drafts (`sweep_drafts`) these are hidden folders of earlier
        versions, ``.NAME-xxxxxxxx``, that hold nothing but files of a model.
    """
    sweep_drafts(folder)
    sweep_drafts(folder, _is_old_draft)


def _is_old_draft(path: Path) -> bool:
    if not _OLD_DRAFT.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    return all(is_model_file(p.name) or p.name.startswith(".tmp") for p in path.iterdir())


def model_place(name: str) -> Path:
    """Return the folder for a new model of the user's own; it is not made.

    What killed processes left beside it is removed (`sweep_models`).

    Parameters
    ----------
    name : str
        Name of the model.

    Raises
    ------
    ModelError
        If the name cannot be that of a folder.
    OutputExistsError
        If a model has this name.
    """
    if not name.strip() or name.startswith(".") or any(c in _NOT_IN_NAMES for c in name):
        raise ModelError(
            f"A model cannot be named {name!r}: use a name without {' '.join(_NOT_IN_NAMES[:9])}, "
            "that does not begin with a dot."
        )
    place = user_folder() / name.strip()
    check_place(place)
    if os.path.lexists(place):
        raise OutputExistsError(
            f"There is a model named {place.name!r} already. Choose another name."
        )
    sweep_models(place.parent)
    return place


def check_place(folder: Path) -> None:
    """Refuse a folder for an own model whose name is that of a bundled one.

    Parameters
    ----------
    folder : Path
        Folder to write a model into; those outside of the user's models may have any name.

    Raises
    ------
    OutputExistsError
        If the name is that of a bundled model, or ``default``.
    """
    if folder.absolute().parent.resolve() != user_folder().absolute().resolve():
        return
    bundled = [p.name.casefold() for p in bundled_folder().glob("*")]
    if folder.name.casefold() in (DEFAULT_MODEL, *bundled):
        raise OutputExistsError(
            f"There is a model named {folder.name!r} already: it comes with the package. Choose "
            "another name."
        )


def find_model(name_or_folder: str | Path = DEFAULT_MODEL) -> Path:
    """Return the folder of a model that is given by name or folder.

    Parameters
    ----------
    name_or_folder : str or Path
        ``default``, the name of a bundled or own model, or a folder. ``default``
        and the names of bundled models mean these, whatever is among the own
        models.

    Raises
    ------
    ModelError
        If there is no such model; lists the names there are.
    """
    name = str(name_or_folder)
    if name == DEFAULT_MODEL:
        return _default_model()
    if os.sep not in name and "/" not in name:
        for parent in (bundled_folder(), user_folder()):
            if os.path.isdir(parent / name):  # noqa: PTH112 - false also for names too long
                return parent / name
    if os.path.isdir(name):  # noqa: PTH112
        return Path(name)
    known = ", ".join(e.key for e in list_models()) or "none"
    raise ModelError(
        f"Model {str(name_or_folder)!r} is neither a folder nor the name of a model. "
        f"Models there are: {known}."
    )


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights, computed once for as long as the file is the same.

    Parameters
    ----------
    folder : Path
        Folder of the model.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    weights = folder / WEIGHTS
    with translated(ModelError, f"The weights of the model in {folder} cannot be read"):
        state = weights.stat()
        return _digest(weights, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _digest(weights: Path, _mtime_ns: int, _n_bytes: int) -> str:
    return file_sha256(weights)


def _default_model() -> Path:
    folder = bundled_folder() / _DEFAULT_FOLDER
    if not folder.is_dir():
        raise ModelError(
            f"The default model is missing: there is no folder {folder}. Reinstall "
            "napari-fractoseg, or name another model."
        )
    return folder
