"""Running averages of what passes by."""

from __future__ import annotations

import functools
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import flag
from ._protocol import combine, decay_like, each, first_count, like, next_count, part_of, wide, wide_zeros


@attrs.frozen(field_transformer=plain_fields)
class ema:
    """Replace what comes in by its exponential moving average: gradients in a chain, or parameters beside one.

    ``ema = decay * ema + (1 - decay) * x``. It starts at zero; with `debias` the result is divided by ``1 - decay**count``, which
    makes up for that, so the first result is the first value. Averages of float16 and bfloat16 arrays are float32.

    Args:
        decay: How much of the average is kept.
        debias: Whether to make up for the start.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> average = optim.ema(0.9)
    >>> params = {"w": fn.array([1.0])}
    >>> state = average.init(params)
    >>> for value in (1.0, 2.0):  # after each training step
    ...     averaged, state = average.update({"w": fn.array([value])}, state)
    >>> round(averaged["w"].item(), 4), round(state["ema"]["w"].item(), 4)
    (1.5263, 0.29)
    """

    decay: float = attrs.field(validator=number(0.0, 1.0))
    debias: bool = attrs.field(default=True, validator=flag)

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of values, and their average ``ema`` without debiasing."""
        return {"count": first_count(), "ema": each("ema", wide_zeros, params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the average, and the next state."""
        before, old = (part_of("ema", state, key) for key in ("count", "ema"))
        count = next_count(before)

        def averaged(x: fn.array, average: fn.array) -> fn.array:
            return rules.averaged(average, wide(x), decay_like(self.decay, average))

        @functools.cache
        def factor(dtype: fn.Dtype, device: fn.Device | None) -> fn.array:
            return rules.correction(self.decay, count.astype(dtype, device=device))

        new = combine("ema", averaged, grads, old)
        state = {"count": count, "ema": tree.merge(old, new)}
        return tree.map(lambda x: x * like(factor(x.real.dtype, home(x)), x), new) if self.debias else new, state
