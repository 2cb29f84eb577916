"""Indexing against NumPy: reading, x.at[...], their derivatives and batched forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
from thread_counts import assert_the_same
from widest import WIDEST, reachable


@st.composite
def expressions(draw, masks=True, arrays=True):
    """A shape and a NumPy index into it."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    items, axis, common = [], 0, draw(st.sampled_from([(), (3,), (2, 1), (2, 3)]))
    ellipsis = draw(st.integers(0, len(shape)))
    count = draw(st.integers(0, len(shape)))
    for i in range(count):
        if draw(st.integers(0, 4)) == 0:
            items.append(None)
        if i == ellipsis and draw(st.booleans()):
            items.append(Ellipsis)
            axis = len(shape) - (count - i)
        n = shape[axis]
        kinds = ["slice", "slice"]
        if n > 0:
            kinds.append("integer")
            if arrays:
                kinds += ["array", "list"]
        if masks and arrays:
            kinds.append("mask")
        kind = draw(st.sampled_from(kinds))
        if kind == "integer":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind in ("array", "list"):
            # Some trailing part of the common shape, to broadcast.
            part = common[draw(st.integers(0, len(common))) :]
            size = int(np.prod(part))
            values = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
            made = np.array(values, draw(st.sampled_from([np.int32, np.int64, np.int8]))).reshape(part)
            items.append(made.tolist() if kind == "list" and part else made)
        elif kind == "mask":
            items.append(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool).reshape(n))
        else:
            ends = st.one_of(st.none(), st.integers(-6, 6))
            step = draw(st.sampled_from([None, 1, 2, 3, -1, -2]))
            items.append(slice(draw(ends), draw(ends), step))
        axis += 1
    return shape, tuple(items)


def counted(shape):
    return np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def ours(index):
    """The index with fn.array in place of NumPy's."""
    return tuple(fn.array(i) if isinstance(i, np.ndarray) else i for i in index)


def read(x, index):
    try:
        return x[index]
    except IndexError:  # shapes that do not broadcast, masks of different counts
        return None


@given(expressions())
def test_reading_agrees_with_numpy(case):
    shape, index = case
    x = counted(shape)
    expected = read(x, index)
    if expected is None:
        with pytest.raises((IndexError, ValueError)):
            fn.array(x)[ours(index)]
        return
    got = np.asarray(fn.array(x)[ours(index)])
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


UPDATES = {
    "set": lambda x, i, v: x.__setitem__(i, v),
    "add": np.add.at,
    "subtract": np.subtract.at,
    "multiply": np.multiply.at,
    "divide": np.divide.at,
    "maximum": np.maximum.at,
    "minimum": np.minimum.at,
}


@pytest.mark.parametrize("mode", UPDATES)
@given(case=expressions(), narrow=st.integers(0, 15), lead=st.booleans())
def test_updates_agree_with_numpy(mode, case, narrow, lead):
    shape, index = case
    x = counted(shape)
    part = read(x, index)
    if part is None:
        return
    # Values of the part's shape, some axes narrowed to 1, perhaps with one more in front.
    value_shape = tuple(1 if narrow >> d & 1 else n for d, n in enumerate(part.shape))
    value_shape = value_shape[narrow % (len(value_shape) + 1) :] if not lead else (1, *value_shape)
    values = counted(value_shape) % 5 + 1
    expected = x.copy()
    UPDATES[mode](expected, index, np.broadcast_to(values[0] if lead else values, part.shape))
    got = getattr(fn.array(x).at[ours(index)], mode)(fn.array(values))
    assert got.shape == shape
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@given(expressions(masks=False))
def test_reading_is_the_transpose_of_adding(case):
    shape, index = case
    x = counted(shape)
    part = read(x, index)
    if part is None:
        return
    weights = counted(part.shape)
    expected = np.zeros(shape, np.float32)
    np.add.at(expected, index, weights)
    gradient = fn.grad(lambda a: (a[ours(index)] * fn.array(weights)).sum())(fn.array(x))
    np.testing.assert_array_equal(gradient, expected)
    # Forward: linear, so the tangent is read as the value is.
    _, tangent = fn.jvp(lambda a: a[ours(index)], (fn.array(x),), (fn.array(x) * 2,))
    np.testing.assert_array_equal(tangent, 2 * part)


