"""Checks of derivatives and batching, and Hypothesis strategies for arrays, shapes and trees.

The strategies need the package ``hypothesis`` (``pip install 'funcnn[test]'``), the checks do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import funcnn as fn
from funcnn import tree

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


class _OfFloats:
    """A function of pytrees as one from a list of float64 arrays to another: the others are constant."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        self.f = f
        leaves, self.treedef = tree.flatten(tuple(args))
        self.leaves = [fn.array(x) if isinstance(x, float) else x for x in leaves]
        self.places = [i for i, x in enumerate(self.leaves) if _is_float(x)]
        self.inputs = [self.leaves[i].astype(fn.float64) for i in self.places]
        self.paths: list[str] = []

    def __call__(self, *inputs: fn.array) -> list[fn.array]:
        leaves = list(self.leaves)
        for place, x in zip(self.places, inputs, strict=True):
            leaves[place] = x
        found = tree.leaves_with_path(self.f(*tree.unflatten(self.treedef, leaves)))
        floats = [(path, x) for path, x in found if _is_float(x)]
        self.paths = [path or "the output" for path, _ in floats]
        return [x for _, x in floats]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
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
        eps: The step.
        rtol, atol: Tolerances, relative to the largest element and absolute.
        seed: Of the random directions.

    Raises:
        AssertionError: A derivative is wrong; the message says of which output, in which mode and of which order.

    >>> import funcnn as fn
    >>> fn.testing.check_grads(lambda x: fn.sin(x) * x, (fn.array([1.0, 2.0]),))
    """
    unknown = [mode for mode in modes if mode not in ("fwd", "rev")]
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', got {list(modes)}")
    function = _OfFloats(f, args)
    if not function.inputs:
        raise ValueError("check_grads: no argument is floating point")
    import numpy as np

    tolerances = {"eps": eps, "rtol": rtol, "atol": atol}
    _check(function, function.inputs, order, tuple(modes), np.random.default_rng(seed), "", tolerances)


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

    def compare(got: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
        names = getattr(f, "paths", None) or [f"output {i}" for i in range(len(wanted))]
        for name, g, w in zip(names, got, wanted, strict=True):
            g, w = np.asarray(g, np.float64), np.asarray(w, np.float64)
            scale = max(1.0, float(np.max(np.abs(w), initial=0.0)))
            worst = float(np.max(np.abs(g - w), initial=0.0))
            if not worst <= tolerances["atol"] + tolerances["rtol"] * scale:
                raise AssertionError(
                    f"{above}{what}: the derivative of {name} is wrong by {worst:.3g}\ngot      {g}\nexpected {w}"
                )

    v = directions(x)
    eps = tolerances["eps"]
    difference = [(a - b) / (2 * eps) for a, b in zip(moved(v, eps), moved(v, -eps), strict=True)]
    if "fwd" in modes:
        y, tangents = fn.jvp(f, tuple(x), tuple(v))
        compare(tangents, difference, "forward mode")
    if "rev" in modes:
        y, pull = fn.vjp(f, *x)
        w = directions(y)
        cotangents = pull(w)
        got = sum(float(np.sum(np.asarray(a) * np.asarray(b))) for a, b in zip(cotangents, v, strict=True))
        wanted = sum(float(np.sum(np.asarray(a) * b)) for a, b in zip(w, difference, strict=True))
        size = sum(float(np.sum(np.abs(np.asarray(a) * b))) for a, b in zip(w, difference, strict=True))
        if not abs(got - wanted) <= tolerances["atol"] + tolerances["rtol"] * max(1.0, size):
            raise AssertionError(f"{above}reverse mode: <w J, v> is {got}, but <w, J v> is {wanted}")
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

    args = tuple(args)
    prefix = tuple(in_axes) if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
    # None is an empty container; here it stands for an axis.
    marked = tree.map(lambda axis: _UNMAPPED if axis is None else axis, prefix, is_leaf=lambda axis: axis is None)
    axes = tree.leaves(tree.broadcast_prefix(marked, args))
    leaves, treedef = tree.flatten(args)
    sizes = {x.shape[axis] for x, axis in zip(leaves, axes, strict=True) if axis is not _UNMAPPED}
    if len(sizes) != 1:
        raise ValueError(f"check_vmap: the mapped axes have the sizes {sorted(sizes)}, expected one")

    def call(i: int) -> Any:
        picked = [
            x if axis is _UNMAPPED else fn.take(x, fn.array(i), axis=axis) for x, axis in zip(leaves, axes, strict=True)
        ]
        return f(*tree.unflatten(treedef, picked))

    looped = [tree.leaves_with_path(call(i)) for i in range(sizes.pop())]
    mapped = tree.leaves_with_path(fn.vmap(f, in_axes=prefix)(*args))
    for position, (path, x) in enumerate(mapped):
        wanted = np.stack([np.asarray(one[position][1]) for one in looped])
        got = np.asarray(x)
        if got.shape != wanted.shape or str(x.dtype) != str(looped[0][position][1].dtype):
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

    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def mutually_broadcastable_shapes(
    num_shapes: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Draw several shapes that broadcast together.

    >>> from funcnn import testing
    >>> pair = testing.mutually_broadcastable_shapes(2)
    """
    from hypothesis import strategies as st

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
        dtype: A dtype or a strategy for one; any by default.
        shape: A shape or a strategy for one; any of ``shapes()`` by default.
        min_value, max_value: The range of real numbers, and of both parts of complex ones. Of unsigned ones it starts at 0.

    >>> import funcnn as fn
    >>> from funcnn import testing
    >>> matrices = testing.arrays(fn.float32, testing.shapes(2, 2))
    """
    from hypothesis import strategies as st

    @st.composite
    def draw_array(draw: Any) -> fn.array:
        import numpy as np

        kind = dtypes() if dtype is None else dtype
        chosen: fn.Dtype = draw(kind) if isinstance(kind, st.SearchStrategy) else kind
        size = shapes() if shape is None else shape
        dims: tuple[int, ...] = draw(size) if isinstance(size, st.SearchStrategy) else tuple(size)
        count = math.prod(dims)
        if chosen == fn.bool_:
            elements: Any = st.booleans()
        elif fn.isdtype(chosen, "integral"):
            lowest = 0 if fn.isdtype(chosen, "unsigned integer") else math.ceil(min_value)
            elements = st.integers(lowest, math.floor(max_value))
        elif fn.isdtype(chosen, "complex floating"):
            part = st.floats(min_value, max_value, width=32)
            elements = st.tuples(part, part).map(lambda pair: complex(*pair))
        else:
            elements = st.floats(min_value, max_value, width=16)
        # A few different numbers all over keep large arrays cheap to draw and to shrink.
        few = draw(st.lists(elements, min_size=min(count, 1), max_size=min(count, 16)))
        values = np.resize(np.array(few), dims) if count else np.zeros(dims)
        return fn.array(values).astype(chosen)

    return draw_array()


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
