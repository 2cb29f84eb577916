"""What every optimiser is, and how updates reach the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import funcnn as fn
from funcnn import tree

# A learning rate: a number, or a function from the count of steps taken so far (an int32 array) to one.
Schedule = Callable[[fn.array], Any]
ScalarOrSchedule = float | Schedule


@runtime_checkable
class Optimizer(Protocol):
    """A frozen value with two pure functions.

    ``init(params)`` makes the state, a pytree of arrays. ``update(grads, state, params)`` returns what to add to the
    parameters and the next state. Both may be compiled, mapped and checkpointed like any function.

    An optimiser of one's own is any object with these methods; ``chain`` puts them in a row.
    """

    def init(self, params: Any) -> Any:
        """Make the state for parameters of this structure."""
        ...

    def update(self, grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        """Return what to add to the parameters, and the next state."""
        ...


def apply_updates(params: Any, delta: Any) -> Any:
    """Add the result of an optimiser to parameters; each keeps its dtype.

    Args:
        params: A tree of arrays.
        delta: A tree of the same structure, from ``update``.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> optim.apply_updates({"w": fn.array([1.0, 2.0])}, {"w": fn.array([0.5, -0.5])})["w"].tolist()
    [1.5, 1.5]
    """
    return tree.map(lambda p, d: (p + d).astype(p.dtype), params, delta)


def value_at(rate: ScalarOrSchedule, count: fn.array) -> Any:
    """The rate at a step; a schedule gives an array, so that another value plans nothing again."""
    return rate(count) if callable(rate) else rate


def scaled(rate: Any, x: fn.array) -> fn.array:
    """``rate * x`` in the dtype of `x`, also for a rate that is a float32 array."""
    return x * (rate.astype(x.dtype) if isinstance(rate, fn.array) else rate)


def needs_params(name: str, params: Any) -> None:
    """Raise if the parameters were left out."""
    if params is None:
        raise ValueError(f"{name}: weight decay needs the parameters: call update(grads, state, params)")
