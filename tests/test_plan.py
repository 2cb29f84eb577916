"""Plans: the same values as primitive by primitive, in few kernels, from a bounded cache."""

import gc
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcnn as fn
import instruction_sets


def unfused(f, *args):
    before = fn.set_fusion(False)
    try:
        out = f(*args)
        fn.eval(out)
        return out
    finally:
        fn.set_fusion(before)


def kernels(f, *args):
    return fn.explain(f)(*args).plan.splitlines()[-1].split()[0]


UNARY = [fn.sin, fn.tanh, fn.square, fn.negative, lambda x: fn.maximum(x, 0.1), lambda x: x * 0.5 + 1.0, fn.sigmoid]
BINARY = [fn.add, fn.multiply, fn.subtract, fn.maximum, lambda a, b: fn.where(a > b, a, b * 0.5)]


@st.composite
def programs(draw):
    """A recipe: a list of steps, each naming an operation and the earlier values it reads."""
    steps = draw(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(0, 1 << 16), st.integers(0, 1 << 16)), min_size=1, max_size=14
        )
    )
    rows, cols = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    held = draw(st.integers(0, 3))
    return steps, rows, cols, held


def execute(recipe, leaves):
    """Run a recipe; every value has shape (rows, cols), (cols, rows) is transposed back."""
    steps, rows, cols, held = recipe
    values = list(leaves)
    for op, i, j in steps:
        a, b = values[i % len(values)], values[j % len(values)]
        if op <= 2:
            new = UNARY[(i + j) % len(UNARY)](a)
        elif op <= 4:
            new = BINARY[(i + 3 * j) % len(BINARY)](a, b)
        elif op == 5:
            new = a - fn.mean(a, axis=-1, keepdims=True) * b
        elif op == 6:
            new = b + fn.sum(a, axis=0)
        elif op == 7:
            new = fn.softmax(a, axis=j % 2) * b
        elif op == 8:
            new = fn.reshape(fn.transpose(a), (rows, cols)) + b
        else:
            new = a[::-1] * fn.max(b) + fn.expand_dims(fn.var(b, axis=1), 1)
        values.append(new)
    kept = values[-1 - held :]
    return (*kept, fn.sum(values[-1], axis=0), fn.sum(values[-1] * values[len(leaves) - 1]))


@settings(max_examples=120, deadline=None)
@given(programs())
def test_fused_equals_unfused(recipe):
    _, rows, cols, _ = recipe
    rng = np.random.default_rng(rows * 100 + cols)
    leaves = [fn.array(rng.normal(size=(rows, cols)), dtype=fn.float64) for _ in range(2)]
    expected = unfused(lambda *a: execute(recipe, a), *leaves)
    for run in (lambda f: f, fn.compile):
        got = run(lambda *a: execute(recipe, a))(*leaves)
        for x, y in zip(got, expected, strict=True):
            np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-10, atol=1e-10)
    gradient = fn.grad(lambda a, b: execute(recipe, (a, b))[-1], argnums=(0, 1))
    expected = unfused(gradient, *leaves)
    for x, y in zip(gradient(*leaves), expected, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-8, atol=1e-9)


def test_elementwise_chain_is_one_kernel():
    x = fn.ones((64, 40))
    assert kernels(lambda a, b: fn.tanh(a * b + 1) * a - b, x, x) == "1"
    assert kernels(lambda a: fn.softmax(a, axis=-1), x) == "1"
    assert (
        kernels(
            lambda a, g, b: (a - a.mean(-1, keepdims=True)) * fn.rsqrt(a.var(-1, keepdims=True) + 1e-5) * g + b,
            x,
            x[0],
            x[0],
        )
        == "1"
    )
    assert kernels(lambda a: fn.transpose(a)[::2, None], x) == "0"


