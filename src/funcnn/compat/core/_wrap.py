"""The doors between arrays that MLX's programs may change in place and the functions of funcnn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from ... import _core
from ..._core import array, mutable_array

__all__ = ["immutable", "mutable", "point", "shim"]

mutable = _core._mutable
immutable = _core._immutable
point = _core._point


_Otherwise = Callable[..., Any] | None


# What type checkers are told: the results are mutable. Arguments are not told apart, since no type says "and stream=".
@overload
def shim(
    function: Callable[..., array], name: str, module: str = "", otherwise: _Otherwise = None
) -> Callable[..., mutable_array]: ...
@overload
def shim(
    function: Callable[..., list[array]], name: str, module: str = "", otherwise: _Otherwise = None
) -> Callable[..., list[mutable_array]]: ...
@overload
def shim(function: Callable[..., Any], name: str, module: str = "", otherwise: _Otherwise = None) -> Any: ...
def shim(
    function: Callable[..., Any],
    name: str,
    module: str = "",
    otherwise: _Otherwise = None,
) -> Any:
    """The function of MLX called so, in ``mlx.core`` or the sub-module of that name, made from one of funcnn.

    It also takes ``stream=``, and its results are mutable. Where a call of `function` raises a ValueError or a TypeError,
    `otherwise` is called with the error and the arguments: it does what MLX does with them, or raises.
    """
    return _core._shim(function, name, f"funcnn.compat.core{module and '.'}{module}", otherwise)
