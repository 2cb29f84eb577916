"""The checks find what is wrong, and the strategies draw what they say."""

import numpy as np
import pytest
from hypothesis import given, settings

import funcnn as fn
from funcnn import testing, tree


@given(testing.arrays(fn.float32, testing.shapes(1, 2, 1, 3), min_value=-10, max_value=10))
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


def test_errors_beside_inputs_of_more_weight():
    x, y = fn.array([0.5, 1.0]), fn.array([2.0, 3.0])
    testing.check_grads(lambda x, y: 1e6 * fn.sin(x) + 0.1 * fn.cos(y), (x, y), order=1)
    for modes in ("fwd", "rev"):
        with pytest.raises(AssertionError, match="mode"):
            testing.check_grads(lambda x, y: 1e6 * fn.sin(x) + wrong(y), (x, y), order=1, modes=modes)


def test_check_vmap_compares_integers_exactly():
    def last(x):
        try:
            return x + (0 if x.item() < 0 else 1)
        except fn.TracedValueError:
            return x

    with pytest.raises(AssertionError, match="vmap differs from a loop in the output: 2 of 2 elements"):
        testing.check_vmap(last, (fn.array([10**7, 10**8]),))


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


@given(testing.arrays(min_value=-10, max_value=10))
def test_arrays(x):
    assert isinstance(x, fn.array) and x.ndim <= 3
    assert np.all(np.isfinite(np.asarray(x)))


@given(testing.mutually_broadcastable_shapes(3))
def test_broadcastable_shapes(shapes):
    np.broadcast_shapes(*shapes)


@given(
    testing.trees(
        testing.arrays(testing.dtypes("floating", "complex"), testing.shapes(0, 2), min_value=-9, max_value=9)
    )
)
def test_trees(values):
    assert all(isinstance(leaf, fn.array) for leaf in tree.leaves(values))
    assert tree.allclose(values, tree.map(lambda x: x, values))


class TestArraysAsked:
    """Strategies draw what was asked for, or say why they cannot."""

    BOUNDS = ((0.1, 0.3), (-1 / 3, 2 / 3), (1e-9, 2e-9), (70000.0, 80000.0), (0.1, 0.1 + 1e-7), (-1e30, 1e30), (0, 0))

    @pytest.mark.parametrize("bounds", BOUNDS)
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
    def test_bounds_that_a_half_does_not_hold(self, dtype, bounds):
        low, high = bounds
        kind = {"complex64": fn.float32}.get(dtype, getattr(fn, dtype))
        grid = [fn.array(v, dtype=fn.float64).astype(kind).item() for v in np.linspace(low, high, 1001)]
        held = [v for v in grid if low <= v <= high]
        try:
            strategy = testing.arrays(dtype, 5, min_value=low, max_value=high)
        except ValueError as error:
            assert not held and f"has no number from {low} to {high}" in str(error)
            return

        @settings(max_examples=30)
        @given(strategy)
        def check(x):
            assert x.dtype == dtype and x.shape == (5,)
            parts = np.asarray(x if dtype != "bfloat16" else x.astype(fn.float32))
            for part in (parts.real, parts.imag) if dtype == "complex64" else (parts,):
                assert np.all((part.astype(np.float64) >= low) & (part.astype(np.float64) <= high))

        check()

    @pytest.mark.parametrize(
        "dtype, low, high, least, most",
        [
            ("uint8", -10, 10, 0, 10),
            ("uint8", 3, 10, 3, 10),
            ("uint8", 250, 1000, 250, 255),
            ("int8", -1000, -127, -128, -127),
            ("int32", 0.5, 2.5, 1, 2),
            ("int64", -(2**63), 2**63, -(2**63), 2**63 - 1),
            ("uint64", 2**63, 2**64, 2**63, 2**64 - 1),
            (np.int16, 5, 5, 5, 5),
            (np.dtype("uint32"), 0, 1, 0, 1),
        ],
    )
    def test_integers_keep_to_bounds_and_dtype(self, dtype, low, high, least, most):
        @settings(max_examples=30)
        @given(testing.arrays(dtype, (2, 3), min_value=low, max_value=high))
        def check(x):
            assert x.dtype == dtype
            assert all(least <= v <= most for row in x.tolist() for v in row)

        check()

    @pytest.mark.parametrize(
        "call, message",
        [
            (lambda: testing.arrays("uint8", max_value=-1), "uint8 has no number from -inf to -1"),
            (lambda: testing.arrays("int32", min_value=0.2, max_value=0.7), "int32 has no number"),
            (lambda: testing.arrays("float99"), "float99"),
            (lambda: testing.arrays(min_value=2, max_value=1), "min_value <= max_value"),
            (lambda: testing.arrays(max_value=float("nan")), "finite"),
            (lambda: testing.arrays(shape=-1), "negative axis"),
            (lambda: testing.arrays(shape="ab"), "arrays: shape must be"),
            (lambda: testing.arrays(shape=2.5), "arrays: shape must be"),
            (lambda: testing.dtypes("floats"), "unknown kind 'floats'.*'floating'"),
            (lambda: testing.shapes(min_dims=4), "min_dims <= max_dims"),
            (lambda: testing.shapes(min_side=-1), "min_side"),
            (lambda: testing.shapes(max_dims=2.5), "shapes: max_dims must be an integer, got 2.5"),
            (lambda: testing.dtypes(["floating"]), "dtypes: unknown kind"),
            (lambda: testing.arrays(min_value="a"), r"arrays: min_value must be a number, got 'a' \(str\)"),
            (lambda: testing.mutually_broadcastable_shapes("a"), "num_shapes must be an integer"),
            (lambda: testing.mutually_broadcastable_shapes(-1), "num_shapes must be at least 0"),
            (lambda: testing.check_grads(fn.sin, (fn.ones(2),), eps="a"), "check_grads: eps must be a number above 0"),
            (lambda: testing.check_grads(fn.sin, (fn.ones(2),), order=0), "check_grads: order must be at least 1"),
            (lambda: testing.check_grads(3, (fn.ones(2),)), "check_grads: f must be a function"),
            (
                lambda: testing.check_vmap(fn.sin, (fn.ones(2),), (0, 0)),
                "check_vmap: in_axes and args: the trees differ",
            ),
        ],
    )
    def test_refused_by_name(self, call, message):
        with pytest.raises((TypeError, ValueError), match=message):
            call()

    @given(testing.arrays(fn.float32, np.int64(3)), testing.arrays(testing.dtypes("unsigned"), testing.shapes(1, 1)))
    def test_lengths_and_strategies(self, x, y):
        assert x.shape == (3,) and y.ndim == 1


