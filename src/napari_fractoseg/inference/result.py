"""Result of a segmentation, and record of how far a run has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_fractoseg.classes import ClassScheme
from napari_fractoseg.errors import ImageError
from napari_fractoseg.images import ChunkWatch, MicrographStack
from napari_fractoseg.results.familiar import Familiar

__all__ = [
    "CONFIDENCE",
    "MARGIN",
    "LeftOut",
    "Prediction",
    "RunRecord",
    "probability_of",
]

CONFIDENCE, MARGIN = "confidence", "margin"
"""Kinds of uncertainty: the probability of the class that was chosen, and by how much it is above
that of the next class."""


def probability_of(channel: int) -> str:
    """Return the name of the kind of uncertainty that is the probability of one class."""
    return f"probability {channel}"


@dataclass(frozen=True)
class LeftOut:
    """A plane that was left unlabelled.

    Parameters
    ----------
    reason : str
        Sentence for the user that names the plane and says why.
    is_damaged : bool
        True if its grey levels cannot be used, False if it shows nothing (one grey level).
    """

    reason: str
    is_damaged: bool


@dataclass(eq=False)
class RunRecord:
    """Record of a run: what is finished and left out; filled meanwhile, and kept if it is stopped.

    Parameters
    ----------
    n_tiles : int
        Number of tiles that are written.
    finished : list of tuple of int
        Indices of the planes that are segmented completely.
    left_out : dict of tuple of int to LeftOut
        Index -> reason, for planes that were left unlabelled.
    notes : list of str
        Sentences for the user, such as that memory ran out.
    is_partial : bool
        Whether chunks of the image were not there (`ChunkWatch`), so that labels may be wrong.
    familiarity : dict of tuple of int to Familiar
        Index -> how familiar the plane is to the model, where that was looked at.
    untold : str
        Sentence on why no plane has an entry there (`untold_text`).
    """

    n_tiles: int = 0
    finished: list[tuple[int, ...]] = field(default_factory=list)
    left_out: dict[tuple[int, ...], LeftOut] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_partial: bool = False
    familiarity: dict[tuple[int, ...], Familiar] = field(default_factory=dict)
    untold: str = ""

    def take_notes(self, image: MicrographStack, watch: ChunkWatch) -> None:
        """Add what is to be said of the image that was read: what is not read, what was not there.

        Parameters
        ----------
        image : MicrographStack
            Image of the run.
        watch : ChunkWatch
            Watch that began before the run.
        """
        gaps = watch.notes()
        self.is_partial = self.is_partial or bool(gaps)
        self.notes += [note for note in (*image.notes, *gaps) if note not in self.notes]

    def refuse_if_all_are_damaged(self, planes: Sequence[tuple[int, ...]]) -> None:
        """Raise if every plane is damaged, so that there is nothing to segment.

        Parameters
        ----------
        planes : sequence of tuple of int
            Indices of all planes of the run.

        Raises
        ------
        ImageError
            With the reason of the first plane, if each of them was left out because
            it is damaged.
        """
        left_out = [self.left_out.get(index) for index in planes]
        reasons = [plane.reason for plane in left_out if plane is not None and plane.is_damaged]
        if reasons and len(reasons) == len(planes):
            raise ImageError(reasons[0])


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels that a model gave to an image or stack.

    Parameters
    ----------
    labels : ndarray of uint8, shape (..., Y, X)
        Class values of the scheme; planes that were not computed are 0.
    confidence : ndarray of float32, same shape, or None
        Probability of the class that was chosen; what that is worth says `confidence_text` of
        the model's card.
    margin : ndarray of float32, same shape, or None
        Confidence less the probability of the next class: 0 where two are alike.
    scheme : ClassScheme
        Classes of the label values.
    left_out : mapping of tuple of int to LeftOut
        Index -> reason, for planes that show nothing or are damaged; their labels are 0.
    notes : tuple of str
        Sentences for the user, such as that memory ran out.
    is_partial : bool
        Whether chunks of the image were not there, so that labels may be wrong; the notes say it.
    familiarity : mapping of tuple of int to Familiar
        Index -> how familiar the plane is to the model; empty if it does not say that.
    untold : str
        Sentence on why it does not say that (`untold_text`); empty if it does, or was not asked.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32] | None
    margin: npt.NDArray[np.float32] | None
    scheme: ClassScheme
    left_out: Mapping[tuple[int, ...], LeftOut] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_partial: bool = False
    familiarity: Mapping[tuple[int, ...], Familiar] = field(default_factory=dict)
    untold: str = ""
