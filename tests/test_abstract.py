"""eval_shape: what compile would return, without computing it."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import ShapeDtypeStruct, nn, random


def test_shapes_and_dtypes_are_those_of_the_call():
    def f(x, y, *, scale):
        return {"product": x @ y, "sum": (x.sum(axis=0), y.astype(fn.float16)), "where": x > scale, "none": None}

    args = (fn.ones((2, 3)), fn.ones((3, 4)))
    shapes = fn.eval_shape(f, *args, scale=2)
    real = f(*args, scale=2)
    assert fn.tree.structure(shapes) == fn.tree.structure(real)
    for a, b in zip(fn.tree.leaves(shapes), fn.tree.leaves(real), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_nothing_is_computed():
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    huge = ShapeDtypeStruct((1 << 20, 1 << 20), fn.float32)
    out = fn.eval_shape(lambda x: fn.softmax(x @ x.T) + fn.ones((1 << 20, 1 << 20)), huge)
    assert out == ShapeDtypeStruct((1 << 20, 1 << 20), fn.float32)
    lazy = fn.ones(1 << 20) * 2
    fn.eval_shape(fn.sin, lazy)
    assert fn.get_peak_memory() - before < 1 << 20


def test_structs_stand_for_arrays():
    struct = ShapeDtypeStruct([2, 3], fn.bfloat16)
    assert struct.shape == (2, 3) and struct.ndim == 2 and struct.size == 6
    assert ShapeDtypeStruct((2,), "float16") == ShapeDtypeStruct((2,), np.float16) == ShapeDtypeStruct((2,), fn.float16)
    assert hash(struct) == hash(ShapeDtypeStruct((2, 3), fn.bfloat16))
    assert fn.eval_shape(lambda x: x, struct) == struct
    assert fn.eval_shape(lambda x: fn.eval_shape(lambda y: y.T, x) and x.T, struct).shape == (3, 2)


def test_arrays_of_numpy_and_numbers():
    out = fn.eval_shape(lambda x, n, rate, name: x[:n] * rate, np.zeros((4, 2)), 3, 0.5, "any")
    assert out == ShapeDtypeStruct((3, 2), fn.float32)
    weak = fn.eval_shape(lambda p, rate: p - rate * p, fn.zeros(2, fn.bfloat16), 0.1)
    assert weak.dtype == fn.bfloat16
    assert fn.eval_shape(lambda: (1, 2.0, True)) == tuple(
        ShapeDtypeStruct((), d) for d in (fn.int32, fn.float32, fn.bool_)
    )


def test_parameters_of_a_model():
    model = nn.Linear(1000, 10)
    shapes = fn.eval_shape(model.init, random.key(0))
    assert shapes["weight"] == ShapeDtypeStruct((10, 1000), fn.float32)
    assert fn.eval_shape(model, shapes, ShapeDtypeStruct((7, 1000), fn.float32)).shape == (7, 10)


def test_inside_transformations():
    def f(x):
        shape = fn.eval_shape(lambda y: fn.concatenate([x, y]), ShapeDtypeStruct((5,), fn.float32)).shape
        return x.sum() * shape[0]

    x = fn.ones(3)
    assert fn.grad(f)(x).tolist() == [8, 8, 8]
    assert fn.compile(f)(x).item() == 24
    assert fn.vmap(f)(fn.ones((2, 3))).tolist() == [24, 24]
    assert fn.eval_shape(fn.grad(f), x) == ShapeDtypeStruct((3,), fn.float32)
    assert fn.eval_shape(fn.vmap(f), fn.ones((2, 3))).shape == (2,)
    assert fn.eval_shape(lambda x: fn.scan(lambda c, x: (c + x, c), 0.0, x)[1], x).shape == (3,)


def test_errors():
    with pytest.raises(fn.TracedValueError, match="eval_shape"):
        fn.eval_shape(lambda x: x if x > 0 else -x, fn.array(1.0))
    with pytest.raises(TypeError, match="the leaf at a is a str"):
        fn.eval_shape(lambda: {"a": "text"})
    with pytest.raises(TypeError, match="expected a function"):
        fn.eval_shape(fn.zeros(2))
    leaked = []
    fn.eval_shape(leaked.append, fn.zeros(2))
    with pytest.raises(fn.TracedValueError, match="leaked from eval_shape"):
        leaked[0].tolist()


def test_effects_are_no_outputs():
    ran = []

    def f(x):
        fn.debug.callback(ran.append, x)
        return x + 1

    assert fn.eval_shape(f, fn.ones(3)) == fn.ShapeDtypeStruct((3,), fn.float32)
    assert not ran
