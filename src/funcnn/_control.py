"""Loops and branches inside graphs: the primitives, and choosing among many branches."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import _carriers, _core, tree
from ._arguments import function, is_integer
from ._calls import explained


@explained
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Carry a value along axis 0 of `xs`: a loop that is traced, planned and differentiated as one step.

    Computes what this loop does, at a cost of tracing and planning that does not depend on the length::

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, stack(ys)

    Its derivative is another scan, which keeps of each step what the derivative needs.

    Args:
        f: ``(carry, x) -> (carry, y)``. The carry keeps its structure, shapes and dtypes; `y` is any pytree.
        init: The first carry, a pytree of arrays. A Python number in it takes the dtype that `f` gives it.
        xs: A pytree of arrays of shape ``(length, ...)``; `f` gets one element along axis 0 of each. None for none. A
            layer's view of stacked parameters may be in it: updates come out stacked, and each step has keys of its own.
        length: The number of steps; needed only where `xs` has no arrays.
        reverse: Run from the last element to the first; ``ys`` stay in the order of `xs`.
        unroll: How many steps to take in one turn of the loop: more make planning dearer and turns fewer, and kernels are
            fused across their steps. It need not divide the length. True takes all of them, without a loop. `f` is
            traced once in any case.

    Returns:
        The last carry, and the ``y`` of all steps stacked along a new axis 0.

    Raises:
        TypeError: If the carry comes back with another structure, shape or dtype.
        ValueError: If lengths differ, or none is known; if `unroll` is less than 1.

    Example:
        >>> import funcnn as fn
        >>> def step(total, x):
        ...     return total + x, total
        >>> fn.scan(step, fn.array(0.0), fn.array([1.0, 2.0, 3.0]))
        (array(6., dtype=float32), array([0., 1., 3.], dtype=float32))
    """

    def call(f: Any, init: Any, xs: Any, length: int | None, reverse: bool) -> Any:
        return _core._scan(f, init, xs, length, reverse, unroll)

    return _carriers.scan(call, f, init, xs, length, reverse)


@explained
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """Run one of two functions, chosen when the value is computed.

    Under :func:`vmap` with a mapped predicate both are computed and each row takes its own. A branch is computed on
    the operands of rows that take it alone, so neither values nor derivatives of the other rows can harm. Arrays that
    it uses from outside count as operands.

    Args:
        pred: A 0-d array or number; anything but zero is true.
        true_fun: A function of the operands, run if `pred` holds.
        false_fun: Another that returns the same structure, shapes and dtypes; a Python number takes the dtype of the other.
        operands: Pytrees of arrays, or a layer's views of its parameters: an update that the chosen function reports is
            the update of the call.

    Returns:
        What the chosen function returns.

    Raises:
        TypeError: If the functions return different structures, shapes or dtypes.
        ValueError: If `pred` is not 0-d.

    Example:
        >>> import funcnn as fn
        >>> fn.cond(fn.array(True), lambda x: x + 1, lambda x: x - 1, fn.array(1.0))
        array(2., dtype=float32)
    """
    return _carriers.cond(_core._cond, pred, true_fun, false_fun, operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Run one of several functions, chosen by a number when the value is computed.

    Only the chosen branch runs. Under :func:`vmap` with a mapped index all are computed and each row takes its own.

    Args:
        index: An integer or a 0-d integer array; what is out of range takes the first or the last branch.
        branches: Functions of the operands that return the same structure, shapes and dtypes. Each is traced once; a
            single one is called as it is.
        operands: Pytrees of arrays.

    Returns:
        What the chosen function returns.

    Raises:
        TypeError: If the index is not an integer, or the functions return different structures, shapes or dtypes.
        ValueError: If there are no branches, or the index is not 0-d.

    Example:
        >>> import funcnn as fn
        >>> branches = [fn.sin, fn.cos, lambda x: x * x]
        >>> fn.switch(fn.array(2), branches, fn.array(3.0))
        array(9., dtype=float32)
    """
    if isinstance(index, bool) or not (is_integer(index) or hasattr(index, "dtype")):
        raise TypeError(
            f"switch: the index must be an integer, got {type(index).__name__}; for a choice between two use cond"
        )
    index = _core.asarray(index)
    if not _core.isdtype(index.dtype, "integral"):
        raise TypeError(f"switch: the index must be an integer, got {index.dtype}; for a choice between two use cond")
    if index.ndim != 0:
        raise ValueError(f"switch: the index must be 0-d, got shape {index.shape}; map over it with vmap")
    if callable(branches) or not isinstance(branches, Iterable):
        raise TypeError(f"switch: branches must be a list of functions, got a {type(branches).__name__}")
    branches = [function(f, f"switch: branch {place}") for place, f in enumerate(branches)]
    if not branches:
        raise ValueError("switch: there are no branches")
    first: list[Any] = []

    def checked(place: int, *args: Any) -> Any:
        """Call a branch and compare what it returns with what the first returned."""
        output = branches[place](*args)
        avals, treedef = tree.flatten(tree.map(_aval, output))
        if not first:
            first.extend((avals, treedef))
        elif treedef != first[1]:
            raise TypeError(
                f"switch: branches return different structures, {first[1]} (branch 0) and {treedef} (branch {place})"
            )
        for path, ours, theirs in zip(treedef.paths(), avals, first[0], strict=True):
            if ours != theirs:
                where = f" at {path}" if path else ""
                raise TypeError(f"switch: branches disagree{where}: {theirs} (branch 0) and {ours} (branch {place})")
        return output

    def choose(low: int, high: int, *args: Any) -> Any:
        """Choose among the branches from `low` to `high` - 1 by halving."""
        if high - low == 1:
            return checked(low, *args)
        middle = (low + high) // 2
        return cond(
            _core.less(index, middle),
            lambda *args: choose(low, middle, *args),
            lambda *args: choose(middle, high, *args),
            *args,
        )

    return choose(0, len(branches), *operands)


def _aval(leaf: Any) -> str:
    return f"{leaf.dtype}{tuple(leaf.shape)}" if hasattr(leaf, "dtype") else str(_core.asarray(leaf).dtype) + "()"


@explained
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Any) -> Any:
    """Repeat a function while a condition holds.

    It can be differentiated in forward mode (:func:`jvp`, :func:`jacfwd`) and mapped; reverse mode would have to keep
    every step of a loop whose length nobody knows, and raises: use :func:`scan`.

    Args:
        cond_fun: ``carry -> bool``, a 0-d array.
        body_fun: ``carry -> carry``, which keeps structure, shapes and dtypes.
        init: The first carry, a pytree of arrays. A Python number in it takes the dtype that `body_fun` gives it.

    Returns:
        The first carry for which the condition is false.

    Raises:
        TypeError: If the carry comes back with another structure, shape or dtype, or the condition is not 0-d.

    Example:
        >>> import funcnn as fn
        >>> fn.while_loop(lambda x: x < 100, lambda x: x * 2, fn.array(3))
        array(192, dtype=int32)
    """
    return _core._while_loop(cond_fun, body_fun, init)
