"""Operators: every one with its reflected form, broadcasting, immutability and the rebindable bit."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import funcnn as fn

ARITHMETIC = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.le,
    operator.eq,
    operator.ne,
    operator.gt,
    operator.ge,
]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
IN_PLACE = [
    operator.iadd,
    operator.isub,
    operator.imul,
    operator.itruediv,
    operator.ifloordiv,
    operator.imod,
    operator.ipow,
]
IN_PLACE_BITWISE = [operator.iand, operator.ior, operator.ixor, operator.ilshift, operator.irshift]


@pytest.mark.parametrize("f", ARITHMETIC, ids=lambda f: f.__name__)
def test_arithmetic(f: object) -> None:
    a = np.array([[1.5, 2.0], [3.0, 0.5]], np.float32)
    b = np.array([2.0, 1.0], np.float32)
    np.testing.assert_allclose(f(fn.array(a), fn.array(b)), f(a, b), rtol=1e-6)
    np.testing.assert_allclose(f(fn.array(a), 2), f(a, 2), rtol=1e-6)
    np.testing.assert_allclose(f(2.5, fn.array(a)), f(2.5, a), rtol=1e-6)


@pytest.mark.parametrize("f", [*BITWISE, operator.floordiv, operator.mod], ids=lambda f: f.__name__)
def test_integers(f: object) -> None:
    a, b = np.array([6, 7, 12], np.int32), np.array([3, 1, 2], np.int32)
    np.testing.assert_array_equal(f(fn.array(a), fn.array(b)), f(a, b))
    np.testing.assert_array_equal(f(fn.array(a), 2), f(a, 2))
    np.testing.assert_array_equal(f(9, fn.array(b)), f(9, b))


def test_unary() -> None:
    x = fn.array([1, -2])
    assert (-x).tolist() == [-1, 2]
    assert (+x).tolist() == [1, -2]
    assert abs(x).tolist() == [1, 2]
    assert (~x).tolist() == [-2, 1]
    assert (~fn.array([True])).tolist() == [False]
    with pytest.raises(ValueError, match="logical_not"):
        -fn.array([True])


def test_divmod_and_matmul() -> None:
    quotient, remainder = divmod(fn.array([7, -7]), 2)
    assert (quotient.tolist(), remainder.tolist()) == ([3, -4], [1, 1])
    m = fn.array([[1.0, 2.0], [3.0, 4.0]])
    assert (m @ m).tolist() == [[7, 10], [15, 22]]
    with pytest.raises(TypeError):
        m @ "text"


def test_numpy_operands_on_either_side_give_arrays() -> None:
    x, a = fn.array([1.0, 2.0]), np.array([10.0, 20.0])
    for result in (x + a, a + x, a - x, a * x, a > x):
        assert isinstance(result, fn.array)
    assert (a - x).tolist() == [9, 18]


@pytest.mark.parametrize("other", [None, "text", [1, 2], (1,), {}, object()])
def test_other_operands_are_refused(other: object) -> None:
    x = fn.array([1, 2])
    for f in (operator.add, operator.mul, operator.lt):
        with pytest.raises(TypeError):
            f(x, other)
        with pytest.raises(TypeError):
            f(other, x)
    assert (x == other) is False
    assert (x != other) is True


def test_power_has_no_modulus() -> None:
    with pytest.raises(TypeError):
        pow(fn.array(2), 3, 5)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), st.data())
def test_shapes_broadcast_as_numpy_s(shapes: hnp.BroadcastableShapes, data: st.DataObject) -> None:
    a, b = (data.draw(hnp.arrays(np.int32, s, elements=st.integers(-9, 9))) for s in shapes.input_shapes)
    result = fn.array(a) - fn.array(b)
    assert result.shape == shapes.result_shape == fn.broadcast_shapes(*shapes.input_shapes)
    np.testing.assert_array_equal(result, a - b)


@given(hnp.array_shapes(min_dims=0, max_side=3), hnp.array_shapes(min_dims=0, max_side=3))
def test_shapes_that_do_not_broadcast_are_named(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="add") as error:
            fn.zeros(a) + fn.zeros(b)
        assert str(fn.zeros(a).shape) in str(error.value)
        assert str(fn.zeros(b).shape) in str(error.value)
    else:
        assert (fn.zeros(a) + fn.zeros(b)).shape == expected


class TestImmutability:
    @pytest.mark.parametrize("f", [*IN_PLACE, *IN_PLACE_BITWISE], ids=lambda f: f.__name__)
    def test_in_place_operators_make_a_new_array(self, f: object) -> None:
        x = before = fn.array([1, 2])
        x = f(x, 1)
        assert x is not before
        assert before.tolist() == [1, 2]
        np.testing.assert_array_equal(x, getattr(operator, f"__{f.__name__[1:]}__")(before, 1))

    def test_elements_are_not_assigned_in_place(self) -> None:
        x = fn.array([1, 2])
        with pytest.raises(TypeError, match=r"x\.at\["):
            x[0] += 1
        assert x.tolist() == [1, 2]

    def test_names_are_bound_in_traces_too(self) -> None:
        def total(x: fn.array) -> fn.array:
            y = x
            for _ in range(3):
                y += x
            return y.sum()

        x = fn.array([1.0, 2.0])
        assert fn.grad(total)(x).tolist() == fn.compile(fn.grad(total))(x).tolist() == [4.0, 4.0]
        assert fn.vmap(total)(x[:, None]).tolist() == [4.0, 8.0]
        assert x.tolist() == [1.0, 2.0]

    def test_assignment_is_refused(self) -> None:
        x = fn.array([1, 2])
        with pytest.raises(TypeError, match=r"x\.at\["):
            x[0] = 1
        with pytest.raises(TypeError):
            del x[0]


class TestRebindableHandles:
    @pytest.mark.parametrize("f", [*IN_PLACE, operator.imatmul], ids=lambda f: f.__name__)
    def test_in_place_operators_point_the_handle_at_the_result(self, f: object) -> None:
        a = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
        x = fn._core._mutable(fn.array(a))
        same, before = x, x * 1
        x = f(x, fn.array(a))
        assert x is same
        np.testing.assert_allclose(x, getattr(operator, f.__name__[1:])(a, a) if f is not operator.imatmul else a @ a)
        np.testing.assert_array_equal(before, a)

    @pytest.mark.parametrize("f", IN_PLACE_BITWISE, ids=lambda f: f.__name__)
    def test_bits(self, f: object) -> None:
        x = same = fn._core._mutable(fn.array([6, 9]))
        x = f(x, 1)
        assert x is same

    def test_assignment(self) -> None:
        x = fn._core._mutable(fn.array([1, 2, 3]))
        doubled = x * 2
        x[0] = 7
        x[x > 2] = 0
        x[1:] += 5
        assert x.tolist() == [0, 7, 5]
        assert doubled.tolist() == [2, 4, 6]

    def test_the_bit_spreads_to_results(self) -> None:
        x = fn._core._mutable(fn.zeros(2))
        for same in (x + 1, fn.ones(2) * x, x.sum(), x[0], x.reshape(2, 1), fn.stack([fn.ones(2), x])):
            y = same
            y += 1
            assert y is same
        z = before = fn.ones(2) + 1
        z += 1
        assert z is not before
        assert type(fn.array(x)) is fn.array and isinstance(x, fn.array)

    def test_it_crosses_transformations(self) -> None:
        def f(v: fn.array) -> fn.array:
            w = v * 1
            w[0] = 5
            return w * v

        x = fn._core._mutable(fn.array([1.0, 2.0]))
        for made, expected in (
            (fn.compile(f)(x), [5, 4]),
            (fn.grad(lambda v: f(v).sum())(x), [5, 4]),
            (fn.checkpoint(f)(x), [5, 4]),
            (fn.vmap(f)(x[None])[0], [5, 4]),
            (fn.jvp(f, (x,), (x,))[1], [5, 8]),
        ):
            assert type(made) is fn._core.mutable_array
            assert made.tolist() == expected
        g = fn.compile(lambda v: v + 1)
        for v in (x, fn.array([1.0, 2.0])):
            assert type(g(v)) is type(v)

    def test_functions_that_open_what_they_make(self) -> None:
        import funcnn.compat.core as mx

        zeros, split = (fn._core._shim(f, f.__name__, "some.module") for f in (fn.zeros, fn.split))
        made = zeros((2,), stream=mx.cpu)
        made[0] = 1
        assert made.tolist() == [1, 0] and fn.zeros((2,)).tolist() == [0, 0]
        parts = split(fn.ones(4), 2)
        assert {type(part) for part in parts} == {fn._core.mutable_array}
        assert (zeros.__name__, zeros.__module__, zeros.__wrapped__) == ("zeros", "some.module", fn.zeros)
        with pytest.raises(TypeError, match="stream"):
            zeros((2,), stream=3)
        with pytest.raises(TypeError, match="other"):
            zeros((2,), stream=None, other=3)
