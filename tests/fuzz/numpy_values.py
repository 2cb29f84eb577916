"""Values of the NumPy interpreter: elements, and how far those of another correct program may lie from them.

Floating point values are held in float64 (complex ones in complex128) with a bound on the absolute error of each
element; integers and bools as they are. The bound 0 says that every correct program has exactly this element (None: all
of them); infinity, that nothing is known, as for the result of a comparison within rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

HALVES = ("float16", "bfloat16")
FLOATS = (*HALVES, "float32", "float64")
INEXACT = (*FLOATS, "complex64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = (*SIGNED, *UNSIGNED)
DTYPES = (*INEXACT, *INTEGERS, "bool_")

# Unit roundoff, largest number, smallest normal number.
ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-52, "complex64": 2.0**-24}
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895e38, "float32": 3.4028e38, "float64": 1.7e308, "complex64": 3.4028e38}
TINY = {"float16": 2.0**-24, "bfloat16": 1.2e-38, "float32": 1.2e-38, "float64": 2.3e-308, "complex64": 1.2e-38}


def storage(dtype: str) -> type:
    """The NumPy type that holds values of a dtype here."""
    if dtype == "complex64":
        return np.complex128
    return np.float64 if dtype in FLOATS else getattr(np, dtype)


def round_to(x: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers of a floating point dtype."""
    if dtype == "float64":
        return x
    if dtype == "bfloat16":
        bits = x.astype(np.float32).view(np.uint32)
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        rounded = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
        return np.where(np.isnan(x), np.nan, rounded.view(np.float32).astype(np.float64)).reshape(x.shape)
    return x.astype({"float16": np.float16, "float32": np.float32, "complex64": np.complex64}[dtype]).astype(x.dtype)


def on_grid(x: np.ndarray) -> np.ndarray:
    """Whether elements are moderate multiples of 2**-10: sums and products of such are exact in float64."""
    if x.dtype.kind == "c":
        return on_grid(x.real) & on_grid(x.imag)
    scaled = x * 1024.0
    return (scaled == np.rint(scaled)) & (np.abs(scaled) < 2.0**40)


