"""Lock on the checkpoint of a training, so that only one run at a time writes it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from napari_fractoseg.errors import TrainingError
from napari_fractoseg.files import hold, is_held

__all__ = ["hold_checkpoint", "refuse_running"]


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
