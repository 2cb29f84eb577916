"""The doors between arrays that MLX's programs may change in place and the functions of funcnn.

`shim(function, name)` makes a function of MLX from one of funcnn: it also takes ``stream=``, and its results are mutable arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ... import _core

__all__ = ["immutable", "mutable", "point", "shim"]


# A stand-in until the extension module has these: its arrays are those of funcnn, so item assignment is refused.
def _same(x: Any) -> Any:
    return x


def _no_point(handle: Any, x: Any) -> None:
    raise NotImplementedError("this build of the extension module has no mutable arrays")


def _plain_shim(function: Callable[..., Any], name: str, module: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, stream: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = name
    call.__module__ = module
    return call


_shim: Callable[[Any, str, str], Any] = getattr(_core, "_shim", _plain_shim)
mutable: Callable[[Any], Any] = getattr(_core, "_mutable", _same)
immutable: Callable[[Any], Any] = getattr(_core, "_immutable", _same)
point: Callable[[Any, Any], None] = getattr(_core, "_point", _no_point)


def shim(function: Callable[..., Any], name: str, module: str = "") -> Any:
    """The function of MLX called so, in ``mlx.core`` or the sub-module of that name."""
    return _shim(function, name, f"funcnn.compat.core{module and '.'}{module}")
