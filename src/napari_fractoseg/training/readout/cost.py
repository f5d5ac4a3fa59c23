"""What it costs to keep a readout that was learnt on one image as a model for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_fractoseg.classes import UNLABELLED, ClassScheme
from napari_fractoseg.training.readout.features import PlaneFeatures
from napari_fractoseg.training.readout.rehearsal import answers_of
from napari_fractoseg.training.readout.samples import Samples

__all__ = ["KeepingCost", "keeping_cost"]

_BAND_PX = 2**21


@dataclass(frozen=True)
class KeepingCost:
    """What changes when a readout is fitted again with the rehearsal sample, here and elsewhere.

    Parameters
    ----------
    painted_px : int
        Number of painted pixels.
    right_live_px, right_kept_px : int
        How many of them come out as they were painted, by the readout that was learnt on these
        planes alone, and by the one that also rehearsed.
    plane_px : int
        Number of pixels of the planes.
    changed_px : int
        How many of them get another class from the one than from the other.
    n_images : int
        Number of other images that the model has a sample of; 0 if it has none.
    n_places : int
        Number of places in them.
    n_changed : int
        How many of them get another class than the model gave them before.
    """

    painted_px: int
    right_live_px: int
    right_kept_px: int
    plane_px: int
    changed_px: int
    n_images: int = 0
    n_places: int = 0
    n_changed: int = 0

    @property
    def text(self) -> str:
        """The cost in words."""
        here = (
            f"Here {_share(self.right_kept_px, self.painted_px)} of the painted pixels come out as "
            f"painted (learnt from here alone: {_share(self.right_live_px, self.painted_px)}), and "
            f"{_share(self.changed_px, self.plane_px)} of all pixels get another class than then."
        )
        if not self.n_places:
            return f"{here} What it costs in other images is not known: the model has no sample."
        of = "another image" if self.n_images == 1 else f"{self.n_images} other images"
        places = f"{self.n_places:,}".replace(",", " ")
        return (
            f"{here} Elsewhere {_share(self.n_changed, self.n_places)} of {places} places in {of} "
            "change their class."
        )


def keeping_cost(
    planes: Iterable[tuple[PlaneFeatures, npt.NDArray[np.uint8]]],
    scheme: ClassScheme,
    live: torch.Tensor,
    kept: torch.Tensor,
    rehearsed: Samples | None = None,
    n_images: int = 0,
) -> KeepingCost:
    """Compare a readout that was learnt on some planes with one that also rehearsed.

    Parameters
    ----------
    planes : iterable of tuple
        Features of each plane, and its class values where a person painted, 0 elsewhere.
    scheme : ClassScheme
        Classes of both readouts.
    live, kept : Tensor of float32, shape (K, D + 1)
        Weights of the one and of the other (`fit_samples`).
    rehearsed : Samples, optional
        Places that the model has a sample of, with its own answers (`rehearsed_samples`).
    n_images : int
        Number of images that these are in.
    """
    values = torch.tensor(scheme.values, dtype=torch.uint8)
    painted_px = right_live = right_kept = plane_px = changed = 0
    for features, painted in planes:
        for box in features.box.bands(_BAND_PX):
            before, after = (
                values[features.channels(weights, box)].numpy() for weights in (live, kept)
            )
            truth = painted[box.relative_to(features.box).slices]
            painted_px += int(np.count_nonzero(truth != UNLABELLED))
            right_live += int(np.count_nonzero(before == truth))
            right_kept += int(np.count_nonzero(after == truth))
            changed += int(np.count_nonzero(before != after))
            plane_px += truth.size
    here = (painted_px, right_live, right_kept, plane_px, changed)
    if rehearsed is None:
        return KeepingCost(*here)
    n_changed = int(
        np.count_nonzero(answers_of(rehearsed.features, kept).numpy() != rehearsed.channels)
    )
    return KeepingCost(*here, n_images, len(rehearsed), n_changed)


def _share(part: int, whole: int) -> str:
    """Return a share in percent, in full only if it is all."""
    percent = 100 * part / max(whole, 1)
    if percent < 10 or 99 <= percent < 100:
        return f"{min(percent, 99.9) if part < whole else percent:.1f} %"
    return f"{percent:.0f} %"
