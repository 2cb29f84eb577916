"""Checks of derivatives and batching, and Hypothesis strategies for arrays, shapes and trees.

The strategies need the package ``hypothesis`` (``pip install 'funcnn[test]'``), the checks do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import funcnn as fn
from funcnn import tree
from funcnn._arguments import Integers, function, integer, integers
from funcnn._hyper import checked as number

if TYPE_CHECKING:
    import numpy as np
    from hypothesis.strategies import SearchStrategy

__all__ = ["arrays", "check_grads", "check_vmap", "dtypes", "mutually_broadcastable_shapes", "shapes", "trees"]

_KINDS = {
    "bool": ("bool_",),
    "unsigned": ("uint8", "uint16", "uint32", "uint64"),
    "signed": ("int8", "int16", "int32", "int64"),
    "floating": ("float16", "bfloat16", "float32", "float64"),
    "complex": ("complex64",),
}


def _is_float(x: Any) -> bool:
    return isinstance(x, fn.array) and fn.isdtype(x.dtype, "real floating")


def _with_arrays(leaf: Any) -> Any:
    """The leaf as an array if it is a number or an array of NumPy; float64 stays."""
    import numpy as np

    if isinstance(leaf, float):
        return fn.array(leaf, dtype=fn.float64)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return fn.array(leaf, dtype=fn.float64) if leaf.dtype == np.float64 else fn.array(leaf)
    return leaf


def _arguments(name: str, args: Any) -> tuple[Any, ...]:
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"{name}: args must be a tuple of the function's arguments, got a {type(args).__name__}")
    return tuple(args)


class _OfFloats:
    """A function of pytrees as one from a list of float64 arrays to another: the others are constant."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int]) -> None:
        self.f = f
        leaves, self.treedef = tree.flatten(tuple(args))
        self.leaves = [_with_arrays(x) for x in leaves]
        owners = [i for i, arg in enumerate(args) for _ in tree.leaves(arg)]
        self.places = [i for i, x in enumerate(self.leaves) if _is_float(x) and owners[i] in argnums]
        self.inputs = [self.leaves[i].astype(fn.float64) for i in self.places]
        self.paths: list[str] = []

    def __call__(self, *inputs: fn.array) -> list[fn.array]:
        leaves = list(self.leaves)
        for place, x in zip(self.places, inputs, strict=True):
            leaves[place] = x
        found = tree.leaves_with_path(self.f(*tree.unflatten(self.treedef, leaves)))
        floats = [(path, x) for path, x in ((path, _with_arrays(x)) for path, x in found) if _is_float(x)]
        if not floats:
            raise ValueError("check_grads: the function returns nothing that is floating point")
        self.paths = [path or "the output" for path, _ in floats]
        return [x for _, x in floats]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    *,
    argnums: Integers | None = None,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    seed: int = 0,
) -> None:
    """Compare the derivatives of a function with central differences.

    Floating-point arguments are converted to float64. Forward mode is compared with ``(f(x + eps v) - f(x - eps v)) / (2 eps)``
    along a random direction ``v``, reverse mode with forward mode by ``<w, J v> = <w J, v>`` for a random ``w``, or with
    the difference if forward mode is not asked for. Higher orders do the same with the derivatives themselves.

    Args:
        f: A function of pytrees of arrays that returns one.
        args: Its arguments. What is not floating point is held constant.
        order: Up to which order.
        modes: ``"fwd"``, ``"rev"`` or both, in any combination for higher orders.
        argnums: By which arguments to differentiate, by position; the others are held constant as they are. All by default.
        eps: The step.
        rtol, atol: Tolerances, relative to the largest element and absolute.
        seed: Of the random directions.

    Raises:
        AssertionError: A derivative is wrong; the message says of which output, in which mode and of which order, and
            whether it looks as if the function rounded to float32 inside, which central differences do not bear.
        ValueError: There is nothing to check: no argument or no output is floating point.

    >>> import funcnn as fn
    >>> fn.testing.check_grads(lambda x: fn.sin(x) * x, (fn.array([1.0, 2.0]),))
    """
    function(f, "check_grads: f")
    args = _arguments("check_grads", args)
    if integer(order, "check_grads: order") < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {order}")
    for what, value in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        number("check_grads", what, value, 0.0, above=what == "eps")
    if not isinstance(modes, Iterable):
        raise TypeError(f"check_grads: modes are 'fwd' and 'rev', got {modes!r}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in ("fwd", "rev")]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', got {list(modes)}")
    positions = integers(range(len(args)) if argnums is None else argnums, "check_grads: argnums")
    for i in positions:
        if not -len(args) <= i < len(args):
            raise ValueError(f"check_grads: argnums has {i}, but there are {len(args)} arguments")
    flat = _OfFloats(f, args, [i % len(args) for i in positions])
    if not flat.inputs:
        raise ValueError("check_grads: no argument is floating point")
    import numpy as np

    tolerances = {"eps": eps, "rtol": rtol, "atol": atol}
    _check(flat, flat.inputs, order, modes, np.random.default_rng(seed), "", tolerances)


