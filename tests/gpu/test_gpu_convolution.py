"""Convolutions and pooling on the GPU against the CPU: each form of their kernels, and that nothing depends on chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5}


def numbers(dtype: str, *shape: int) -> fn.array:
    return fn.array(np.random.default_rng(sum(shape)).normal(size=shape), getattr(fn, dtype))


def both(f: Any, *arrays: fn.array) -> None:
    """f and its derivatives on the GPU are those on the CPU, and, again, the same bits."""
    dtype = str(arrays[0].dtype).rsplit(".", 1)[-1]
    ct = numbers(dtype, *f(*arrays).shape)

    def run(ct: fn.array, *arrays: fn.array) -> list[np.ndarray]:
        y, pullback = fn.vjp(f, *arrays)
        by = pullback(ct)
        return [np.asarray(x.astype(fn.float32)) for x in [y, *(by if isinstance(by, tuple) else (by,))]]

    there = [fn.device_put(x, "gpu") for x in (ct, *arrays)]
    for got, again, wanted in zip(run(*there), run(*there), run(ct, *arrays), strict=True):
        np.testing.assert_array_equal(got, again)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * TOLERANCE[dtype] * max(np.abs(wanted).max(), 1e-3))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 9, 11, 16), (70, 3, 3, 16), {"padding": 1}),  # packs of channels, more of them than a tile has
        ((2, 9, 11, 5), (17, 3, 3, 5), {"padding": 1}),  # no packs
        ((3, 17, 17, 3), (4, 3, 3, 3), {"stride": 2}),  # an element a thread
        ((2, 8, 8, 16), (32, 2, 2, 8), {"groups": 2, "stride": 2}),
        ((2, 9, 9, 12), (12, 3, 3, 1), {"groups": 12, "padding": 1}),  # channels one by one
        ((2, 14, 13, 40), (40, 3, 3, 1), {"groups": 40, "stride": 2, "padding": 1}),
        ((1, 8, 29, 33), (33, 7, 7, 1), {"groups": 33, "padding": 3, "flip": True}),
        ((2, 9, 9, 6), (18, 3, 2, 1), {"groups": 6, "stride": (2, 1), "kernel_dilation": (1, 3), "padding": 2}),
        ((2, 7, 6, 5), (5, 3, 4, 1), {"groups": 5, "input_dilation": (2, 3), "padding": ([2, -3], [0, 4])}),
        ((1, 5, 6, 7, 9), (9, 3, 2, 3, 1), {"groups": 9, "padding": 1, "stride": (1, 2, 1)}),
        ((1, 3, 3, 4), (4, 1, 30, 1), {"groups": 4, "padding": (0, 20)}),  # taps that reach far
        ((4, 6, 6, 24), (16, 1, 1, 24), {}),
        ((2, 12, 11, 8), (16, 3, 4, 8), {"stride": (2, 3), "kernel_dilation": (2, 1), "flip": True, "padding": 2}),
        ((2, 7, 6, 8), (16, 3, 4, 8), {"input_dilation": (2, 3), "stride": (3, 2), "padding": ([2, -3], [0, 4])}),
        ((2, 3, 4, 8), (16, 3, 3, 8), {"input_dilation": 90, "kernel_dilation": 7, "stride": (31, 90)}),
        ((1, 2, 2, 8), (16, 2, 2, 8), {"stride": 5, "padding": 4}),  # strides that skip the input
        ((2, 40, 8), (16, 5, 8), {"kernel_dilation": 3}),
        ((2, 4, 5, 6, 8), (16, 2, 3, 1, 8), {"padding": 1, "stride": (1, 2, 1)}),
    ],
)
def test_values_and_derivatives(dtype, x, weight, options):
    both(lambda x, w: fn.conv_general(x, w, **options), numbers(dtype, *x), numbers(dtype, *weight))


def test_many_places_are_summed_in_parts():
    both(lambda x, w: fn.conv2d(x, w, padding=1), numbers("float32", 6, 20, 20, 8), numbers("float32", 16, 3, 3, 8))
    both(
        lambda x, w: fn.conv2d(x, w, padding=1, groups=8),
        numbers("float32", 6, 20, 20, 8),
        numbers("float32", 8, 3, 3, 1),
    )


@pytest.mark.parametrize("groups", [1, 12])
def test_epilogues(groups):
    x, weight = numbers("float32", 2, 9, 9, 12), numbers("float32", 12, 3, 3, 12 // groups)
    bias, other = numbers("float32", 12), numbers("float32", 2, 7, 7, 12)

    @fn.compile
    def f(x: fn.array, weight: fn.array, bias: fn.array, other: fn.array) -> Any:
        y = fn.conv2d(x, weight, groups=groups)
        return nn.relu(y + bias) * other, y.astype(fn.float16)

    for got, wanted in zip(
        f(*(fn.device_put(a, "gpu") for a in (x, weight, bias, other))), f(x, weight, bias, other), strict=True
    ):
        assert got.device == fn.gpu
        np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=2e-3, atol=2e-3)


def test_views_are_read_where_they_lie():
    x, weight = numbers("float16", 2, 12, 20, 11), numbers("float16", 3, 24, 3, 9)

    def f(x: fn.array, weight: fn.array) -> fn.array:
        return fn.conv2d(fn.swapaxes(x, 1, 2)[:, 1:, ::-1, 1:9], fn.swapaxes(weight, 0, 1)[:, :, :, :8])

    both(f, x, weight)
    one, weight = numbers("float32", 1, 1, 1, 1), numbers("float32", 16, 2, 2, 8)
    got, wanted = (
        fn.conv2d(fn.broadcast_to(x, (2, 5, 5, 8)), w)
        for x, w in ((fn.device_put(one, "gpu"), fn.device_put(weight, "gpu")), (one, weight))
    )
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=1e-5, atol=2e-6)
    # What is one element everywhere may be the host's.
    ones = fn.ones((1, 5, 5, 8), device="gpu")
    y = fn.conv2d(ones, fn.full((16, 2, 2, 8), 0.5, device="gpu"))
    np.testing.assert_array_equal(np.asarray(y), 16)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (2, 3), (5, 1), (7, 1)])
def test_pooling(kind, window, stride):
    pool = nn.max_pool2d if kind == "max" else nn.avg_pool2d
    both(lambda x: pool(x, window, stride, padding=1), numbers("float32", 2, 9, 10, 3))
    both(lambda x: pool(x, window, stride), numbers("float16", 2, 9, 10, 8))


def test_pooling_of_ties_and_nan():
    x = np.zeros((1, 6, 6, 2), np.float32)
    x[0, 2, 2, 0] = np.nan

    def f(x: fn.array) -> fn.array:
        return fn.sum(nn.max_pool2d(x, 3, 1))

    there = fn.grad(f)(fn.device_put(fn.array(x), "gpu"))
    np.testing.assert_array_equal(np.asarray(there), np.asarray(fn.grad(f)(fn.array(x))))


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("shape", [(2, 12, 12, 32, 64), (1, 9, 9, 512, 33), (2, 10, 11, 20, 40)])
def test_float32_is_as_exact_as_float32(shape: tuple[int, ...], offset: int) -> None:
    """Against sums in float64, also of numbers of one sign, whose errors would add up if they had one."""
    n, h, w, c, o = shape
    rng = np.random.default_rng(0)
    x, weight = (rng.normal(size=s).astype(np.float32) + np.float32(offset) for s in ((n, h, w, c), (o, 3, 3, c)))
    cases = {
        "result": (lambda x, w, ct: fn.conv2d(x, w, padding=1)),
        "by input": (lambda x, w, ct: fn.vjp(lambda x: fn.conv2d(x, w, padding=1), x)[1](ct)),
        "by weight": (lambda x, w, ct: fn.vjp(lambda w: fn.conv2d(x, w, padding=1), w)[1](ct)),
    }
    ct = rng.normal(size=(n, h, w, o)).astype(np.float32) + np.float32(offset)
    for name, f in cases.items():
        wide = [fn.array(a.astype(np.float64)) for a in (x, weight, ct)]
        wanted, size = np.asarray(f(*wide)), np.asarray(f(*(fn.abs(a) for a in wide)))
        got = np.asarray(f(*(fn.device_put(fn.array(a), "gpu") for a in (x, weight, ct))))
        # Sums of thousands of numbers of one sign, one after another, as other libraries add them, are off by 3e-6.
        assert (np.abs(got - wanted) / size).max() < (4e-6 if offset else 1.5e-6), name


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3.4028235e38, -3.4028235e38, 1.5e-40, 0.0])
@pytest.mark.parametrize("where", ["input", "weight"])
def test_special_values_of_float32(value: float, where: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 8, 32)).astype(np.float32)
    weight = (rng.normal(size=(64, 3, 3, 32)) * 1e-3).astype(np.float32)
    x[0, :2] = 0  # infinity times zero
    (x[0, 3, 3] if where == "input" else weight[5, 1, 1])[5] = value
    wanted = np.asarray(fn.conv2d(fn.array(x), fn.array(weight), padding=1))
    got = np.asarray(fn.conv2d(*(fn.device_put(fn.array(a), "gpu") for a in (x, weight)), padding=1))
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(got[~finite], wanted[~finite])
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-5, atol=1e-5)