@given(expressions(masks=False))
def test_mapping_equals_a_loop(case):
    shape, index = case
    part = read(counted(shape), index)
    if part is None:
        return
    xs = np.stack([counted(shape), -counted(shape), counted(shape) * 3])
    got = fn.vmap(lambda a: a[ours(index)])(fn.array(xs))
    np.testing.assert_array_equal(got, np.stack([x[index] for x in xs]))
    values = counted(part.shape)
    for mode in ("set", "add", "maximum"):

        def update(a, v, mode=mode):
            return getattr(a.at[ours(index)], mode)(v)

        got = fn.vmap(update, in_axes=(0, None))(fn.array(xs), fn.array(values))
        np.testing.assert_array_equal(got, np.stack([update(fn.array(x), fn.array(values)) for x in xs]))
        got = fn.vmap(update, in_axes=(None, 0))(fn.array(xs[0]), fn.array(np.stack([values, -values])))
        loop = [update(fn.array(xs[0]), fn.array(v)) for v in (values, -values)]
        np.testing.assert_array_equal(got, np.stack(loop))


# ---- several index arrays, mapped


@pytest.mark.parametrize("axes", [(0, 0, None), (None, 0, 0), (0, None, None), (None, 0, None), (0, 0, 0)])
def test_mapping_over_indices(axes):
    rng = np.random.default_rng(0)
    x, i, j = rng.normal(size=(5, 4, 3)), rng.integers(-4, 4, (5, 2, 1)), rng.integers(-3, 3, (5, 6))
    take = [v if a == 0 else v[0] for v, a in zip((x, i, j), axes, strict=True)]
    each = lambda n: [v[n] if a == 0 else v for v, a in zip(take, axes, strict=True)]  # noqa: E731
    size = 5
    got = fn.vmap(lambda x, i, j: x[i, j], in_axes=axes)(*map(fn.array, take))
    expected = np.stack([x[i, j] for x, i, j in map(each, range(size))])
    np.testing.assert_allclose(got, expected, rtol=1e-6)

    def added(x, i, j):
        y = x.copy()
        np.add.at(y, (i, j), 1)
        return y

    got = fn.vmap(lambda x, i, j: x.at[i, j].add(1), in_axes=axes)(*map(fn.array, take))
    np.testing.assert_allclose(got, np.stack([added(*each(n)) for n in range(size)]), rtol=1e-6)


def test_nested_mapping_over_indices():
    rng = np.random.default_rng(1)
    x, i = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.integers(0, 4, (2, 3, 5))
    got = fn.vmap(fn.vmap(lambda x, i: x[i]))(fn.array(x), fn.array(i))
    np.testing.assert_array_equal(got, np.take_along_axis(x, i, 2))
    gradient = fn.grad(lambda x: fn.vmap(fn.vmap(lambda x, i: x[i]))(x, fn.array(i)).sum())(fn.array(x))
    expected = np.zeros_like(x)
    np.add.at(expected, (np.arange(2)[:, None, None], np.arange(3)[None, :, None], i), 1)
    np.testing.assert_array_equal(gradient, expected)


# ---- derivatives of updates


def double(x):
    return fn.array(x, dtype=WIDEST)


def numeric(f, x, step=1e-5):
    g = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[p] = step
        g[p] = (f(x + d) - f(x - d)) / (2 * step)
    return g


