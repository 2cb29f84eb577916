"""The methods that arrays share with those of NumPy and JAX, and the methods of `x.at[...]`."""

import copy

import numpy as np
import pytest

import funcnn as fn

X = np.random.default_rng(0).permutation(24).reshape(2, 3, 4).astype(np.float32)
SQUARE = X[0, :, :3]

METHODS = {
    "argsort": [((), {}), ((0,), {})],
    "ravel": [((), {})],
    "flatten": [((), {})],
    "repeat": [((2,), {}), ((3, 1), {}), ((2,), {"axis": -1})],
    "take": [(([0, 5, 2],), {}), (([1, 0], 1), {}), (([[1], [0]],), {"axis": 2})],
    "trace": [((), {}), ((1,), {}), ((0, 1, 2), {})],
    "diagonal": [((), {}), ((1, 2, 1), {})],
    "conj": [((), {})],
    "conjugate": [((), {})],
    "nonzero": [((), {})],
    "copy": [((), {})],
    "round": [((), {})],
    "sum": [((), {}), ((1,), {})],
    "mean": [((), {}), ((), {"axis": (0, 2)})],
    "max": [((), {}), ((2,), {})],
    "argmax": [((), {}), ((1,), {})],
    "cumsum": [((), {}), ((1,), {})],
    "cumprod": [((2,), {})],
    "swapaxes": [((0, 2), {})],
    "transpose": [((), {}), ((2, 0, 1), {})],
    "reshape": [((4, -1), {})],
    "clip": [((3, 9), {})],
    "all": [((1,), {})],
    "any": [((), {})],
    "std": [((), {})],
    "var": [((0,), {})],
    "prod": [((2,), {})],
    "squeeze": [((), {})],
    "tolist": [((), {})],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_numpys(name):
    for args, kwargs in METHODS[name]:
        got, expected = getattr(fn.array(X), name)(*args, **kwargs), getattr(X, name)(*args, **kwargs)
        for a, b in zip(got, expected, strict=True) if isinstance(got, tuple) else [(got, expected)]:
            a, b = np.asarray(a), np.asarray(b)
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_order():
    for axis in (-1, 0, 1):
        np.testing.assert_array_equal(fn.array(X).sort(axis), np.sort(X, axis))
    np.testing.assert_array_equal(fn.array(X).sort(axis=None), np.sort(X, None))
    line = np.sort(X.ravel())
    for side in ("left", "right"):
        np.testing.assert_array_equal(
            fn.array(line).searchsorted([3.0, 3.5, -1], side), line.searchsorted([3, 3.5, -1], side)
        )
    place = fn.array(X).argpartition(1)
    np.testing.assert_array_equal(fn.take_along_axis(fn.array(X), place, -1)[..., 1], np.sort(X)[..., 1])


@pytest.mark.parametrize("a", [(), (3,), (2, 3), (4, 2, 3)])
@pytest.mark.parametrize("b", [(), (3,), (3, 2), (5, 3, 2)])
def test_dot(a, b):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=a), rng.normal(size=b)
    for got in (fn.dot(fn.asarray(x), fn.asarray(y)), fn.asarray(x).dot(fn.asarray(y))):
        assert got.shape == np.dot(x, y).shape
        np.testing.assert_allclose(got, np.dot(x, y), rtol=1e-12, atol=1e-12)


def test_dot_errors():
    with pytest.raises(
        ValueError, match=r"dot: the last axis of the first argument \(size 3\) must match the second-to"
    ):
        fn.ones((2, 3)).dot(fn.ones((2, 3)))
    with pytest.raises(ValueError, match="must match the last axis"):
        fn.dot(fn.ones((2, 3)), fn.ones(2))
    assert fn.array([1.0, 2.0]).dot(2).tolist() == [2, 4]


@pytest.mark.on_cpu
def test_a_copy_is_apart_from_shared_memory():
    numbers = np.zeros((2, 3), np.float32)
    shared = fn.asarray(numbers)
    copies = [shared.copy(), shared.T.copy(), shared[0].copy(), shared[:, ::2].reshape(-1).copy()]
    numbers[:] = 7
    assert (np.asarray(shared) == 7).all()
    assert all((np.asarray(c) == 0).all() for c in copies)
    assert copies[1].shape == (3, 2) and copies[2].shape == (3,)
    assert copy.copy(shared).shape == (2, 3)


