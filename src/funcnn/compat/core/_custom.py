"""Functions with derivatives and batching rules of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _core
from ._transforms import check_function

__all__ = ["custom_function"]

_native: Any = _core.compat


class custom_function:
    """A function some of whose transformations are given by rules; the others are those of the function itself.

    Values that the function uses beside its arguments are constants. The rules see trees like the arguments, the only
    argument without a tuple around it, and like the results; what is None or missing in what they return is zero.

    >>> import funcnn.compat.core as mx
    >>> @mx.custom_function
    ... def clipped(x):
    ...     return x
    >>> @clipped.vjp
    ... def rule(primals, cotangents, outputs):
    ...     return mx.clip(cotangents, -1, 1)
    >>> mx.grad(lambda x: 10 * clipped(x))(mx.array(2.0)).item()
    1.0
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        check_function("custom_function", f)
        self._function = f
        self._vjp: Callable[..., Any] | None = None
        self._jvp: Callable[..., Any] | None = None
        self._vmap: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return _native.custom_function(self, self._function, self._vjp, self._jvp, self._vmap, args, kwargs)

    def vjp(self, f: Callable[..., Any]) -> custom_function:
        """Set ``f(primals, cotangents, outputs)``, which returns the cotangents of the arguments."""
        check_function("custom_function.vjp", f)
        self._vjp = f
        return self

    def jvp(self, f: Callable[..., Any]) -> custom_function:
        """Set ``f(primals, tangents)``, which returns the tangents of the results. A tangent is None where it is zero."""
        check_function("custom_function.jvp", f)
        self._jvp = f
        return self

    def vmap(self, f: Callable[..., Any]) -> custom_function:
        """Set ``f(inputs, axes)``, which returns the results for mapped inputs, and their axes.

        An axis is None where an input is not mapped.
        """
        check_function("custom_function.vmap", f)
        self._vmap = f
        return self
