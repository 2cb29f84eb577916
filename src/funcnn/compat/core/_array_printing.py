"""How MLX prints arrays: six digits a number, no padding, three elements at each end of an axis longer than six."""

from __future__ import annotations

from typing import Any

import funcnn as fn

from ... import _core, _printing

_EDGE = 3


def describe(x: _core.array, /) -> str:
    """Print `x` as the call that makes it, long axes abridged."""
    shape = x.shape
    part = x
    for axis, length in enumerate(shape):
        if length > 2 * _EDGE:
            kept = [*range(_EDGE), *range(length - _EDGE, length)]
            part = fn.take(part, _core.array(kept), axis)
    try:
        values = part.tolist()
    except _core.TracedValueError:
        return _core.array.__repr__(x)
    return f"array({_nested(values, shape, ' ' * len('array('))}, dtype={x.dtype.name})"


def _nested(values: Any, shape: tuple[int, ...], indent: str) -> str:
    if not shape:
        return _number(values)
    indent += " "
    items = [_nested(value, shape[1:], indent) for value in values]
    if shape[0] > 2 * _EDGE:
        items.insert(_EDGE, "...")
    return f"[{(', ' if len(shape) == 1 else f',{chr(10)}{indent}').join(items)}]"


def _number(value: Any) -> str:
    if isinstance(value, complex):
        imaginary = _number(value.imag)
        return f"{_number(value.real)}{'' if imaginary.startswith('-') else '+'}{imaginary}j"
    if not isinstance(value, float):
        return str(value)
    precision = _printing.get_printoptions().precision
    return format(value, "g" if precision < 0 else f".{precision}f")
