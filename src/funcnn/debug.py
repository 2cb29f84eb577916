"""Looking into functions, also those that are only traced: inside `compile`, `vmap` and loops; finding NaN."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from . import _core, _hints
from ._callback import split
from ._nan_origin import NanOrigin, Place, check_finite, nan_origin

__all__ = ["NanOrigin", "Place", "callback", "check_finite", "nan_origin", "print"]


def callback(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call a Python function for its effects, each time the place is computed and in the order of the program.

    Inside `compile`, `scan`, `cond` and `while_loop` it is called when these run, with the values of that run: once for
    each step of a loop, once for each row under `vmap`. It is called exactly once also where a derivative computes the
    place again, but for the condition of a `while_loop` under `jvp`. Elsewhere it is called at once, which computes the
    arguments.

    Args:
        function: Called with NumPy arrays, which are read-only, in the place of arrays; what it returns is dropped. What it
            raises is raised where the value is computed.
        args, kwargs: Its arguments: pytrees. What is not an array is passed as it is.

    Raises:
        ValueError: Inside the rule of a custom derivative that is itself transformed (in the body of a loop, or called by
            the function that ``vjp`` returns), where nothing says how often it is computed.

    >>> import funcnn as fn
    >>> seen = []
    >>> f = fn.compile(lambda x: (fn.debug.callback(seen.append, x), x * 2)[1])
    >>> y = f(fn.array(1.0)), f(fn.array(2.0))
    >>> [float(x) for x in seen]
    [1.0, 2.0]
    """
    if not callable(function):
        raise TypeError(f"debug.callback: expected a function, got {type(function).__name__}")
    inputs, restored = split(args, kwargs)

    def call(arrays: list[_core.array]) -> list[_core.array]:
        positional, keywords = restored(arrays)
        function(*positional, **keywords)
        return [_core.array(False)]

    _core._debug_callback(call, inputs)


def print(fmt: str, *args: Any, **kwargs: Any) -> None:
    """Print a formatted line each time the place is computed, with the values of that run; see :func:`callback`.

    Args:
        fmt: As for ``str.format``.
        args, kwargs: What it formats: pytrees of arrays and other values. Arrays print as NumPy's do.

    Raises:
        IndexError, KeyError: `fmt` names an argument that is not given.

    >>> import funcnn as fn
    >>> @fn.compile
    ... def f(x):
    ...     fn.debug.print("x = {}, its sum {s:.1f}", x, s=x.sum())
    ...     return x * 2
    >>> y = f(fn.array([1.0, 2.0]))
    x = [1. 2.], its sum 3.0
    """
    if not isinstance(fmt, str):
        raise TypeError(f"debug.print: fmt must be a string, got {type(fmt).__name__}; write debug.print('{{}}', x)")
    inputs, restored = split(args, kwargs)
    positional, keywords = restored([_Anything()] * len(inputs))
    fmt.format(*positional, **keywords)
    callback(lambda *args, **kwargs: builtins.print(fmt.format(*args, **kwargs)), *args, **kwargs)


class _Anything:
    """Formats like any array, to check a format before there are values."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getitem__(self, index: Any) -> _Anything:
        return self

    def __getattr__(self, name: str) -> _Anything:
        return self


_hints.close(globals())