# Steps that balance rounding to float32 against the curvature of the function, and what they leave.
_STEP_OF_FLOAT32 = 5e-3
_TOLERANCE_OF_FLOAT32 = 1e-3


def _check(
    f: Callable[..., list[fn.array]],
    x: list[fn.array],
    order: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    above: str,
    tolerances: dict[str, float],
) -> None:
    import numpy as np

    def directions(like: Sequence[fn.array]) -> list[fn.array]:
        return [fn.array(rng.standard_normal(a.shape), dtype=fn.float64).astype(a.dtype) for a in like]

    def moved(v: Sequence[fn.array], step: float) -> list[Any]:
        return [np.asarray(a, np.float64) for a in f(*(a + step * b for a, b in zip(x, v, strict=True)))]

    def differences(v: Sequence[fn.array], eps: float) -> list[Any]:
        return [(a - b) / (2 * eps) for a, b in zip(moved(v, eps), moved(v, -eps), strict=True)]

    def rounding(wrong: Callable[[list[Any], float], bool]) -> str:
        """What to add if a step too long for float64, but right for float32, makes the error small."""
        if wrong(differences(v, _STEP_OF_FLOAT32), _TOLERANCE_OF_FLOAT32):
            return ""
        return (
            f"\nWith steps of {_STEP_OF_FLOAT32} the difference agrees within {_TOLERANCE_OF_FLOAT32}: this looks like "
            f"float32 rounding inside the function. Let it compute in the dtype of its arguments, or give "
            f"eps={_STEP_OF_FLOAT32}, rtol={_TOLERANCE_OF_FLOAT32}."
        )

    def error_of(got: Any, wanted: Any) -> tuple[float, float]:
        """The largest error and the scale it is relative to."""
        return float(np.max(np.abs(got - wanted), initial=0.0)), max(1.0, float(np.max(np.abs(wanted), initial=0.0)))

    def compare(got: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
        names = getattr(f, "paths", None) or [f"output {i}" for i in range(len(wanted))]
        for i, (name, g, w) in enumerate(zip(names, got, wanted, strict=True)):
            g, w = np.asarray(g, np.float64), np.asarray(w, np.float64)
            worst, scale = error_of(g, w)
            if not worst <= tolerances["atol"] + tolerances["rtol"] * scale:

                def wrong(longer: list[Any], rtol: float, i: int = i, g: Any = g) -> bool:
                    worst, scale = error_of(g, longer[i])
                    return not worst <= rtol * scale

                raise AssertionError(
                    f"{above}{what}: the derivative of {name} is wrong by {worst:.3g}\ngot      {g}\nexpected {w}"
                    + rounding(wrong)
                )

    v = directions(x)
    eps = tolerances["eps"]
    difference = differences(v, eps)
    if "fwd" in modes:
        y, tangents = fn.jvp(f, tuple(x), tuple(v))
        compare(tangents, difference, "forward mode")
    if "rev" in modes:
        y, pull = fn.vjp(f, *x)
        w = directions(y)
        cotangents = pull(w)
        got = sum(float(np.sum(np.asarray(a) * np.asarray(b))) for a, b in zip(cotangents, v, strict=True))

        def product(difference: list[Any]) -> tuple[float, float]:
            parts = [np.asarray(a) * b for a, b in zip(w, difference, strict=True)]
            return sum(float(np.sum(p)) for p in parts), max(1.0, sum(float(np.sum(np.abs(p))) for p in parts))

        wanted, size = product(difference)
        if not abs(got - wanted) <= tolerances["atol"] + tolerances["rtol"] * size:

            def wrong(longer: list[Any], rtol: float) -> bool:
                wanted, size = product(longer)
                return not abs(got - wanted) <= rtol * size

            raise AssertionError(f"{above}reverse mode: <w J, v> is {got}, but <w, J v> is {wanted}" + rounding(wrong))
    if order > 1:
        if "fwd" in modes:
            _check(
                lambda *x: fn.jvp(f, x, tuple(v))[1],
                x,
                order - 1,
                modes,
                rng,
                f"{above}forward mode, then ",
                tolerances,
            )
        if "rev" in modes:
            _check(
                lambda *x: list(fn.vjp(f, *x)[1](w)),
                x,
                order - 1,
                modes,
                rng,
                f"{above}reverse mode, then ",
                tolerances,
            )


def check_vmap(
    f: Callable[..., Any],
    args: Sequence[Any],
    in_axes: Any = 0,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Compare ``vmap(f)`` with a loop over calls of `f`.

    Args:
        f: A function of pytrees of arrays that returns one.
        args: Its arguments, with the mapped axes.
        in_axes: The mapped axes, as ``fn.vmap`` takes them.
        rtol, atol: Tolerances.

    Raises:
        AssertionError: The results differ; the message names the output.

    >>> import funcnn as fn
    >>> fn.testing.check_vmap(lambda x, y: x @ y, (fn.ones((3, 2, 2)), fn.ones((2, 2))), in_axes=(0, None))
    """
    import numpy as np

    function(f, "check_vmap: f")
    args = _arguments("check_vmap", args)
    prefix = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
    # None is an empty container; here it stands for an axis.
    marked = tree.map(lambda axis: _UNMAPPED if axis is None else axis, prefix, is_leaf=lambda axis: axis is None)
    try:
        axes = tree.leaves(tree.broadcast_prefix(marked, args))
    except ValueError as error:
        raise ValueError(str(error).replace("tree.broadcast_prefix", "check_vmap: in_axes and args", 1)) from None
    leaves, treedef = tree.flatten(args)
    leaves = [x if axis is _UNMAPPED else fn.array(x) for x, axis in zip(leaves, axes, strict=True)]
    for x, axis in zip(leaves, axes, strict=True):
        if axis is not _UNMAPPED and not -x.ndim <= integer(axis, "check_vmap: in_axes") < x.ndim:
            raise ValueError(f"check_vmap: in_axes has {axis} for an array of shape {x.shape}")
    sizes = {x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not _UNMAPPED}
    if len(sizes) != 1:
        raise ValueError(f"check_vmap: the mapped axes have the sizes {sorted(sizes)}, expected one")
    (size,) = sizes

    def row(x: fn.array, axis: int, i: int) -> fn.array:
        if size == 0:  # no row to take: what one would look like
            return fn.zeros([n for place, n in enumerate(x.shape) if place != axis % x.ndim], dtype=x.dtype)
        return fn.take(x, fn.array(i), axis=axis)

    def call(i: int) -> Any:
        picked = [x if axis is _UNMAPPED else row(x, axis, i) for x, axis in zip(leaves, axes, strict=True)]
        return [(path, fn.array(x)) for path, x in tree.leaves_with_path(f(*tree.unflatten(treedef, picked)))]

    looped = [call(i) for i in range(max(size, 1))]
    mapped = tree.leaves_with_path(fn.vmap(f, in_axes=prefix)(*tree.unflatten(treedef, leaves)))
    for position, (path, x) in enumerate(mapped):
        wanted = np.stack([np.asarray(one[position][1]) for one in looped])[:size]
        got = np.asarray(x)
        if got.shape != wanted.shape or x.dtype != looped[0][position][1].dtype:
            raise AssertionError(
                f"vmap gives {path or 'the output'} as {x.dtype}{list(got.shape)}, a loop as "
                f"{looped[0][position][1].dtype}{list(wanted.shape)}"
            )
        np.testing.assert_allclose(
            got, wanted, rtol, atol, err_msg=f"vmap differs from a loop in {path or 'the output'}"
        )


_UNMAPPED = object()


def dtypes(*kinds: str) -> SearchStrategy[fn.Dtype]:
    """Draw dtypes.

    Args:
        kinds: Of ``"bool"``, ``"unsigned"``, ``"signed"``, ``"floating"`` and ``"complex"``; all by default.

    >>> from funcnn import testing
    >>> numbers = testing.dtypes("floating", "signed")
    """
    from hypothesis import strategies as st

    for kind in kinds:
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"dtypes: unknown kind {kind!r}; expected some of {', '.join(map(repr, _KINDS))}")
    names = [name for kind in kinds or _KINDS for name in _KINDS[kind]]
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
    dtype: Any = None, shape: Any = None, *, min_value: float = -10.0, max_value: float = 10.0
) -> SearchStrategy[fn.array]:
    """Draw arrays of moderate finite numbers.

    Args:
        dtype: A dtype, its name or a strategy for one; any by default.
        shape: A shape, a length or a strategy for one; any of ``shapes()`` by default.
        min_value, max_value: The range of real numbers, and of both parts of complex ones, bounds included where the dtype
            holds them. Unsigned numbers start at 0, and no integer leaves its dtype.

    Raises:
        ValueError: The dtype has no number in the range (raised when drawn, if the dtype is).

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> matrices = testing.arrays(fn.float32, testing.shapes(2, 2))
    """
    from hypothesis import strategies as st

    for what, value in (("min_value", min_value), ("max_value", max_value)):
        if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
            raise TypeError(f"arrays: {what} must be a number, got {value!r} ({type(value).__name__})")
    if not (math.isfinite(min_value) and math.isfinite(max_value) and min_value <= max_value):
        raise ValueError(f"arrays: expected finite min_value <= max_value, got {min_value} and {max_value}")

    def elements_of(given: Any) -> tuple[fn.Dtype, SearchStrategy[Any]]:
        chosen = fn.zeros(0, dtype=given).dtype
        return chosen, _elements(chosen, min_value, max_value)

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

        chosen, elements = fixed_elements or elements_of(draw(kind))
        dims = dims_of(draw(size)) if fixed_dims is None else fixed_dims
        count = math.prod(dims)
        # A few different numbers all over keep large arrays cheap to draw and to shrink.
        few = draw(st.lists(elements, min_size=min(count, 1), max_size=min(count, 16)))
        wide = np.float64 if chosen == fn.bfloat16 else np.dtype(chosen)
        return fn.array(np.resize(np.array(few, wide), dims) if count else np.zeros(dims, wide), dtype=chosen)

    return draw_array()


def _elements(dtype: fn.Dtype, low: float, high: float) -> SearchStrategy[Any]:
    """Draw Python numbers that a dtype holds exactly, between bounds."""
    from hypothesis import strategies as st

    if dtype == fn.bool_:
        return st.booleans()
    if fn.isdtype(dtype, "integral"):
        info = fn.iinfo(dtype)
        first, last = max(math.ceil(low), info.min), min(math.floor(high), info.max)
        if first > last:
            raise ValueError(f"arrays: {dtype} has no number from {low} to {high}")
        return st.integers(first, last)
    if fn.isdtype(dtype, "complex floating"):
        part = _elements(fn.float32, low, high)
        return st.tuples(part, part).map(lambda pair: complex(*pair))
    lowest, highest = _inward(dtype, low, up=True), _inward(dtype, high, up=False)
    if lowest > highest:
        raise ValueError(f"arrays: {dtype} has no number from {low} to {high}")
    # Numbers of few digits, where there are any between the bounds, make arithmetic with them benign.
    half_lowest, half_highest = _inward(fn.float16, low, up=True), _inward(fn.float16, high, up=False)
    if dtype == fn.bfloat16 or not (max(-low, high) <= 65504 and half_lowest <= half_highest):
        width: Literal[16, 32, 64] = 64 if dtype == fn.float64 else 16 if dtype == fn.float16 else 32
        numbers = st.floats(lowest, highest, width=width)
        return numbers.map(_bfloat16) if dtype == fn.bfloat16 else numbers
    return st.one_of(st.floats(half_lowest, half_highest, width=16), st.sampled_from([lowest, highest]))


def _bfloat16(x: float) -> float:
    return float(fn.array(x, dtype=fn.float64).astype(fn.bfloat16).item())


def _inward(dtype: fn.Dtype, bound: float, up: bool) -> float:
    """The number of a dtype nearest to a bound on one side of it."""
    import numpy as np

    towards = math.inf if up else -math.inf
    if dtype == fn.bfloat16:
        x = np.float32(_inward(fn.float32, bound, up))
        if not math.isfinite(x):
            return float(x)
        # The upper half of the bits of a float32; rounding towards zero cuts the rest off.
        bits = int(x.view(np.uint32))
        if bits & 0xFFFF:
            bits = (bits & 0xFFFF0000) + (0x10000 if (x > 0) == up else 0)
        return float(np.uint32(bits).view(np.float32))
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        x = kind(bound)
        if (float(x) < bound) if up else (float(x) > bound):
            x = np.nextafter(x, kind(towards))
    largest = float(np.finfo(kind).max)
    # Beyond the largest number lies none.
    return float(x) if not math.isinf(x) else (-largest if up and x < 0 else largest if not up and x > 0 else float(x))


def trees(leaves: Any = None, *, max_leaves: int = 8) -> SearchStrategy[Any]:
    """Draw nests of dicts, frozendicts, tuples and lists.

    Args:
        leaves: A strategy for the leaves; ``arrays()`` by default.
        max_leaves: How many leaves at most.

    >>> from funcnn import testing
    >>> params = testing.trees(testing.arrays(shape=(2, 3)))
    """
    from hypothesis import strategies as st

    names = st.text("abcxyz_", min_size=1, max_size=4)

    def containers(children: Any) -> Any:
        return st.one_of(
            st.dictionaries(names, children, max_size=3),
            st.dictionaries(names, children, max_size=3).map(fn.frozendict),
            st.lists(children, max_size=3),
            st.lists(children, max_size=3).map(tuple),
        )

    return st.recursive(arrays() if leaves is None else leaves, containers, max_leaves=max_leaves)