@pytest.mark.parametrize(("mode", "zeros"), [*((mode, 0) for mode in UPDATES), ("multiply", 1), ("multiply", 2)])
@pytest.mark.parametrize("index", [np.array([0, 2, 0, -1]), (slice(1, 3), np.array([1, 1])), slice(None, None, -2), 1])
def test_derivatives_of_updates(mode, index, zeros):
    rng = np.random.default_rng(2)
    x = rng.uniform(0.5, 2, (3, 4))
    values = rng.permutation(np.linspace(0.4, 2.1, x[index].size)).reshape(x[index].shape)
    values.reshape(-1)[:zeros] = 0
    weights = rng.normal(size=(3, 4))
    at = ours((index,))[0] if not isinstance(index, tuple) else ours(index)

    def update(x, values):
        return (getattr(x.at[at], mode)(values) * double(weights)).sum()

    def reference(x, values):
        y = x.copy()
        UPDATES[mode](y, index, values)
        return (y * weights).sum()

    got = fn.grad(update, argnums=(0, 1))(double(x), double(values))
    np.testing.assert_allclose(got[0], numeric(lambda x: reference(x, values), x), atol=reachable(1e-6))
    np.testing.assert_allclose(got[1], numeric(lambda v: reference(x, v), values), atol=reachable(1e-6))
    # Forward mode along one direction, and the derivative of the derivative.
    dx, dv = rng.normal(size=x.shape), rng.normal(size=values.shape)
    _, tangent = fn.jvp(update, (double(x), double(values)), (double(dx), double(dv)))
    np.testing.assert_allclose(
        tangent, (np.asarray(got[0]) * dx).sum() + (np.asarray(got[1]) * dv).sum(), atol=reachable(1e-6)
    )
    second = fn.grad(lambda x: (fn.grad(update)(x, double(values)) ** 2).sum())(double(x))
    assert np.isfinite(np.asarray(second)).all()


def test_the_last_of_several_values_set_gets_the_cotangent():
    x, values, at = fn.zeros(3), fn.array([1.0, 2.0, 3.0]), fn.array([1, 1, 0])
    np.testing.assert_array_equal(x.at[at].set(values), [3, 2, 0])
    gx, gv = fn.grad(lambda x, v: (x.at[at].set(v) * fn.array([10.0, 20.0, 30.0])).sum(), argnums=(0, 1))(x, values)
    np.testing.assert_array_equal(gx, [0, 0, 30])
    np.testing.assert_array_equal(gv, [0, 20, 10])


def test_equal_extrema_share_the_cotangent():
    x, values, at = fn.array([1.0, 5.0]), fn.array([1.0, 1.0, 2.0]), fn.array([0, 0, 1])
    gx, gv = fn.grad(lambda x, v: x.at[at].maximum(v).sum(), argnums=(0, 1))(x, values)
    np.testing.assert_allclose(gx, [1 / 3, 1])
    np.testing.assert_allclose(gv, [1 / 3, 1 / 3, 0])


# ---- masks


def test_masked_updates_need_no_values():
    x = fn.arange(6).astype(fn.float32).reshape(2, 3)
    doubled = fn.vmap(lambda row: row.at[row > 2].multiply(10))(x)
    np.testing.assert_array_equal(doubled, [[0, 1, 2], [30, 40, 50]])
    gradient = fn.grad(lambda x: x.at[x > 2].set(0).sum())(x)
    np.testing.assert_array_equal(gradient, [[1, 1, 1], [0, 0, 0]])
    row_mask = fn.array([True, False])
    np.testing.assert_array_equal(x.at[row_mask].set(fn.array([7.0, 8, 9])), [[7, 8, 9], [3, 4, 5]])


def test_masked_values_go_to_true_elements_in_order():
    x, mask = fn.zeros((2, 3)), fn.array([[True, False, True], [False, True, False]])
    values = fn.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(x.at[mask].set(values), [[1, 0, 2], [0, 3, 0]])
    traced = fn.vmap(lambda m: x.at[m].set(values))(mask[None])
    np.testing.assert_array_equal(traced[0], [[1, 0, 2], [0, 3, 0]])
    with pytest.raises(ValueError, match="broadcast"):
        x.at[mask].set(fn.array([1.0, 2.0]))


def test_reading_through_a_traced_mask_is_refused():
    with pytest.raises(fn.TracedValueError, match="where"):
        fn.vmap(lambda x: x[x > 0])(fn.ones((2, 3)))


# ---- out of range


