"""Strategies for the elements of arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import attrs

import funcnn as fn

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

KINDS = {
    "bool": ("bool_",),
    "unsigned": ("uint8", "uint16", "uint32", "uint64"),
    "signed": ("int8", "int16", "int32", "int64"),
    "floating": ("float16", "bfloat16", "float32", "float64"),
    "complex": ("complex64",),
}

# Bits of the mantissa.
_MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_WIDTH = {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64}


@attrs.frozen
class Range:
    """Which elements an array may have; None stands for a bound that is not given."""

    low: float | None
    high: float | None
    nan: bool
    infinity: bool
    subnormal: bool


def elements(dtype: fn.Dtype, allowed: Range) -> SearchStrategy[Any]:
    """Draw elements: the bits of floats as an integer, pairs of these for complex numbers, Python numbers else."""
    from hypothesis import strategies as st

    if dtype == fn.bool_:
        return st.booleans()
    if fn.isdtype(dtype, "integral"):
        return _integers(dtype, allowed)
    if fn.isdtype(dtype, "complex floating"):
        part = _floats(fn.float32, allowed)
        return st.tuples(part, part)
    return _floats(dtype, allowed)


def unsigned(dtype: fn.Dtype) -> str:
    """The name of the NumPy dtype that holds what ``elements`` draws, or its parts."""
    if fn.isdtype(dtype, "complex floating"):
        return "uint32"
    return f"uint{_WIDTH[dtype.name]}" if fn.isdtype(dtype, "real floating") else dtype.name.rstrip("_")


def _integers(dtype: fn.Dtype, allowed: Range) -> SearchStrategy[int]:
    from hypothesis import strategies as st

    info = fn.iinfo(dtype)
    low = info.min if allowed.low is None else max(math.ceil(allowed.low), info.min)
    high = info.max if allowed.high is None else min(math.floor(allowed.high), info.max)
    if low > high:
        raise ValueError(_none_between(dtype, allowed))
    if allowed.low is not None and allowed.high is not None:
        return st.integers(low, high)
    small = st.integers(max(low, -9), min(high, 9)) if low <= 9 and high >= -9 else st.integers(low, high)
    return st.one_of(small, st.sampled_from([low, high]), st.integers(low, high))


def _none_between(dtype: fn.Dtype, allowed: Range) -> str:
    low = -math.inf if allowed.low is None else allowed.low
    high = math.inf if allowed.high is None else allowed.high
    return f"arrays: {dtype} has no number from {low} to {high}"


def _floats(dtype: fn.Dtype, allowed: Range) -> SearchStrategy[int]:
    """Draw the bits of a float."""
    from hypothesis import strategies as st

    name = dtype.name
    mantissa, width = _MANTISSA[name], _WIDTH[name]
    sign = 1 << (width - 1)
    infinity = sign - (1 << mantissa)
    quiet = infinity | (1 << (mantissa - 1))
    # The usual NaN, one with the sign bit, and those with anything in their other bits.
    nans = [st.sampled_from([quiet, quiet | sign]), st.integers(0, (1 << (mantissa - 1)) - 1).map(lambda n: quiet | n)]
    if allowed.low is None and allowed.high is None:
        normal = 1 << mantissa
        one = bits_of(dtype, 1.0)
        special = [1, normal - 1, normal, infinity - 1, one + 1]

        def within(bits: int) -> int:
            """Make NaNs quiet ones, which copying and widening keep; leave out what is not allowed."""
            size = bits & (sign - 1)
            if size > infinity:
                return bits | quiet if allowed.nan else bits ^ (1 << (width - 2))
            if size == infinity and not allowed.infinity:
                return bits - 1
            return bits & sign if size < normal and not allowed.subnormal else bits

        choices = [
            st.integers(-8, 8).map(lambda n: bits_of(dtype, float(n))),
            st.just(sign),  # -0.0
            st.sampled_from([*special, *(bits | sign for bits in special)]).map(within),
            st.integers(0, (1 << width) - 1).map(within),
        ]
        if allowed.infinity:
            choices.append(st.sampled_from([infinity, infinity | sign]))
        return st.one_of(*choices, *(nans if allowed.nan else []))
    choices = [_bounded(dtype, allowed).map(lambda x: bits_of(dtype, x))]
    if allowed.infinity:
        open_ends = [
            bits for bound, bits in ((allowed.high, infinity), (allowed.low, infinity | sign)) if bound is None
        ]
        choices.append(st.sampled_from(open_ends))
    return st.one_of(*choices, *(nans if allowed.nan else []))


def bits_of(dtype: fn.Dtype, x: float) -> int:
    """The bits of a number that a dtype holds."""
    import numpy as np

    if dtype == fn.bfloat16:
        return int(np.float32(x).view(np.uint32)) >> 16
    return int(np.array(x, dtype.name).view(unsigned(dtype)))


def _bounded(dtype: fn.Dtype, allowed: Range) -> SearchStrategy[float]:
    from hypothesis import strategies as st

    largest = float(fn.finfo(dtype).max)
    low = -largest if allowed.low is None else allowed.low
    high = largest if allowed.high is None else allowed.high
    lowest, highest = inward(dtype, low, up=True), inward(dtype, high, up=False)
    if lowest > highest:
        raise ValueError(_none_between(dtype, allowed))
    tiny = float(fn.finfo(dtype).smallest_normal)

    def normal(numbers: SearchStrategy[float]) -> SearchStrategy[float]:
        return numbers if allowed.subnormal else numbers.filter(lambda x: x == 0 or abs(x) >= tiny)

    # Numbers of few digits, where there are any between the bounds, make arithmetic with them benign.
    half_lowest, half_highest = inward(fn.float16, low, up=True), inward(fn.float16, high, up=False)
    if dtype == fn.bfloat16 or not (max(-low, high) <= 65504 and half_lowest <= half_highest):
        width: Literal[16, 32, 64] = 64 if dtype == fn.float64 else 16 if dtype == fn.float16 else 32
        numbers = st.floats(lowest, highest, width=width)
        return normal(numbers.map(_bfloat16) if dtype == fn.bfloat16 else numbers)
    return normal(st.one_of(st.floats(half_lowest, half_highest, width=16), st.sampled_from([lowest, highest])))


def _bfloat16(x: float) -> float:
    return float(fn.array(x, dtype=fn.float64).astype(fn.bfloat16).item())


def inward(dtype: fn.Dtype, bound: float, up: bool) -> float:
    """The number of a dtype nearest to a bound on one side of it."""
    import numpy as np

    towards = math.inf if up else -math.inf
    if dtype == fn.bfloat16:
        x = np.float32(inward(fn.float32, bound, up))
        if not math.isfinite(x):
            return float(x)
        # The upper half of the bits of a float32; rounding towards zero cuts the rest off.
        bits = int(x.view(np.uint32))
        if bits & 0xFFFF:
            bits = (bits & 0xFFFF0000) + (0x10000 if (x > 0) == up else 0)
        return float(np.uint32(bits).view(np.float32))
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        x = kind(bound)
        if (float(x) < bound) if up else (float(x) > bound):
            x = np.nextafter(x, kind(towards))
    largest = float(np.finfo(kind).max)
    # Beyond the largest number lies none.
    return float(x) if not math.isinf(x) else (-largest if up and x < 0 else largest if not up and x > 0 else float(x))
