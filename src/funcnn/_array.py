"""The parts of the array class that are easier said in Python: printing, NumPy, pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core
from ._printing import numpy_options

if TYPE_CHECKING:
    import numpy as np


def to_numpy(x: _core.array, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """Make a NumPy array of `x`: a read-only view of its memory unless a conversion or a copy is asked for.

    bfloat16, which NumPy lacks, becomes float32.
    """
    import numpy as np

    given, converts = x.dtype, x.dtype == _core.bfloat16
    if converts:
        x = x.astype(_core.float32)
    made = np.asarray(memoryview(x))
    converts |= dtype is not None and made.dtype != dtype
    if copy is False and converts:
        raise ValueError(f"__array__: converting {given} needs a copy, which copy=False forbids")
    if dtype is not None and made.dtype != dtype:
        return made.astype(dtype)
    return made.copy() if copy else made


def describe(x: _core.array) -> str:
    """Print `x` as the call that makes it, large arrays abridged."""
    import numpy as np

    values = to_numpy(x)
    if x.dtype == _core.bool_ and x.ndim == 0:
        text = str(bool(values))
    else:
        text = np.array2string(values, separator=", ", prefix="array(", suffix=f", dtype={x.dtype})", **numpy_options())
    if x.size == 0 and x.shape != (0,):
        text = f"[], shape={x.shape}"
    return f"array({text}, dtype={x.dtype})"


# Functions of NumPy that read nothing but attributes, which traced arrays have too.
_OF_SHAPES = ("shape", "ndim", "size")


def call_numpy(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy with the values of the arrays among its arguments, also within lists, tuples and dicts."""
    name = function.__name__
    if name in _OF_SHAPES:
        return function.__wrapped__(*args, **kwargs)
    if any(isinstance(x, _core.array) for x in _outputs(kwargs.get("out"))):
        raise TypeError(f"numpy.{name}: arrays of funcnn are immutable, so they cannot be `out`")

    def values(x: Any) -> Any:
        if isinstance(x, _core.array):
            return to_numpy(x)
        if type(x) in (list, tuple):
            return type(x)(values(y) for y in x)
        return {key: values(y) for key, y in x.items()} if type(x) is dict else x

    try:
        args, kwargs = values(args), values(kwargs)
    except _core.TracedValueError as error:
        here = f"; of traced arrays use fn.{name}" if hasattr(_core, name) else ""
        raise _core.TracedValueError(f"numpy.{name}: {error}{here}") from None
    return function(*args, **kwargs)


def _outputs(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def restore(data: Any, shape: tuple[int, ...], dtype: _core.Dtype) -> _core.array:
    """Make the array that was pickled."""
    return _core._restore(data, shape, dtype)
