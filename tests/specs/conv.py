"""Convolutions and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

import conv_oracle
import funcnn as fn
from funcnn import nn
from specs.rows import FLOATS, In, Op, op


def _each(value: Any, spatial: int) -> list[int]:
    return [value] * spatial if isinstance(value, int) else list(value)


def _general(label: str, x: tuple[int, ...], weight: tuple[int, ...], **options: Any) -> Op:
    """A row for conv_general with these options."""

    def call(x: fn.array, weight: fn.array) -> fn.array:
        return fn.conv_general(x, weight, **options)

    def reference(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        spatial = x.ndim - 2
        padding = options.get("padding", 0)
        pair = isinstance(padding, tuple) and not isinstance(padding[0], int)
        low, high = padding if pair else (padding, padding)
        return conv_oracle.conv(
            x,
            weight,
            _each(options.get("stride", 1), spatial),
            _each(low, spatial),
            _each(high, spatial),
            _each(options.get("kernel_dilation", 1), spatial),
            _each(options.get("input_dilation", 1), spatial),
            options.get("groups", 1),
            options.get("flip", False),
        )

    return op(f"conv_general[{label}]", call, reference, (In(x), In(weight)), tolerance=32)


def _transposed(spatial: int, x: tuple[int, ...], weight: tuple[int, ...], **options: Any) -> Op:
    function = getattr(fn, f"conv_transpose{spatial}d")

    def reference(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        named = ("stride", 1), ("padding", 0), ("dilation", 1), ("output_padding", 0)
        numbers = [_each(options.get(name, default), spatial) for name, default in named]
        return conv_oracle.conv_transpose(x, weight, *numbers, options.get("groups", 1))

    shown = ", ".join(f"{k}={v}" for k, v in options.items())
    return op(
        f"conv_transpose{spatial}d[{shown}]",
        lambda x, weight: function(x, weight, **options),
        reference,
        (In(x), In(weight)),
        tolerance=32,
        errors=(
            (
                lambda: function(fn.zeros((1, *[2] * spatial, 2)), fn.zeros((3, *[1] * spatial, 2)), padding=5),
                ValueError,
                f"conv_transpose{spatial}d: nothing is left",
            ),
        ),
    )


def _forward(spatial: int, x: tuple[int, ...], weight: tuple[int, ...], **options: Any) -> Op:
    function = getattr(fn, f"conv{spatial}d")

    def reference(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        stride, padding, dilation = (
            _each(options.get(name, default), spatial)
            for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        return conv_oracle.conv(x, weight, stride, padding, padding, dilation, [1] * spatial, options.get("groups", 1))

    narrow = fn.zeros((2, *[5] * spatial, 4)), fn.zeros((6, *[3] * spatial, 3))
    whole = fn.zeros((2, *[5] * spatial, 4), fn.int32), fn.zeros((6, *[3] * spatial, 4), fn.int32)
    short = fn.zeros((2, *[2] * spatial, 4)), fn.zeros((6, *[3] * spatial, 4))
    return op(
        f"conv{spatial}d[{', '.join(f'{k}={v}' for k, v in options.items())}]",
        lambda x, weight: function(x, weight, **options),
        reference,
        (In(x), In(weight)),
        tolerance=32,
        errors=(
            (lambda: function(*narrow), ValueError, rf"conv{spatial}d: the last axis of the weight \(size 3\).*shapes"),
            (lambda: function(*whole), ValueError, f"conv{spatial}d: .*int32"),
            (lambda: function(*short), ValueError, f"conv{spatial}d: the kernel reaches over 3 elements of axis 1"),
            (lambda: function(*short, groups=3), ValueError, f"conv{spatial}d: 3 groups do not divide the 4 channels"),
            (lambda: function(*short, stride=0), ValueError, f"conv{spatial}d: stride must be at least 1"),
            (lambda: function(short[0][0], short[1]), ValueError, f"conv{spatial}d: expected an input"),
        ),
    )


def _convolve(mode: str, a: int, v: int) -> Op:
    return op(
        f"convolve[{mode}, {a}, {v}]",
        lambda a, v: fn.convolve(a, v, mode),
        lambda a, v: np.convolve(a, v, mode),
        (In((a,)), In((v,))),
        tolerance=32,
        errors=(
            (lambda: fn.convolve(fn.zeros(3), fn.zeros(2), "most"), ValueError, "convolve: mode must be"),
            (lambda: fn.convolve(fn.zeros(3), fn.zeros(0)), ValueError, r"convolve: .*empty.*\(3,\) and \(0,\)"),
            (lambda: fn.convolve(fn.zeros((3, 1)), fn.zeros(2)), ValueError, "convolve: expected two vectors"),
        ),
    )


def _pool(name: str, x: tuple[int, ...], window: Any, stride: Any = None, padding: Any = 0) -> Op:
    spatial = len(x) - 2
    function = getattr(nn, name)

    def reference(x: np.ndarray) -> np.ndarray:
        size, margin = _each(window, spatial), _each(padding, spatial)
        step = size if stride is None else _each(stride, spatial)
        fill = 0.0 if name.startswith("avg") else -np.inf
        widths = [(0, 0), *((m, m) for m in margin), (0, 0)]
        whole = x.dtype.kind == "i"
        x = np.pad(x.astype(np.float64), widths, constant_values=fill)
        axes = tuple(range(1, spatial + 1))
        seen = np.lib.stride_tricks.sliding_window_view(x, size, axes)
        seen = seen[(slice(None), *(slice(None, None, s) for s in step))]
        last = tuple(range(-spatial, 0))
        if name.startswith("avg"):
            return seen.mean(last)
        return seen.max(last).astype(np.int64) if whole else seen.max(last)

    short = fn.zeros((1, *[2] * spatial, 4))
    return op(
        f"{name}[{window}, {stride}, {padding}]",
        lambda x: function(x, window, stride, padding),
        reference,
        (In(x, distinct=True),),
        dtypes=(*FLOATS, "int8", "int32", "uint8") if padding == 0 else FLOATS,
        result="float" if name.startswith("avg") else "same",
        errors=(
            (lambda: function(short, 3), ValueError, f"{name}: the window reaches over 3 elements of axis 1"),
            (lambda: function(short[0], 2), ValueError, rf"{name}: expected \(N, spatial..., C\)"),
            (lambda: function(short, 2, 0), ValueError, f"{name}: stride must be at least 1"),
            (lambda: function(short, 2.5), TypeError, f"{name}: kernel_size"),
            (lambda: function(short, [1] * 4), ValueError, f"{name}: expected kernel_size for {spatial} spatial ax"),
            (lambda: function(short, 1, padding=-1), ValueError, f"{name}: padding must be at least 0"),
        ),
    )


# Channels beside one, less than one and more than two vectors of AVX-512; rows beside less and more than a tile.
ROWS: list[Op] = [
    _general("plain", (2, 5, 3), (4, 3, 3)),
    _general("nothing in the batch", (0, 5, 3), (4, 3, 3)),
    _general("no channels", (1, 5, 0), (4, 3, 0), padding=1),
    _general("only padding", (1, 0, 2), (3, 2, 2), padding=2),
    _general("two paddings", (1, 4, 5, 2), (3, 2, 3, 2), padding=([1, 0], [0, 2])),
    _general("cropped", (1, 6, 5, 2), (3, 2, 2, 2), padding=([-1, 1], [0, -2])),
    _general("stride", (2, 7, 6, 3), (5, 3, 2, 3), stride=(2, 3), padding=1),
    _general("dilations", (2, 5, 6, 3), (5, 3, 2, 3), kernel_dilation=(2, 3), input_dilation=(3, 2), padding=2),
    _general("stride beside dilation", (1, 7, 2), (3, 4, 2), stride=4, input_dilation=6, padding=3),
    _general("flip, groups", (2, 6, 5, 4), (6, 3, 2, 2), padding=1, groups=2, flip=True),
    _general("depthwise", (2, 6, 19, 5), (5, 3, 3, 1), padding=1, groups=5),
    _general("depthwise, several each", (1, 6, 7, 6), (18, 3, 2, 1), stride=(1, 2), padding=1, groups=6),
    _general("three axes", (1, 3, 4, 5, 2), (3, 2, 3, 2, 2), stride=(1, 2, 1), padding=(1, 0, 2)),
    _general("pointwise", (2, 5, 7, 6), (9, 1, 1, 6)),
    _general("pointwise, stride", (2, 5, 7, 6), (9, 1, 1, 6), stride=2),
    _general("one channel", (1, 40, 1), (1, 5, 1), padding=2, flip=True),
    _general("far beyond", (1, 3, 2), (2, 2, 2), padding=40, kernel_dilation=37),
    _general("next to nothing", (1, 2, 1, 2), (2, 2, 1, 2), stride=(900, 1), padding=(3000, 0)),
    _forward(1, (2, 9, 4), (6, 3, 4), stride=2),
    _forward(2, (1, 6, 7, 4), (40, 3, 3, 4), padding=(1, 2), dilation=(2, 1)),
    _forward(3, (1, 4, 4, 5, 4), (2, 2, 2, 3, 2), groups=2, padding=1),
    _transposed(1, (2, 4, 2), (3, 3, 2), stride=2, padding=1, output_padding=1),
    _transposed(2, (1, 3, 4, 4), (6, 2, 3, 2), stride=(2, 3), padding=(0, 2), dilation=(1, 2), groups=2),
    _transposed(2, (1, 3, 4, 2), (3, 1, 1, 2), stride=2, padding=(2, -1), output_padding=(4, 0)),
    _transposed(3, (1, 2, 3, 2, 2), (3, 2, 2, 2, 2), stride=2, padding=1),
    *(_convolve(mode, a, v) for mode in ("full", "same", "valid") for a, v in ((9, 4), (3, 5), (60, 21), (1, 1))),
    *(
        row
        for kind in ("max_pool", "avg_pool")
        for row in (
            _pool(f"{kind}1d", (2, 7, 3), 2),
            _pool(f"{kind}1d", (0, 7, 3), 3, 1),
            _pool(f"{kind}2d", (2, 4, 6, 3), 2),
            _pool(f"{kind}2d", (1, 7, 6, 3), (3, 2), (2, 1), 1),
            _pool(f"{kind}2d", (1, 7, 9, 2), 2, 3),
            _pool(f"{kind}2d", (1, 7, 6, 3), (2, 3), None, (1, 0)),
            _pool(f"{kind}3d", (1, 4, 4, 5, 2), 2, (2, 1, 2)),
        )
    ),
]
