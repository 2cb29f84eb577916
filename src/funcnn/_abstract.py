"""Shapes and dtypes of results, without results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from . import _core, tree
from ._arguments import integers
from ._core import Dtype


def _named(dtype: Any) -> Dtype:
    """The dtype that a name or a dtype of NumPy stands for."""
    return _core.promote_types(dtype, dtype)


def _lengths(shape: Any) -> tuple[int, ...]:
    found = integers(shape, "ShapeDtypeStruct: shape")
    if any(length < 0 for length in found):
        raise ValueError(f"ShapeDtypeStruct: a shape has no negative lengths, got {found}")
    return found


@attrs.frozen
class ShapeDtypeStruct:
    """The shape and dtype of an array that need not exist.

    :func:`eval_shape` takes and returns them.

    Example:
        >>> import funcnn as fn
        >>> fn.ShapeDtypeStruct((2, 3), fn.float32).size
        6
    """

    shape: tuple[int, ...] = attrs.field(converter=_lengths)
    dtype: Dtype = attrs.field(converter=_named)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for length in self.shape:
            size *= length
        return size


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Find the shapes and dtypes of what a function returns, without computing anything.

    The function is traced: it sees arrays without values, as under :func:`compile`. No memory is taken, however large
    the arrays would be, so the parameters of a model can be measured before they are drawn.

    Args:
        fun: A function that returns a pytree of arrays.
        args, kwargs: Its arguments. Arrays, NumPy's too, and :class:`ShapeDtypeStruct` stand for any array of their
            shape and dtype; other leaves, Python numbers among them, are passed as they are.

    Returns:
        What `fun` returns, with a :class:`ShapeDtypeStruct` in the place of each array.

    Raises:
        TypeError: If `fun` returns something else than arrays and numbers.
        TracedValueError: If `fun` needs the value of an array.

    Example:
        >>> import funcnn as fn
        >>> huge = fn.ShapeDtypeStruct((10**6, 10**6), fn.float32)
        >>> fn.eval_shape(lambda x: {"product": x @ x.T, "mean": x.mean()}, huge)
        {'mean': ShapeDtypeStruct(shape=(), dtype=float32), 'product': ShapeDtypeStruct(shape=(1000000, 1000000), dtype=float32)}
    """
    if not callable(fun):
        raise TypeError(f"eval_shape: expected a function first, got {type(fun).__name__}")
    leaves, treedef = tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(leaves) if hasattr(x, "shape") and hasattr(x, "dtype")]

    def call(arrays: list[Any]) -> Any:
        given = list(leaves)
        for i, x in zip(places, arrays, strict=True):
            given[i] = x
        positional, named = treedef.unflatten(given)
        return fun(*positional, **named)

    dtypes = [_dtype(leaves[i]) for i in places]
    return _core._eval_shape(call, [leaves[i].shape for i in places], dtypes, ShapeDtypeStruct)


def _dtype(x: Any) -> Dtype:
    """The dtype of an array or what stands for one; of NumPy's, that of its copy here."""
    if isinstance(x.dtype, Dtype):
        return x.dtype
    import numpy as np

    return _core.array(np.empty(0, x.dtype)).dtype
