"""Compiled functions: the same results as eager ones, traced once a signature."""

import gc
import threading

import numpy as np
import pytest

import funcnn as fn


def test_traces_once_a_signature():
    calls = []

    @fn.compile
    def f(x, rate):
        calls.append(x.shape)
        return {"y": x * rate}

    x = fn.array([1.0, 2.0])
    for rate in (0.5, 0.25, 3.0):
        np.testing.assert_array_equal(np.asarray(f(x, rate)["y"]), np.array([1.0, 2.0], np.float32) * np.float32(rate))
    assert calls == [(2,)]
    f(fn.zeros((3,)), 1.0)
    f(x.astype(fn.float16), 1.0)
    assert len(calls) == 3
    info = f.cache_info()
    assert 0 < info.pop("bytes") < info.pop("byte_capacity")
    assert info == {"hits": 2, "misses": 3, "entries": 3, "capacity": 256}
    f.clear_cache()
    f(x, 1.0)
    assert len(calls) == 4


def test_keywords_trees_and_methods():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @fn.compile
        def double(x):
            return x * 2

        def __call__(self, tree, *, shift):
            return fn.tree.map(lambda a: a * self.scale + shift, tree)

    compiled = fn.compile(Model(3.0).__call__)
    out = compiled({"a": fn.array(1.0), "b": (fn.array(2.0), None)}, shift=fn.array(1.0))
    assert out["a"].item() == 4.0 and out["b"][0].item() == 7.0 and out["b"][1] is None
    assert Model.double(fn.array(2)).item() == 4


@pytest.mark.parametrize("named", [{"static_argnames": "mode"}, {"static_argnums": 1}, {"static_argnums": -1}])
def test_static_arguments(named):
    traces = []

    @fn.compile(**named)
    def f(x, mode):
        traces.append(mode)
        return x + 1 if mode == "up" else x - 1

    x = fn.array(1.0)
    assert f(x, "up").item() == 2 and f(x, mode="down").item() == 0 and f(x, "up").item() == 2
    assert traces == ["up", "down"]
    with pytest.raises(TypeError, match="hashable"):
        f(x, ["up"])


def test_errors_name_the_argument():
    with pytest.raises(TypeError, match=r"mode.*str.*static"):
        fn.compile(lambda d: d["x"])({"x": fn.array(1.0), "mode": "fast"})
    with pytest.raises(TypeError, match="return arrays only"):
        fn.compile(lambda x: "text")(fn.array(1.0))
    with pytest.raises(ValueError, match="not an argument"):
        fn.compile(lambda x: x, static_argnames="y")
    with pytest.raises(ValueError, match="both static and donated"):
        fn.compile(lambda x: x, static_argnames="x", donate="x")
    with pytest.raises(TypeError, match="expected a function"):
        fn.compile(3)
    with pytest.raises(ValueError, match="cache_size"):
        fn.compile(lambda x: x, cache_size=0)


def test_reading_a_value_while_tracing():
    @fn.compile
    def f(x):
        return x if x > 0 else -x

    with pytest.raises(fn.TracedValueError, match=r"shape \(\).*compile of f.*fn.where"):
        f(fn.array(1.0))


def test_leaked_tracer_is_named():
    kept = []
    fn.compile(lambda x: kept.append(x * 2) or x)(fn.array(1.0))
    with pytest.raises(fn.TracedValueError, match="leaked"):
        kept[0].item()


def test_captured_arrays_are_constants():
    w = fn.array([1.0, 2.0]) * 2
    f = fn.compile(lambda x: x * w)
    np.testing.assert_array_equal(np.asarray(f(fn.array([1.0, 1.0]))), [2.0, 4.0])
    w = fn.array([5.0, 5.0])
    np.testing.assert_array_equal(np.asarray(f(fn.array([1.0, 1.0]))), [2.0, 4.0])


def test_nests_with_other_transformations():
    def loss(w, x):
        return fn.sum(fn.tanh(x @ w) ** 2)

    rng = np.random.default_rng(0)
    w, x = fn.array(rng.normal(size=(4, 3)), dtype=fn.float32), fn.array(rng.normal(size=(5, 4)), dtype=fn.float32)
    expected = fn.grad(loss)(w, x)
    for g in (fn.compile(fn.grad(loss)), fn.grad(fn.compile(loss)), fn.compile(fn.grad(fn.compile(loss)))):
        np.testing.assert_allclose(np.asarray(g(w, x)), np.asarray(expected), rtol=1e-6)
    per_row = fn.vmap(fn.grad(fn.compile(loss)), in_axes=(None, 0))(w, x)
    np.testing.assert_allclose(np.asarray(per_row.sum(axis=0)), np.asarray(expected), rtol=1e-5)
    # A compiled function that reads a value of the trace around it.
    second = fn.grad(lambda a: fn.compile(lambda b: fn.sum(a * b * b))(a))(fn.array([1.0, 2.0]))
    np.testing.assert_allclose(np.asarray(second), [3.0, 12.0])


