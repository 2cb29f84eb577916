import numpy as np
import pytest
from check import check
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


VIEWS = {
    "reshape": (lambda xp, x: xp.reshape(x, (4, 15)), (3, 4, 5)),
    "reshape -1": (lambda xp, x: xp.reshape(x, (5, -1)), (3, 4, 5)),
    "reshape of transposed": (lambda xp, x: xp.reshape(xp.swapaxes(x, 0, 1), (12, 5)), (3, 4, 5)),
    "broadcast": (lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), (3, 1)),
    "broadcast scalar": (lambda xp, x: xp.broadcast_to(x, (2, 3)), ()),
    "transpose": (lambda xp, x: xp.transpose(x, (2, 0, 1)), (3, 4, 5)),
    "reverse": (lambda xp, x: xp.transpose(x), (3, 4, 5)),
    "swapaxes": (lambda xp, x: xp.swapaxes(x, 0, -1), (3, 4, 5)),
    "moveaxis": (lambda xp, x: xp.moveaxis(x, 0, 2), (3, 4, 5)),
    "expand_dims": (lambda xp, x: xp.expand_dims(x, (0, 2)), (3, 4)),
    "squeeze": (lambda xp, x: xp.squeeze(x, (0, 2)), (1, 3, 1, 4)),
    "slice": (lambda xp, x: x[1:3, ::2], (4, 5)),
    "slice back": (lambda xp, x: x[::-1, -2:0:-2], (4, 7)),
    "slice short": (lambda xp, x: x[3:4:7, 2::-1], (4, 7)),
    "slice to nothing": (lambda xp, x: x[3:1], (4, 7)),
    "flip": (lambda xp, x: xp.flip(x, 1), (3, 4)),
    "views of views": (lambda xp, x: xp.flip(xp.swapaxes(x[::2], 0, 1), 0)[1:], (5, 4)),
    "roll": (lambda xp, x: xp.roll(x, 2, 1), (3, 5)),
    "roll flat": (lambda xp, x: xp.roll(x, -3), (3, 5)),
    "repeat": (lambda xp, x: xp.repeat(x, 3, axis=1), (2, 3)),
    "tile": (lambda xp, x: xp.tile(x, (2, 1, 3)), (2, 3)),
    "pad": (lambda xp, x: xp.pad(x, ((1, 2), (0, 3))), (2, 3)),
    "pad edge": (lambda xp, x: xp.pad(x, ((1, 2), (0, 3)), mode="edge"), (2, 3)),
    "tril": (lambda xp, x: xp.tril(x, -1), (2, 3, 4)),
    "triu": (lambda xp, x: xp.triu(x, 1), (4, 3)),
    "diagonal": (lambda xp, x: xp.diagonal(x, 1, 0, 2), (3, 2, 4)),
    "diag of vector": (lambda xp, x: xp.diag(x, -2), (3,)),
    "diag of matrix": (lambda xp, x: xp.diag(x, 1), (3, 4)),
    "trace": (lambda xp, x: xp.trace(x, 1), (3, 4)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_shape_functions(name):
    function, shape = VIEWS[name]
    check(lambda x: function(fn, x), lambda x: function(np, x), normal(*shape))


JOINS = {
    "concatenate 0": (lambda xp, *x: xp.concatenate(x, 0), [(2, 3), (4, 3), (1, 3)]),
    "concatenate 1": (lambda xp, *x: xp.concatenate(x, 1), [(2, 3), (2, 0), (2, 4)]),
    "concatenate views": (lambda xp, a, b: xp.concatenate([xp.swapaxes(a, 0, 1), b[::-1]], -1), [(3, 2), (2, 4)]),
    "stack": (lambda xp, *x: xp.stack(x, 1), [(2, 3), (2, 3), (2, 3)]),
    "the same twice": (lambda xp, x: xp.concatenate([x, x]), [(2, 3)]),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins(name):
    function, shapes = JOINS[name]
    check(lambda *x: function(fn, *x), lambda *x: function(np, *x), *[normal(*s) for s in shapes])


def test_split():
    x = normal(6, 4)
    for parts, axis in [(3, 0), ([2, 5], 0), ([1], 1), ([4, 2], 0)]:
        for mine, theirs in zip(fn.split(fn.array(x), parts, axis), np.split(x, parts, axis), strict=True):
            np.testing.assert_array_equal(np.asarray(mine), theirs)
    with pytest.raises(ValueError, match="equal parts"):
        fn.split(fn.array(x), 4, 0)
    g = fn.grad(lambda x: fn.sum(fn.split(x, 3, 0)[1] * 2))(fn.array(x))
    assert np.asarray(g).sum(1).tolist() == [0, 0, 8, 8, 0, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (0, 2), (1, 1)])
def test_cotangents_of_parts_are_joined(order):
    x = normal(6, 4)
    weights = [normal(2, 4) for _ in order]

    def f(xp, x):
        parts = [x[0:2], x[2:4], x[4:6]]
        return sum(xp.sum(parts[i] * xp.asarray(w)) for i, w in zip(order, weights, strict=True))

    expected = np.zeros_like(x)
    for i, w in zip(order, weights, strict=True):
        expected[2 * i : 2 * i + 2] += w
    g = fn.grad(lambda x: f(fn, x))
    np.testing.assert_allclose(np.asarray(g(fn.array(x))), expected, rtol=1e-6)
    if sorted(order) == [0, 1, 2]:
        assert "pad" not in str(fn.explain(g)(fn.array(x)))


def test_large_copies():
    x = normal(700, 300)
    a = fn.array(x)
    np.testing.assert_array_equal(np.asarray(fn.concatenate([a.T, a.T], 1)), np.concatenate([x.T, x.T], 1))
    np.testing.assert_array_equal(np.asarray(fn.concatenate([a, a[::-1]], 0)), np.concatenate([x, x[::-1]], 0))
    np.testing.assert_array_equal(np.asarray(fn.pad(a.T, ((1, 1), (2, 0)))), np.pad(x.T, ((1, 1), (2, 0))))
    wide = np.arange(24).reshape(2, 3, 4)
    for dtype in ("uint8", "int16", "int32", "int64", "complex64", "bool_"):
        y = fn.array(wide).astype(getattr(fn, dtype))
        parts = [y, fn.transpose(y, (0, 1, 2))[::-1]]
        expected = np.concatenate([np.asarray(p) for p in parts], 1)
        np.testing.assert_array_equal(np.asarray(fn.concatenate(parts, 1)), expected)


@given(st.data())
def test_slices_of_slices(data):
    x = np.arange(60).reshape(5, 12)
    a = fn.array(x)
    for _ in range(3):
        index = tuple(
            slice(
                *(data.draw(st.none() | st.integers(-9, 9)) for _ in range(2)),
                data.draw(st.sampled_from([None, 1, 2, 3, -1, -2])),
            )
            for _ in range(2)
        )
        x, a = x[index], a[index]
    np.testing.assert_array_equal(np.asarray(a), x)


@given(st.permutations(range(4)), st.permutations(range(3)))
def test_transposes_and_reshapes(first, second):
    x = np.arange(120).reshape(2, 3, 4, 5)
    expected = x.transpose(first).reshape(6, 4, 5).transpose(second).reshape(-1)
    result = fn.reshape(fn.transpose(fn.reshape(fn.transpose(fn.array(x), first), (6, 4, 5)), second), (-1,))
    np.testing.assert_array_equal(np.asarray(result), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fn.reshape(fn.zeros((2, 3)), (4,)), r"\(2, 3\) \(6 elements\) to \(4,\)"),
        (lambda: fn.reshape(fn.zeros((2, 3)), (4, -1)), "do not divide"),
        (lambda: fn.reshape(fn.zeros((2, 3)), (-1, -1)), "only one axis"),
        (lambda: fn.broadcast_to(fn.zeros((2, 3)), (2, 4)), r"\(2, 3\) to \(2, 4\)"),
        (lambda: fn.transpose(fn.zeros((2, 3)), (0, 0)), "named twice"),
        (lambda: fn.transpose(fn.zeros((2, 3)), (0,)), "expected 2 axes"),
        (lambda: fn.squeeze(fn.zeros((2, 3)), 1), "has length 3"),
        (lambda: fn.concatenate([fn.zeros((2, 3)), fn.zeros((2, 4))], 0), r"\(2, 3\) and \(2, 4\)"),
        (lambda: fn.stack([fn.zeros((2, 3)), fn.zeros((3, 2))]), "same shape"),
        (lambda: fn.concatenate([]), "at least one"),
        (lambda: fn.pad(fn.zeros((2,)), -1), "negative"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_axis_errors():
    for call in (
        lambda: fn.swapaxes(fn.zeros((2, 3)), 0, 2),
        lambda: fn.moveaxis(fn.zeros((2, 3)), -3, 0),
        lambda: fn.expand_dims(fn.zeros((2, 3)), 4),
        lambda: fn.concatenate([fn.zeros((2, 3))], 2),
        lambda: fn.flip(fn.zeros((2,)), 1),
    ):
        with pytest.raises(fn.AxisError):
            call()


@pytest.mark.parametrize(
    ("shift", "axis"),
    [((1, 2), 0), ((1, 2), (0, 0)), ((1, 1, 1), (0, 1, 0)), (1, (0, 1)), ((1, -2, 5), 1), ((3, 2), None), (2, ())],
)
def test_roll_adds_up_shifts_of_one_axis(shift, axis):
    x = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(fn.roll(fn.array(x), shift, axis), np.roll(x, shift, axis))
