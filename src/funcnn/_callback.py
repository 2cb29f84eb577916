"""Functions of the host program inside graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _core, tree

_METHODS = (None, "sequential", "expand_dims", "broadcast_all")


def split(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[_core.array], Callable[[Any], tuple[Any, Any]]]:
    """Take the arrays out of arguments; the function puts others in their place, NumPy's if they are funcnn's."""
    from ._array import to_numpy

    leaves, treedef = tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, _core.array)]
    inputs = [leaves[i] for i in places]
    for i in places:
        leaves[i] = None  # the function outlives the call, the arrays need not

    def restored(arrays: Any) -> tuple[Any, Any]:
        full = list(leaves)
        for place, x in zip(places, arrays, strict=True):
            full[place] = to_numpy(x) if isinstance(x, _core.array) else x
        made: tuple[Any, Any] = treedef.unflatten(full)
        return made

    return inputs, restored


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a Python function where the value is computed: inside `compile`, `vmap` and loops, which only trace.

    The function must depend on nothing but its arguments and have no effects: it may be called several times, or never
    if nobody needs the result. It gets NumPy arrays, which are read-only, in the place of arrays (float32 for bfloat16).
    What it raises is raised where the value is computed. It has no derivative: give it one with :func:`custom_vjp` or
    :func:`custom_jvp`. Its results are not checked for being equal from call to call.

    Args:
        callback: A function of pytrees that returns a pytree of arrays or numbers.
        result_shape_dtypes: What it returns: a pytree of objects with ``shape`` and ``dtype``, such as arrays.
        args, kwargs: Its arguments. What is not an array is passed as it is.
        vmap_method: What :func:`vmap` does: ``"sequential"`` calls once for each row. ``"expand_dims"`` and
            ``"broadcast_all"`` call once with a leading axis on arrays and results; on arrays that are not mapped it has
            length 1 with the first and full length with the second. None (default) refuses.

    Returns:
        Arrays in the structure of `result_shape_dtypes`.

    Raises:
        TypeError: When computed, if a result has another dtype that does not convert.
        ValueError: When computed, if the structure or a shape differs.

    Example:
        >>> import funcnn as fn, numpy as np
        >>> @fn.compile
        ... def f(x):
        ...     return fn.pure_callback(np.sort, x, x) * 2
        >>> f(fn.array([3.0, 1.0, 2.0]))
        array([2., 4., 6.], dtype=float32)
    """
    if not callable(callback):
        raise TypeError(f"pure_callback: expected a function, got {type(callback).__name__}")
    if vmap_method not in _METHODS:
        raise ValueError(f"pure_callback: vmap_method must be one of {_METHODS}, got {vmap_method!r}")
    wanted, treedef = tree.flatten(result_shape_dtypes)
    for path, leaf in tree.leaves_with_path(result_shape_dtypes):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise TypeError(
                f"pure_callback: result_shape_dtypes{path and ' at ' + path}: expected something with shape and dtype, "
                f"such as an array, got {type(leaf).__name__}"
            )
    shapes = [tuple(leaf.shape) for leaf in wanted]
    dtypes = [_core.zeros(0, dtype=leaf.dtype).dtype for leaf in wanted]
    inputs, restored = split(args, kwargs)
    ranks = [x.ndim for x in inputs]

    def call(arrays: list[_core.array]) -> list[_core.array]:
        positional, keywords = restored(arrays)
        result = callback(*positional, **keywords)
        got, structure = tree.flatten(result)
        if structure != treedef:
            raise ValueError(f"pure_callback: the function returned {structure}, expected {treedef}")
        axes = _mapped_axes(arrays, ranks)
        return [_converted(x, axes + shape, dtype) for x, shape, dtype in zip(got, shapes, dtypes, strict=True)]

    return treedef.unflatten(_core._pure_callback(call, inputs, shapes, dtypes, vmap_method or ""))


def _mapped_axes(arrays: list[_core.array], ranks: list[int]) -> tuple[int, ...]:
    """The lengths of the leading axes that vmap has added; those of length 1 may stand for more."""
    axes: tuple[int, ...] = ()
    for x, rank in zip(arrays, ranks, strict=True):
        axes = _core.broadcast_shapes(axes, x.shape[: x.ndim - rank])
    return axes


def _converted(x: Any, shape: tuple[int, ...], dtype: _core.Dtype) -> _core.array:
    import numpy as np

    if not isinstance(x, _core.array):
        x = np.asarray(x)
        like = np.dtype(np.float32 if dtype == _core.bfloat16 else dtype)
        if not np.can_cast(x.dtype, like, "same_kind"):
            raise TypeError(f"pure_callback: the function returned dtype {x.dtype}, expected {dtype}")
        x = _core.array(x, dtype=dtype)
    elif x.dtype != dtype:
        raise TypeError(f"pure_callback: the function returned dtype {x.dtype}, expected {dtype}")
    if x.shape != shape:
        raise ValueError(f"pure_callback: the function returned shape {x.shape}, expected {shape}")
    made: _core.array = x
    return made