def test_copies_of_traced_arrays():
    x = fn.array([1.0, 2.0])
    assert fn.grad(lambda x: (x.copy() * x).sum())(x).tolist() == [2, 4]
    assert fn.vmap(lambda x: x.copy() + 1)(x).tolist() == [2, 3]
    assert fn.compile(lambda x: x.copy())(x).tolist() == [1, 2]


# ---- x.at[...].get


def test_get_reads_what_indexing_reads():
    x = fn.array(X)
    for index in (0, (1, slice(None, None, 2)), (fn.array([0, 1]), 2), x > 3, (Ellipsis, [1, -1]), None):
        np.testing.assert_array_equal(x.at[index].get(), x[index])
        np.testing.assert_array_equal(x.at[index].get(mode="fill", fill_value=-5), x[index])
        np.testing.assert_array_equal(x.at[index].get(mode="clip"), x[index])


def reference(x, index, mode, fill):
    """NumPy's take along axis 0, element by element."""
    n = len(x)
    rows = []
    for i in np.ravel(index):
        at = i + n if i < 0 else i
        inside = 0 <= at < n
        rows.append(x[min(max(at, 0), n - 1)] if inside or mode == "clip" else np.full(x.shape[1:], fill, x.dtype))
    return np.stack(rows).reshape(*np.shape(index), *x.shape[1:])


