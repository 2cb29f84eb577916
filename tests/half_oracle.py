"""Numbers of float64 and the nearest of float16 and bfloat16, ties to even."""

from __future__ import annotations

import numpy as np

import funcnn as fn

WIDTHS = {"float16": (10, -14, 65504.0), "bfloat16": (7, -126, float.fromhex("0x1.fep127"))}


def nearest(x: np.ndarray, name: str) -> np.ndarray:
    """By the definition, in float64, which holds all of it exactly."""
    digits, least, largest = WIDTHS[name]
    exponent = np.maximum(np.frexp(x)[1] - 1, least)
    step = np.ldexp(1.0, exponent - digits)
    rounded = np.rint(x / step) * step
    return np.where(np.abs(rounded) > largest, np.copysign(np.inf, x), rounded)


def hard_numbers(name: str) -> np.ndarray:
    """Numbers of the type and the middles between them, and what is just beside either in float64 and in float32."""
    digits, least, largest = WIDTHS[name]
    rng = np.random.default_rng(0)
    exponents = np.arange(least - digits - 2, np.frexp(largest)[1] + 1)
    middles = np.ldexp(
        1 + rng.integers(0, 2 ** (digits + 1), (len(exponents), 6)) / 2.0 ** (digits + 1), exponents[:, None]
    )
    around = [middles * (1 + sign * 2.0**-k) for sign in (-1, 1) for k in (52, 40, 30, 26, 25, 24, 23, 12)]
    small = np.ldexp(rng.integers(1, 200, 50) / 2.0, least - digits)
    edges = [
        0.0,
        largest,
        largest * (1 + 2.0 ** (-digits - 2)),
        1e300,
        5e-324,
        np.inf,
        1 + 2.0 ** -(digits + 1) + 2.0**-40,
    ]
    x = np.concatenate([middles.ravel(), *(a.ravel() for a in around), small, small * (1 + 2.0**-50), edges])
    return np.concatenate([x, -x])


def bits(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).view(np.uint32)  # exact, with the sign of zero


def conversions(dtype):
    """Ways from float64 to this type."""
    return {
        "stored": lambda x: x.astype(dtype),
        "strided": lambda x: x[::-1].astype(dtype)[::-1],
        "in a kernel": lambda x: x.astype(dtype).astype(fn.float32),
        "computed": lambda x: (x * 2.0 * 0.5).astype(dtype),
        "each row": lambda x: x.reshape(-1, 1).astype(dtype).reshape(-1),
    }