def representable(x: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "float64":
        return on_grid(x) | ~np.isfinite(x)
    r = round_to(x, dtype)
    return (r == x) | np.isnan(x)


@dataclass
class Values:
    """Elements `x` of a dtype, and the bounds `e` on their errors (None: exact)."""

    x: np.ndarray
    dtype: str
    e: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.e is not None and np.shape(self.e) != self.x.shape:
            self.e = np.broadcast_to(self.e, self.x.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape

    @property
    def exact(self) -> bool:
        return self.e is None

    @property
    def bound(self) -> np.ndarray:
        return np.zeros(self.x.shape) if self.e is None else self.e

    @property
    def inexact_dtype(self) -> bool:
        return self.dtype in INEXACT

    def known(self) -> np.ndarray:
        return np.ones(self.x.shape, bool) if self.e is None else np.isfinite(self.e)

    def move(self, f: Any) -> Values:
        """The same elements elsewhere."""
        return Values(f(self.x), self.dtype, None if self.e is None else f(self.e))


def simplify(e: Any) -> np.ndarray | None:
    if e is None or not np.any(e):
        return None
    return np.where(np.isnan(e), np.inf, e)


def combine(*bounds: np.ndarray | None) -> np.ndarray | None:
    """Infinity wherever anything is uncertain: for results that are right or wrong, not close."""
    present = [b for b in bounds if b is not None]
    if not present:
        return None
    total: Any = 0.0
    for b in present:
        total = total + np.where(b == 0, 0.0, np.inf)
    return simplify(total)


def made(x: Any, dtype: str, e: Any = None, ulps: float = 1.0, correct: bool = True) -> Values:
    """A computed value: `e` comes from the operands; rounding is added.

    `correct`: the operation is correctly rounded, so that what the dtype holds is exact. `ulps`: in units of roundoff of
    the dtype that is computed in.
    """
    x = np.asarray(x)
    if dtype not in INEXACT:
        x = x.astype(storage(dtype), copy=False)
        return Values(x, dtype, simplify(None if e is None else np.where(np.asarray(e) == 0, 0.0, np.inf)))
    x = x.astype(storage(dtype), copy=False)
    sure = representable(x, dtype) if correct else None
    if e is None and sure is not None and bool(sure.all()):
        return Values(x, dtype)
    finite = np.isfinite(x)
    size = np.where(finite, np.abs(x), 0.0)
    held = "float32" if dtype in HALVES else dtype
    rounding = ulps * ROUNDOFF[held] * size + TINY[dtype]
    if dtype in HALVES:
        # Perhaps rounded to half precision, perhaps kept in float32.
        rounding = rounding + ROUNDOFF[dtype] * size * 1.01
    if sure is not None:
        rounding = np.where(sure if e is None else sure & (np.asarray(e) == 0), 0.0, rounding)
    total = rounding if e is None else np.asarray(e) + rounding
    # Overflow, or an infinity that may not be one.
    total = np.where(size * (1 + 4 * ROUNDOFF[dtype]) > LARGEST[dtype], np.inf, total)
    total = np.where(~finite & ~(total == 0), np.inf, total)
    return Values(x, dtype, simplify(np.broadcast_to(total, x.shape)))


def promote(a: str, b: str) -> str:
    """The dtype that two dtypes meet in."""
    if a == b:
        return a
    order = ("bool_", *UNSIGNED, *SIGNED, *FLOATS, "complex64")
    low, high = sorted((a, b), key=order.index)
    if low == "bool_" or high == "complex64":
        return high
    if high in FLOATS:
        return "float32" if low in HALVES and high in HALVES else high
    if low in UNSIGNED and high in SIGNED:
        if low == "uint64":
            return "float32"
        bits = {d: int("".join(c for c in d if c.isdigit())) for d in INTEGERS}
        return high if bits[high] > bits[low] else {"uint8": "int16", "uint16": "int32", "uint32": "int64"}[low]
    return high


def weak(dtype: str, constant: Any) -> str:
    """The dtype that an array and a Python number meet in."""
    if isinstance(constant, bool) or dtype in INEXACT:
        return dtype
    if isinstance(constant, int):
        return "int32" if dtype == "bool_" else dtype
    return "float32"


def convert(v: Values, dtype: str) -> Values:
    """astype."""
    if v.dtype == dtype:
        return v
    with np.errstate(all="ignore"):
        if dtype == "bool_":
            truth = v.x != 0
            return Values(
                truth,
                dtype,
                simplify(
                    np.where(np.abs(v.x) <= v.e, np.where(v.e > 0, np.inf, 0.0), 0.0) if v.e is not None else None
                ),
            )
        if dtype in INTEGERS:
            if v.dtype not in INEXACT:
                return Values(v.x.astype(storage(dtype)), dtype, v.e)
            x = np.trunc(v.x.real)
            info = np.iinfo(storage(dtype))
            bad = ~np.isfinite(x) | (x < float(info.min)) | (x > float(info.max) * (1 - 2.0**-50))
            e = bad
            if v.e is not None:
                near = np.abs(v.x.real - np.rint(v.x.real)) <= v.e
                e = bad | (~np.isfinite(v.e)) | (near & (v.e > 0))
            return Values(np.where(bad, 0, x).astype(storage(dtype)), dtype, simplify(np.where(e, np.inf, 0.0)))
        # To a floating point dtype.
        x = v.x.real if v.dtype == "complex64" and dtype != "complex64" else v.x
        wide = x.astype(storage(dtype))
        if v.dtype in HALVES and dtype in FLOATS and dtype not in HALVES:
            # Exact, of what may have been kept in float32.
            return Values(wide, dtype, v.e)
        r = round_to(wide, dtype)
        e = v.bound
        moved = np.abs(np.where(np.isfinite(wide), r - wide, 0.0))
        # Twice rounded on the way through float32, or not from the same number.
        twice = (dtype in HALVES and not (v.dtype in HALVES or v.dtype == "float32")) | (v.dtype in ("int64", "uint64"))
        e = np.where(
            (e > 0) | (twice & (moved > 0)), e + 2 * moved + (ROUNDOFF[dtype] * np.abs(wide)) + TINY[dtype], 0.0
        )
        size = np.where(np.isfinite(wide), np.abs(wide), 0.0)
        e = np.where((size + e) * (1 + 4 * ROUNDOFF[dtype]) > LARGEST[dtype], np.inf, e)
        e = np.where(~np.isfinite(wide) & (e > 0), np.inf, e)
        return Values(r, dtype, simplify(e))


def disagreements(got: np.ndarray, want: Values) -> np.ndarray:
    """Which elements of `got` (in the type that holds the dtype) no correct program computes."""
    if want.e is None:
        wrong = got != want.x
        if want.inexact_dtype:
            wrong = wrong & ~(np.isnan(got) & np.isnan(want.x))
        return wrong
    with np.errstate(all="ignore"):
        if not want.inexact_dtype:
            return (got != want.x) & (want.e == 0)
        same = (got == want.x) | (np.isnan(got) & np.isnan(want.x))
        # The last unit of what was read from a half.
        room = want.e * 1.001 + (ROUNDOFF[want.dtype] * np.abs(want.x) if want.dtype in HALVES else 0.0) * (want.e > 0)
        return ~same & ~(np.abs(got - want.x) <= room) & np.isfinite(want.e)
