"""Locks of a training, on its checkpoint and its model: only one run at a time writes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from napari_fractoseg.errors import OutputError, TrainingError
from napari_fractoseg.files import hold, is_held, refuse_existing, sweep_drafts

__all__ = ["hold_checkpoint", "hold_model", "refuse_running"]


def hold_checkpoint(checkpoint: Path) -> AbstractContextManager[None]:
    """Keep the checkpoint of a training for this run alone while the block runs.

    Parameters
    ----------
    checkpoint : Path
        File of the checkpoint, which need not be there yet.

    Raises
    ------
    TrainingError
        If the training is running elsewhere.
    """
    return hold(checkpoint, _refusal(checkpoint))


@contextmanager
def hold_model(folder: Path) -> Iterator[None]:
    """Keep the folder of a model that is yet to be trained for this run while the block runs.

    Parameters
    ----------
    folder : Path
        Folder of the new model. What killed runs left beside it is removed.

    Raises
    ------
    TrainingError
        If another training will write it.
    OutputExistsError
        If it is there already.
    OutputError
        If nothing can be written there, or the model could not be read again.
    """
    try:
        str(folder.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            f"{folder} cannot hold a model: safetensors opens no file whose path is not UTF-8. "
            "Choose another place or name."
        ) from error
    refusal = TrainingError(
        f"A training that will write {folder} is going on, in another window or on the command "
        "line. Choose another name, or wait until it ends."
    )
    with hold(folder, refusal):
        refuse_existing(folder)
        sweep_drafts(folder.parent)
        yield


def refuse_running(checkpoint: Path) -> None:
    """Refuse to take up a training that is running.

    Parameters
    ----------
    checkpoint : Path
        File of the checkpoint of the training.

    Raises
    ------
    TrainingError
        If a run holds the checkpoint.
    """
    if is_held(checkpoint):
        raise _refusal(checkpoint)


def _refusal(checkpoint: Path) -> TrainingError:
    return TrainingError(
        f"The training with the checkpoint {checkpoint} is running, in another window or on the "
        "command line. Wait until it ends, or stop it there."
    )