@pytest.mark.immediate
def test_donation_takes_memory_over():
    step = fn.compile(lambda p, g: p - 0.1 * g, donate="p")
    p, g = fn.ones((1000,)) * 1, fn.ones((1000,)) * 2
    fn.eval(p, g)
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    q = step(p, g)
    assert fn.get_peak_memory() - before < 1000
    np.testing.assert_allclose(np.asarray(q), 0.8, rtol=1e-6)
    with pytest.raises(ValueError, match="donated"):
        fn.eval(p + 1)
    np.testing.assert_array_equal(np.asarray(g), 2)


def test_an_array_given_twice_is_not_overwritten():
    x = fn.ones((1000,)) * 3
    fn.eval(x)
    doubled, flipped = fn.compile(lambda a, b: (a * 2, b[::-1] + 1), donate=(0, 1))(x, x)
    assert doubled[0].item() == 6 and flipped[0].item() == 4
    y = fn.ones((1000,)) * 3
    assert fn.compile(lambda a, b: a * 2 + b[::-1], donate=0)(y, y).tolist() == [9.0] * 1000
    assert y[0].item() == 3  # the second argument was not donated


@pytest.mark.parametrize(
    "f",
    [
        lambda s: (s, s + 1),
        lambda s: (s + 1, s),
        lambda s: (s.T, s * 2),
        lambda s: (s[0], fn.exp(s)),
        lambda s: (s, s, s - 1),
        lambda s: (s * 2, (s * 2) / fn.sum(s * 2, axis=-1, keepdims=True), s[::-1]),
        lambda s: (s @ s.T + 1, s),
    ],
)
def test_a_donated_argument_that_is_returned_is_not_overwritten(f):
    values = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    kept = fn.array(values)
    expected = [np.array(v) for v in f(kept)]
    given = fn.array(values)
    for got, want in zip(fn.compile(f, donate="s")(given), expected, strict=True):
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-6)


def test_donated_memory_that_somebody_else_sees_is_kept():
    step = fn.compile(lambda p: p + 1, donate=0)
    p = fn.zeros((8,)) + 0
    view = np.asarray(p)
    row = p[2:]
    fn.eval(row)
    step(p)
    assert (view == 0).all() and (np.asarray(row) == 0).all()


def test_donated_arrays_that_lazy_expressions_read_are_kept():
    step = fn.compile(lambda p: p + 1, donate=0)
    p = fn.arange(8, dtype=fn.float32)
    fn.eval(p)
    tail = p[3:] * 2
    assert step(p)[0].item() == 1
    np.testing.assert_array_equal(np.asarray(tail), np.arange(3, 8) * 2)
    assert p[1].item() == 1


def test_cache_is_bounded():
    f = fn.compile(lambda x: x + 1, cache_size=4)
    for n in range(1, 40):
        f(fn.zeros((n,)))
    assert f.cache_info()["entries"] == 4


