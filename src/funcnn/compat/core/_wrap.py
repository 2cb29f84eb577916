"""The doors between arrays that MLX's programs may change in place and the functions of funcnn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ... import _core

__all__ = ["immutable", "mutable", "point", "shim"]

mutable = _core._mutable
immutable = _core._immutable
point = _core._point


_Result = TypeVar("_Result")


def shim(
    function: Callable[..., _Result],
    name: str,
    module: str = "",
    otherwise: Callable[..., Any] | None = None,
) -> Callable[..., _Result]:
    """The function of MLX called so, in ``mlx.core`` or the sub-module of that name, made from one of funcnn.

    It also takes ``stream=``, and its results are mutable. Where a call of `function` raises a ValueError or a TypeError,
    `otherwise` is called with the error and the arguments: it does what MLX does with them, or raises.
    """
    made: Callable[..., _Result] = _core._shim(function, name, f"funcnn.compat.core{module and '.'}{module}", otherwise)
    return made
