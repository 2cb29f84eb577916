"""Convolutions of bfloat16 as products by tiles, against loops over NumPy arrays."""

import numpy as np
import pytest

import conv_oracle
import funcnn as fn
import instruction_sets
import thread_counts
from widest import float64_of

pytestmark = pytest.mark.on_cpu
rng = np.random.default_rng(5)


amx = instruction_sets.amx_fixture(autouse=True)


def bfloat16(*shape):
    return fn.array(rng.standard_normal(shape).astype(np.float32)).astype(fn.bfloat16)


def near(got, expected, scale):
    assert got.shape == expected.shape
    assert np.all(np.abs(float64_of(got) - expected) <= 2.0**-8 * np.abs(expected) + 2.0**-18 * scale)


CASES = {
    "image": ((2, 13, 17, 32), (40, 3, 3, 32), {"padding": 1}),
    "one image in strips": ((1, 40, 40, 16), (64, 3, 3, 16), {"padding": 1}),
    "odd channels": ((2, 12, 19, 17), (37, 3, 2, 17), {"padding": (1, 2)}),
    "few channels": ((3, 30, 31, 3), (32, 5, 5, 3), {"stride": 2, "padding": 2}),
    "dilated": ((2, 20, 21, 24), (33, 3, 3, 24), {"dilation": (2, 3), "padding": 3}),
    "strides": ((2, 21, 22, 32), (48, 3, 3, 32), {"stride": (2, 3), "padding": 1}),
    "pointwise": ((2, 20, 20, 48), (70, 1, 1, 48), {}),
    "pointwise strides": ((2, 41, 40, 48), (70, 1, 1, 48), {"stride": 2}),
    "pointwise padded": ((2, 20, 20, 48), (70, 1, 1, 48), {"padding": 1}),
    "far padded": ((1, 20, 20, 48), (32, 1, 3, 48), {"padding": (3, 5)}),
    "groups": ((2, 14, 14, 96), (90, 3, 3, 32), {"groups": 3, "padding": 1}),
    "line": ((2, 700, 24), (50, 7, 24), {"padding": 3}),
    "long line": ((1, 3001, 16), (33, 5, 16), {"stride": 2}),
    "space": ((1, 9, 10, 11, 16), (33, 3, 2, 3, 16), {"padding": 1}),
    "many channels": ((1, 5, 5, 300), (200, 3, 3, 300), {"padding": 1}),
}


def expected(x, weight, options):
    """The convolution, and that of magnitudes."""
    spatial = x.ndim - 2

    def each(name, default):
        value = options.get(name, default)
        return list(value) if isinstance(value, tuple) else [value] * spatial

    pads = each("padding", 0)
    numbers = (each("stride", 1), pads, pads, each("dilation", 1), [1] * spatial, options.get("groups", 1))
    wide = float64_of(x), float64_of(weight)
    return conv_oracle.conv(*wide, *numbers), conv_oracle.conv(*map(np.abs, wide), *numbers)


def call(x, weight, options):
    names = {"dilation": "kernel_dilation"}
    return fn.conv_general(x, weight, **{names.get(name, name): value for name, value in options.items()})


@pytest.mark.parametrize("case", CASES)
def test_values(case):
    shape, kernel, options = CASES[case]
    x, weight = bfloat16(*shape), bfloat16(*kernel)
    near(call(x, weight, options), *expected(x, weight, options))
    thread_counts.assert_the_same(lambda: [call(x, weight, options).astype(fn.float32)])
    # Operands that are not dense.
    x, weight = bfloat16(*shape[:-1], 2 * shape[-1])[..., : shape[-1]], fn.flip(bfloat16(*kernel), 1)
    near(call(x, weight, options), *expected(x, weight, options))


@pytest.mark.parametrize("case", ["image", "dilated", "strides", "pointwise", "groups", "line"])
def test_the_gradient_by_the_input(case):
    shape, kernel, options = CASES[case]
    x, weight = bfloat16(*shape), bfloat16(*kernel)
    y, pull = fn.vjp(lambda x: call(x, weight, options), x)
    cotangent = bfloat16(*y.shape)
    (gradient,) = pull(cotangent)
    direction = bfloat16(*shape)
    along, size = expected(direction, weight, options)
    got = np.sum(float64_of(gradient) * float64_of(direction))
    assert abs(got - np.sum(along * float64_of(cotangent))) <= 2.0**-8 * np.sqrt(np.sum(size**2)) * 3


@pytest.mark.parametrize("case", ["image", "one image in strips", "long line", "groups"])
def test_epilogues(case):
    shape, kernel, options = CASES[case]
    x, weight, bias = bfloat16(*shape), bfloat16(*kernel), bfloat16(kernel[0])
    plain = float64_of(call(x, weight, options))
    joined = fn.compile(lambda x, w, b: fn.maximum(call(x, w, options) + b, 0))(x, weight, bias)
    np.testing.assert_allclose(
        float64_of(joined), np.maximum(plain + float64_of(bias), 0), rtol=2.0**-7, atol=2.0**-7 * np.abs(plain).max()
    )


def test_subnormal_numbers_are_zeros():
    # Which also tells that tiles were used.
    x = fn.array(np.full((2, 20, 20, 32), 2.0**-127, np.float32)).astype(fn.bfloat16)
    weight = fn.array(np.full((32, 3, 3, 32), 2.0**20, np.float32)).astype(fn.bfloat16)
    assert np.all(float64_of(fn.conv_general(x, weight, padding=1)) == 0)
    with instruction_sets.using_amx("off"):
        assert np.all(float64_of(fn.conv_general(x, weight, padding=1)) > 0)