def test_arrays_out_of_range_read_zero_and_write_nothing():
    x, at = fn.array([1.0, 2.0, 3.0]), fn.array([0, 3, -4, -3, 2**31 - 1, -(2**31)])
    np.testing.assert_array_equal(x[at], [1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(x.at[at].add(10), [21, 2, 3])
    gx, gv = fn.grad(lambda x, v: (x.at[at].set(v) ** 2).sum(), argnums=(0, 1))(x, fn.ones(6))
    np.testing.assert_array_equal(gx, [0, 4, 6])
    np.testing.assert_array_equal(gv, [0, 0, 0, 2, 0, 0])
    rows = fn.ones((2, 3, 4))
    assert float(rows[fn.array([5])].sum()) == 0
    assert float(fn.take_along_axis(rows, fn.full((2, 1, 4), 9), 1).sum()) == 0
    assert fn.zeros((0, 3))[fn.array([0, 1])].tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (3, IndexError, "out of range"),
        ((0, -4), IndexError, "out of range"),
        ((0, 0, 0), IndexError, "too many indices"),
        ((Ellipsis, Ellipsis), IndexError, "ellipsis"),
        (slice(None, None, 0), ValueError, "step"),
        (fn.array([0.5]), ValueError, "integers"),
        ((fn.array([0, 1]), fn.array([0, 1, 2])), ValueError, "broadcast"),
        (fn.array([True, False]), IndexError, "mask"),
        ("a", IndexError, "expected"),
    ],
)
def test_bad_indices(index, error, message):
    x = fn.zeros((3, 3))
    with pytest.raises(error, match=message):
        x[index]
    with pytest.raises(error, match=message):
        x.at[index].set(0)


def test_values_must_fit():
    with pytest.raises(ValueError, match="broadcast"):
        fn.zeros((3, 3)).at[0].set(fn.zeros(2))
    with pytest.raises(ValueError, match="broadcast"):
        fn.zeros((3, 3)).at[fn.array([0, 1])].set(fn.zeros((3, 3)))


# ---- dtypes, sizes, threads


