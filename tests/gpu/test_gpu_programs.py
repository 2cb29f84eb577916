"""Printed programs on the gpu against the CPU: every form, at the shapes where forms change."""

import re

import numpy as np
import pytest

import funcnn as fn
from funcnn import optim

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("cpu_by_default")


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(5).standard_normal(shape).astype(dtype)


def integers(*shape, dtype=np.int32):
    return np.random.default_rng(6).integers(-3, 4, shape).astype(dtype)


def outputs(result):
    return result if isinstance(result, tuple) else (result,)


def values(x):
    return np.asarray(x.astype(fn.float32) if x.dtype == fn.bfloat16 else x)


def both(function, *arguments, tolerance=0.0):
    """The gpu gives what the CPU gives, and twice the same bits."""
    here = [fn.array(a) for a in arguments]
    there = [fn.device_put(a, fn.gpu) for a in here]
    expected = outputs(function(*here))
    with fn.default_device(fn.gpu):
        got, again = (outputs(function(*there)) for _ in range(2))
    for e, g, a in zip(expected, got, again, strict=True):
        assert g.device == fn.gpu or there[0].size == 0  # what is made of nothing is a constant
        assert g.dtype == e.dtype and g.shape == e.shape
        np.testing.assert_array_equal(values(g), values(a))
        np.testing.assert_allclose(values(g), values(e), rtol=tolerance, atol=tolerance)