@pytest.mark.parametrize("mode", ["fill", "clip"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64"])
def test_get_out_of_range(mode, dtype):
    x = np.random.default_rng(2).normal(size=(3, 2)).astype(np.float32)
    index = np.array([[0, 2, 3], [-3, -4, 100]]) if dtype[0] == "i" else np.array([[0, 2, 3], [5, 1, 100]])
    at = fn.array(index).astype(getattr(fn, dtype))
    fill = {"fill_value": 9.5} if mode == "fill" else {}
    for run in (lambda f: f, fn.compile):
        np.testing.assert_array_equal(
            run(lambda x, i: x.at[i].get(mode=mode, **fill))(fn.array(x), at), reference(x, index, mode, 9.5)
        )
        columns = run(lambda x, i: x.at[:, i].get(mode=mode, **fill))(fn.array(x.T), at)
        np.testing.assert_array_equal(columns, np.moveaxis(reference(x, index, mode, 9.5), -1, 0))
    rows = fn.vmap(lambda i: fn.array(x).at[i].get(mode=mode, **fill))(at)
    np.testing.assert_array_equal(rows, reference(x, index, mode, 9.5))


def test_get_with_several_arrays_and_integers():
    x = fn.array(X)
    i, j = fn.array([0, 5]), fn.array([1, 1])
    assert x.at[i, j, 0].get(fill_value=-1).tolist() == [X[0, 1, 0], -1]
    assert x.at[i, :, 9].get(fill_value=-1).tolist() == [[-1] * 3] * 2
    assert x.at[7].get(fill_value=-1).tolist() == [[-1] * 4] * 3
    assert x.at[-7].get(mode="clip").tolist() == X[0].tolist()
    assert x.at[7, fn.array([2, 8])].get(mode="clip").tolist() == X[1, [2, 2]].tolist()
    with pytest.raises(IndexError, match="out of range"):
        x.at[7].get()


def test_get_fills_with_what_jax_does():
    for dtype, expected in [
        (fn.int8, -128),
        (fn.uint16, 65535),
        (fn.int64, -(2**63)),
        (fn.uint64, 2**64 - 1),
        (fn.bool_, True),
    ]:
        assert fn.zeros(2, dtype).at[fn.array([5])].get(mode="fill").tolist() == [expected]
    for dtype in (fn.float16, fn.bfloat16, fn.float32, fn.float64, fn.complex64):
        filled = fn.ones(2, dtype).at[fn.array([0, 5])].get(mode="fill")
        assert filled.dtype == dtype and np.isnan(np.asarray(filled)).tolist() == [False, True]
    assert fn.zeros(0).at[fn.array([0, 3])].get(fill_value=2).tolist() == [2, 2]


def test_get_is_differentiable():
    x, i = fn.array([1.0, 2.0, 3.0]), fn.array([0, 9, 0, -1])
    w = fn.array([1.0, 10.0, 100.0, 1000.0])
    assert fn.grad(lambda x: (x.at[i].get(fill_value=4) * w).sum())(x).tolist() == [101, 0, 1000]
    assert fn.grad(lambda x: (x.at[i].get(mode="clip") * w).sum())(x).tolist() == [101, 0, 1010]
    assert fn.grad(lambda f: (x.at[i].get(fill_value=f) * w).sum())(fn.array(4.0)).item() == 10


def test_get_errors():
    x = fn.zeros(3)
    with pytest.raises(ValueError, match="'fill' or 'clip', got 'wrap'"):
        x.at[0].get(mode="wrap")
    with pytest.raises(ValueError, match="fill_value has no meaning"):
        x.at[0].get(mode="clip", fill_value=0)
    with pytest.raises(ValueError, match="one number"):
        x.at[0].get(fill_value=fn.zeros(2))
    with pytest.raises(ValueError, match=r"x\.at\[index\]"):
        x.at.get()


# ---- x.at[...].power and .apply


INDICES = [
    1,
    slice(None, None, 2),
    [2, 0],
    (slice(None), 1),
    (np.array([0, 1]), slice(1, 3)),
    (Ellipsis, np.array([0, 2])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_power_and_apply(index):
    x = np.random.default_rng(3).uniform(0.5, 2, (4, 3))
    powers = np.random.default_rng(4).uniform(-1, 2, x[index].shape)
    expected = x.copy()
    expected[index] **= powers
    np.testing.assert_allclose(fn.asarray(x).at[index].power(powers), expected, rtol=1e-14)
    np.testing.assert_allclose(fn.compile(lambda x: x.at[index].power(2))(fn.asarray(x))[index], x[index] ** 2)
    applied = x.copy()
    applied[index] = np.sin(applied[index])
    for run in (lambda f: f, fn.compile):
        np.testing.assert_allclose(run(lambda x: x.at[index].apply(fn.sin))(fn.asarray(x)), applied, rtol=1e-14)
    slope = fn.grad(lambda x: x.at[index].apply(fn.sin).sum())(fn.asarray(x))
    expected = np.ones_like(x)
    expected[index] = np.cos(x[index])
    np.testing.assert_allclose(slope, expected, rtol=1e-14)
    slope = fn.grad(lambda x: x.at[index].power(powers).sum())(fn.asarray(x))
    expected[index] = powers * x[index] ** (powers - 1)
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_powers_of_one_place_follow_each_other():
    x = fn.array([2.0, 3.0, -1.0])
    assert x.at[fn.array([0, 0, 1])].power(fn.array([2.0, 3.0, 2.0])).tolist() == [64, 9, -1]
    assert x.at[fn.array([7])].power(2).tolist() == x.tolist()
    assert fn.array([2, 3]).at[0].power(5).tolist() == [32, 3]
    # Where nothing is raised, a negative number has an ordinary slope.
    assert fn.grad(lambda x: x.at[fn.array([0])].power(2).sum())(x).tolist() == [4, 1, 1]
    assert fn.grad(lambda p: fn.sum(x.at[fn.array([1])].power(p)))(fn.array([2.0])).tolist() == [
        pytest.approx(9 * np.log(3), rel=1e-6)
    ]


def test_apply_through_masks():
    x = fn.array([4.0, -9.0, 16.0])
    assert x.at[x > 0].apply(fn.sqrt).tolist() == [2, -9, 4]
    masks = fn.array([[True, False, False], [False, False, True]])
    assert fn.vmap(lambda m: x.at[m].apply(fn.sqrt))(masks).tolist() == [[2, -9, 16], [4, -9, 4]]
    # Known masks keep the function from what they leave out: no NaN in the slope.
    assert fn.grad(lambda x: x.at[x > 0].apply(fn.sqrt).sum())(x).tolist() == [0.25, 1, 0.125]
    matrix = fn.array(SQUARE)
    assert matrix.at[:, fn.array([True, False, True])].apply(lambda p: -p)[0].tolist() == [
        -SQUARE[0, 0],
        SQUARE[0, 1],
        -SQUARE[0, 2],
    ]


def test_apply_keeps_the_dtype_and_counts_once():
    x = fn.array([1, 2, 3])
    assert x.at[fn.array([0, 0])].apply(lambda v: v + 1).tolist() == [2, 2, 3]
    halved = x.at[1:].apply(lambda v: v / 2)
    assert halved.dtype == fn.int32 and halved.tolist() == [1, 1, 1]
    assert x.at[1:].apply(lambda v: 7).tolist() == [1, 7, 7]
    with pytest.raises(ValueError, match="do not broadcast to the indexed part"):
        x.at[1:].apply(lambda v: fn.zeros(3))
