"""What every optimiser is, and how updates reach the parameters."""

from __future__ import annotations

import functools
import math
from array import array as floats
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import funcnn as fn
from funcnn import tree
from funcnn._device import home
from funcnn._hyper import plain
from funcnn.tree._parts import check_glob, divided

from . import _rules as rules

# A learning rate: a number, or a function from the count of steps taken so far (an int32 array) to one.
Schedule = Callable[[fn.array], Any]
ScalarOrSchedule = float | Schedule

_LAST_COUNT = 2**31 - 1


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
        delta: A tree of the same structure, from ``update``. Where it has ``absent`` parameters stay as they are.

    Raises:
        ValueError: Structures or shapes differ; the message names the path.
        TypeError: A leaf is not an array.

    >>> import funcnn as fn
    >>> from funcnn import optim
    >>> optim.apply_updates({"w": fn.array([1.0, 2.0])}, {"w": fn.array([0.5, -0.5])})["w"].tolist()
    [1.5, 1.5]
    """
    return tree.merge(params, combine("apply_updates", lambda d, p: (p + d).astype(p.dtype), delta, params))


def combine(name: str, f: Callable[..., fn.array], grads: Any, *others: Any) -> Any:
    """Map over gradients (or steps) and what belongs to them, whose structure and shapes must be the same."""
    leaf = -1

    def checked(g: fn.array, *xs: fn.array) -> fn.array:
        nonlocal leaf
        leaf += 1
        ours = getattr(g, "shape", None)
        for x in xs:
            theirs = getattr(x, "shape", None)
            if ours is None or ours != theirs:
                path = tree.paths(grads)[leaf] or "the root"
                if ours is None:
                    raise TypeError(f"{name}: expected arrays, but {path} is a {type(g).__name__}")
                other = theirs if theirs is not None else f"a {type(x).__name__}"
                raise ValueError(f"{name}: at {path} there are shapes {ours} and {other}, which must be the same")
        return f(g, *xs)

    try:
        return tree.map(checked, grads, *others)
    except ValueError as error:
        if not str(error).startswith("tree.map"):
            raise
        text = str(error).partition(": ")[2]
        raise ValueError(f"{name}: gradients, state and parameters belong to different trees: {text}") from None


def combine_many(name: str, parts: int, f: Callable[..., tuple[Any, ...]], grads: Any, *others: Any) -> tuple[Any, ...]:
    """``combine`` for a function that returns several arrays: as many trees."""
    results: list[tuple[Any, ...]] = []

    def note(g: fn.array, *xs: fn.array) -> fn.array:
        results.append(f(g, *xs))
        return g

    treedef = tree.structure(combine(name, note, grads, *others))
    return tuple(treedef.unflatten([result[part] for result in results]) for part in range(parts))


def each(name: str, f: Callable[[fn.array], fn.array], arrays: Any) -> Any:
    """Map over a tree of arrays."""
    for i, x in enumerate(tree.leaves(arrays)):
        if not hasattr(x, "dtype") or not hasattr(x, "shape"):
            path = tree.paths(arrays)[i] or "the root"
            raise TypeError(f"{name}: expected arrays, but {path} is a {type(x).__name__}")
    return tree.map(f, arrays)


def part_of(name: str, state: Any, key: str) -> Any:
    """What an optimiser keeps in its state under a name."""
    if not isinstance(state, (dict, fn.frozendict)) or key not in state:
        there = f"a dict of {list(state)}" if isinstance(state, (dict, fn.frozendict)) else f"a {type(state).__name__}"
        raise TypeError(
            f"{name}: the state must be what init or the last update returned, with {key!r}, got {there}; the order is update(grads, state, params)"
        )
    return state[key]


def value_at(name: str, rate: ScalarOrSchedule, count: fn.array) -> Any:
    """The rate at a step; a schedule gives an array, so that another value plans nothing again."""
    if not callable(rate):
        return rate
    value = plain(rate(count))
    if getattr(value, "ndim", None) != 0 and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        got = f"an array of shape {value.shape}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise TypeError(f"{name}: a schedule must return a number, got {got}")
    return value


def first_count() -> fn.array:
    """The count of steps before the first."""
    return fn.array(0, dtype=fn.int32)


def next_count(count: fn.array) -> fn.array:
    """The count after a step. It ends at the largest that there is, for schedules go on as they end."""
    return fn.minimum(count, _LAST_COUNT - 1) + 1


def wide(x: fn.array) -> fn.array:
    """The array in the dtype that updates are computed in: float32 for float16 and bfloat16."""
    dtype = x.dtype
    return x if dtype == fn.float32 else x.astype(fn.promote_types(dtype, fn.float32))


def wide_zeros(x: fn.array) -> fn.array:
    """Zeros in that dtype."""
    return fn.zeros_like(x, dtype=fn.promote_types(x.dtype, fn.float32))


def real_zeros(x: fn.array) -> fn.array:
    """Zeros for absolute values, which are real for complex numbers too."""
    return wide_zeros(x.real if fn.isdtype(x.dtype, "complex floating") else x)


def scaled(rate: Any, x: fn.array) -> fn.array:
    """``rate * x`` in the dtype of updates, also for a rate that is a float32 array."""
    x = wide(x)
    return x * (rate.astype(x.dtype, device=home(x)) if isinstance(rate, fn.array) else rate)


def like(value: Any, x: fn.array) -> Any:
    """A hyperparameter as it is used beside an array: one that is an array itself takes its precision."""
    if not isinstance(value, fn.array):
        return value
    return value.astype(fn.float32 if fn.isdtype(x.dtype, "complex floating") else x.dtype, device=home(x))


def decay_like(decay: Any, x: fn.array) -> Any:
    """A decay as running averages beside an array need it: a number that float32 would round is split.

    Rounded, it and what it lacks to 1 would not add up to 1. Near 1 that shows: of 0.99999 averages were 0.14 % too small.
    """
    return like(decay, x) if isinstance(decay, fn.array) or x.dtype == fn.float64 else _split(decay)


@functools.lru_cache(64)
def _split(decay: float) -> float | rules.SplitDecay:
    high = floats("f", [decay])[0]
    if high > decay:  # what is missing must not have another sign: the average may be infinite
        high -= 2.0 ** (math.frexp(high)[1] - (25 if math.frexp(high)[0] == 0.5 else 24))
    return decay if high == decay else rules.SplitDecay(high, decay - high, 1.0 - decay)


def rate_and_count(name: str, rate: ScalarOrSchedule, state: Any) -> tuple[Any, dict[str, Any]]:
    """The learning rate of a step, and the count of steps that the next state holds if the rate is a schedule."""
    if not callable(rate):
        return rate, {}
    count = part_of(name, state, "count")
    return value_at(name, rate, count), {"count": next_count(count)}


def split(name: str, where: Any, grads: Any, params: Any) -> tuple[Any, Any]:
    """Gradients of the parameters that are meant, and the others; predicates get the parameters where there are any."""
    if isinstance(where, str):
        check_glob(name, grads, where)
    if not callable(where) or params is None:
        return divided(grads, where)
    chosen = {path for path, leaf in tree.leaves_with_path(params) if where(path, leaf)}
    return tree.partition(grads, lambda path, leaf: path in chosen)


def with_decay(name: str, grads: Any, weight_decay: Any, mask: Any, params: Any) -> Any:
    """Gradients (or directions) with weight decay of the parameters that a mask means, all if it is None."""
    if rules.off(weight_decay):
        return grads
    needs_params(name, params)
    chosen, rest = (grads, None) if mask is None else split(name, mask, grads, params)

    def decayed(g: fn.array, p: fn.array) -> fn.array:
        g = wide(g)
        return rules.decayed(g, like(weight_decay, g), p.astype(g.dtype))

    chosen = combine(name, decayed, chosen, params)
    return tree.merge(chosen, rest)


def needs_params(name: str, params: Any, what: str = "weight decay needs") -> None:
    """Raise if the parameters were left out."""
    if params is None:
        raise ValueError(f"{name}: {what} the parameters: call update(grads, state, params)")


def refuse_complex(name: str, arrays: Any, why: str) -> None:
    """Raise if there are complex numbers in a tree of arrays."""
    for i, x in enumerate(tree.leaves(arrays)):
        if isinstance(x, fn.array) and fn.isdtype(x.dtype, "complex floating"):
            raise TypeError(f"{name}: {tree.paths(arrays)[i] or 'the root'} is {x.dtype}: {why}")