@pytest.mark.parametrize("shape", [(1, 40), (1, 1, 40), (40,), (2, 40)])
def test_a_norm_beside_the_sum_it_is_taken_of_is_one_kernel(shape):
    def f(x, y, w, b):
        x = x + y
        return x, fn.fast.layer_norm(x, w, b, 1e-5)

    rng = np.random.default_rng(1)
    x, y, w, b = (rng.standard_normal(s).astype(np.float32) for s in (shape, shape, shape[-1:], shape[-1:]))
    arrays = [fn.array(a) for a in (x, y, w, b)]
    assert kernels(f, *arrays) == "1"
    total = (x + y).astype(np.float64)
    centred = total - total.mean(-1, keepdims=True)
    want = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(np.asarray(f(*arrays)[1]), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(f(*arrays)[0]), x + y)


def test_a_scalar_is_computed_with_the_row_it_comes_from_and_no_other():
    def f(x, y):
        scale = fn.sqrt((x * x).sum()) + 1
        return y / scale, x / scale

    def of_another(x, y):
        return (x / (fn.sqrt((y * y).sum()) + 1),)

    x, y, long = fn.arange(30.0), fn.arange(40.0), fn.arange(float(1 << 15))
    assert kernels(f, x, y) == "2"  # one row, and what reads its norm
    assert kernels(of_another, x, y) == "2"
    assert kernels(lambda x: x / (fn.sqrt((x * x).sum()) + 1), long) == "2"  # shared out to threads or groups
    for function in (f, of_another):
        for got, want in zip(function(x, y), unfused(function, x, y), strict=True):
            np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-6)


@pytest.mark.on_cpu  # products of a GPU's library take no work along
def test_a_product_takes_what_follows_along():
    x = fn.ones((64, 64))
    assert kernels(lambda a, w, b: fn.maximum(a @ w + b, 0), x, x, x[0]) == "1"


@pytest.mark.on_cpu  # scalars that a GPU shares are computed apart
def test_adam_update_is_one_kernel_in_place():
    def adam(p, g, m, v, step):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        rate = 1e-3 * fn.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        return p - rate * m / (fn.sqrt(v) + 1e-8), m, v

    x = fn.ones((64, 64))
    assert kernels(adam, x, x, x, x, fn.array(1.0)) == "1"
    update = fn.compile(adam, donate=("p", "m", "v"))
    p, g, m, v = (fn.ones((1 << 14,)) * k for k in (1.0, 2.0, 3.0, 4.0))
    fn.eval(p, g, m, v)
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    update(p, g, m, v, fn.array(3.0))
    assert fn.get_peak_memory() - before < 1 << 14


def test_repeats_are_computed_once():
    def f(x):
        return fn.exp(x) @ fn.exp(x) + fn.exp(x)

    assert fn.explain(f)(fn.ones((4, 4))).plan.count("element = exp") == 1


def test_unused_work_is_left_out():
    def f(x):
        fn.exp(x) @ x
        return x + 1

    assert kernels(f, fn.ones((4, 4))) == "1"


def test_constants_do_not_make_new_plans():
    x = fn.ones((5, 7)) + 0
    fn.eval(x)
    fn.eval(x * 0.5 + 2.5)
    misses = fn.plan_cache_info()["misses"]
    for i in range(20):
        fn.eval(x * (0.125 * i + 3.0) + 0.1 * i)
    assert fn.plan_cache_info()["misses"] == misses


def test_plan_cache_is_bounded_and_clears():
    fn.clear_plan_cache()
    capacity = fn.plan_cache_info()["capacity"]
    for n in range(capacity + 50):
        fn.eval(fn.zeros((n + 1,)) + 1)
    assert fn.plan_cache_info()["entries"] == capacity
    fn.clear_plan_cache()
    info = fn.plan_cache_info()
    assert info == {"hits": 0, "misses": 0, "entries": 0, "capacity": capacity, "bytes": 0, "reused": 0,
                    "byte_capacity": info["byte_capacity"]}  # fmt: skip


