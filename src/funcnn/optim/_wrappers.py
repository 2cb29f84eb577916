"""Optimisers that decide when and how far another one steps."""

from __future__ import annotations

import functools
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields, whole

from ._fields import flag, optimizer
from ._protocol import (
    Optimizer,
    combine,
    each,
    first_count,
    needs_params,
    next_count,
    part_of,
    scaled,
    wide,
    wide_zeros,
)


def _choose(name: str, flag: fn.array, new: Any, old: Any) -> Any:
    """The new state where a flag holds, else the old one, in whose containers both are."""
    treedef = tree.structure(old)
    leaves, olds = tree.leaves(new), tree.leaves(old)
    if len(leaves) != len(olds):
        raise ValueError(f"{name}: the state of the optimiser has {len(olds)} arrays, and its next one {len(leaves)}")
    return treedef.unflatten([fn.where(flag, n, o).astype(o.dtype) for n, o in zip(leaves, olds, strict=True)])


def _or_nothing(flag: fn.array, delta: Any) -> Any:
    """The step where a flag holds, else zeros."""
    return tree.map(lambda d: fn.where(flag, d, fn.zeros_like(d)), delta)


@attrs.frozen(field_transformer=plain_fields)
class accumulate:
    """Collect the gradients of several calls and step by their mean with the last; the others return steps of zero.

    With mini-batches of one size the mean is the gradient of all of them together, if the loss is a mean. The optimiser counts its
    own steps, so a schedule goes on once in `n` calls. Sums of float16 and bfloat16 gradients are float32.

    The step is computed in every call, in the same pass over memory as the sum, and dropped in all but the last: that costs less
    than a branch. A parameter whose gradient is ``absent`` in a call keeps its sum.

    Args:
        optimizer: What takes the steps.
        n: How many gradients make one.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.accumulate(optim.sgd(0.5), 2)
    >>> params = {"w": fn.array([1.0])}
    >>> state = opt.init(params)
    >>> for grad in (2.0, 4.0):
    ...     delta, state = opt.update({"w": fn.array([grad])}, state, params)
    ...     print(delta["w"].item())
    0.0
    -1.5
    """

    optimizer: Optimizer = attrs.field(validator=optimizer)
    n: int = attrs.field(validator=whole(1))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of gradients so far, their ``sum``, and ``inner``, that of the optimiser."""
        total = each("accumulate", wide_zeros, params)
        return {"count": first_count(), "sum": total, "inner": self.optimizer.init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        count, old, inner = (part_of("accumulate", state, key) for key in ("count", "sum", "inner"))
        total = combine("accumulate", lambda g, s: s + wide(g), grads, old)
        last = count + 1 >= self.n
        delta, stepped = self.optimizer.update(tree.map(lambda s: s / self.n, total), inner, params)
        new = {
            "count": fn.where(last, 0, count + 1),
            "sum": tree.merge(old, tree.map(lambda s: fn.where(last, fn.zeros_like(s), s), total)),
            "inner": _choose("accumulate", last, stepped, inner),
        }
        return _or_nothing(last, delta), new


@attrs.frozen(field_transformer=plain_fields)
class apply_if_finite:
    """Take no step when any gradient holds an infinity or NaN, and leave the state of the optimiser as it was.

    After more than `max_consecutive_errors` such gradients in a row the optimiser gets them as they are: training that has gone
    wrong for good should show it.

    Args:
        optimizer: What takes the steps.
        max_consecutive_errors: How many in a row are left out.

    Reference: Optax, ``apply_if_finite``.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.apply_if_finite(optim.sgd(0.5), 3)
    >>> params = {"a": fn.array([1.0]), "b": fn.array([1.0])}
    >>> delta, state = opt.update({"a": fn.array([2.0]), "b": fn.array([float("inf")])}, opt.init(params), params)
    >>> delta["a"].item(), state["total_notfinite"].item()
    (0.0, 1)
    """

    optimizer: Optimizer = attrs.field(validator=optimizer)
    max_consecutive_errors: int = attrs.field(validator=whole(0))

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: counts ``notfinite_count`` in a row and ``total_notfinite``, ``last_finite``, and ``inner``."""
        return {
            "notfinite_count": first_count(),
            "total_notfinite": first_count(),
            "last_finite": fn.array(True),
            "inner": self.optimizer.init(params),
        }

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        name = "apply_if_finite"
        row, total, inner = (part_of(name, state, key) for key in ("notfinite_count", "total_notfinite", "inner"))
        parts = [fn.all(fn.isfinite(g)) for g in tree.leaves(each(name, wide, grads))]
        finite = functools.reduce(fn.logical_and, parts) if parts else fn.array(True)
        row = fn.where(finite, 0, next_count(row))
        go = fn.logical_or(finite, row > self.max_consecutive_errors)
        # What is dropped is not computed from infinities: derivatives through the choice stay finite.
        safe = tree.map(lambda g: fn.where(go, g, fn.zeros_like(g)), grads)
        delta, stepped = self.optimizer.update(safe, inner, params)
        new = {
            "notfinite_count": row,
            "total_notfinite": fn.where(finite, total, next_count(total)),
            "last_finite": finite,
            "inner": _choose(name, go, stepped, inner),
        }
        return _or_nothing(go, delta), new


