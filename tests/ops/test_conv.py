"""Convolutions: every parameter against loops over NumPy arrays, and what the kernels do beside values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import conv_oracle
import funcnn as fn
import instruction_sets
from funcnn import nn
from widest import float64_of, held

rng = np.random.default_rng(0)
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22, "float64": 2.0**-50}
TINY = {"float16": 2.0**-24}  # the step of subnormal numbers


def normal(*shape):
    return rng.standard_normal(shape)


def double(*shape):
    return fn.array(normal(*shape), fn.float64)


def close(got, expected, scale, dtype):
    """Within a few roundings of `dtype` of the sums of magnitudes."""
    assert got.shape == expected.shape
    assert np.all(np.abs(float64_of(got) - expected) <= 4 * EPSILON[dtype] * scale + TINY.get(dtype, 0))


@st.composite
def problems(draw):
    """Shapes and options that fit, around the sizes of tiles and vectors."""
    spatial = draw(st.integers(1, 3))
    longest = {1: 70, 2: 18, 3: 6}[spatial]
    kernel = [draw(st.integers(1, 4)) for _ in range(spatial)]
    lengths = [draw(st.integers(0, longest)) for _ in range(spatial)]
    stride = [draw(st.integers(1, 4)) for _ in range(spatial)]
    dilation = [draw(st.integers(1, 3)) for _ in range(spatial)]
    holes = [draw(st.integers(1, 4)) for _ in range(spatial)]
    low = [draw(st.integers(-2, 5)) for _ in range(spatial)]
    high = [draw(st.integers(-2, 5)) for _ in range(spatial)]
    for d in range(spatial):  # make room for the kernel
        have = ((lengths[d] - 1) * holes[d] + 1 if lengths[d] else 0) + low[d] + high[d]
        high[d] += max(0, dilation[d] * (kernel[d] - 1) + 1 - have)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 5, 16, 32]))
    ins = draw(st.sampled_from([1, 2, 3, 4, 9, 17, 33, 64] if groups < 16 else [1, 1, 2, 4]))
    outs = draw(st.sampled_from([1, 2, 5, 16, 17, 33, 40] if groups < 16 else [1, 1, 2, 4]))
    n = draw(st.integers(1, 3))
    return {
        "x": (n, *lengths, groups * ins),
        "weight": (groups * outs, *kernel, ins),
        "options": (stride, low, high, dilation, holes, groups, draw(st.booleans())),
        "dtype": draw(st.sampled_from(held(["float32", "float32", "float64", "float16", "bfloat16"]))),
        "sliced": draw(st.booleans()),
    }


def conv(x, weight, stride, low, high, dilation, holes, groups, flip):
    return fn.conv_general(x, weight, stride, (low, high), dilation, holes, groups, flip)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_values_and_gradients_agree_with_loops(problem):
    dtype, options = problem["dtype"], problem["options"]

    def make(shape):
        values = fn.array(normal(*shape)).astype(getattr(fn, dtype))
        if not problem["sliced"]:
            return values, float64_of(values)
        # Elements at odd places of something larger, in another order of axes.
        larger = fn.zeros((*(2 * d for d in reversed(shape)),), values.dtype)
        larger = larger.at[tuple(slice(1, None, 2) for _ in shape)].set(values.T)
        fn.eval(larger)
        return larger[tuple(slice(1, None, 2) for _ in shape)].T, float64_of(values)

    (x, x64), (weight, weight64) = make(problem["x"]), make(problem["weight"])
    y, pull = fn.vjp(lambda x, w: conv(x, w, *options), x, weight)
    assert y.dtype == x.dtype
    close(y, conv_oracle.conv(x64, weight64, *options), conv_oracle.conv(abs(x64), abs(weight64), *options), dtype)
    # The result is linear in each operand: <ct, conv(t, w)> = <ct pulled back, t>.
    ct, _ = make(y.shape)
    by_x, by_weight = (float64_of(g) for g in pull(ct))
    ct64 = float64_of(ct)
    tiny = TINY.get(dtype, 0) / EPSILON[dtype]
    t, s = normal(*problem["x"]), normal(*problem["weight"])
    size = np.sum(abs(ct64) * conv_oracle.conv(abs(t), abs(weight64), *options)) + tiny * np.sum(abs(t))
    assert abs(np.sum(by_x * t) - np.sum(ct64 * conv_oracle.conv(t, weight64, *options))) <= 4 * EPSILON[dtype] * size
    size = np.sum(abs(ct64) * conv_oracle.conv(abs(x64), abs(s), *options)) + tiny * np.sum(abs(s))
    assert abs(np.sum(by_weight * s) - np.sum(ct64 * conv_oracle.conv(x64, s, *options))) <= 4 * EPSILON[dtype] * size


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems(), st.sampled_from([(0, None), (None, 0), (0, 0), (-1, 1)]))
def test_vmap_agrees_with_a_loop(problem, axes):
    options = problem["options"]

    def make(shape, axis):
        return fn.array(normal(*shape) if axis is None else normal(3, *shape)).astype(fn.float32)

    x, weight = make(problem["x"], axes[0]), make(problem["weight"], axes[1])
    ct = None

    def gradients(x, weight):
        nonlocal ct
        y, pull = fn.vjp(lambda x, w: conv(x, w, *options), x, weight)
        if ct is None:
            ct = fn.array(normal(*y.shape)).astype(fn.float32)
        return (y, *pull(ct))

    rows = [gradients(x if axes[0] is None else x[i], weight if axes[1] is None else weight[i]) for i in range(3)]
    moved = [v if a is None else fn.moveaxis(v, 0, a) for v, a in zip((x, weight), axes, strict=True)]
    for got, *expected in zip(fn.vmap(gradients, axes)(*moved), *rows, strict=True):
        np.testing.assert_allclose(np.asarray(got), np.stack(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((4, 30, 31, 40), (70, 3, 3, 40), {"padding": 1}),
        ((2, 50, 60, 24), (96, 1, 1, 24), {}),
        ((3, 40, 40, 48), (48, 3, 3, 1), {"padding": 1, "groups": 48}),
        ((3, 30, 31, 96), (48, 3, 3, 8), {"padding": 1, "groups": 12}),
        ((2, 9, 500, 32), (32, 3, 3, 1), {"padding": 1, "groups": 32}),
        ((3, 60, 60, 32), (32, 7, 7, 1), {"padding": 3, "groups": 32, "stride": 2}),
        ((1, 5000, 1), (1, 60, 1), {}),
        ((2, 31, 30, 64), (64, 4, 4, 64), {"stride": 2, "padding": 1}),
        ((1, 9, 9, 64), (320, 3, 3, 64), {}),
        ((5, 14, 14, 64), (96, 3, 3, 64), {"padding": 1}),
        ((3, 13, 17, 5), (67, 3, 3, 5), {"padding": 1}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_results_do_not_depend_on_the_number_of_threads(x, weight, options, dtype, request):
    if request.config.getoption("--device") == "reference":
        pytest.skip("its plain loops take minutes")
    x, weight = (fn.array(normal(*s)).astype(getattr(fn, dtype)) for s in (x, weight))
    bias = fn.array(normal(weight.shape[0])).astype(x.dtype)

    def f(x, weight):
        return fn.maximum(fn.conv_general(x, weight, **options) + bias, 0)

    before = fn.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 5, 16, 64):
            fn.set_num_threads(threads)
            if threads > 3:
                fn.clear_plan_cache()  # plans are made for the threads that there are
            y, pull = fn.vjp(f, x, weight)
            results.append([np.asarray(v.astype(fn.float32)) for v in (y, *pull(y))])
    finally:
        fn.set_num_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
    # The division into strips and blocks shows in large shapes only.
    x64, weight64 = float64_of(x), float64_of(weight)
    spatial = x.ndim - 2

    def each(name, default):
        return [options.get(name, default)] * spatial

    numbers = (each("stride", 1), each("padding", 0), each("padding", 0), each("", 1), each("", 1))
    exact = conv_oracle.conv(x64, weight64, *numbers, options.get("groups", 1)) + float64_of(bias)
    scale = np.sqrt(math.prod(weight.shape[1:])) * 20 * EPSILON[dtype]
    np.testing.assert_allclose(results[0][0], np.maximum(exact, 0), atol=scale, rtol=4 * EPSILON[dtype])
    # The gradient by the weight, along a direction.
    y, direction = results[0][0].astype(np.float64), normal(*weight.shape).astype(np.float64)
    along, size = (
        np.sum(y * conv_oracle.conv(a, b, *numbers, options.get("groups", 1)))
        for a, b in ((x64, direction), (np.abs(x64), np.abs(direction)))
    )
    assert abs(np.sum(results[0][2] * direction) - along) <= EPSILON[dtype] * size


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 8, 8, 16), (32, 3, 3, 16), {"padding": 1}),
        ((2, 8, 8, 16), (48, 1, 1, 16), {}),
        ((2, 8, 8, 16), (16, 3, 3, 1), {"groups": 16}),
        ((2, 8, 8, 16), (16, 3, 3, 2), {"groups": 8}),
        ((1, 900, 1), (1, 7, 1), {}),
        ((1, 700, 8), (12, 3, 8), {"stride": 2}),
        ((1, 8, 8, 16), (32, 3, 3, 16), {"input_dilation": 2, "padding": 1}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_bias_and_activation_join_the_convolution(x, weight, options, dtype):
    x, weight = (fn.array(normal(*s)).astype(getattr(fn, dtype)) for s in (x, weight))
    bias = fn.array(normal(weight.shape[0])).astype(x.dtype)

    @fn.compile
    def f(x, weight, bias):
        return nn.relu(fn.conv_general(x, weight, **options) + bias)

    plan = fn.explain(f)(x, weight, bias).plan
    assert (
        "conv_general" in plan and "with epilogue" in plan and plan.splitlines()[-1].lstrip().startswith("1 kernel,")
    ), plan
    expected = np.maximum(float64_of(fn.conv_general(x, weight, **options)) + float64_of(bias), 0)
    np.testing.assert_allclose(
        float64_of(f(x, weight, bias)), expected, rtol=4 * EPSILON[dtype], atol=4 * EPSILON[dtype]
    )


@pytest.mark.parametrize("name", instruction_sets.SUPPORTED[:-1])
@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 9, 19, 17), (37, 3, 3, 17), {"padding": 1}),
        ((2, 9, 19, 6), (12, 2, 3, 3), {"groups": 2}),
        ((2, 9, 19, 7), (14, 3, 3, 1), {"groups": 7, "stride": 2}),
        ((2, 9, 19, 16), (16, 3, 3, 1), {"groups": 16, "padding": 1}),
        ((2, 9, 19, 32), (24, 3, 3, 4), {"groups": 8, "padding": 1}),
        ((1, 100, 1), (1, 9, 1), {}),
        ((1, 8, 8, 6), (5, 3, 3, 6), {"input_dilation": 2, "padding": 1}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_instruction_sets_agree(x, weight, options, dtype, name):
    x, weight = (fn.array(normal(*s)).astype(getattr(fn, dtype)) for s in (x, weight))

    def results():
        y, pull = fn.vjp(lambda x, w: fn.conv_general(x, w, **options), x, weight)
        return [float64_of(v) for v in (y, *pull(y))]

    expected = results()
    with instruction_sets.using(name):
        got = results()
    for a, b in zip(got, expected, strict=True):
        scale = max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=8 * EPSILON[dtype], atol=64 * EPSILON[dtype] * scale)


def test_optimiser_steps_join_the_gradient_of_the_weight():
    x, weight, ct = (fn.array(normal(*s)).astype(fn.float32) for s in ((2, 9, 9, 8), (16, 3, 3, 8), (2, 7, 7, 16)))

    def step(x, weight, ct):
        _, pull = fn.vjp(lambda w: fn.conv2d(x, w), weight)
        return weight - 0.1 * pull(ct)[0]

    gradient = fn.vjp(lambda w: fn.conv2d(x, w), weight)[1](ct)[0]
    np.testing.assert_allclose(
        np.asarray(fn.compile(step)(x, weight, ct)),
        np.asarray(weight) - 0.1 * np.asarray(gradient),
        rtol=1e-5,
        atol=1e-5,
    )


def test_derivatives_of_any_order():
    x, weight = double(1, 6, 2), double(3, 3, 2)

    def f(x):
        return fn.sum(fn.conv1d(x, weight, stride=2, padding=1) ** 3)

    def numeric(g, x, t, h=1e-4):
        return (np.asarray(g(x + h * t)) - np.asarray(g(x - h * t))) / (2 * h)

    t = double(1, 6, 2)
    for _ in range(3):
        g = f
        derivative = fn.jvp(g, (x,), (t,))[1]
        np.testing.assert_allclose(np.asarray(derivative), numeric(g, x, t), rtol=1e-5, atol=1e-5)

        def f(x, g=g):
            return fn.sum(fn.grad(g)(x) * t)


def test_padding_and_holes_hide_what_is_not_a_number():
    # Elements that no window touches must not be read into a result, however wide the vectors are.
    x = np.zeros((1, 9, 2), np.float32)
    x[0, 8] = np.nan
    y = fn.conv1d(fn.array(x), fn.ones((5, 2, 2)), stride=3)
    assert np.isfinite(np.asarray(y)).all()
    x[0, 8] = np.inf
    y = np.asarray(fn.conv1d(fn.array(x), fn.ones((5, 3, 2)), padding=1))
    assert np.isfinite(y[0, :7]).all() and np.isinf(y[0, 7:]).all()


@pytest.mark.parametrize("length", [1, 4, 5, 6, 7])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"stride": 3}, {"dilation": 2}, {"stride": 2, "dilation": 3}])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_same_padding_centres_the_windows(length, options, k):
    stride, dilation = options.get("stride", 1), options.get("dilation", 1)
    x, weight = fn.array(normal(2, length, 3), fn.float32), fn.array(normal(4, k, 3), fn.float32)
    outputs = math.ceil(length / stride)
    zeros = max((outputs - 1) * stride + dilation * (k - 1) + 1 - length, 0)
    expected = fn.conv1d(fn.pad(x, [(0, 0), (zeros // 2, zeros - zeros // 2), (0, 0)]), weight, **options)
    got = fn.conv1d(x, weight, padding="SAME", **options)
    assert got.shape == (2, outputs, 4)
    np.testing.assert_array_equal(got, expected)
    general = {"stride": stride, "kernel_dilation": dilation}
    np.testing.assert_array_equal(fn.conv_general(x, weight, padding="same", **general), expected)


def test_words_for_padding():
    x, weight = fn.ones((1, 5, 6, 2)), fn.ones((3, 3, 2, 2))
    assert fn.conv2d(x, weight, padding="valid").shape == (1, 3, 5, 3)
    assert fn.conv2d(x, weight, padding="same").shape == (1, 5, 6, 3)
    assert fn.conv_general(x, weight, padding="same", input_dilation=2).shape == (1, 9, 11, 3)
    nothing = fn.conv2d(x[:, :0], weight, padding="same")
    assert nothing.shape == np.asarray(nothing).shape == (1, 0, 6, 3)
    assert (
        fn.grad(lambda w: fn.conv2d(x[:, :0], w, padding="same").sum())(weight).tolist()
        == fn.zeros_like(weight).tolist()
    )
    with pytest.raises(ValueError, match="conv2d: padding must be numbers, 'same' or 'valid', got 'Full'"):
        fn.conv2d(x, weight, padding="Full")


def test_halves_are_accumulated_in_float32():
    x = fn.ones((1, 4096, 1), fn.float16)
    weight = fn.ones((3, 4096, 1), fn.float16)
    assert np.all(np.asarray(fn.conv1d(x, weight).astype(fn.float32)) == 4096)
    x = fn.full((1, 8, 8, 512), 1, fn.bfloat16)
    assert np.all(np.asarray(fn.conv2d(x, fn.ones((2, 3, 3, 512), fn.bfloat16)).astype(fn.float32)) == 4608)


def test_mixed_dtypes_are_promoted():
    x, weight = fn.ones((1, 5, 2), fn.float16), fn.ones((3, 3, 2))
    assert fn.conv1d(x, weight).dtype == fn.float32
    assert fn.conv1d(x, weight.astype(fn.bfloat16)).dtype == fn.float32
    with pytest.raises(ValueError, match="complex64"):
        fn.conv1d(x.astype(fn.complex64), weight)


def test_numbers_that_no_loop_may_run_to():
    x, weight = fn.ones((1, 3, 2)), fn.ones((4, 2, 2))
    far = 2**31 - 1
    y = fn.conv1d(x, weight, stride=far, padding=far - 7)
    assert y.shape == (1, 2, 4) and np.all(np.asarray(y) == 0)
    assert np.all(np.asarray(fn.conv_general(x, weight, input_dilation=far, stride=far, kernel_dilation=far)) == 4)
    with pytest.raises(ValueError, match="stride must be below"):
        fn.conv1d(x, weight, stride=far + 1)
    with pytest.raises(ValueError, match="elements"):
        fn.conv3d(fn.ones((1, 3, 3, 3, 1)), fn.ones((1, 1, 1, 1, 1)), padding=far)


@pytest.mark.parametrize("bad", [{"groups": 0}, {"groups": -1}, {"dilation": 0}, {"stride": -2}])
def test_options_out_of_range(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        fn.conv1d(fn.ones((1, 3, 2)), fn.ones((4, 2, 2)), **bad)


def test_kernels_of_no_elements_are_refused():
    with pytest.raises(ValueError, match="length 0"):
        fn.conv1d(fn.ones((1, 3, 2)), fn.ones((4, 0, 2)))


def test_results_of_no_elements():
    y, pull = fn.vjp(fn.conv1d, fn.ones((0, 5, 2)), fn.ones((3, 2, 2)))
    by_x, by_weight = pull(y)
    assert y.shape == (0, 4, 3) and by_x.shape == (0, 5, 2) and np.all(np.asarray(by_weight) == 0)
    assert fn.conv1d(fn.ones((1, 5, 2)), fn.ones((0, 2, 2))).shape == (1, 4, 0)


# ---- pooling


def test_ties_share_the_gradient_evenly():
    x = fn.array([[[1.0], [1.0], [0.0], [2.0], [2.0], [2.0]]])
    gradient = fn.grad(lambda x: fn.sum(nn.max_pool1d(x, 3)))(x)
    np.testing.assert_allclose(np.asarray(gradient).ravel(), [0.5, 0.5, 0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize(("length", "window"), [(70, 20), (5000, 5000), (5000, 17)])
def test_long_windows(length, window):
    x = normal(2, length, 3)
    seen = np.lib.stride_tricks.sliding_window_view(x, window, 1)
    small = fn.array(x, fn.float64)
    np.testing.assert_allclose(np.asarray(nn.max_pool1d(small, window, 7)), seen[:, ::7].max(-1))
    np.testing.assert_allclose(np.asarray(nn.avg_pool1d(small, window, 7)), seen[:, ::7].mean(-1), atol=1e-12)
    gradient = np.asarray(fn.grad(lambda x: fn.sum(nn.max_pool1d(x, window, 7)))(small))
    assert gradient.sum() == pytest.approx(seen[:, ::7, :, 0].size)


def test_integers_are_pooled():
    x = fn.array([[[-5], [-7], [3], [2]]], fn.int8)
    assert nn.max_pool1d(x, 2, 2, 1).tolist() == [[[-5], [3], [2]]]
    assert nn.avg_pool1d(x, 2).tolist() == [[[-6.0], [2.5]]]
    assert nn.max_pool1d(fn.array([[[False], [True]]]), 2).tolist() == [[[True]]]


def test_windows_of_padding_alone_and_what_is_not_a_number():
    x = fn.array([[[1.0], [np.nan], [3.0], [-np.inf]]])
    assert np.asarray(nn.max_pool1d(x, 1, 1, 1)).ravel()[[0, 5]].tolist() == [-np.inf, -np.inf]
    np.testing.assert_array_equal(np.asarray(nn.max_pool1d(x, 2)).ravel(), [np.nan, 3])
    np.testing.assert_array_equal(np.asarray(nn.avg_pool1d(x[:, :1], 2, 1, 1)).ravel(), [0.5, 0.5])


@pytest.mark.parametrize(("window", "stride"), [(3, 1), (3, 2), (3, 3), (3, 4), ((5, 4), 2), ((9, 8), 1), (1, 2)])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_gradients_of_pooling(name, window, stride):
    x = fn.array(rng.permutation(2 * 9 * 8 * 3).reshape(2, 9, 8, 3)).astype(fn.float64)
    pool = getattr(nn, name)

    def f(x):
        return pool(x, window, stride, 0 if window == 1 else 1)

    y, pull = fn.vjp(f, x)
    ct, t = double(*y.shape), double(*x.shape)
    numeric = (np.asarray(f(x + 1e-3 * t)) - np.asarray(f(x - 1e-3 * t))) / 2e-3
    assert np.sum(np.asarray(pull(ct)[0]) * np.asarray(t)) == pytest.approx(np.sum(np.asarray(ct) * numeric), rel=1e-6)
    np.testing.assert_allclose(np.asarray(fn.jvp(f, (x,), (t,))[1]), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("channels", [64, 72, 40])
def test_results_larger_than_caches(channels):
    """They are written past the caches where their rows lie in whole lines."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 300, 301, 8)).astype(np.float32)
    weight = rng.normal(size=(channels, 1, 1, 8)).astype(np.float32)
    out = fn.conv2d(fn.array(x), fn.array(weight))
    np.testing.assert_allclose(out, x @ weight[:, 0, 0].T, rtol=1e-4, atol=1e-5)