@pytest.mark.on_cpu
@pytest.mark.skipif("baseline" not in instruction_sets.SUPPORTED[:-1], reason="a machine with a baseline and more")
def test_compiled_functions_follow_the_instruction_set():
    a = fn.array(np.random.default_rng(0).normal(size=(3, 40, 40)).astype(np.float32))

    def by(x):
        return fn.scan(lambda c, y: (c @ y, c.sum()), x[0], x)[0] + x[1] @ x[2]

    compiled = fn.compile(by)
    fused = np.asarray(compiled(a))
    with instruction_sets.using("baseline"):  # has no fused products
        separate = np.asarray(compiled(a))
        np.testing.assert_array_equal(separate, np.asarray(fn.compile(lambda x: by(x))(a)))
    assert (separate != fused).any()
    np.testing.assert_array_equal(np.asarray(compiled(a)), fused)


def test_values_that_handles_hold_are_kept():
    x = fn.ones((8,))
    middle = fn.exp(x) + 1
    fn.eval(middle * 2)
    hits = fn.plan_cache_info()
    np.testing.assert_allclose(np.asarray(middle), np.exp(1) + 1, rtol=1e-6)
    after = fn.plan_cache_info()
    assert (hits["hits"], hits["misses"]) == (after["hits"], after["misses"])


@pytest.mark.immediate
def test_eager_training_reuses_memory():
    w = fn.zeros((1 << 14,)) + 1
    fn.eval(w)
    for _ in range(3):
        w = w - 0.1 * fn.sin(w)
        fn.eval(w)
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    w = w - 0.1 * fn.sin(w)
    fn.eval(w)
    assert fn.get_peak_memory() - before < 1 << 14
    assert fn.get_active_memory() == before


def test_deep_graphs():
    x = fn.array(np.ones(8, np.float32))
    y = x
    for _ in range(200_000):
        y = y + 1
    del y
    z = x
    for _ in range(20_000):
        z = z * 1.0
    np.testing.assert_array_equal(np.asarray(z), 1)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), ()])
def test_empty_and_scalar_shapes(shape):
    x = fn.zeros(shape) + 1
    assert (x * 2).shape == shape
    np.testing.assert_array_equal(np.asarray(fn.sum(x)), np.sum(np.ones(shape)))
    if shape:
        np.testing.assert_array_equal(np.asarray(fn.sum(x, axis=0)), np.sum(np.ones(shape), axis=0))
        np.testing.assert_array_equal(np.asarray(fn.sum(x, axis=-1) + 1), np.sum(np.ones(shape), axis=-1) + 1)


def test_memory_limit_raises_and_leaves_everything_usable():
    gc.collect()
    x = fn.ones((1 << 16,)) + 0
    fn.eval(x)
    before = fn.set_memory_limit(fn.get_active_memory() + (1 << 16))
    try:
        with pytest.raises(MemoryError, match="largest arrays"):
            fn.eval(fn.sin(x)[None] * fn.cos(x)[:1024, None])
        assert fn.sum(x).item() == 1 << 16
    finally:
        fn.set_memory_limit(before)


def test_order_of_a_long_chain_frees_as_it_goes():
    def f(x):
        for _ in range(30):
            x = fn.sort(fn.sort(x, axis=0), axis=1)
        return x

    e = fn.explain(f)(fn.zeros((256, 256)))
    assert e.peak_bytes <= 3 * 256 * 256 * 4


@pytest.mark.on_cpu  # a GPU's sort needs memory of its own
def test_peak_of_a_plan_that_overwrites_its_arguments():
    n = 1 << 14
    update = fn.compile(lambda w: fn.sum(fn.sort(w * 0.5) * 2), donate=0)
    before = fn.set_memory_limit(fn.get_active_memory() + 9 * n)
    try:
        total = update(fn.arange(n, dtype=fn.float32)).item()
        assert total == n * (n - 1) / 2
    finally:
        fn.set_memory_limit(before)