DTYPES = (
    *("bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name):
    dtype = getattr(fn, name)
    x = fn.arange(12).reshape(3, 4).astype(dtype)
    back = lambda a: np.asarray(a.astype(fn.float32 if name != "complex64" else dtype))  # noqa: E731
    at = fn.array([2, 0, 2], dtype=fn.uint8)
    np.testing.assert_array_equal(back(x[at]), back(x)[[2, 0, 2]])
    np.testing.assert_array_equal(back(x[:, at]), back(x)[:, [2, 0, 2]])
    expected = back(x).copy()
    expected[[2, 0]] = back(x)[:2]
    np.testing.assert_array_equal(back(x.at[fn.array([2, 0])].set(x[:2])), expected)
    np.testing.assert_array_equal(back(x.at[1].set(x[0])), back(x)[[0, 0, 2]])
    if name != "bool_":
        expected = back(x).copy()
        np.add.at(expected, [2, 0, 2], 1)
        np.testing.assert_array_equal(back(x.at[at].add(1)), expected)


@pytest.mark.parametrize("shape", [(50, 1), (50, 3), (50, 64), (7, 50, 8)])
@pytest.mark.parametrize("mode", ["set", "add"])
def test_large_updates_are_the_same_for_any_number_of_threads(shape, mode):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    n = 20_000
    at = (slice(None), rng.integers(0, 50, n)) if len(shape) == 3 else (rng.integers(0, 50, n),)
    values = rng.normal(size=x[at].shape).astype(np.float32)
    before, results = fn.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            fn.set_num_threads(threads)
            results.append(np.asarray(getattr(fn.array(x).at[ours(at)], mode)(fn.array(values))))
            np.testing.assert_array_equal(fn.array(x)[ours(at)], x[at])
    finally:
        fn.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    expected = x.copy()
    UPDATES[mode](expected, at, values)
    np.testing.assert_allclose(results[0], expected, rtol=1e-3, atol=1e-3)


def test_updates_leave_the_original_alone():
    x = fn.ones((4, 4)) * 1
    y = x.at[fn.array([1])].set(5)
    z = x.at[1:3].add(1)
    np.testing.assert_array_equal(x, np.ones((4, 4)))
    assert float(y.sum()) == 32 and float(z.sum()) == 24


def test_strided_inputs():
    x = counted((6, 8))
    a = fn.array(x)
    at = np.array([[0, 2], [1, -1]])
    for view, same in [
        (a.T, x.T),
        (a[::-1, ::2], x[::-1, ::2]),
        (fn.broadcast_to(a[0], (5, 8)), np.broadcast_to(x[0], (5, 8))),
    ]:
        np.testing.assert_array_equal(view[fn.array(at)], same[at])
        np.testing.assert_array_equal(view[:, fn.array(at)], same[:, at])
        expected = same.copy()
        expected[:, [1, 0]] = same[:, :2]
        np.testing.assert_array_equal(view.at[:, fn.array([1, 0])].set(view[:, :2]), expected)
        expected = same.copy()
        expected[1:3, ::-2] = 5
        np.testing.assert_array_equal(view.at[1:3, ::-2].set(5), expected)


FLAGS = [
    True,
    False,
    (True, 0),
    (0, True),
    (..., True),
    (slice(None), False),
    (True, np.array([0, 1])),
    (None, True, 1),
    (True, True),
    (True, False),
    (slice(None), True, np.array([1, 2])),
    (np.array([0, 1]), slice(None), True),
    (1, True, 2),
    (False, slice(0, 2)),
    (np.array(True), 1),
    (..., None, True, 2),
]


@pytest.mark.parametrize("index", FLAGS, ids=str)
def test_a_bool_takes_the_whole_or_nothing(index):
    x = counted((3, 4))
    part = x[index]
    given = ours(index) if isinstance(index, tuple) else index
    np.testing.assert_array_equal(fn.array(x)[given], part)
    values = 100 + counted(part.shape)
    expected = np.array(x)
    expected[index] = values
    np.testing.assert_array_equal(fn.array(x).at[given].set(fn.array(values)), expected)
    expected = np.array(x)
    expected[index] = 7
    np.testing.assert_array_equal(fn.array(x).at[given].set(7), expected)


def test_too_many_indices_beside_a_bool():
    with pytest.raises(IndexError, match="too many"):
        fn.ones((2, 3))[True, 0, 0, 0]


def test_a_traced_flag_chooses():
    x, values = fn.array([1.0, 2.0, 3.0]), fn.array([7.0, 8.0, 9.0])
    choose = fn.compile(lambda flag: x.at[flag].set(values))
    assert choose(fn.array(True)).tolist() == [7, 8, 9] and choose(fn.array(False)).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="do not broadcast"):
        fn.compile(lambda flag: x.at[flag].set(fn.ones((2, 3))))(fn.array(True))


@pytest.mark.immediate
@pytest.mark.parametrize("given", [0, 2, 4])
def test_the_wrong_number_of_values_for_a_mask(given):
    x, values = fn.array([1.0, 2.0, 3.0, 4.0, 5.0]), fn.arange(given).astype(fn.float32)
    for mask in (fn.array([True, False, True, False, True]), x % 2 == 1, (fn.array([1, 0, 1, 0, 1]) > 0)):
        with pytest.raises(ValueError, match=rf"{given} values for the 3 true elements"):
            x.at[mask].set(values)
    # Traced, it turns out when the result is computed.
    for f in (
        fn.compile(lambda x: x.at[x % 2 == 1].add(values)),
        lambda x: fn.vmap(lambda x: x.at[x % 2 == 1].set(values))(x[None]),
    ):
        with pytest.raises(ValueError, match=rf"{given} values for the 3 true elements"):
            fn.eval(f(x))
    assert fn.compile(lambda x: x.at[x % 2 == 1].set(fn.array([7.0, 8.0, 9.0])))(x).tolist() == [7, 2, 8, 4, 9]


@pytest.mark.immediate
def test_values_for_the_rows_of_a_mapped_mask():
    x = fn.array([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]])
    f = fn.vmap(lambda x: x.at[x < 3].set(fn.array([8.0, 9.0])))
    with pytest.raises(ValueError, match="2 values for the 0 true elements"):
        fn.eval(f(x))
    g = fn.vmap(lambda x, top: x.at[x < top].set(fn.array([8.0, 9.0])))
    assert g(x, fn.array([3.0, 6.0])).tolist() == [[8, 9, 3], [6, 8, 9]]
    mask = fn.ones((0, 2), fn.bool_)
    with pytest.raises(ValueError, match="3 values for the 0 true elements"):
        fn.ones((0, 2)).at[mask].set(fn.ones(3))


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("zeros", [(), (0,), (0, 2), (1, 4), (0, 1, 2, 3, 4, 5)])
def test_derivatives_of_multiplying_at_zeros(zeros, dtype):
    kind = getattr(fn, dtype)
    index = np.array([0, 2, 0, -3, 9, 2])  # 9 is out of range
    u = np.array([2.0, -3.0, 5.0, 7.0, -11.0, 13.0])
    u[list(zeros)] = 0
    x = np.array([3.0, 1.0, -2.0])
    factors = np.array([1.5, 1.0, -0.5])
    places = [0, 2, 0, 0, None, 2]

    def product(place, without):
        return factors[place] * x[place] * np.prod([u[k] for k in range(6) if places[k] == place and k not in without])

    gradient = [0 if p is None else product(p, (i,)) for i, p in enumerate(places)]
    f = lambda u: (fn.array(x, kind).at[fn.array(index)].multiply(u) * fn.array(factors, kind)).real.sum()  # noqa: E731
    np.testing.assert_allclose(fn.grad(f)(fn.array(u, kind)), gradient)
    if dtype == "complex64":
        return
    expected = np.zeros((6, 6))
    for i, p in enumerate(places):
        for j, q in enumerate(places):
            if i != j and p == q and p is not None:
                expected[i, j] = product(p, (i, j))
    np.testing.assert_allclose(fn.hessian(f)(fn.array(u)), expected)
    np.testing.assert_allclose(fn.jacrev(fn.grad(f))(fn.array(u)), expected)


