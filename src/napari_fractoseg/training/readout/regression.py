"""Multinomial logistic regression: the linear readout that is fitted to painted pixels."""

from __future__ import annotations

import torch

__all__ = ["fit_readout"]

_MOST_ITERATIONS = 60


def fit_readout(
    features: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    penalty: float,
    begin: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Fit a linear readout to samples.

    Parameters
    ----------
    features : Tensor of float32, shape (n, D)
        Features of the samples.
    targets : Tensor of float32, shape (n, K)
        Probability of each class of each sample.
    weights : Tensor of float32, shape (n,)
        How much each sample counts.
    penalty : float
        Strength of the regularisation; 0 is none.
    begin : Tensor of float32, shape (K, D + 1), optional
        Weights to begin with; by default 0. The minimum is the same, for the error is convex.

    Returns
    -------
    Tensor of float32, shape (K, D + 1)
        Weights of the features for each class; the bias, which is not penalised, is the last.

    Notes
    -----
    With :math:`w_i` the weights of the samples, :math:`t_{ik}` the targets and :math:`p_{ik}` the
    softmax of :math:`W x_i + b`, it minimises

    .. math::

        -\frac{1}{\sum w_i} \sum_{i,k} w_i t_{ik} \log p_{ik} + \frac{\lambda}{2} \lVert W \rVert^2

    by L-BFGS: Liu and Nocedal, Mathematical Programming 45 (1989) 503-528.
    """
    n_classes, width = targets.shape[1], features.shape[1]
    with torch.inference_mode(False), torch.no_grad():
        inputs = torch.cat([features, torch.ones(len(features), 1)], dim=1)
        found = torch.zeros(n_classes, width + 1) if begin is None else begin.clone()
        shares = (weights / weights.sum())[:, None]
        optimiser = torch.optim.LBFGS(
            [found], max_iter=_MOST_ITERATIONS, history_size=10, tolerance_grad=1e-5,
            tolerance_change=1e-7, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def loss() -> torch.Tensor:
            # The slope by hand takes half the time of automatic differentiation.
            log_p = (inputs @ found.T).log_softmax(dim=1)
            found.grad = (shares * (log_p.exp() - targets)).T @ inputs
            found.grad[:, :-1] += penalty * found[:, :-1]
            errors = -(shares * targets * log_p).sum()
            return errors + penalty / 2 * (found[:, :-1] ** 2).sum()

        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return found