@pytest.mark.parametrize("narrow", [fn.float16, fn.bfloat16])
def test_conversions_round_inside_a_kernel(narrow):
    x = fn.array([1.0 + 2**-12, 1e6, 3.14159])
    fused = x.astype(narrow).astype(fn.float32) * 2
    np.testing.assert_array_equal(
        np.asarray(fused), np.asarray(unfused(lambda: x.astype(narrow).astype(fn.float32) * 2))
    )
    assert fused[0].item() == 2.0
    scalar = fn.array(3.14159).astype(narrow)
    assert scalar.astype(fn.float32).item() == scalar.item()


@pytest.mark.on_cpu  # products of a GPU's library take no work along
def test_products_take_their_optimiser_step_along():
    def f(x, ct, p, m):
        m = 0.9 * m + x.T @ ct
        return p - 0.1 * m, m

    n = 64
    step = fn.compile(f, donate=("p", "m"))
    rng = np.random.default_rng(0)
    x, ct, p, m = (rng.normal(size=(n, n)).astype(np.float32) for _ in range(4))
    args = [fn.array(a) for a in (x, ct, p, m)]
    assert kernels(f, *args) == "1"
    expected = 0.9 * m + x.T @ ct
    places = {np.asarray(a).ctypes.data for a in args[2:]}
    new_p, new_m = step(*args)
    assert {np.asarray(a).ctypes.data for a in (new_p, new_m)} == places
    np.testing.assert_allclose(np.asarray(new_p), p - 0.1 * expected, rtol=1e-3, atol=1e-3)


def test_cheap_values_are_computed_again_where_they_are_far_away():
    def gelu(h):
        return h * (1 + fn.erf(h * 2**-0.5)) / 2

    def loss(w1, w2, x):
        return fn.sum(fn.sin(gelu(x @ w1) @ w2))

    x = fn.ones((64, 64))
    plan = fn.explain(fn.grad(loss, argnums=(0, 1)))(x, x, x).plan
    # The product before the activation and the activation are kept, nothing between.
    assert plan.count("element = erf") == 2 and plan.count("  store ") <= 5


@pytest.mark.on_cpu  # a GPU waits for memory, not for the exponential
@pytest.mark.parametrize(("shape", "axis"), [((8, 4, 16), 1), ((32, 64), 0)])
def test_dear_values_are_kept_where_the_next_kernel_writes_over_them(shape, axis):
    x = fn.array(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    plan = fn.explain(lambda x: fn.softmax(x, axis=axis))(x).plan
    # Once, and the result lies where the exponentials did.
    assert plan.count("element = exp") == 1 and re.search(r"\[3\] fused.* in place", plan)
    e = np.exp(np.asarray(x) - np.max(np.asarray(x), axis, keepdims=True))
    np.testing.assert_allclose(fn.softmax(x, axis=axis), e / e.sum(axis, keepdims=True), rtol=1e-5)


@pytest.mark.on_cpu  # a GPU reduces rows and columns apart
def test_readers_of_the_same_array_share_a_kernel():
    assert (
        kernels(lambda x: (fn.sum(fn.sin(x), axis=0), fn.max(x, axis=1), fn.sum(x * x, axis=1)), fn.ones((8, 16)))
        == "1"
    )


def test_steps_follow_the_order_of_creation_through_graphs():
    def chain(ws, x):
        for w in ws:
            x = fn.tanh(x @ w)
        return fn.sum(x)

    def step(ws, x):
        return fn.tree.map(lambda w, g: w - g, ws, fn.grad(chain)(ws, x))

    ws, x = [fn.ones((64, 64)) for _ in range(8)], fn.ones((16, 64))
    made = re.findall(r"out float32(\(.*\))", fn.explain(step)(ws, x).plan)
    # Eight activations; then each gradient of a weight is used up before the next is made.
    assert made[:8] == ["(16, 64)"] * 8
    assert made[8:].count("(64, 64)") == 8
    assert all({a, b} == {"(16, 64)", "(64, 64)"} for a, b in itertools.pairwise(made[8:-1]))


def test_comparisons_see_the_value_that_was_compared():
    """A value computed again with other rounding must not change which operand of `maximum` was chosen."""
    rng = np.random.default_rng(0)
    x, y, z, w = (fn.array(rng.normal(size=(64, 64)), dtype=fn.float32) for _ in range(4))

    def loss(u, x, y, z, w):
        v = x * y + z
        chosen = fn.maximum(u * w, v)
        return fn.sum(fn.sin(chosen @ w) * v + fn.max(v, axis=1, keepdims=True) * chosen)

    gradient = fn.grad(loss, argnums=(0, 1, 2, 3, 4))
    expected = unfused(gradient, z, x, y, z, w)
    for got in (gradient(z, x, y, z, w), fn.compile(gradient)(z, x, y, z, w)):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("dtype", "value", "rounded"), [("bfloat16", 257.0, 256.0), ("float16", 2049.0, 2048.0)])