class TestWhatIsChecked:
    def test_one_mode_as_a_word(self):
        testing.check_grads(fn.sin, (fn.array([1.0]),), modes="rev")
        testing.check_grads(fn.sin, (fn.array([1.0]),), modes="fwd")
        with pytest.raises(AssertionError, match="reverse mode"):
            testing.check_grads(wrong, (fn.array([1.0]),), order=1, modes="rev")

    def test_arguments_held_constant(self):
        x, y = fn.array([0.5, 1.5]), fn.array([2.0, 3.0])

        def f(x, y):
            return wrong(x) * y

        testing.check_grads(f, (x, y), order=1, argnums=1)
        testing.check_grads(f, (x, y), order=1, argnums=(np.int64(-1),))
        for argnums in (None, 0, (0, 1)):
            with pytest.raises(AssertionError):
                testing.check_grads(f, (x, y), order=1, argnums=argnums)
        testing.check_grads(lambda p, n: p["a"] * n.astype(p["a"].dtype), ({"a": x}, y), argnums=0)
        with pytest.raises(ValueError, match="argnums has 2, but there are 2 arguments"):
            testing.check_grads(f, (x, y), argnums=2)
        with pytest.raises(ValueError, match="no argument is floating point"):
            testing.check_grads(f, (x, y), argnums=())

    def test_numbers_and_numpy_s_arrays(self):
        testing.check_grads(lambda x, y: x * y, (2.0, np.array([1.0, 2.0])))
        testing.check_grads(lambda x: {"y": fn.sin(x), "n": 3, "c": 1.5}, (np.float32(2),))
        testing.check_grads(lambda x: 1.5, (fn.ones(2),))
        with pytest.raises(AssertionError, match="the output is wrong"):
            testing.check_grads(lambda x: float(x.sum()), (fn.ones(2),), order=1)
        with pytest.raises(ValueError, match="nothing that is floating point"):
            testing.check_grads(lambda x: x.astype(fn.int32), (fn.ones(2),))
        with pytest.raises(ValueError, match="nothing that is floating point"):
            testing.check_grads(lambda x: 3, (fn.ones(2),))

    @pytest.mark.parametrize("modes", ["fwd", "rev"])
    def test_rounding_to_float32_is_told_from_a_wrong_derivative(self, modes):
        x = fn.array([0.5, 1.0, 3.0])

        def rounds(x):
            return fn.exp(x.astype(fn.float32)).astype(x.dtype)

        with pytest.raises(AssertionError, match="float32 rounding inside the function"):
            testing.check_grads(rounds, (x,), order=1, modes=modes)
        testing.check_grads(rounds, (x,), order=1, modes=modes, eps=5e-3, rtol=1e-3)
        with pytest.raises(AssertionError) as error:
            testing.check_grads(lambda x: wrong(x.astype(fn.float32)).astype(x.dtype), (x,), order=1, modes=modes)
        assert "float32 rounding" not in str(error.value)
        with pytest.raises(AssertionError) as error:
            testing.check_grads(wrong, (x,), order=1, modes=modes)
        assert "float32 rounding" not in str(error.value)

    def test_axes_of_length_zero(self):
        testing.check_grads(lambda x: fn.sin(x).sum(), (fn.zeros((0, 3)),))
        testing.check_vmap(lambda x: x.sum(axis=0) * 2, (fn.zeros((0, 3)),))
        testing.check_vmap(lambda x: x.sum(axis=0) * 2, (fn.zeros((3, 0)),), in_axes=0)
        testing.check_vmap(lambda x, y: x * y, (fn.zeros((3, 0)), fn.ones(3)), in_axes=(1, None))

    def test_vmap_of_functions_returning_numbers(self):
        testing.check_vmap(lambda x: (1.5, x, 2), (fn.ones((3, 2)),))
        testing.check_vmap(lambda x: x * 2, (np.ones((3, 2), np.float32),))
        with pytest.raises(ValueError, match="in_axes has 2 for an array of shape"):
            testing.check_vmap(lambda x: x, (fn.ones((3, 2)),), in_axes=2)
