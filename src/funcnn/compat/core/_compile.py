"""Compiled functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ... import _core
from ._transforms import check_function, copy_names
from .random import _RandomState

__all__ = ["compile", "disable_compile", "enable_compile"]

_native: Any = _core.compat
_native.set_stand_in(_RandomState, "_keys")


def compile(
    fun: Callable[..., Any], inputs: Any = None, outputs: Any = None, shapeless: bool = False
) -> Callable[..., Any]:
    """Return ``fun``, traced once for each kind of arguments and run from its plan ever after.

    Arguments are trees of arrays and of constants: numbers, strings and None, which are what they are while the function is
    traced, and for other values of which it is traced again. What it returns may hold anything beside arrays. A call computes
    its results at once, unless the function is small, writes no outputs and is called with arrays that are not computed yet: then it becomes part of
    what those wait for.

    Args:
        fun: The function.
        inputs: Lists and dicts of arrays that the function reads, ``mx.random.state`` among them. Whatever else it reads from
            outside its arguments is a constant.
        outputs: Lists and dicts that it writes. A call leaves them as the function would. Arrays that nothing but these
            containers has make room for the new ones.
        shapeless: Use a trace for other shapes too, where the function consists of elementwise operations, or of these without
            numbers and reductions, sorts, products and the like. Numbers that it computes from shapes are then those of the
            first call. Elsewhere, and for axes with one element or none, it is traced again.

    Raises:
        ValueError: An argument is something else, or the function looks at the value of an array.
        ValueError: In a call: another thread's call has the same `inputs` in hand; nothing is changed.

    >>> import funcnn.compat.core as mx
    >>> state = {"total": mx.array(0.0)}
    >>> def add(x):
    ...     state["total"] = state["total"] + x
    >>> step = mx.compile(add, inputs=state, outputs=state)
    >>> step(mx.array(2.0))
    >>> step(mx.array(3.0))
    >>> state["total"].item()
    5.0
    """
    check_function("compile", fun)
    name = getattr(fun, "__name__", type(fun).__name__)
    compiled: Callable[..., Any] = _native.CompiledFunction(fun, name, inputs, outputs, bool(shapeless))
    copy_names(fun, compiled)
    return compiled


def disable_compile() -> None:
    """Let compiled functions call what they were made from, from now on, on all threads."""
    _native.disable_compile(True)


def enable_compile() -> None:
    """Undo ``disable_compile``, or ``MLX_DISABLE_COMPILE`` in the environment."""
    _native.disable_compile(False)


if "MLX_DISABLE_COMPILE" in os.environ:
    disable_compile()