def test_conversions_see_what_a_short_float_holds(dtype, value, rounded, compiled):
    kind = getattr(fn, dtype)
    run = fn.compile if compiled else lambda f: f
    base, one = fn.array([value - 1] * 3, kind), fn.array(1.0, kind)
    assert np.asarray(run(lambda x: x + one)(base)).astype(np.float32).tolist() == [rounded] * 3
    for to in (fn.float32, fn.float64, fn.int32):
        assert run(lambda x: (x + one).astype(to))(base).tolist() == [rounded] * 3  # noqa: B023
        assert run(lambda x: (x + one).astype(to))(base[0]).item() == rounded  # noqa: B023
        assert run(lambda x: (x + one).astype(to).sum())(base).item() == 3 * rounded  # noqa: B023
    # Beside another dtype, too, where a conversion is implied.
    assert run(lambda x: (x + one) - fn.array([1.0]))(base).tolist() == [rounded - 1] * 3
    other = fn.float16 if kind == fn.bfloat16 else fn.bfloat16
    assert run(lambda x: (x + one).astype(other).astype(fn.float32))(base).tolist() == [rounded] * 3
    large = fn.array([6e4], fn.float16)
    assert run(lambda x: (x + x).astype(fn.float32))(large).tolist() == [np.inf]


def test_a_reduction_s_conversion_sees_what_a_short_float_holds():
    x = fn.ones((2, 257), fn.bfloat16)
    assert fn.sum(x, axis=1).astype(fn.float32).tolist() == [256, 256]


def test_rows_that_an_empty_loop_reads_too_are_computed():
    x = fn.array(np.arange(18.0).reshape(6, 3))
    nothing = fn.zeros((0,))
    for _ in range(20):
        dirt = fn.full((6, 1), 7.0) + 1.0
        fn.eval(dirt)
        del dirt  # its memory is used again
        means = fn.sum(x, axis=1, keepdims=True) * 0.5
        scaled, empty = x * means, nothing + means
        fn.eval(scaled, empty)
        np.testing.assert_array_equal(scaled, np.asarray(x) * np.asarray(x).sum(1, keepdims=True) * 0.5)
        assert empty.shape == (6, 0)


@pytest.mark.parametrize("rows", [(3, 5), (5, 3)])
def test_reductions_of_one_empty_array_keep_their_own_rows(rows):
    for _ in range(20):
        dirt = fn.full((8,), 7.0) + 1.0
        fn.eval(dirt)
        del dirt
        x = fn.zeros((rows[0], 0)) + 1.0
        sums = fn.sum(x, axis=1), fn.sum(fn.reshape(x, (rows[1], 0)), axis=1)
        fn.eval(*sums)
        for n, total in zip(rows, sums, strict=True):
            np.testing.assert_array_equal(total, np.zeros(n))


@pytest.mark.parametrize("compiled", [False, True])
def test_comparisons_see_what_a_short_float_holds(compiled):
    run = fn.compile if compiled else lambda f: f
    base = fn.array([256.0, 0.0], fn.bfloat16)
    assert run(lambda x: x + 1 != x)(base).tolist() == [False, True]
    assert run(lambda x: x + 1 == 256)(base).tolist() == [True, False]
    assert run(lambda x: fn.where(x + 1 > 256, 1, 0))(base).tolist() == [0, 0]
    large = fn.array([300.0, 200.0], fn.float16)
    assert run(lambda x: fn.isinf(x * x))(large).tolist() == [True, False]
    assert run(lambda x: fn.all(fn.isfinite(x * x)))(large).item() is False
    tiny = fn.array([1e-4], fn.float16)
    assert run(lambda x: x * x * x == 0)(tiny).tolist() == [True]


