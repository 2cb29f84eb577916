"""Parts that optimisers are chained from."""

from __future__ import annotations

import functools
from typing import Any

import attrs

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import number, plain_fields

from . import _rules as rules
from ._fields import check_optimizer, hashable
from ._protocol import (
    Optimizer,
    Schedule,
    each,
    first_count,
    like,
    needs_params,
    rate_and_count,
    scaled,
    wide,
    with_decay,
)


@attrs.frozen(init=False)
class chain:
    """Apply optimisers one after another, each to the result of the one before. The state is the tuple of theirs.

    Args:
        transforms: The optimisers.

    >>> from funcnn import optim
    >>> optim.chain(optim.clip_by_global_norm(1.0), optim.scale(-0.1))
    chain(clip_by_global_norm(max_norm=1.0), scale(factor=-0.1))
    """

    transforms: tuple[Optimizer, ...]

    def __init__(self, *transforms: Optimizer) -> None:
        for transform in transforms:
            check_optimizer("chain", transform)
        self.__attrs_init__(transforms)

    def init(self, params: Any) -> tuple[Any, ...]:
        """Make the states of all."""
        return tuple(transform.init(params) for transform in self.transforms)

    def update(self, grads: Any, state: tuple[Any, ...], params: Any = None) -> tuple[Any, tuple[Any, ...]]:
        """Return the result of the last, and the states of all."""
        if not isinstance(state, (tuple, list)):
            raise TypeError(f"chain: the state must be the tuple that init returned, got a {type(state).__name__}")
        if len(state) != len(self.transforms):
            raise ValueError(f"chain: expected the states of {len(self.transforms)} optimisers, got {len(state)}")
        states = []
        for transform, part in zip(self.transforms, state, strict=True):
            grads, part = transform.update(grads, part, params)
            states.append(part)
        return grads, tuple(states)

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.transforms))})"


def _sum(numbers: list[fn.array]) -> fn.array:
    return functools.reduce(lambda a, b: a + b, numbers)


def norm_and_scale(name: str, grads: Any, *, tiny: bool) -> tuple[fn.array, fn.array] | None:
    """The norm as a quotient: a number whose square is in range, and a power of two. None if there are no arrays.

    Squares that overflow are summed again, scaled; those that round to zero if `tiny` asks for it, which costs another pass.
    """
    arrays = tree.leaves(each(name, wide, grads))
    if not arrays:
        return None
    total = _sum([fn.sum(rules.squared_size(x)) for x in arrays])
    down, least, up = (-600, -500, 570) if total.dtype == fn.float64 else (-100, -62, 86)

    def total_of(scale: Any) -> fn.array:
        scaled_down = [x.astype(fn.promote_types(x.dtype, total.dtype)) * scale for x in arrays]
        return _sum([fn.sum(rules.squared_size(x)) for x in scaled_down])

    def power(exponent: int) -> fn.array:
        return fn.asarray(2.0**exponent, total.dtype, device=home(total))

    large = total == float("inf")
    scale = fn.where(large, power(down), fn.where(total < power(least), power(up), power(0)) if tiny else power(0))
    total = total_of(scale) if tiny else fn.where(large, total_of(2.0**down), total)
    zero = total == 0  # there the root has no derivative
    return fn.where(zero, 0.0, fn.sqrt(fn.where(zero, 1.0, total))), scale


def global_norm(grads: Any) -> fn.array:
    """Return the Euclidean norm of all arrays of a tree together, computed in float32 at least.

    The norm of numbers whose squares overflow or round to zero is right too, and so is that of complex numbers.

    Raises:
        TypeError: A leaf is not an array.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> optim.global_norm({"a": fn.array([3.0]), "b": fn.array([[4.0]])}).item()
    5.0
    >>> optim.global_norm(fn.array([3 + 4j])).item()
    5.0
    """
    norm = norm_and_scale("global_norm", grads, tiny=True)
    return fn.array(0.0) if norm is None else norm[0] / norm[1]