def test_derivatives_of_multiplying_rows_and_mapped():
    rng = np.random.default_rng(0)
    x, u, index = rng.normal(size=(4, 3)), rng.normal(size=(2, 5, 3)), rng.integers(0, 4, (2, 5))
    u[:, 1] = 0

    def f(u):
        return fn.vmap(lambda i, u: fn.array(x, fn.float64).at[i].multiply(u))(fn.array(index), u)

    expected = np.stack([np.array(x)] * 2)
    for b in range(2):
        np.multiply.at(expected[b], index[b], u[b])
    np.testing.assert_allclose(f(fn.array(u, fn.float64)), expected)
    fn.testing.check_grads(f, (fn.array(u, fn.float64),))


def test_one_place_that_overflows_leaves_the_others_alone():
    u = fn.array([1e30, 1e30, 1e30, 2.0, 3.0])
    g = fn.grad(lambda u: fn.ones(2).at[fn.array([0, 0, 0, 1, 1])].multiply(u).sum())(u)
    assert g.tolist() == [np.inf, np.inf, np.inf, 3, 2]


def test_gradients_of_strided_parts_beside_each_other():
    x = fn.array(counted((4, 3)))
    g = fn.grad(lambda x: x[0:2, ::2].sum() + x[2:4].sum())(x)
    assert g.tolist() == [[1, 0, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1]]
    g = fn.grad(lambda x: x[0:2].sum() + 2 * x[2:4, ::2].sum())(x)
    assert g.tolist() == [[1, 1, 1], [1, 1, 1], [2, 0, 2], [2, 0, 2]]
    g = fn.grad(lambda x: x[:1, 1:].sum() + 2 * x[1:, 1:].sum())(x)
    assert g.tolist() == [[0, 1, 1]] + [[0, 2, 2]] * 3


def test_cotangents_that_another_thread_evaluates():
    import threading

    x = fn.zeros((6,))
    _, pull = fn.vjp(lambda x: (x[:4], x[4:]), x)
    for _ in range(300):
        joined = fn.concatenate([fn.arange(2).astype(fn.float32), fn.ones(2)])
        other = threading.Thread(target=fn.eval, args=(joined,))
        other.start()
        (g,) = pull((joined, fn.ones(2)))
        other.join()
        assert g.tolist() == [0, 1, 1, 1, 1, 1]