def test_maxima_of_short_floats_are_found_where_they_are():
    x = fn.array(np.linspace(0, 1, 300).reshape(3, 100), fn.bfloat16)
    f = lambda x: fn.max(x * 1.001 + 0.3, axis=1).sum()  # noqa: E731
    for g in (fn.grad(f)(x), fn.compile(fn.grad(f))(x)):
        rows = np.asarray(g.astype(fn.float32)).sum(axis=1)
        np.testing.assert_allclose(rows, 1.0, rtol=0.02)


@pytest.mark.parametrize("n", [4, 64])
def test_products_whose_readers_want_each_other_s_product(n):
    def f(x, a, b):
        p, q = x @ a, x @ b
        return p + q[:, :n], q * p[:, :1]

    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=s).astype(np.float32) for s in ((n, n), (n, n), (n, 2 * n))]
    for got, wanted in zip(fn.compile(f)(*map(fn.array, arguments)), f(*arguments), strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 50, 40), (0, 64, 64), (64, 0, 64), (300, 2, 200), (5, 3000, 2)])
def test_reductions_over_an_axis_between_others(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def f(x):
        return fn.sum(x * 2, axis=1), fn.softmax(x, axis=1), fn.sum(x, axis=(1, 2)) if x.size else x, x.sum(0)

    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True, initial=-np.inf))
    wanted = 2 * wide.sum(1), e / e.sum(1, keepdims=True), wide.sum((1, 2)) if x.size else x, wide.sum(0)
    for got, want in zip(fn.compile(f)(fn.asarray(x)), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-4, atol=1e-4)


def test_a_reduction_over_an_axis_between_others_goes_along_memory():
    plan = fn.explain(lambda x: (x * 2).sum(1))(fn.ones((16, 64, 64))).plan
    assert "1024 rows x 64 cols in 16 bands" in plan
    # Elements that follow each other along the reduced axis stay rows.
    assert "bands" not in fn.explain(lambda x: fn.swapaxes(x, 1, 2).sum(1))(fn.ones((16, 64, 64))).plan