def test_cache_is_bounded_in_bytes():
    def f(x):
        for _ in range(100):
            x = fn.sin(x) + x
        return x

    one = fn.compile(f)
    one(fn.zeros(3))
    each = one.cache_info()["bytes"]
    assert 1000 < each < 1_000_000
    few = fn.compile(f, cache_bytes=3 * each + each // 2)
    for n in range(1, 20):
        few(fn.zeros(n))
        info = few.cache_info()
        # The plan of the latest is made after room was made for its trace.
        assert min(n, 3) <= info["entries"] <= 4
        assert info["bytes"] <= info["byte_capacity"] + each
    misses = few.cache_info()["misses"]
    few(fn.zeros(19))
    few(fn.zeros(18))
    assert few.cache_info()["misses"] == misses
    few(fn.zeros(1))
    assert few.cache_info()["misses"] == misses + 1
    # The last one is kept, however large it is.
    least = fn.compile(f, cache_bytes=1)
    for _ in range(3):
        least(fn.zeros(3))
    assert (least.cache_info()["entries"], least.cache_info()["misses"]) == (1, 1)
    with pytest.raises(ValueError, match="cache_bytes must be at least 1"):
        fn.compile(f, cache_bytes=0)


@pytest.mark.immediate
def test_captured_arrays_count_where_nothing_else_holds_them():
    size = 1 << 20
    held = [fn.random.uniform(fn.random.key(0), (size // 4,))]
    fn.eval(held)

    def holding(x):
        return (held[0] * x).sum()

    f = fn.compile(holding, cache_bytes=3 * size)
    for n in range(5):
        f(fn.ones((1,) * n))
    assert f.cache_info()["entries"] == 5
    assert f.cache_info()["bytes"] < size

    def making(x):
        return (fn.sort(fn.random.uniform(fn.random.key(x.ndim), (size // 4,))) * x.sum()).sum()

    g = fn.compile(making, cache_bytes=3 * size)
    before = active_bytes()
    for n in range(8):
        g(fn.ones((1,) * n))
    assert g.cache_info()["entries"] == 2
    assert 2 * size < g.cache_info()["bytes"] < 3 * size
    assert active_bytes() - before < 3 * size

    # One array that only entries hold is counted once.
    def shared(x):
        return (held[0] * x).sum()

    h = fn.compile(shared, cache_bytes=2 * size)
    for n in range(3):
        h(fn.ones((1,) * n))
    held.clear()
    f.clear_cache()
    assert size < h.cache_info()["bytes"] < 2 * size
    assert h.cache_info()["entries"] == 3


@pytest.mark.immediate
def test_dropped_functions_free_what_they_captured():
    gc.collect()
    before = fn.get_active_memory()

    def use():
        big = fn.ones((1 << 16,)) * 1
        fn.compile(lambda x: x + big)(fn.array(1.0))

    use()
    gc.collect()
    assert fn.get_active_memory() - before < 1 << 16


def test_from_several_threads():
    f = fn.compile(lambda x: fn.sum(fn.sin(x) * x))
    x = fn.arange(1000, dtype=fn.float32)
    expected, failures = f(x).item(), []

    def work():
        for _ in range(50):
            if f(x).item() != expected:
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_explain_and_to_dot():
    def f(x, w):
        return fn.softmax(x @ w, axis=-1)

    e = fn.explain(f)(fn.zeros((8, 4)), fn.zeros((4, 16)))
    assert "float32(8, 16) = dot(%0, %1)" in e.graph
    assert "row_max" in e.plan and "row_sum" in e.plan and "2 kernels" in e.plan
    assert e.peak_bytes >= 8 * 16 * 4
    assert str(e).startswith("(%0: float32(8, 4)")
    dot = fn.to_dot(f)(fn.zeros((8, 4)), fn.zeros((4, 16)))
    assert dot.startswith("digraph {") and dot.count("->") >= 5


def test_explain_on_another_device():
    e = fn.explain(lambda x: fn.exp(x) + 1, device="reference")(fn.zeros((8, 4)))
    assert "on reference" in e.plan
    with pytest.raises(ValueError, match="nowhere"):
        fn.explain(fn.exp, device="nowhere")


def test_static_values_of_different_types_are_different():
    f = fn.compile(lambda x, s: x * s[0], static_argnums=1)
    x = fn.array([2, 3])
    for one, dtype in [((1,), fn.int32), ((1.0,), fn.float32), ((True,), fn.int32)]:
        assert f(x, one).dtype == dtype
    assert f.cache_info()["entries"] == 3


def active_bytes():
    gc.collect()
    return fn.get_active_memory()


def kept_by(f, *arguments):
    """Bytes that calling a compiled function leaves behind."""
    fn.eval(arguments)
    before = active_bytes()
    result = f(*arguments)
    fn.eval(result)
    del result
    return active_bytes() - before


@pytest.mark.immediate
def test_a_training_step_keeps_no_constants():
    words, width, batch = 500, 64, 128

    def loss(params, tokens, targets):
        hidden = fn.take(params["embed"], tokens, axis=0) @ params["mix"]
        logits = hidden @ params["embed"].T
        logits = fn.where(fn.tri(batch, words, dtype=fn.bool_), logits, logits - 1)
        picked = fn.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
        return (fn.logsumexp(logits, axis=1) - picked).mean()

    @fn.compile
    def step(params, tokens, targets):
        value, grads = fn.value_and_grad(loss)(params, tokens, targets)
        return {name: params[name] - 0.1 * g for name, g in grads.items()}, value

    params = {"embed": fn.ones((words, width)) * 0.01, "mix": fn.eye(width)}
    tokens, targets = fn.arange(batch) % words, (fn.arange(batch) * 7) % words
    assert kept_by(step, params, tokens, targets) < 1024
    expected = loss(params, tokens, targets)
    np.testing.assert_allclose(step(params, tokens, targets)[1], expected, rtol=1e-6)


@pytest.mark.immediate
def test_what_is_made_from_nothing_is_computed_inside():
    outside = fn.arange(5000) * 2 + fn.zeros(5000)  # not computed yet
    f = fn.compile(lambda x: x + outside + fn.tril(fn.ones((50, 100))).reshape(-1))
    x = fn.ones(5000)
    assert kept_by(f, x) < 1024
    expected = 1 + 2 * np.arange(5000) + np.tril(np.ones((50, 100))).ravel()
    np.testing.assert_array_equal(f(x), expected)
    # Computed before or after, here or there: all the same.
    np.testing.assert_array_equal(outside, 2 * np.arange(5000))
    np.testing.assert_array_equal(f(x), expected)
    np.testing.assert_array_equal(fn.compile(lambda x: x + outside)(x), 1 + 2 * np.arange(5000))
    np.testing.assert_array_equal(fn.grad(lambda x: (f(x) ** 2).sum())(x), 2 * expected)
    np.testing.assert_array_equal(fn.vmap(f)(fn.stack([x, x])), np.stack([expected] * 2))
    assert f.cache_info()["misses"] <= 2


@pytest.mark.immediate
def test_what_is_dear_or_depends_on_data_is_kept():
    table = fn.sin(fn.arange(5000).astype(fn.float32))
    drawn = fn.random.uniform(fn.random.key(0), (5000,))
    for constant in (table, drawn):
        f = fn.compile(lambda x, c=constant: x + c)
        assert kept_by(f, fn.ones(5000)) >= 20000
        np.testing.assert_array_equal(f(fn.ones(5000)), np.asarray(constant) + 1)


def test_a_derivative_by_something_made_from_nothing():
    f = fn.compile(lambda x, w: (x * w).sum())
    w = fn.ones(4)
    assert fn.grad(lambda w: fn.compile(lambda x: (x * w).sum())(fn.arange(4).astype(fn.float32)))(w).tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert fn.grad(lambda w: f(fn.arange(4).astype(fn.float32), w))(w).tolist() == [0, 1, 2, 3]
    assert fn.compile(lambda: fn.grad(lambda w: (w * w).sum())(fn.ones(3)))().tolist() == [2, 2, 2]
    g = fn.compile(lambda c: fn.scan(lambda c, x: (c + fn.arange(3) * x, c[0] * fn.ones(2)), c, fn.arange(4)))
    carry, ys = g(fn.zeros(3))
    assert carry.tolist() == [0, 6, 12] and ys.shape == (4, 2)
    h = fn.grad(lambda c: (fn.scan(lambda c, x: (c * (1 + fn.arange(3)), c), c, fn.arange(2))[0]).sum())
    assert h(fn.ones(3)).tolist() == [1, 4, 9]


def test_what_was_given_away_is_not_made_again():
    x = fn.zeros(3)
    fn.eval(x)
    fn.compile(lambda x: x + 1, donate="x")(x)
    with pytest.raises(ValueError, match="donated"):
        fn.compile(lambda y: x + y)(fn.ones(3))


def test_outputs_that_repeat_a_result_or_an_argument():
    x = fn.array([1.0, 2.0])

    def f(x):
        y = x * 2
        return y, x, {"again": y, "view": y[:1]}, (y + 1, y)

    first, given, named, (more, last) = fn.compile(f)(x)
    assert given.tolist() == [1, 2] and more.tolist() == [3, 5]
    assert first.tolist() == named["again"].tolist() == last.tolist() == [2, 4] and named["view"].tolist() == [2]


@pytest.mark.immediate
def test_a_kept_result_holds_no_other():
    arrays = [fn.full((1000,), float(i)) for i in range(100)]
    fn.eval(arrays)
    f = fn.compile(lambda xs: [x + 1 for x in xs])
    f(arrays)
    before = fn.get_active_memory()
    results = f(arrays)
    assert fn.get_active_memory() - before >= 100 * 4000
    kept = results[50]
    del results
    assert fn.get_active_memory() - before <= 5000
    np.testing.assert_array_equal(kept, np.full(1000, 51))


def test_arguments_outlive_a_call_that_drops_them():
    # Nobody but the container held them, and the memory would be used again at once.
    held = [fn.full((64,), float(i)) for i in range(20)]
    fn.eval(held)

    def drop(x):
        held.clear()
        kept.extend(fn.full((64,), -1.0) for _ in range(40))
        fn.eval(kept)
        return x

    @fn.compile
    def f(values, x):
        x = fn.pure_callback(drop, x, x)
        return [x + value for value in values]

    kept = []
    out = f(held, fn.zeros(64))
    assert len(kept) == 40
    for i, value in enumerate(out):
        assert np.asarray(value).tolist() == [float(i)] * 64
