"""The doors between arrays that MLX's programs may change in place and the functions of funcnn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from ... import _core

__all__ = ["mutable", "of_arrays", "refuse_values", "shim"]

mutable = _core._mutable

_Result = TypeVar("_Result")


def shim(
    function: Callable[..., Any],
    name: str,
    module: str = "",
    otherwise: Callable[..., Any] | None = None,
    stream_at: int | None = None,
) -> Any:
    """The function of MLX called so, in ``mlx.core`` or the sub-module of that name, made from one of funcnn.

    It also takes ``stream=``, and its results are mutable. Where a call of `function` raises a ValueError or a TypeError,
    `otherwise` is called with the error and the arguments: it does what MLX does with them, or raises. `stream_at` is the place
    of the stream among the arguments, where MLX takes it by place, too.
    """
    if stream_at is None:
        return _core._shim(function, name, _home(module), otherwise)

    def by_place(error: Exception, *args: Any, **kwargs: Any) -> Any:
        if isinstance(error, TypeError) and len(args) == stream_at + 1:
            return made(*args[:-1], stream=args[-1], **kwargs)
        if otherwise is not None:
            return otherwise(error, *args, **kwargs)
        raise error

    made = _core._shim(function, name, _home(module), by_place)
    return made


def of_arrays(
    function: Callable[..., Any],
    name: str,
    module: str = "",
    otherwise: Callable[..., Any] | None = None,
    stream_at: int | None = None,
    count: int = 1,
) -> Any:
    """The same of a function whose first `count` arguments are arrays alone in MLX, where a number among them is a TypeError.

    Numbers that funcnn can use stay arguments; where it raises a ValueError for them, they get MLX's error.
    """

    def refused(error: Exception, *args: Any, **kwargs: Any) -> Any:
        if isinstance(error, ValueError) and any(isinstance(x, (int, float, complex)) for x in args[:count]):
            raise TypeError(str(error)) from error
        if otherwise is not None:
            return otherwise(error, *args, **kwargs)
        raise error

    return shim(function, name, module, refused, stream_at)


def _home(module: str) -> str:
    return f"funcnn.compat.core{module and '.'}{module}"


def refuse_values(error: Exception, *values: Any) -> NoReturn:
    """Raise what MLX raises where values may be anything: a ValueError for what is neither a number nor an array."""
    numbers = (bool, int, float, complex, _core.array, type(None))
    if isinstance(error, TypeError) and not all(isinstance(x, numbers) for x in values):
        raise ValueError(str(error)) from error
    raise error