@attrs.frozen(field_transformer=plain_fields)
class lookahead:
    """Let an optimiser run ahead, and every few steps go only a part of the way to where it is.

    The state keeps slow parameters. After every `sync_period` steps they become ``slow + slow_step_size * (params - slow)``, and
    the parameters are set to them. Evaluate with the slow ones, ``state["slow"]``. Those of float16 and bfloat16 parameters are
    float32.

    Args:
        optimizer: What takes the fast steps.
        sync_period: How many there are between two meetings.
        slow_step_size: How far the slow parameters go.
        reset_state: Whether the optimiser starts afresh at each meeting.

    Raises:
        ValueError: ``update`` gets no parameters.

    Reference: M. Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", 2019.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.lookahead(optim.sgd(1.0), sync_period=2, slow_step_size=0.5)
    >>> params = {"w": fn.array([0.0])}
    >>> state = opt.init(params)
    >>> for _ in range(2):
    ...     delta, state = opt.update({"w": fn.array([1.0])}, state, params)
    ...     params = optim.apply_updates(params, delta)
    ...     print(params["w"].item())
    -1.0
    -1.0
    """

    optimizer: Optimizer = attrs.field(validator=optimizer)
    sync_period: int = attrs.field(validator=whole(1))
    slow_step_size: float = attrs.field(validator=number(0.0))
    reset_state: bool = attrs.field(default=False, validator=flag, kw_only=True)

    def init(self, params: Any) -> dict[str, Any]:
        """Make the state: ``count`` of steps since the last meeting, ``slow`` parameters, and ``inner``."""
        # Not the arrays themselves: parameters and state may both be donated.
        slow = each("lookahead", lambda p: wide(p) + wide_zeros(p), params)
        return {"count": first_count(), "slow": slow, "inner": self.optimizer.init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return what to add to the parameters, and the next state."""
        needs_params("lookahead", params, "it keeps slow copies of")
        count, old, inner = (part_of("lookahead", state, key) for key in ("count", "slow", "inner"))
        delta, stepped = self.optimizer.update(grads, inner, params)
        meet = count + 1 >= self.sync_period

        def slower(d: fn.array, p: fn.array, s: fn.array) -> fn.array:
            part = scaled(self.slow_step_size, p.astype(s.dtype) + d.astype(s.dtype) - s)
            return fn.where(meet, s + part, s)

        def step(d: fn.array, p: fn.array, s: fn.array) -> fn.array:
            return fn.where(meet, s - p.astype(s.dtype), d.astype(s.dtype))

        slow = combine("lookahead", slower, delta, params, old)
        merged = tree.merge(old, slow)
        if self.reset_state:
            stepped = _choose("lookahead", meet, self.optimizer.init(params), stepped)
        new = {"count": fn.where(meet, 0, count + 1), "slow": merged, "inner": stepped}
        return combine("lookahead", step, delta, params, slow), new
