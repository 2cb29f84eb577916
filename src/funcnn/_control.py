"""Loops and branches inside graphs."""

from collections.abc import Callable
from typing import Any

from . import _carriers, _core


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
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

    Returns:
        The last carry, and the ``y`` of all steps stacked along a new axis 0.

    Raises:
        TypeError: If the carry comes back with another structure, shape or dtype.
        ValueError: If lengths differ, or none is known.

    Example:
        >>> import funcnn as fn
        >>> def step(total, x):
        ...     return total + x, total
        >>> fn.scan(step, fn.array(0.0), fn.array([1.0, 2.0, 3.0]))
        (array(6., dtype=float32), array([0., 1., 3.], dtype=float32))
    """
    return _carriers.scan(_core._scan, f, init, xs, length, reverse)


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """Run one of two functions, chosen when the value is computed.

    Under :func:`vmap` with a mapped predicate both are computed and each row takes its own.

    Args:
        pred: A 0-d array or number; anything but zero is true.
        true_fun: A function of the operands, run if `pred` holds.
        false_fun: Another that returns the same structure, shapes and dtypes; a Python number takes the dtype of the other.
        operands: Pytrees of arrays.

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
    return _core._cond(pred, true_fun, false_fun, operands)


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
