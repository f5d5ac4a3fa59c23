"""Choices of a readout; docs/decisions/0022-readout.md says how they were found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReadoutPlan"]


@dataclass(frozen=True)
class ReadoutPlan:
    """How a readout is learnt.

    Parameters
    ----------
    reductions : tuple of int
        Reductions of the scale levels whose features are read.
    n_components : int
        Number of principal components of the features of a scale level, beside the fixed filters.
    filter_gain : float
        Factor on the standardised fixed filters among the features, where the model's answer does
        not count. The larger it is, the smaller the weights that they need, which the penalty
        spares.
    grid_px : int
        Edge in network pixels of the cells at which features are read.
    penalty : float
        Strength of the regularisation (`fit_readout`).
    prior : float
        Weight of the model's own answer at pixels that nobody painted, beside the weight 1 of
        all that is painted; 0 does without.
    prior_px : int
        Number of such pixels in a plane.
    answer_gain : float
        Factor on the model's log-probabilities among the features, where its answer counts. The
        larger it is, the closer the readout stays to the model.
    rehearsal : float
        Weight of the model's rehearsal sample, beside the weight 1 of all that is painted; 0 does
        without.
    rehearsed_penalty : float
        Strength of the regularisation where the sample is rehearsed: more has to be told apart.
    rehearsed_prior : float
        Weight of the model's own answer at unpainted pixels there, if that is less than `prior`.
    seed : int
        Seed of the choice of pixels.
    """

    reductions: tuple[int, ...] = (1, 2)
    n_components: int = 96
    filter_gain: float = 4.0
    grid_px: int = 4
    penalty: float = 0.3
    prior: float = 0.1
    prior_px: int = 4000
    answer_gain: float = 3.0
    rehearsal: float = 1.0
    rehearsed_penalty: float = 0.03
    rehearsed_prior: float = 0.02
    seed: int = 0
