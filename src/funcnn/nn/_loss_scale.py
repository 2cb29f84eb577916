"""Loss scales: gradients of float16 that would vanish are computed of a larger loss."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._hyper import number, plain_fields, whole
from funcnn.tree import frozendict

State = Any

_LAST_COUNT = 2**31 - 2


@runtime_checkable
class LossScale(Protocol):
    """A frozen value with four pure functions, of which ``DynamicLossScale`` is the usual one."""

    def init(self) -> State:
        """Make the state: a tree of arrays."""
        ...

    def scale(self, state: State, loss: fn.array) -> fn.array:
        """Return the loss to differentiate."""
        ...

    def unscale(self, state: State, grads: Any) -> tuple[Any, fn.array]:
        """Return the gradients of the loss itself, and whether all are finite."""
        ...

    def adjust(self, state: State, finite: Any) -> State:
        """Return the state for the next step."""
        ...


def _scaled(scale: Any, loss: Any) -> Any:
    def one(x: Any) -> fn.array:
        if not isinstance(x, fn.array) or not fn.isdtype(x.dtype, "real floating"):
            got = f"an array of {x.dtype}" if isinstance(x, fn.array) else f"a {type(x).__name__}"
            raise TypeError(f"scale: expected a loss of floating-point numbers, got {got}")
        wide = x.astype(fn.promote_types(x.dtype, fn.float32))
        return wide * (scale.astype(wide.dtype) if isinstance(scale, fn.array) else scale)

    return tree.map(one, loss)


def _unscaled(scale: Any, grads: Any) -> tuple[Any, fn.array]:
    def one(g: Any) -> Any:
        if not isinstance(g, fn.array) or not fn.isdtype(g.dtype, ("real floating", "complex floating")):
            return g
        wide = g.astype(fn.promote_types(g.dtype, fn.float32))
        same = isinstance(inverse, fn.array) and wide.dtype == fn.float64
        return wide * (inverse.astype(fn.float64) if same else inverse)

    inverse = 1.0 / scale
    # Asked of the result: dividing by a scale below one may overflow, and never makes an infinity finite.
    result = tree.map(one, grads)
    return result, tree.all_finite(result)


@attrs.frozen(field_transformer=plain_fields)
class StaticLossScale:
    """A loss scale that stays what it is; 1 for none.

    Args:
        factor: What losses are multiplied by. A power of two changes no digits.

    >>> import funcnn as fn
    >>> from funcnn import nn
    >>> scaling = nn.StaticLossScale(1024.0)
    >>> grads, finite = scaling.unscale(scaling.init(), {"w": fn.array([512.0])})
    >>> grads["w"].tolist(), finite.item()
    ([0.5], True)
    """

    factor: float = attrs.field(default=1.0, validator=number(0.0, above=True))

    def init(self) -> frozendict[str, fn.array]:
        """Make the state, which is empty."""
        return frozendict()

    def scale(self, state: State, loss: Any) -> Any:
        """Return the loss, or a tree of losses, times the factor: float32 at least."""
        return _scaled(self.factor, loss)

    def unscale(self, state: State, grads: Any) -> tuple[Any, fn.array]:
        """Return the gradients over the factor, float32 at least, and whether all of them were finite."""
        return _unscaled(self.factor, grads)

    def adjust(self, state: State, finite: Any) -> State:
        """Return the state."""
        return state


_LARGEST = 3.4028234663852886e38  # of float32


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"DynamicLossScale: {attribute.name} must be a number, got {value!r}")
    if not 0.0 < value <= _LARGEST:
        raise ValueError(f"DynamicLossScale: {attribute.name} must be a positive number of float32, got {value!r}")


@attrs.frozen(field_transformer=plain_fields)
class DynamicLossScale:
    """A loss scale that grows while gradients stay finite and falls back when they do not.

    After `period` steps in a row with finite gradients the scale is multiplied by `growth`; after a step with an infinity
    or NaN by `backoff`, and the counting begins anew. It stays between `minimum` and `maximum`, whatever happens. A step
    whose gradients are not finite is to be skipped: ``tree.where(finite, new, old)``.

    The state is a frozendict of 0-d arrays, ``scale`` (float32) and ``good_steps`` (int32), to be saved, compiled and
    donated like any other.

    Args:
        initial: The first scale.
        growth: By how much the scale is multiplied when it grows, above 1.
        backoff: By how much it is multiplied when it falls, between 0 and 1.
        period: After how many good steps it grows.
        minimum: The least it becomes. Below 1 helps where even the plain loss overflows.
        maximum: The most it becomes.

    Reference: P. Micikevicius et al., "Mixed precision training", 2018.

    >>> import funcnn as fn
    >>> from funcnn import nn, tree
    >>> scaling = nn.DynamicLossScale(initial=1024.0)
    >>> state = scaling.init()
    >>> w = fn.array([1.0, 2.0])
    >>> grads = fn.grad(lambda w: scaling.scale(state, fn.sum(w * w)))(w)
    >>> grads, finite = scaling.unscale(state, grads)
    >>> w = tree.where(finite, w - 0.1 * grads, w)
    >>> state = scaling.adjust(state, finite)
    >>> grads.tolist(), state["scale"].item(), state["good_steps"].item()
    ([2.0, 4.0], 1024.0, 1)
    """

    initial: float = attrs.field(default=2.0**15, validator=_positive)
    growth: float = attrs.field(default=2.0, validator=_positive)
    backoff: float = attrs.field(default=0.5, validator=_positive)
    period: int = attrs.field(default=2000, validator=whole(1))
    minimum: float = attrs.field(default=1.0, validator=_positive)
    maximum: float = attrs.field(default=2.0**24, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if not self.growth > 1.0:
            raise ValueError(f"DynamicLossScale: growth must be above 1, got {self.growth!r}")
        if not self.backoff < 1.0:
            raise ValueError(f"DynamicLossScale: backoff must be below 1, got {self.backoff!r}")
        if self.period > _LAST_COUNT:
            raise ValueError(f"DynamicLossScale: period must be at most {_LAST_COUNT}, got {self.period!r}")
        if not self.minimum <= self.initial <= self.maximum:
            raise ValueError(
                f"DynamicLossScale: initial must lie between minimum and maximum, {self.minimum!r} and {self.maximum!r}, "
                f"got {self.initial!r}"
            )

    def init(self) -> frozendict[str, fn.array]:
        """Make the state: ``scale`` and ``good_steps``."""
        return frozendict(scale=fn.array(self.initial, dtype=fn.float32), good_steps=fn.array(0, dtype=fn.int32))

    def scale(self, state: State, loss: Any) -> Any:
        """Return the loss, or a tree of losses, times the scale: float32 at least, since float16 ends at 65504."""
        return _scaled(_part(state, "scale"), loss)

    def unscale(self, state: State, grads: Any) -> tuple[Any, fn.array]:
        """Return the gradients over the scale, float32 at least, and whether all of them are finite, a 0-d bool array.

        Clip and accumulate gradients after this, not before.
        """
        return _unscaled(_part(state, "scale"), grads)

    def adjust(self, state: State, finite: Any) -> frozendict[str, fn.array]:
        """Return the state for the next step.

        Args:
            state: From ``init`` or the last step.
            finite: Whether the gradients of this step were finite, as ``unscale`` says.
        """
        scale, good = _part(state, "scale"), _part(state, "good_steps")
        finite = fn.asarray(finite)
        if finite.shape != () or finite.dtype != fn.bool_:
            raise TypeError(f"adjust: finite must be a 0-d bool, got {finite.dtype} of shape {finite.shape}")
        # A count that was damaged, or counted for a longer period, ends here too.
        due = good >= self.period - 1
        larger, smaller = scale * self.growth, scale * self.backoff
        new = fn.where(finite, fn.where(due, larger, scale), smaller)
        new = fn.clip(fn.where(fn.isnan(new), self.minimum, new), self.minimum, self.maximum)
        count = fn.where(fn.logical_and(finite, fn.logical_not(due)), fn.maximum(good, 0) + 1, 0)
        return frozendict(scale=new.astype(fn.float32), good_steps=count.astype(fn.int32))


def _part(state: Any, key: str) -> fn.array:
    if not isinstance(state, (dict, frozendict)) or key not in state:
        raise TypeError(f"DynamicLossScale: the state must be what init or adjust returned, got {state!r}")
    part: fn.array = state[key]
    return part
