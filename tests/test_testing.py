"""The checks find what is wrong, and the strategies draw what they say."""

import numpy as np
import pytest
from hypothesis import given

import funcnn as fn
from funcnn import testing, tree


@given(testing.arrays(fn.float32, testing.shapes(1, 2, 1, 3)))
def test_right_derivatives_pass(x):
    testing.check_grads(lambda x: {"a": fn.sin(x) * x, "b": fn.sum(fn.exp(0.1 * x))}, (x,), order=2)


def test_integers_are_constant():
    testing.check_grads(lambda p, n: p["x"] ** n, ({"x": fn.array([1.0, 2.0])}, fn.array(3)), order=3)
    with pytest.raises(ValueError, match="no argument is floating point"):
        testing.check_grads(lambda n: n, (fn.array(3),))
    with pytest.raises(ValueError, match="modes"):
        testing.check_grads(lambda n: n, (fn.array(3.0),), modes=("sideways",))


@fn.custom_vjp
def wrong(x):
    return fn.sin(x)


wrong.defvjp(lambda x: (fn.sin(x), x), lambda x, ct: (ct * fn.cos(x) * 1.01,))


@fn.custom_jvp
def wrong_second(x):
    return fn.sin(x)


wrong_second.defjvp(lambda x, t: (fn.sin(x[0]), t[0] * fn.stop_gradient(fn.cos(x[0]))))


def test_wrong_derivatives_are_found():
    x = fn.array([0.5, 1.0])
    for modes in (("rev",), ("fwd",), ("fwd", "rev")):
        with pytest.raises(AssertionError, match="mode"):
            testing.check_grads(wrong, (x,), order=1, modes=modes)
    testing.check_grads(wrong_second, (x,), order=1)
    with pytest.raises(AssertionError, match="forward mode, then"):
        testing.check_grads(wrong_second, (x,), order=2)


def test_check_vmap():
    testing.check_vmap(
        lambda p, x: {"y": p["w"] @ x, "z": x}, ({"w": fn.ones((2, 3))}, fn.ones((3, 4))), in_axes=(None, 1)
    )
    testing.check_vmap(lambda x: fn.argmax(x), (fn.arange(6).reshape(3, 2),))

    def depends_on_the_batch(x):
        return x + (0.0 if isinstance_of_trace(x) else 1.0)

    def isinstance_of_trace(x):
        try:
            x.item()
        except fn.TracedValueError:
            return True
        return False

    with pytest.raises(AssertionError, match="vmap differs from a loop"):
        testing.check_vmap(depends_on_the_batch, (fn.ones(3),))
    with pytest.raises(ValueError, match="sizes"):
        testing.check_vmap(lambda x, y: x, (fn.ones(3), fn.ones(2)))


@given(testing.arrays())
def test_arrays(x):
    assert isinstance(x, fn.array) and x.ndim <= 3
    assert np.all(np.isfinite(np.asarray(x)))


@given(testing.mutually_broadcastable_shapes(3))
def test_broadcastable_shapes(shapes):
    np.broadcast_shapes(*shapes)


@given(testing.trees(testing.arrays(testing.dtypes("floating", "complex"), testing.shapes(0, 2))))
def test_trees(values):
    assert all(isinstance(leaf, fn.array) for leaf in tree.leaves(values))
    assert tree.allclose(values, tree.map(lambda x: x, values))
