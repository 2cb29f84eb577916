"""associative_scan against a loop: commutative and not, along any axis, in both directions, of any length."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import tree

LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 13, 16, 33]


def f64(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def running(combine, x, axis, reverse=False):
    """Combine one after another, on NumPy arrays."""
    parts = [np.take(x, i, axis) for i in range(x.shape[axis])]
    parts = parts[::-1] if reverse else parts
    for i in range(1, len(parts)):
        parts[i] = combine(parts[i - 1], parts[i])
    return np.stack(parts[::-1] if reverse else parts, axis) if parts else x


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_sums_and_extremes(length, reverse):
    x = f64(length, 3)
    for ours, theirs in ((fn.add, np.add), (fn.maximum, np.maximum)):
        got = fn.associative_scan(ours, fn.asarray(x), reverse=reverse)
        np.testing.assert_allclose(got, running(theirs, x, 0, reverse), rtol=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("axis", [0, 1, -1, -3])
@pytest.mark.parametrize("reverse", [False, True])
def test_axes(length, axis, reverse):
    shape = [2, 3, 4]
    shape[axis] = length
    x = np.random.default_rng(1).integers(-5, 5, shape)
    got = fn.associative_scan(lambda a, b: a + b, fn.asarray(x), axis=axis, reverse=reverse)
    np.testing.assert_array_equal(got, running(np.add, x, axis, reverse))
    assert got.dtype == fn.int64


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_products_of_matrices(length, reverse):
    x = f64(length, 3, 3)
    got = fn.associative_scan(fn.matmul, fn.asarray(x), reverse=reverse)
    np.testing.assert_allclose(got, running(np.matmul, x, 0, reverse), rtol=1e-9, atol=1e-12)


def affine(a, b):
    """First a, then b: x -> b.scale * (a.scale * x + a.shift) + b.shift."""
    return {"scale": a["scale"] * b["scale"], "shift": b["scale"] * a["shift"] + b["shift"]}


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_linear_recurrences_of_trees(length):
    """The parallel form of h = scale * h + shift, with leaves of different ranks."""
    scale, shift = fn.asarray(f64(length, 1)), fn.asarray(f64(length, 3, seed=1))

    def parallel(scale, shift):
        return fn.associative_scan(affine, {"scale": scale, "shift": shift})["shift"]

    def serial(scale, shift):
        def step(h, x):
            h = x[0] * h + x[1]
            return h, fn.array(1.0) * h

        return fn.scan(step, fn.zeros(3, fn.float64), (scale, shift))[1]

    def loop(scale, shift):
        hs = [shift[0]]
        for i in range(1, length):
            hs.append(scale[i] * hs[-1] + shift[i])
        return fn.stack(hs)

    for run in (lambda f: f, fn.compile):
        np.testing.assert_allclose(run(parallel)(scale, shift), loop(scale, shift), rtol=1e-9)
    np.testing.assert_allclose(serial(scale, shift), loop(scale, shift), rtol=1e-9)

    def gradient(f):
        return fn.grad(lambda scale, shift: fn.sin(f(scale, shift)).sum(), argnums=(0, 1))(scale, shift)

    for ours, theirs in zip(gradient(parallel), gradient(loop), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    tangents = (fn.cos(scale), fn.cos(shift))
    np.testing.assert_allclose(
        fn.jvp(parallel, (scale, shift), tangents)[1], fn.jvp(loop, (scale, shift), tangents)[1], rtol=1e-9, atol=1e-12
    )


def test_under_vmap_and_in_a_scan():
    x = f64(4, 5, 2)
    mapped = fn.vmap(lambda x: fn.associative_scan(fn.multiply, x, reverse=True))(fn.asarray(x))
    np.testing.assert_allclose(mapped, running(np.multiply, x, 1, True), rtol=1e-12)
    _, ys = fn.scan(lambda c, x: (c, fn.associative_scan(fn.add, x)), 0, fn.asarray(x))
    np.testing.assert_allclose(ys, running(np.add, x, 1), rtol=1e-12)


def test_few_calls():
    calls = []

    def combine(a, b):
        calls.append(a.shape[0])
        return a + b

    fn.associative_scan(combine, fn.arange(1000))
    assert len(calls) < 2 * 10 and sum(calls) < 2 * 1000


def test_other_dtypes():
    assert fn.associative_scan(fn.logical_or, fn.array([False, True, False])).tolist() == [False, True, True]
    half = fn.associative_scan(fn.add, fn.ones(5, fn.bfloat16))
    assert half.dtype == fn.bfloat16 and half.tolist() == [1, 2, 3, 4, 5]


def test_errors():
    x = fn.zeros((3, 2))
    with pytest.raises(ValueError, match="no arrays"):
        fn.associative_scan(fn.add, ())
    with pytest.raises(ValueError, match=r"length along axis 0: \[3, 2\]"):
        fn.associative_scan(lambda a, b: a, (x, x.T))
    with pytest.raises(fn.AxisError, match="has no axis 2"):
        fn.associative_scan(fn.add, x, axis=2)
    with pytest.raises(TypeError, match="structure of elems"):
        fn.associative_scan(lambda a, b: (a, b), x)
    with pytest.raises(TypeError, match=r"returned float32\(1,\), expected float32\(1, 2\)"):
        fn.associative_scan(lambda a, b: a.sum(axis=1), x)
    with pytest.raises(TypeError, match="expected a function"):
        fn.associative_scan(x, fn.add)
    assert tree.structure(fn.associative_scan(lambda a, b: a, {"a": x})) == tree.structure({"a": x})
