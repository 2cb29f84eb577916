"""Loss functions.

Each has an argument `reduction`: ``"none"`` returns a loss for every sample, ``"mean"`` and ``"sum"`` combine them. The
defaults are MLX's.

Arguments that belong together must have one shape: nothing is broadcast, for a loss of ``(4, 1)`` against ``(4,)`` is hardly
ever meant. Half-precision and integer inputs are computed in float32; the loss has the widest floating-point dtype of the
inputs.
"""

from funcnn import _hints

from ._classes import binary_cross_entropy, cross_entropy, kl_div_loss, nll_loss
from ._distances import (
    cosine_similarity_loss,
    gaussian_nll_loss,
    hinge_loss,
    huber_loss,
    l1_loss,
    log_cosh_loss,
    margin_ranking_loss,
    mse_loss,
    smooth_l1_loss,
    triplet_loss,
)

__all__ = [
    "binary_cross_entropy",
    "cosine_similarity_loss",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div_loss",
    "l1_loss",
    "log_cosh_loss",
    "margin_ranking_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
    "triplet_loss",
]

_hints.close(globals())