@attrs.frozen(field_transformer=plain_fields)
class clip_by_global_norm:
    """Scale gradients down if their ``global_norm`` exceeds a limit: ``grads * min(1, max_norm / norm)``.

    Args:
        max_norm: The limit.

    Reference: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", 2013.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> clip = optim.clip_by_global_norm(1.0)
    >>> grads = {"w": fn.array([3.0, 4.0])}
    >>> [round(v, 4) for v in clip.update(grads, clip.init(grads))[0]["w"].tolist()]
    [0.6, 0.8]
    """

    max_norm: float = attrs.field(validator=number(0.0))

    def init(self, params: Any) -> tuple[()]:
        """Return an empty state."""
        return ()

    def update(self, grads: Any, state: tuple[()], params: Any = None) -> tuple[Any, tuple[()]]:
        """Return the clipped gradients."""
        norm = norm_and_scale("clip_by_global_norm", grads, tiny=False)
        if norm is None:
            return grads, state
        root, scale = norm  # the quotient may be too large for the dtype
        factor = fn.minimum(self.max_norm / fn.where(root == 0, 1.0, root) * scale, 1.0)
        return tree.map(lambda g: scaled(factor, g), grads), state


@attrs.frozen(field_transformer=plain_fields)
class clip:
    """Clip every element of the gradients to ``[-max_delta, max_delta]``.

    Args:
        max_delta: The largest absolute value.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> optim.clip(1.0).update(fn.array([3.0, -0.5]), ())[0].tolist()
    [1.0, -0.5]
    """

    max_delta: float = attrs.field(validator=number(0.0))

    def init(self, params: Any) -> tuple[()]:
        """Return an empty state."""
        return ()

    def update(self, grads: Any, state: tuple[()], params: Any = None) -> tuple[Any, tuple[()]]:
        """Return the clipped gradients."""

        def clipped(g: fn.array) -> fn.array:
            if fn.isdtype(g.dtype, "complex floating"):
                raise TypeError("clip: complex gradients have no order; use clip_by_global_norm")
            limit = like(self.max_delta, g)
            return fn.clip(g, -limit, limit)

        return each("clip", clipped, grads), state


@attrs.frozen(field_transformer=plain_fields)
class scale:
    """Multiply by a number.

    Args:
        factor: The number.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> optim.scale(-0.5).update(fn.array([2.0]), ())[0].tolist()
    [-1.0]
    """

    factor: float = attrs.field(validator=number())

    def init(self, params: Any) -> tuple[()]:
        """Return an empty state."""
        return ()

    def update(self, grads: Any, state: tuple[()], params: Any = None) -> tuple[Any, tuple[()]]:
        """Return the scaled gradients."""
        return each("scale", lambda g: scaled(self.factor, g), grads), state


def _schedule(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not callable(value):
        raise TypeError(f"scale_by_schedule: schedule must be a function of the count of steps, got {value!r}")


@attrs.frozen(field_transformer=plain_fields)
class scale_by_schedule:
    """Multiply by a schedule's value at the count of steps.

    Args:
        schedule: A function from the count of steps (0 in the first) to a number.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> opt = optim.scale_by_schedule(optim.schedules.step_decay(-1.0, 0.5, 1))
    >>> state = opt.init(())
    >>> for _ in range(3):
    ...     delta, state = opt.update(fn.array([2.0]), state)
    >>> delta.tolist()
    [-0.5]
    """

    schedule: Schedule = attrs.field(validator=_schedule)

    def init(self, params: Any) -> dict[str, Any]:
        """Return the count of steps."""
        return {"count": first_count()}

    def update(self, grads: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the scaled gradients."""
        factor, new = rate_and_count("scale_by_schedule", self.schedule, state)
        return each("scale_by_schedule", lambda g: scaled(factor, g), grads), new


@attrs.frozen(field_transformer=plain_fields)
class add_decayed_weights:
    """Add a multiple of the parameters to their gradients.

    Args:
        weight_decay: The factor.
        mask: Which parameters decay: a glob over paths, a predicate on path and array, or a tree of bools (see
            ``tree.partition``). All by default.

    Raises:
        ValueError: ``update`` gets no parameters, or `mask` is a glob that matches none.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> params = {"weight": fn.array([1.0]), "bias": fn.array([1.0])}
    >>> decay = optim.add_decayed_weights(0.1, mask="**.weight")
    >>> delta, _ = decay.update({"weight": fn.array([0.0]), "bias": fn.array([0.0])}, (), params)
    >>> round(delta["weight"].item(), 4), delta["bias"].item()
    (0.1, 0.0)
    """

    weight_decay: float = attrs.field(validator=number())
    mask: Any = attrs.field(default=None, converter=hashable)

    def init(self, params: Any) -> tuple[()]:
        """Return an empty state."""
        return ()

    def update(self, grads: Any, state: tuple[()], params: Any = None) -> tuple[Any, tuple[()]]:
        """Return the gradients with decay."""
        needs_params("add_decayed_weights", params)
        return with_decay("add_decayed_weights", grads, self.weight_decay, self.mask, params), state