def test_large_unsigned_positions_are_out_of_range():
    x, at = fn.array([1.0, 2.0, 3.0]), fn.array(np.array([0, 2**64 - 1, 2**63, 2], np.uint64))
    np.testing.assert_array_equal(fn.take(x, at, axis=0), [1.0, 0.0, 0.0, 3.0])
    np.testing.assert_array_equal(x.at[at].add(10.0), [11.0, 2.0, 13.0])


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("mode", ["set", "add", "multiply", "maximum", "minimum"])
def test_many_updates_of_rows(mode, threads, skewed):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3, 24)).astype(np.float32)
    index = rng.integers(-300, 310, 4000) if not skewed else rng.integers(0, 2, 4000) * 7
    updates = rng.choice([0.5, 1.0, -1.0, 2.0, np.nan], size=(4000, 3, 24), p=[0.3, 0.3, 0.2, 0.195, 0.005])
    updates = updates.astype(np.float32)
    combine = {
        "set": lambda a, b: b,
        "add": np.add,
        "multiply": np.multiply,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
    want = x.copy()
    with np.errstate(all="ignore"):
        for i, u in zip(index, updates, strict=True):
            if i < 300:  # others lie outside
                want[i] = combine[mode](want[i], u)
    before = fn.get_num_threads()
    fn.set_num_threads(threads)
    try:
        # Along the first axis, where rows are whole, and along the last, where they are scattered.
        got = getattr(fn.asarray(x).at[fn.asarray(index)], mode)(fn.asarray(updates))
        # A GPU adds up the updates of a place in parts.
        tolerance = 1e-5 if mode == "add" and got.device == fn.gpu else 0
        np.testing.assert_allclose(np.asarray(got), want, rtol=tolerance, atol=tolerance)
        turned = fn.asarray(np.ascontiguousarray(np.moveaxis(x, 0, 2)))
        got = getattr(turned.at[:, :, fn.asarray(index)], mode)(fn.asarray(np.moveaxis(updates, 0, 2)))
        np.testing.assert_allclose(np.asarray(got), np.moveaxis(want, 0, 2), rtol=tolerance, atol=tolerance)
    finally:
        fn.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("mode", ["add", "multiply"])
@pytest.mark.parametrize(
    "shape", [(50,), (100_000,), (37, 129), (5, 7, 33), (3, 1100), (40, 3)], ids=lambda shape: "x".join(map(str, shape))
)
def test_halves_that_meet_are_rounded_once(mode, shape, dtype):
    # Rounded after every one, sums of ones stop at 2048 and 256. A GPU rounds a second time where it begins anew.
    rng = np.random.default_rng(0)
    index = rng.integers(0, min(shape[0], 40), 4000).astype(np.int32)
    values = rng.uniform(*((0, 2) if mode == "add" else (0.97, 1.03)), (4000, *shape[1:]))
    x, u = (fn.array(a, getattr(fn, dtype)) for a in (rng.uniform(1, 2, shape), values))
    expected, each = (np.array(a.astype(fn.float64)) for a in (x, u))
    getattr(np, mode).at(expected, index, each)
    result = getattr(x.at[fn.array(index)], mode)(u).astype(fn.float64)
    np.testing.assert_allclose(result, expected, rtol=2 * float(fn.finfo(getattr(fn, dtype)).eps))


def test_halves_that_meet_in_batches_and_rows_that_are_not_dense():
    rng = np.random.default_rng(0)
    index = fn.array(rng.integers(0, 6, (4, 3000)).astype(np.int32))
    counts = np.stack([np.bincount(row, minlength=6) for row in np.array(index)])

    def compute():
        add = fn.vmap(lambda x, i, u: x.at[i].add(u))
        rows = add(fn.zeros((4, 6, 20), fn.bfloat16), index, fn.ones((4, 3000, 20), fn.bfloat16))
        elements = add(fn.zeros((4, 6), fn.bfloat16), index, fn.ones((4, 3000), fn.bfloat16))
        columns = fn.transpose(fn.ones((20, 3000), fn.bfloat16))
        strided = fn.zeros((6, 20), fn.bfloat16).at[index[0]].add(columns)
        return [result.astype(fn.float32) for result in (rows[..., 7], elements, strided[:, 19])]

    for result, expected in zip(compute(), (counts, counts, counts[0]), strict=True):
        np.testing.assert_allclose(result, expected, rtol=2**-7)
    assert_the_same(compute, counts=(1, 2, 5))


def test_gradients_of_frequent_rows_in_half_precision():
    table = fn.ones((3, 8), fn.bfloat16)
    tokens = fn.array(np.arange(4096, dtype=np.int32) % 2)
    g = fn.grad(lambda table: table[tokens].astype(fn.float32).sum())(table)
    assert g.tolist() == [[2048.0] * 8, [2048.0] * 8, [0.0] * 8]
