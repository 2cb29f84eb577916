"""Fourier transforms: linear functions in complex64, so their derivatives are tested apart, in test_fft.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcnn as fn
from specs.rows import ALL, CUBE, MATRIX, REAL, In, Op, op

# Of float64 too the results have the precision of float32.
COMPLEX = tuple(d for d in ALL if d != "float64")
BOTH = tuple(d for d in (*REAL, "bool_") if d != "float64")
SAMPLES = (In((5,)), In((3, 8)), CUBE, In((2, 66)), In((0, 4)), In((1,)))


def short(call: Callable[[], Any], message: str, error: type[BaseException] = ValueError) -> tuple[Any, ...]:
    return (call, error, message)


def row(name: str, *samples: In, dtypes: Sequence[str] = COMPLEX, result: str = "complex64", **options: Any) -> Op:
    """A transform of one axis or several, with the same arguments as NumPy's."""
    function, theirs = getattr(fn.fft, name), getattr(np.fft, name)
    label = ", ".join(f"{key}={value}" for key, value in options.items())
    return Op(
        f"fft.{name}[{label}]" if label else f"fft.{name}",
        lambda x: function(x, **options),
        lambda x: theirs(x.astype(float) if x.dtype == bool else x, **options),
        [(s,) for s in samples or SAMPLES],
        dtypes,
        result,
        differentiable=False,
        tolerance=64,
        errors=(
            short(lambda: function(fn.zeros((3, 4)), norm="half"), f"{name}: norm must be"),
            short(lambda: function(fn.zeros((3, 4)), "3"), name, TypeError),
        ),
    )


HALF = (In((5,)), In((3, 4)), CUBE, In((2, 34)), In((0, 4)))

ROWS: list[Op] = [
    row("fft"),
    row("ifft"),
    row("fft", MATRIX, CUBE, n=3, axis=0, norm="ortho"),
    row("ifft", MATRIX, CUBE, n=7, axis=-2, norm="forward"),
    row("rfft", dtypes=BOTH),
    row("rfft", MATRIX, CUBE, dtypes=BOTH, n=5, axis=0, norm="forward"),
    row("ihfft", dtypes=BOTH),
    row("irfft", *HALF, result="float32"),
    row("irfft", *HALF, result="float32", n=7, norm="ortho"),
    row("hfft", *HALF, result="float32"),
    row("fft2", MATRIX, CUBE, In((2, 0, 3, 4))),
    row("ifft2", MATRIX, CUBE, s=(2, 5), norm="ortho"),
    row("rfft2", MATRIX, CUBE, dtypes=BOTH),
    row("irfft2", MATRIX, CUBE, result="float32"),
    row("fftn", MATRIX, CUBE),
    row("ifftn", CUBE, axes=(2, 0)),
    row("rfftn", MATRIX, CUBE, dtypes=BOTH, norm="forward"),
    row("irfftn", CUBE, result="float32", s=(4, 5), axes=(0, 2)),
    op("fftshift", fn.fft.fftshift, np.fft.fftshift, In((5,)), MATRIX, CUBE, dtypes=ALL, tolerance=1),
    op(
        "ifftshift[axes]",
        lambda x: fn.fft.ifftshift(x, axes=(0, -1)),
        lambda x: np.fft.ifftshift(x, axes=(0, -1)),
        In((5, 3)),
        CUBE,
        dtypes=ALL,
        errors=(short(lambda: fn.fft.ifftshift(fn.ones(3), axes=1), "no axis 1", fn.AxisError),),
    ),
]
