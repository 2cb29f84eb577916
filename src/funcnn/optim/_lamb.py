"""Adam with steps in proportion to the parameters."""

from __future__ import annotations

from typing import Any

import attrs

import funcnn as fn
from funcnn._hyper import number, plain_fields

from ._adam import Adam
from ._fields import flag, hashable
from ._protocol import combine, needs_params, with_decay
from ._transforms import global_norm


@attrs.frozen(field_transformer=plain_fields)
class lamb(Adam):
    """Adam with weight decay, each array's step scaled to the norm of its parameters, for large batches.

    With ``u = mu / (sqrt(nu) + eps) + weight_decay * param``, `mu` and `nu` divided by ``1 - b**count``, the step is
    ``-learning_rate * u * norm(param) / norm(u)``. Where one of the norms is 0 it is ``-learning_rate * u``. Of complex numbers
    the absolute value counts. Moments and steps of float16 and bfloat16 parameters are float32.

    Args:
        learning_rate: A number, or a function from the count of steps (0 in the first) to one.
        betas: The decays of the two moments.
        eps: Added outside the root.
        weight_decay: The factor of the parameters.
        bias_correction: Whether to divide the moments by ``1 - b**count``, as the paper does.
        mask: Which parameters decay, as in ``add_decayed_weights``. All by default.

    Raises:
        ValueError: ``update`` gets no parameters.

    Reference: Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", 2020.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.lamb(0.1)
    >>> params = {"w": fn.array([3.0, 4.0])}
    >>> delta, _ = opt.update({"w": fn.array([2.0, 2.0])}, opt.init(params), params)
    >>> [round(v, 4) for v in delta["w"].tolist()]  # 0.1 of the norm, which is 5
    [-0.3536, -0.3536]
    """

    eps: float = attrs.field(default=1e-6, validator=number(0.0))
    weight_decay: float = attrs.field(default=0.0, validator=number())
    bias_correction: bool = attrs.field(default=True, validator=flag)
    mask: Any = attrs.field(default=None, converter=hashable, kw_only=True)

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        needs_params("lamb", params, "the size of a step needs")
        directions, new = self._directions(grads, state, self.bias_correction, 0.0)
        directions = with_decay("lamb", directions, self.weight_decay, self.mask, params)

        def trusted(u: fn.array, p: fn.array) -> fn.array:
            ours, theirs = global_norm(p.astype(u.dtype)), global_norm(u)
            ratio = ours / fn.where(theirs == 0, 1.0, theirs)
            result: fn.array = u * fn.where((ours == 0) | (theirs == 0), 1.0, ratio)
            return result

        return self._scaled(combine("lamb", trusted, directions, params), state), new
