"""Attention beyond its rows of the table: random problems, edges, memory, views, threads."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import funcnn as fn
import instruction_sets
from attention_oracle import attention
from widest import doubled, float64_of, held

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-6, "float64": 1e-13}


def attend(*arrays: Any, **options: Any) -> fn.array:
    return fn.fast.scaled_dot_product_attention(*arrays, **{"scale": 0.3} | options)


def drawn(seed: int, *shapes: tuple[int, ...], dtype: str = "float32") -> list[fn.array]:
    rng = np.random.default_rng(seed)
    return [fn.array(rng.normal(size=shape), getattr(fn, dtype)) for shape in shapes]


def plain(q: fn.array, k: fn.array, v: fn.array, mask: Any, sinks: Any, scale: float) -> fn.array:
    """The same with other operations, where every query sees something."""
    group = q.shape[1] // k.shape[1]
    k, v = fn.repeat(k, group, 1), fn.repeat(v, group, 1)
    s = scale * (q @ fn.swapaxes(k, 2, 3))
    if isinstance(mask, str):
        queries, keys = s.shape[2:]
        mask = fn.arange(keys) <= fn.arange(queries)[:, None] + (keys - queries)
    if mask is not None:
        s = fn.where(mask, s, -np.inf) if mask.dtype == fn.bool_ else s + mask
    if sinks is not None:
        sink = fn.broadcast_to(sinks[:, None, None], (*s.shape[:3], 1))
        return fn.softmax(fn.concatenate([s, sink], -1), -1)[..., :-1] @ v
    return fn.softmax(s, -1) @ v


@st.composite
def problems(draw: Any, dtypes: tuple[str, ...]) -> tuple[str, list[fn.array], dict[str, Any]]:
    dtype = draw(st.sampled_from(dtypes))
    batch, heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    lengths = st.one_of(st.integers(1, 12), st.sampled_from([31, 33, 63, 64, 65, 97, 130]))
    queries, keys = draw(lengths), draw(st.one_of(lengths, st.just(300)))
    sizes = st.one_of(st.integers(1, 9), st.sampled_from([16, 17, 32, 40, 64]))
    depth, values = draw(sizes), draw(sizes)
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    q, k, v = drawn(
        seed,
        (batch, heads * group, queries, depth),
        (batch, heads, keys, depth),
        (batch, heads, keys, values),
        dtype=dtype,
    )
    kind = draw(st.sampled_from(["none", "causal", "bool", "additive", "minus infinity"]))
    mask: Any = None
    if kind == "causal":
        mask = "causal"
    elif kind != "none":
        full = (batch, heads * group, queries, keys)
        shape = [n if draw(st.booleans()) else 1 for n in full][draw(st.integers(0, 3)) :]
        flags = rng.random(shape) < 0.6
        mask = fn.array(flags) if kind == "bool" else fn.array(rng.normal(size=shape), getattr(fn, dtype))
        if kind == "minus infinity":
            mask = fn.where(fn.array(flags), mask, -np.inf)
    options: dict[str, Any] = {"mask": mask}
    if draw(st.booleans()):
        options["sinks"] = fn.array(rng.normal(size=(heads * group,)), getattr(fn, dtype))
    # As views of arrays in another order, too.
    arrays = []
    for x in (q, k, v):
        order = draw(st.sampled_from([(0, 1, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2)]))
        stored = fn.array(np.ascontiguousarray(float64_of(fn.transpose(x, order))), x.dtype)
        arrays.append(fn.transpose(stored, order))
    return dtype, arrays, options


@settings(max_examples=150, deadline=None)
@given(problem=problems(held(TOLERANCE)))
def test_random_problems_agree_with_numpy(problem: Any) -> None:
    dtype, arrays, options = problem
    numbers = {k: x if x is None or isinstance(x, str) else np.asarray(x) if x.dtype == fn.bool_ else float64_of(x)
               for k, x in options.items()}  # fmt: skip
    expected = attention(*(float64_of(x) for x in arrays), 0.3, **numbers)
    got = float64_of(attend(*arrays, **options))
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@settings(max_examples=60, deadline=None)
@given(problem=problems(held(("float64", "float32"))))
def test_gradients_of_random_problems_agree_with_composed_ones(problem: Any) -> None:
    dtype, arrays, options = problem
    mask, sinks = options["mask"], options.get("sinks")
    moving = list(arrays)
    additive = isinstance(mask, fn.array) and mask.dtype != fn.bool_
    moving += [mask] if additive else []
    moving += [sinks] if sinks is not None else []
    assume(sees_keys(arrays, mask).any(-1).all())  # elsewhere the composition has NaN

    def loss(f: Any) -> Any:
        def of(*x: fn.array) -> fn.array:
            rest = list(x[3:])
            m = rest.pop(0) if additive else mask
            s = rest.pop(0) if sinks is not None else None
            y = f(*x[:3], m, s)
            return (y * fn.sin(y)).sum()

        return fn.grad(of, tuple(range(len(moving))))

    got = loss(lambda q, k, v, m, s: attend(q, k, v, mask=m, sinks=s))(*moving)
    expected = loss(lambda q, k, v, m, s: plain(q, k, v, m, s, 0.3))(*moving)
    scale = max(1.0, *(float(np.abs(float64_of(e)).max()) for e in expected))
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(float64_of(g), float64_of(e), rtol=0, atol=30 * TOLERANCE[dtype] * scale)


def sees_keys(arrays: list[fn.array], mask: Any) -> np.ndarray:
    """Which query sees which key."""
    shape = (*arrays[0].shape[:3], arrays[1].shape[2])
    if mask is None:
        return np.ones(shape, bool)
    if isinstance(mask, str):
        found = np.arange(shape[3]) <= np.arange(shape[2])[:, None] + shape[3] - shape[2]
    else:
        found = np.asarray(mask) if mask.dtype == fn.bool_ else np.isfinite(float64_of(mask))
    return np.broadcast_to(found, shape)


# ---- edges


def nothing_seen(kind: str) -> dict[str, Any]:
    flags = np.ones((5, 7), bool)
    flags[2] = False
    return {
        "bool": {"mask": fn.array(flags)},
        "minus infinity": {"mask": fn.array(np.where(flags, 0.0, -np.inf).astype(np.float32))},
    }[kind]


@pytest.mark.parametrize("kind", ["bool", "minus infinity"])
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(kind: str) -> None:
    q, k, v = drawn(0, (1, 2, 5, 6), (1, 2, 7, 6), (1, 2, 7, 3))
    options = nothing_seen(kind)
    y = np.asarray(attend(q, k, v, **options))
    assert (y[:, :, 2] == 0).all() and (y[:, :, [0, 1, 3, 4]] != 0).all()
    for by in fn.grad(lambda q, k, v: attend(q, k, v, **options).sum(), (0, 1, 2))(q, k, v):
        assert np.isfinite(np.asarray(by)).all()
    by_q = fn.grad(lambda q: (attend(q, k, v, **options) ** 2).sum())(q)
    assert (np.asarray(by_q)[:, :, 2] == 0).all()
    _, moved = fn.jvp(lambda q: attend(q, k, v, **options), (q,), (fn.ones_like(q),))
    assert (np.asarray(moved)[:, :, 2] == 0).all()
    hessian = fn.grad(lambda q: (fn.grad(lambda q: (attend(q, k, v, **options) ** 2).sum())(q) ** 2).sum())(q)
    assert np.isfinite(np.asarray(hessian)).all()
    turned = fn.grad(lambda q: fn.jvp(lambda q: (attend(q, k, v, **options) ** 2).sum(), (q,), (q,))[1])(q)
    assert (np.asarray(turned)[:, :, 2] == 0).all() and np.isfinite(np.asarray(turned)).all()


def test_queries_before_the_first_key_of_a_causal_mask_see_nothing() -> None:
    q, k, v = drawn(1, (1, 1, 100, 8), (1, 1, 30, 8), (1, 1, 30, 8))
    y = np.asarray(attend(q, k, v, mask="causal"))
    assert (y[:, :, :70] == 0).all() and (y[:, :, 70:] != 0).any(-1).all()
    by_q, by_k = fn.grad(lambda q, k: (attend(q, k, v, mask="causal") ** 2).sum(), (0, 1))(q, k)
    assert (np.asarray(by_q)[:, :, :70] == 0).all() and np.isfinite(np.asarray(by_k)).all()


def test_sinks_alone_take_everything() -> None:
    q, k, v = drawn(2, (1, 2, 5, 6), (1, 2, 7, 6), (1, 2, 7, 3))
    sinks = fn.array([0.5, -np.inf])
    y = attend(q, k, v, mask=fn.zeros((5, 7), fn.bool_), sinks=sinks)
    assert (np.asarray(y) == 0).all()
    by = fn.grad(lambda s: attend(q, k, v, mask=fn.zeros((5, 7), fn.bool_), sinks=s).sum())(sinks)
    assert (np.asarray(by) == 0).all()
    same = attend(q, k, v, sinks=fn.array([-np.inf, -np.inf]))
    np.testing.assert_array_equal(np.asarray(same), np.asarray(attend(q, k, v)))


@pytest.mark.parametrize("queries", [1, 20])
def test_masks_with_the_least_number_hide_keys_evenly(queries: int) -> None:
    # Beside scores as large, the logarithm of their sum is lost.
    q, k, v = drawn(3, (1, 1, queries, 4), (1, 1, 6, 4), (1, 1, 6, 4))
    mask = fn.full((queries, 6), float(np.finfo(np.float32).min))
    y = attend(q, k, v, mask=mask)
    np.testing.assert_allclose(
        np.asarray(y), np.broadcast_to(np.asarray(v).mean(2, keepdims=True), y.shape), rtol=1e-5, atol=1e-6
    )
    by_v = fn.grad(lambda v: attend(q, k, v, mask=mask).sum())(v)
    np.testing.assert_allclose(np.asarray(by_v), queries / 6, rtol=1e-5)


def test_large_scores_keep_their_gradients() -> None:
    q, k, v = (x * 300 for x in drawn(4, (1, 1, 9, 4), (1, 1, 9, 4), (1, 1, 9, 4)))
    for wrt in range(3):
        got = fn.grad(lambda *x: attend(*x, scale=1.0).sum(), wrt)(q, k, v)
        expected = fn.grad(lambda *x: attend(*x, scale=1.0).sum(), wrt)(*(doubled(x) for x in (q, k, v)))
        # What is added up reaches 300 * 300 * 4, of which float32 knows 2e-2.
        scale = max(10.0, float(np.abs(float64_of(expected)).max()))
        np.testing.assert_allclose(float64_of(got), float64_of(expected), atol=2e-2 * scale)


@pytest.mark.parametrize(("queries", "what"), list(itertools.product([1, 20], ["q", "k", "v"])))
def test_nan_stays(queries: int, what: str) -> None:
    arrays = dict(zip("qkv", drawn(5, (1, 1, queries, 4), (1, 1, 6, 4), (1, 1, 6, 4)), strict=True))
    arrays[what] = arrays[what].at[0, 0, 0, 0].set(float("nan"))
    y = np.asarray(attend(arrays["q"], arrays["k"], arrays["v"]))
    assert np.isnan(y[0, 0, 0]).any()
    if what == "q":
        assert np.isfinite(y[0, 0, 1:]).all()


def test_a_mask_of_integers_is_added() -> None:
    q, k, v = drawn(6, (1, 1, 3, 4), (1, 1, 5, 4), (1, 1, 5, 4))
    mask = fn.array([1, -2, 3, 0, 0])
    np.testing.assert_array_equal(
        np.asarray(attend(q, k, v, mask=mask)), np.asarray(attend(q, k, v, mask=mask.astype(fn.float32)))
    )


def test_dtypes_promote() -> None:
    q, k, v = drawn(7, (1, 1, 3, 4), (1, 1, 5, 4), (1, 1, 5, 4))
    assert attend(q.astype(fn.float16), k, v).dtype == fn.float32
    assert attend(q.astype(fn.float16), k.astype(fn.float16), v.astype(fn.float16)).dtype == fn.float16


def test_one_query_agrees_with_the_last_of_many() -> None:
    q, k, v = drawn(8, (2, 4, 34, 64), (2, 1, 34, 64), (2, 1, 34, 64))
    sinks = fn.array([0.3, -1.0, 2.0, 0.0])
    many = attend(q, k, v, mask="causal", sinks=sinks)
    one = attend(q[:, :, -1:], k, v, sinks=sinks)
    np.testing.assert_allclose(np.asarray(many[:, :, -1:]), np.asarray(one), rtol=1e-5, atol=1e-6)


# ---- memory, views, threads


def test_scores_are_never_in_memory() -> None:
    length = 2048
    q, k, v = drawn(9, (1, 2, length, 32), (1, 2, length, 32), (1, 2, length, 32))
    mask = fn.zeros((length,))
    fn.eval(q, k, v, mask)

    def loss(q: fn.array, k: fn.array, v: fn.array, mask: fn.array) -> fn.array:
        return attend(q, k, v, mask=mask).sum()

    before = fn.get_active_memory()
    fn.reset_peak_memory()
    fn.eval(fn.grad(loss, (0, 1, 2, 3))(q, k, v, mask))
    scores = 4 * 2 * length * length
    assert fn.get_peak_memory() - before < scores / 4


@pytest.mark.parametrize("order", ["heads first", "places first"])
def test_a_cache_is_read_where_it_lies(order: str) -> None:
    heads, allocated, used, width = 4, 4096, 3000, 64
    shape = (1, heads, allocated, width) if order == "heads first" else (1, allocated, heads, width)
    q, k, v = drawn(10, (1, 8, 1, width), shape, shape)
    fn.eval(q, k, v)

    def view(x: fn.array) -> fn.array:
        return (x if order == "heads first" else fn.transpose(x, (0, 2, 1, 3)))[:, :, :used]

    before = fn.get_active_memory()
    fn.reset_peak_memory()
    y = attend(q, view(k), view(v))
    fn.eval(y)
    assert fn.get_peak_memory() - before < k.nbytes / 8
    expected = attention(float64_of(q), float64_of(view(k)), float64_of(view(v)), 0.3)
    np.testing.assert_allclose(float64_of(y), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "queries"), [("float32", 150), ("bfloat16", 150), ("float32", 2)])
def test_results_do_not_depend_on_the_number_of_threads(dtype: str, queries: int) -> None:
    q, k, v = drawn(11, (2, 4, queries, 48), (2, 2, 1500, 48), (2, 2, 1500, 32), dtype=dtype)
    mask = fn.array(np.random.default_rng(0).normal(size=(4, queries, 1500)), q.dtype)
    before, results = fn.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fn.set_num_threads(threads)
            y, pull = fn.vjp(lambda *x: attend(*x[:3], mask=x[3]), q, k, v, mask)
            results.append([float64_of(x) for x in (y, *pull(fn.ones_like(y)))])
    finally:
        fn.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


instruction_set = instruction_sets.fixture(instruction_sets.SUPPORTED)


@pytest.mark.usefixtures("instruction_set")
def test_every_instruction_set_agrees_with_numpy() -> None:
    for queries, keys, depth in [(3, 300, 20), (70, 130, 20), (65, 97, 32)]:
        q, k, v = drawn(12, (1, 2, queries, depth), (1, 2, keys, depth), (1, 2, keys, 17))
        mask = fn.array(np.random.default_rng(0).random((queries, keys)) < 0.8)
        for options in ({"mask": "causal"}, {"mask": mask}):
            numbers = {"mask": options["mask"] if isinstance(options["mask"], str) else np.asarray(mask)}
            expected = attention(float64_of(q), float64_of(k), float64_of(v), 0.3, **numbers)
            np.testing.assert_allclose(float64_of(attend(q, k, v, **options)), expected, rtol=3e-6, atol=3e-6)
            grad = fn.grad(lambda *x, o=options: (attend(*x, **o) ** 2).sum(), (0, 1, 2))
            for g, e in zip(grad(q, k, v), grad(*(doubled(x) for x in (q, k, v))), strict=True):
                np.testing.assert_allclose(float64_of(g), float64_of(e), rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_flags_mask_as_infinities_do(dtype: str) -> None:
    # Dense flags are turned with the vectors of each instruction set: whole squares, and what is left over.
    for queries, keys in [(16, 16), (31, 33), (47, 70)]:
        q, k, v = drawn(3, (1, 1, queries, 1), (1, 1, keys, 1), (1, 1, keys, 1), dtype=dtype)
        flags = np.random.default_rng(4).random((queries, keys)) < 0.5
        flags[:, 0] = True
        infinities = fn.array(np.where(flags, 0.0, -np.inf), q.dtype)
        got, expected = (float64_of(attend(q, k, v, mask=m)) for m in (fn.array(flags), infinities))
        np.testing.assert_array_equal(got, expected)
        unmasked = float64_of(attend(q, k, v, mask=fn.array(np.ones_like(flags))))
        np.testing.assert_array_equal(unmasked, float64_of(attend(q, k, v)))
        known = attention(float64_of(q), float64_of(k), float64_of(v), 0.3, mask=flags)
        np.testing.assert_allclose(got, known, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_projections_and_their_gradients_are_not_copied() -> None:
    x = fn.zeros((2, 64, 3 * 4 * 16))

    def f(x: fn.array) -> fn.array:
        q, k, v = (fn.transpose(p.reshape(2, 64, 4, 16), (0, 2, 1, 3)) for p in fn.split(x, 3, axis=-1))
        return fn.transpose(attend(q, k, v), (0, 2, 1, 3)).reshape(2, 64, 64)

    def kinds(f: Any) -> list[str]:
        return re.findall(r"^\[\d+\] (\w+)", str(fn.explain(f)(x)), re.MULTILINE)

    assert kinds(f) == ["attention"]
    found = kinds(fn.grad(lambda x: (f(x) ** 2).sum()))
    assert "attention_gradient" in found and "copy" not in found


def test_plans_say_what_attention_costs() -> None:
    q, k, v = drawn(13, (1, 2, 8, 4), (1, 1, 16, 4), (1, 1, 16, 3))
    assert f"{2 * 2 * 8 * 16 * 7 / 1e3:.3g} kflop" in str(fn.explain(attend)(q, k, v))
    causal = fn.explain(lambda *x: attend(*x, mask="causal"))(q, k, v)
    assert f"{2 * 2 * (8 * 16 - 28) * 7 / 1e3:.3g} kflop" in str(causal)
