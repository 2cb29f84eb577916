"""Loops that are made of scans and while-loops."""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from . import _core, tree
from ._arguments import function, integer
from ._calls import explained
from ._control import scan, while_loop
from ._core import TracedValueError
from ._transforms import vmap


@explained
def fori_loop(
    lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, *, unroll: int | bool | None = None
) -> Any:
    """Apply a function for every integer from `lower` to `upper` - 1.

    Computes what this loop does, at a cost of tracing and planning that does not depend on the number of turns::

        x = init_val
        for i in range(lower, upper):
            x = body_fun(i, x)
        return x

    With bounds that are known while tracing (Python or NumPy integers, arrays that are not traced) it is a :func:`scan`, which
    every transformation takes. With a traced bound it is a :func:`while_loop`, which reverse mode does not take.

    Args:
        lower: The first integer; a 0-d integer array may be traced.
        upper: One more than the last; if not above `lower`, `init_val` is returned.
        body_fun: ``(i, x) -> x``, which keeps structure, shapes and dtypes of `x`; `i` is a 0-d array of the common dtype
            of the bounds, ``int32`` for Python's and NumPy's integers that fit.
        init_val: The first value, a pytree of arrays.
        unroll: As in :func:`scan`; only for known bounds.

    Returns:
        The last value.

    Raises:
        TypeError: If a bound is not an integer, or the value comes back with another structure, shape or dtype.
        ValueError: If `unroll` is given and a bound is traced.

    Example:
        >>> import funcnn as fn
        >>> fn.fori_loop(1, 5, lambda i, x: x * i, fn.array(1))
        array(24, dtype=int32)
    """
    function(body_fun, "fori_loop: body_fun")
    first, last = _bound(lower, "lower"), _bound(upper, "upper")
    start, stop = (_core.asarray(x if isinstance(x, _core.array) else n) for x, n in ((lower, first), (upper, last)))
    dtype = _core.result_type(start, stop)
    start, stop = start.astype(dtype), stop.astype(dtype)
    expected = tree.structure(init_val)

    def turn(carry: Any) -> Any:
        i, x = carry
        x = body_fun(i, x)
        if tree.structure(x) != expected:
            raise TypeError(
                f"fori_loop: the value came back as {tree.structure(x)}, expected {expected}, the structure of init_val"
            )
        return i + 1, x

    if isinstance(first, int) and isinstance(last, int):
        length, at_once = max(last - first, 0), 1 if unroll is None else unroll
        # A number of Python's is weak: it leaves the dtype to the arrays it meets, as in the loop this stands for.
        arrays = isinstance(lower, _core.array) or isinstance(upper, _core.array)
        number = start if arrays or dtype != _core.int32 else first
        with _named("fori_loop"):
            return scan(lambda carry, _: (turn(carry), None), (number, init_val), length=length, unroll=at_once)[0][1]
    if unroll is not None:
        raise ValueError("fori_loop: unroll needs bounds that are known while tracing, but one is traced")
    with _named("fori_loop"):
        return while_loop(lambda carry: carry[0] < stop, turn, (start, init_val))[1]


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Give errors about the second part of a carry, and about `unroll`, the name of the loop that is made of another."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("scan: unroll"):
            raise
        raise ValueError(str(error).replace("scan", name, 1)) from None
    except TypeError as error:
        told = re.match(r"(?:scan|while_loop): the carry at 1(?:\.(\S+))? (went in as .*)", str(error), re.DOTALL)
        if not told:
            raise
        raise TypeError(f"{name}: the value{f' at {told[1]}' if told[1] else ''} {told[2]}") from None


def _bound(x: Any, name: str) -> Any:
    """Return an int, or the array where it is traced."""
    if isinstance(x, _core.array) and (x.ndim != 0 or not _core.isdtype(x.dtype, "integral")):
        raise TypeError(f"fori_loop: {name} must be an integer, got {x.dtype} of shape {x.shape}")
    try:
        return operator.index(x)
    except TracedValueError:
        return x
    except TypeError:
        raise TypeError(f"fori_loop: {name} must be an integer, got {type(x).__name__}") from None


@explained
def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """Apply a function to the elements along axis 0, one after another.

    Gives what :func:`vmap` gives, with the memory of a single call: a loop inside the graph, traced once. With a
    `batch_size` each turn of the loop maps over that many elements together.

    Args:
        f: A function of one pytree of arrays.
        xs: A pytree of arrays of shape ``(length, ...)``.
        batch_size: How many elements a turn takes; it need not divide the length. One by default.

    Returns:
        The results, stacked along a new axis 0.

    Raises:
        ValueError: If lengths differ, `xs` holds no arrays, or `batch_size` is less than 1.

    Example:
        >>> import funcnn as fn
        >>> fn.map(lambda x: x.sum(), fn.array([[1.0, 2.0], [3.0, 4.0]]))
        array([3., 7.], dtype=float32)
    """
    function(f, "map: f")
    if not tree.leaves(xs):
        raise ValueError("map: xs holds no arrays, so it has no length")
    if batch_size is None:
        return scan(lambda none, x: (none, f(x)), None, xs)[1]
    size = integer(batch_size, "map: batch_size")
    if size < 1:
        raise ValueError(f"map: batch_size must be at least 1, got {size}")
    leaves, treedef = tree.flatten(xs)
    arrays = [_core.asarray(x) for x in leaves]
    lengths = {x.shape[:1] for x in arrays}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"map: xs must hold arrays of one length along axis 0, got shapes {[x.shape for x in arrays]}")
    length = arrays[0].shape[0]
    whole = length - length % size

    def part(start: int, stop: int, *group: int) -> Any:
        return treedef.unflatten([x[start:stop].reshape(*group, *x.shape[1:]) for x in arrays])

    done = []
    if whole or not length:
        groups = scan(lambda none, x: (none, vmap(f)(x)), None, part(0, whole, whole // size, size))[1]
        done.append(tree.map(lambda y: y.reshape(whole, *y.shape[2:]), groups))
    if whole < length:
        done.append(vmap(f)(part(whole, length, length - whole)))
    return tree.map(lambda *parts: _core.concatenate(parts), *done) if len(done) > 1 else done[0]