@pytest.mark.parametrize(
    "shape, axes",
    [
        ((3, 8, 2, 9, 2, 16), (2, 4)),
        ((16, 5, 16, 8), (0, 2)),
        ((2, 3, 4, 5, 6, 7), (0, 2, 4)),
        ((4, 1, 6, 1, 5, 64), (-2, 0, 1)),
        ((8, 4, 3, 33), (2, 0)),
        ((8, 3, 40), (0, 2)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64, np.float16])
def test_reductions_over_axes_with_others_between(shape, axes, dtype):
    """Where the last axis is kept, one after the other: elements are read in order, and results are those of one."""
    rng = np.random.default_rng(len(shape))
    a = (4 * rng.normal(size=shape)).astype(dtype)
    x = fn.array(a, dtype=a.dtype.name)
    wide = a.astype(np.float32) if dtype == np.float16 else a
    tolerance = 2e-3 if dtype == np.float16 else 1e-5
    np.testing.assert_allclose(fn.sum(x, axis=axes), wide.sum(axes), rtol=tolerance, atol=100 * tolerance)
    np.testing.assert_allclose(
        fn.mean(x * 2, axis=axes, keepdims=True), (wide * 2).mean(axes, keepdims=True), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_array_equal(fn.any(x == 0, axis=axes), (a == 0).any(axes))
    if dtype != np.complex64:
        np.testing.assert_array_equal(fn.max(x, axis=axes), a.max(axes))
        both = fn.compile(lambda x: (fn.min(x, axis=axes), fn.transpose(x).sum(), fn.min(x, axis=axes) + 1))(x)
        np.testing.assert_array_equal(both[0], a.min(axes))
        np.testing.assert_array_equal(both[2], a.min(axes) + 1)
    if dtype == np.float64:
        # Ties share the gradient alike, however they are found.
        ones = fn.grad(lambda x: fn.max(x, axis=axes).sum())(fn.ones(shape, fn.float64))
        count = np.prod([shape[i] for i in axes])
        np.testing.assert_allclose(ones, np.full(shape, 1 / count), rtol=1e-12)


@pytest.mark.on_cpu  # a GPU reduces small windows at once
def test_pooling_by_reshaping_reads_in_order():
    plan = fn.explain(lambda x: x.reshape(4, 8, 2, 8, 2, 32).sum((2, 4)))(fn.ones((4, 16, 16, 32))).plan
    assert "in 32 bands" in plan and plan.splitlines()[-1].startswith("2 kernels")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [(2,), (8,), (3, 5), (2, 64), (31,)])
def test_operands_that_repeat_all_along(columns, threads):
    """They are laid out once, and the tiles begin where they begin."""
    rng = np.random.default_rng(sum(columns))
    x = rng.normal(size=(2501, *columns)).astype(np.float32)
    a, b = (rng.normal(size=columns).astype(np.float32) for _ in range(2))
    last = rng.normal(size=columns[-1]).astype(np.float32)
    before = fn.get_num_threads()
    fn.set_num_threads(threads)
    try:
        x_, a_, b_, last_ = map(fn.array, (x, a, b, last))
        np.testing.assert_array_equal(x_ * a_, x * a)
        np.testing.assert_allclose((x_ - a_) * b_ + fn.abs(last_), (x - a) * b + abs(last), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(fn.maximum(x_, a_).T, np.maximum(x, a).T)
        np.testing.assert_allclose(((x_ - a_) ** 2).sum(-1), ((x - a) ** 2).sum(-1), rtol=1e-5)
        np.testing.assert_allclose((x_ * a_).sum(0), (x.astype(np.float64) * a).sum(0), rtol=1e-3, atol=1e-2)
        points = fn.array(x[:100].reshape(-1, columns[-1]))
        centres = fn.array(rng.normal(size=(64, columns[-1])).astype(np.float32))
        wanted = ((np.asarray(points)[:, None] - np.asarray(centres)) ** 2).sum(-1)
        np.testing.assert_allclose(((points[:, None] - centres) ** 2).sum(-1), wanted, rtol=1e-4, atol=1e-6)
    finally:
        fn.set_num_threads(before)


def test_a_result_takes_over_what_repeats():
    step = fn.compile(lambda x, a: (x * a, a * 2), donate=("x", "a"))
    x, a = np.arange(30000, dtype=np.float32).reshape(-1, 3), np.float32([1, 2, 3])
    product, double = step(fn.array(x), fn.array(a))
    np.testing.assert_array_equal(product, x * a)
    np.testing.assert_array_equal(double, a * 2)


@pytest.mark.parametrize(
    "reader",
    [
        lambda y, ops: y * y[:1],
        lambda y, ops: y + y[-1:],
        lambda y, ops: y - y[:, -1:],
        lambda y, ops: y + y.T,
        lambda y, ops: y * y[::-1],
        lambda y, ops: ops.maximum(y, y[:, ::-1]),
    ],
    ids=["first row", "last row", "last column", "transposed", "rows reversed", "columns reversed"],
)
@pytest.mark.parametrize("kept", [False, True], ids=["alone", "kept"])
def test_what_reads_other_elements_of_a_product_waits_for_all_of_it(reader, kept):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((300, 40)).astype("f"), rng.standard_normal((40, 300)).astype("f")
    product = fn.array(a) @ fn.array(b)
    result = reader(product, fn)
    fn.eval(result, *([product] if kept else []))
    np.testing.assert_allclose(result, reader(a @ b, np), rtol=1e-4, atol=1e-4)
