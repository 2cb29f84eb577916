"""Strategies for dtypes, shapes and arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import funcnn as fn
from funcnn._arguments import flag, integer, integers

from ._numbers import KINDS, Range, elements, unsigned

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def dtypes(*kinds: str) -> SearchStrategy[fn.Dtype]:
    """Draw dtypes.

    Args:
        kinds: Of ``"bool"``, ``"unsigned"``, ``"signed"``, ``"floating"`` and ``"complex"``; all by default.

    >>> from funcnn import testing
    >>> numbers = testing.dtypes("floating", "signed")
    """
    from hypothesis import strategies as st

    for kind in kinds:
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"dtypes: unknown kind {kind!r}; expected some of {', '.join(map(repr, KINDS))}")
    names = [name for kind in kinds or KINDS for name in KINDS[kind]]
    return st.sampled_from(names).map(lambda name: getattr(fn, name))


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> SearchStrategy[tuple[int, ...]]:
    """Draw shapes, also of scalars and empty arrays by default.

    >>> from funcnn import testing
    >>> shape = testing.shapes(min_dims=1, min_side=1)
    """
    from hypothesis import strategies as st

    for what, low, high in (("dims", min_dims, max_dims), ("side", min_side, max_side)):
        integer(low, f"shapes: min_{what}"), integer(high, f"shapes: max_{what}")
        if not 0 <= low <= high:
            raise ValueError(f"shapes: expected 0 <= min_{what} <= max_{what}, got {low} and {high}")
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def mutually_broadcastable_shapes(
    num_shapes: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Draw several shapes that broadcast together.

    >>> from funcnn import testing
    >>> pair = testing.mutually_broadcastable_shapes(2)
    """
    from hypothesis import strategies as st

    if integer(num_shapes, "mutually_broadcastable_shapes: num_shapes") < 0:
        raise ValueError(f"mutually_broadcastable_shapes: num_shapes must be at least 0, got {num_shapes}")

    @st.composite
    def draw_shapes(draw: Any) -> tuple[tuple[int, ...], ...]:
        whole = draw(shapes(0, max_dims, min_side, max_side))
        found = []
        for _ in range(num_shapes):
            shape = [1 if draw(st.booleans()) else side for side in whole]
            found.append(tuple(shape[draw(st.integers(0, len(shape))) :]))
        return tuple(found)

    return draw_shapes()


def arrays(
    dtype: Any = None,
    shape: Any = None,
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    allow_nan: bool | None = None,
    allow_infinity: bool | None = None,
    allow_subnormal: bool = True,
) -> SearchStrategy[fn.array]:
    """Draw arrays.

    Without bounds anything that the dtype holds: besides small numbers its largest and smallest, subnormal numbers,
    infinities, -0.0, and NaNs of either sign with anything in their bits. With a bound, finite numbers, of few digits
    where there are such.

    Args:
        dtype: A dtype, its name or a strategy for one; any by default.
        shape: A shape, a length or a strategy for one; any of ``shapes()`` by default.
        min_value, max_value: The range of real numbers, and of both parts of complex ones, bounds included where the dtype
            holds them. Unsigned numbers start at 0, and no integer leaves its dtype.
        allow_nan: Whether there may be NaNs; by default, if there is no bound.
        allow_infinity: Whether there may be infinities, where no bound excludes them; by default, if there is no bound.
        allow_subnormal: Whether there may be numbers that some devices take for zero.

    Raises:
        ValueError: The dtype has no number in the range (raised when drawn, if the dtype is); or infinities are asked for
            between two bounds.

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> matrices = testing.arrays(fn.float32, testing.shapes(2, 2))
    >>> moderate = testing.arrays("float32", (3, 4), min_value=-10, max_value=10)
    """
    from hypothesis import strategies as st

    allowed = _allowed(min_value, max_value, allow_nan, allow_infinity, allow_subnormal)

    def elements_of(given: Any) -> tuple[fn.Dtype, SearchStrategy[Any]]:
        chosen = fn.zeros(0, dtype=given).dtype
        return chosen, elements(chosen, allowed)

    def dims_of(given: Any) -> tuple[int, ...]:
        dims = integers(given, "arrays: shape")
        if any(n < 0 for n in dims):
            raise ValueError(f"arrays: a shape cannot have a negative axis, got {given}")
        return dims

    kind = dtypes() if dtype is None else dtype
    fixed_elements = None if isinstance(kind, st.SearchStrategy) else elements_of(kind)
    size = shapes() if shape is None else shape
    fixed_dims = None if isinstance(size, st.SearchStrategy) else dims_of(size)

    @st.composite
    def draw_array(draw: Any) -> fn.array:
        import numpy as np

        chosen, drawn = fixed_elements or elements_of(draw(kind))
        dims = dims_of(draw(size)) if fixed_dims is None else fixed_dims
        count = math.prod(dims)
        # A few different numbers all over keep large arrays cheap to draw and to shrink.
        few = draw(st.lists(drawn, min_size=min(count, 1), max_size=min(count, 16)))
        held = np.array(few, unsigned(chosen))
        if fn.isdtype(chosen, "complex floating"):
            held = held.reshape(-1, 2).view("complex64")[:, 0]
        elif fn.isdtype(chosen, "real floating") and chosen != fn.bfloat16:
            held = held.view(str(chosen))
        values = np.resize(held, dims) if count else np.zeros(dims, held.dtype)
        # Given no dtype, float64 would become float32.
        return fn.array(values).view(fn.bfloat16) if chosen == fn.bfloat16 else fn.array(values, dtype=chosen)

    return draw_array()


def _allowed(low: Any, high: Any, nan: bool | None, infinity: bool | None, subnormal: bool) -> Range:
    for what, value in (("min_value", low), ("max_value", high)):
        if value is not None and not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            raise TypeError(f"arrays: {what} must be a number, got {value!r} ({type(value).__name__})")
        if value is not None and not math.isfinite(value):
            raise ValueError(f"arrays: {what} must be finite, or None for no bound, got {value}")
    if low is not None and high is not None and low > high:
        raise ValueError(f"arrays: expected min_value <= max_value, got {low} and {high}")
    free = low is None and high is None
    nan, infinity = (
        free if given is None else flag(given, f"arrays: {what}")
        for what, given in (("allow_nan", nan), ("allow_infinity", infinity))
    )
    if infinity and low is not None and high is not None:
        raise ValueError(f"arrays: allow_infinity=True contradicts min_value={low} and max_value={high}")
    return Range(low, high, nan, infinity, flag(subnormal, "arrays: allow_subnormal"))