ELEMENTWISE = {
    "flat": lambda x: x * 2 + 1,
    "beside packs": lambda x: x[1:] + x[:-1],
    "backwards": lambda x: x[::-1] * 2,
    "every third": lambda x: x[::3] - x[1::3],
    "bools": lambda x: ((x > 0) & (x < 1), fn.logical_not(x > 0)),
    "several results": lambda x: (x + 1, x * x, x > 0, x.astype(fn.float16)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("size", [1536, 1503])
def test_rows_of_elements(name, size):
    both(ELEMENTWISE[name], numbers(size))


LAYOUTS = {
    "row": (lambda x, b: x * b, (12, 64), (64,)),
    "column": (lambda x, b: x * b, (12, 64), (12, 1)),
    "outer": (lambda x, b: x * b, (12, 1), (1, 31)),
    "transposed": (lambda x, b: x.T + b, (37, 70), (70, 37)),
    "planes transposed": (lambda x, b: fn.transpose(x, (0, 2, 1)) * b, (3, 33, 40), (40, 33)),
    "axes exchanged, runs kept": (lambda x, b: fn.transpose(x, (1, 0, 2)) + b, (4, 5, 16), (5, 4, 16)),
    "part of rows": (lambda x, b: x[:, :16] * x[:, 16:] + b, (9, 32), (16,)),
    "two ways to divide": (lambda x, b: x.T.reshape(4, 6) + b.T.reshape(4, 6), (3, 8), (6, 4)),
    "reversed both ways": (lambda x, b: x[::-1, ::-1] + b, (6, 8), (6, 8)),
    "an index": (lambda x, b: fn.arange(60).reshape(3, 20) * x + b, (3, 20), (20,)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    function, *shapes = LAYOUTS[name]
    both(function, *(numbers(*s) for s in shapes), tolerance=1e-6)


VIEWS = {
    "backwards": lambda x: x[::-1],
    "every other, backwards": lambda x: x[::-2],
    "from the third": lambda x: x[2:],
    "turned": lambda x: x.T[::-1],
}
BESIDE = {
    "and backwards": lambda x: x[::-1] * 3 - x,
    "and its end": lambda x: x[1:] * 3 - x[:-1],
    "and its end, backwards": lambda x: x[:0:-1] * 3 - x[:-1],
    "and its columns, backwards": lambda x: x[:, ::-1] * 3 - x,
    "and rows summed": lambda x: x[::-1, ::-1].sum(1, keepdims=True) - x,
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_read_where_it_lies_twice(view, beside):
    """Behind the place where a view begins is what lies before it in memory."""
    for shape in ((5, 3), (40, 64)):
        x = integers(*shape).astype(np.float32)
        there = VIEWS[view](fn.device_put(fn.array(x), fn.gpu))
        fn.eval(there)
        np.testing.assert_array_equal(np.asarray(BESIDE[beside](there)), BESIDE[beside](VIEWS[view](x)))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "complex64", "bool"])
def test_copies_of_every_item(dtype):
    x = integers(40, 66).astype(dtype)
    both(lambda x: (x.T.reshape(-1), x[::2, 1:].reshape(-1)), x)


def test_more_arrays_than_a_launch_binds():
    xs = [integers(65).astype(np.float32) + i for i in range(40)]
    both(lambda *xs: sum(xs[1:], xs[0]), *xs)
    both(lambda *xs: tuple(x + xs[0] for x in xs), *xs)


# Columns below, at and above what lanes, warps and groups take; more than a group keeps.
@pytest.mark.parametrize("cols", [1, 3, 33, 500, 1024, 1030, 40001])
def test_rows_reduced(cols):
    x = integers(max(2, 60 // cols), cols).astype(np.float32)
    both(lambda x: (x.sum(axis=1), x.max(axis=1), (x > 2).any(axis=1), x - x.max(axis=1, keepdims=True)), x)


@pytest.mark.parametrize("shape", [(3, 70), (2, 768), (2, 20000)])
def test_rows_gone_through_several_times(shape):
    def normalised(x, w):
        y = fn.softmax(x, axis=-1) + fn.exp(x - fn.logsumexp(x, axis=-1, keepdims=True))
        centred = y - y.mean(axis=-1, keepdims=True)
        return centred * fn.rsqrt(fn.square(centred).mean(axis=-1, keepdims=True) + 1e-3) * w, y.sum(axis=-1)

    both(normalised, numbers(*shape), numbers(shape[1]), tolerance=2e-4)


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((5, 300), 0),
        ((3000, 7), 0),
        ((4000, 1), 0),
        ((700, 64), 0),
        ((30, 16, 24), 1),
        ((2, 3000, 5), 1),
        ((9, 8, 4, 6), (0, 2)),
    ],
)
def test_columns_reduced(shape, axis):
    x = integers(*shape).astype(np.float32)
    both(lambda x: (x.sum(axis=axis), x.min(axis=axis), (x > 2).all(axis=axis), x * 2), x)


@pytest.mark.parametrize("shape", [(2, 5, 2, 7, 2, 12), (3, 4, 3, 5, 5, 17), (9, 40, 2, 8, 4, 16)])
def test_windows_reduced(shape):
    x = numbers(*shape)
    wanted = x.transpose(0, 1, 3, 5, 2, 4).reshape(shape[0], shape[1], shape[3], shape[5], -1)
    there = fn.device_put(fn.array(x), fn.gpu)
    np.testing.assert_array_equal(np.asarray(fn.max(there, axis=(2, 4))), wanted.max(-1))
    np.testing.assert_allclose(np.asarray(fn.mean(there, axis=(2, 4))), wanted.mean(-1), rtol=0, atol=1e-6)
    both(lambda x: fn.grad(lambda x: (fn.max(x, axis=(2, 4)) ** 2).sum())(x), x, tolerance=1e-5)
    assert str(fn.explain(lambda x: fn.max(x, axis=(2, 4)), device="gpu")(x)).count("groups of") == 1


@pytest.mark.parametrize("shape", [(1,), (70001,), (300, 300), (3, 50000)])
def test_everything_reduced(shape):
    x = integers(*shape)
    both(lambda x: (x.sum(), x.max(), fn.all(x), x.astype(fn.float32).sum()), x)


def test_nothing_reduced():
    both(lambda x: (x.sum(axis=0), x.sum(axis=1), fn.prod(x, axis=0), x.sum()), numbers(0, 5))
    both(lambda x: (x.sum(axis=0), fn.all(x, axis=1), x + 1), numbers(4, 0))


def test_not_a_number_and_infinity():
    x = numbers(40, 30)
    x[3, 4], x[5, 6], x[7] = np.nan, np.inf, -np.inf
    both(lambda x: (x.max(axis=1), x.min(axis=0), x.sum(axis=1), x.sum(axis=0), x.max()), x, tolerance=1e-5)


def test_integers_wrap():
    both(lambda x: (fn.sum(x * x, axis=0), fn.prod(x, axis=1)), np.full((50, 40), 2**29 + 1, np.int32))


def test_sums_of_many_are_accurate():
    x = np.full(1 << 20, 0.1, np.float32)
    exact = float(np.float32(0.1)) * len(x)
    y = fn.device_put(fn.array(x), fn.gpu)
    assert abs(y.sum().item() - exact) < 1e-6 * exact
    assert abs(y.reshape(-1, 4).sum(axis=0).sum().item() - exact) < 1e-6 * exact


def test_a_result_takes_the_memory_of_an_argument():
    def step(x, y):
        total = fn.softmax(x * 2, axis=-1)
        return total + y, (y * 3).sum(axis=0)

    for shape in [(6, 33), (3, 20000)]:
        x, y = numbers(*shape), numbers(*shape)
        expected = step(fn.array(x), fn.array(y))
        given = [fn.device_put(fn.array(a), fn.gpu) for a in (x, y)]
        got = fn.compile(step, donate=("x", "y"))(*given)
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(values(g), values(e), rtol=1e-5, atol=1e-5)


def test_an_optimiser_over_many_arrays():
    shapes = [(30, 7), (64,)] * 4
    params = tuple(numbers(*s) + i for i, s in enumerate(shapes))
    optimizer = optim.adamw(1e-2)

    def steps(params):
        state = optimizer.init(params)
        for _ in range(2):
            grads = tuple(p * 0.5 for p in params)
            delta, state = optimizer.update(grads, state, params)
            params = optim.apply_updates(params, delta)
        return params

    both(lambda *params: fn.compile(steps)(params), *params, tolerance=1e-6)


def test_views_of_results_wait_for_them():
    with fn.default_device(fn.gpu):
        leaves = [fn.full((3,), float(i)) for i in range(10)]
        made = fn.compile(lambda xs: [2 * x + 1 for x in xs])(leaves)
        assert [y[2].item() for y in made] == [2 * i + 1 for i in range(10)]


def test_explain_shows_sources():
    plan = fn.explain(lambda x: fn.softmax(x, axis=-1), device="gpu")(fn.ones((4, 8))).plan
    assert "groups of" in plan and "rows_max_subtract_exp_sum" in plan and "BARRIER" not in plan


@pytest.mark.parametrize("shape", [(5, 6), (58, 60)])
def test_sums_of_columns_beside_what_goes_along_no_column(shape):
    def function(x):
        return x.sum(0), fn.reshape(x.T, x.shape) + x, (fn.reshape(x.T, x.shape) * x).sum(0)

    both(function, integers(*shape).astype(np.float32))


def launches(f, *arguments):
    """Of a function on the gpu: kernels, and launches that they become."""
    last = fn.explain(f, device="gpu")(*arguments).plan.splitlines()[-1]
    kernels = int(last.split()[0])
    joined = re.search(r"in (\d+) launch", last)
    return kernels, int(joined[1]) if joined else kernels


@pytest.mark.parametrize("sizes", [(1, 1), (300, 7, 1, 64), tuple(range(2, 150)), (100_003, 5)])
def test_the_update_of_many_leaves_is_few_launches(sizes):
    opt = optim.adam(0.1)

    @fn.compile
    def step(params, grads):
        delta, _ = opt.update(grads, opt.init(params), params)
        return optim.apply_updates(params, delta)

    there = [[fn.device_put(fn.array(x), fn.gpu) for x in xs] for xs in two_sets(sizes)]
    if len(sizes) > 2:
        kernels, joined = launches(step, *there)
        assert kernels >= len(set(sizes) - {1}) and joined <= kernels / 2
    with fn.default_device(fn.gpu):
        got = step(*there)
        again = step(*there)
    for e, g, a in zip(step(*two_sets(sizes)), got, again, strict=True):
        np.testing.assert_array_equal(values(g), values(a))
        np.testing.assert_allclose(values(g), values(e), rtol=1e-5, atol=1e-6)


def two_sets(sizes):
    return [[fn.array(numbers(n) * (k + 1)) for n in sizes] for k in range(2)]


@pytest.mark.parametrize(
    ("step", "steps", "least"), [(lambda of, x: of.sin(x) * 2, 60, 4), (lambda of, x: x * 0.5 + 1, 400, 3)]
)
def test_long_chains_become_several_kernels(step, steps, least):
    """The compilers of GPUs take more than their share for long kernels."""

    def chain(of, x):
        for _ in range(steps):
            x = step(of, x)
        return x

    x = numbers(6)
    there = fn.device_put(fn.array(x), fn.gpu)
    kernels, _ = launches(lambda x: chain(fn, x), there)
    assert least <= kernels < steps
    np.testing.assert_allclose(values(chain(fn, there)), chain(np, x.astype(np.float64)), rtol=1e-4)


def test_operands_are_counted_once():
    """What a kernel reads often, and what it repeats of scalars, is one operand each time."""

    def f(x, scales, others):
        for s in scales:
            x = x * (s + 1) + sum(others[1:], others[0]) * s + x * x
        return x

    x, others = numbers(5, 33), [numbers(5, 33) for _ in range(9)]
    scales = [np.float32(k / 8) for k in range(8)]
    on_gpu = [
        fn.device_put(a, fn.gpu) for a in (fn.array(x), [fn.array(s) for s in scales], [fn.array(o) for o in others])
    ]
    assert launches(f, *on_gpu)[0] == 1
    both(lambda x, *rest: f(x, rest[:8], rest[8:]), x, *scales, *others, tolerance=1e-4)


@pytest.mark.parametrize("shape", [(6, 70), (3, 1000), (1, 70), (1, 768), (1, 1, 1030)])
def test_layer_norm_and_its_gradient_are_one_kernel_each_way(shape):
    def f(x, w, b, ct):
        y, pull = fn.vjp(lambda x, w, b: fn.fast.layer_norm(x, w, b, 1e-5), x, w, b)
        return y, pull(ct)[0]

    arguments = numbers(*shape), numbers(shape[-1]), numbers(shape[-1]), numbers(*shape)
    assert launches(f, *(fn.device_put(fn.array(a), fn.gpu) for a in arguments))[0] == 1
    both(f, *arguments, tolerance=1e-4)


# Rows that a warp holds, also where the last of its packs are not all there, that a group holds, and that none does.
@pytest.mark.parametrize("shape", [(70, 1024), (70, 520), (33, 1000), (3, 520), (3, 4096), (70, 331), (2, 40000)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rows_of_half_precision(shape, dtype):
    """Against float64, of the operands as they are rounded."""

    def norm(x, w, b):
        return fn.fast.layer_norm(x, w, b, 1e-5)

    def gated(x, w, b):  # what lies before each row is no row of its own
        return fn.softmax(x[:, : shape[1] // 2], axis=-1), (x * w).max(axis=-1)

    held = [fn.array(a).astype(dtype) for a in (3 * numbers(*shape), numbers(shape[1]), numbers(shape[1]))]
    x, w, b = (np.asarray(a.astype(fn.float32)).astype(np.float64) for a in held)
    there = [fn.device_put(a, fn.gpu) for a in held]
    step = 2.0**-11 if dtype == "float16" else 2.0**-8

    def close(got, want, rtol, atol):
        np.testing.assert_allclose(np.asarray(got.astype(fn.float32)), want, rtol=rtol, atol=atol)

    centred = x - x.mean(-1, keepdims=True)
    normalised = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * w + b
    close(norm(*there), normalised, 1.01 * step, 4e-6 * np.abs(normalised).max())

    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    tiny = 2.0**-25 if dtype == "float16" else 0.0
    close(fn.softmax(there[0], axis=-1), softmax(x), 1.02 * step, tiny)
    halves, largest = gated(*there)
    close(halves, softmax(x[:, : shape[1] // 2]), 1.02 * step, tiny)
    close(largest, (x * w).max(-1), 1.01 * step, 0.0)
