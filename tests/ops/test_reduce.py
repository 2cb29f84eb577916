import numpy as np
import pytest
from check import check, check_derivatives

import funcnn as fn
from thread_counts import assert_the_same
from widest import float64_of

rng = np.random.default_rng(0)
AXES = [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2), ()]


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std"])
def test_reductions(name, axis, keepdims):
    function, reference = getattr(fn, name), getattr(np, name)
    single = axis == () and name in ("var", "std")  # a constant, where std has no derivative
    check(
        lambda x: function(x, axis=axis, keepdims=keepdims),
        lambda x: reference(x, axis=axis, keepdims=keepdims),
        normal(3, 4, 5),
        differentiable=not single,
        rtol=1e-4,
    )


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["all", "any"])
def test_all_any(name, axis):
    x = rng.integers(0, 4, (3, 4, 5)).astype(np.float32)
    check(lambda x: getattr(fn, name)(x, axis=axis), lambda x: getattr(np, name)(x, axis=axis), x, differentiable=False)


@pytest.mark.parametrize(
    "shape", [(2**16 + 7,), (300, 700), (7, 9, 400), (400, 9, 7), (1, 1000), (1000, 1), (5, 6, 7, 8)]
)
@pytest.mark.parametrize("name", ["sum", "max", "mean"])
def test_larger_arrays(shape, name):
    x = normal(*shape)
    for axis in [None, *range(len(shape)), (0, len(shape) - 1)][: None if len(shape) > 1 else 2]:
        expected = getattr(np, name)(x.astype(np.float64), axis=axis)
        np.testing.assert_allclose(
            np.asarray(getattr(fn, name)(fn.array(x), axis=axis)), expected, rtol=1e-4, atol=2e-4
        )


@pytest.mark.parametrize(
    ("dtype", "total", "mean"),
    [
        ("bool_", "int32", "float32"),
        ("int8", "int32", "float32"),
        ("uint8", "uint32", "float32"),
        ("int16", "int32", "float32"),
        ("uint16", "uint32", "float32"),
        ("int32", "int32", "float32"),
        ("int64", "int64", "float32"),
        ("uint64", "uint64", "float32"),
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float64", "float64", "float64"),
    ],
)
def test_dtypes(dtype, total, mean):
    x = fn.array([1, 0, 2]).astype(getattr(fn, dtype))
    assert fn.sum(x).dtype == fn.prod(x).dtype == getattr(fn, total)
    assert fn.mean(x).dtype == fn.var(x).dtype == fn.softmax(x).dtype == fn.logsumexp(x).dtype == getattr(fn, mean)
    assert fn.max(x).dtype == fn.min(x).dtype == getattr(fn, dtype)
    assert fn.all(x).dtype == fn.any(x).dtype == fn.bool_


def test_wide_sums_of_narrow_values():
    assert fn.sum(fn.full((1000,), 100, dtype=fn.int8)).item() == 100_000
    assert fn.mean(fn.full((70_000,), 100, dtype=fn.float16)).item() == 100
    ones = fn.ones((2**24 + 2,))
    assert fn.sum(ones).item() == 2**24 + 2


def test_ties_share_the_cotangent():
    x = fn.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    assert np.allclose(np.asarray(fn.grad(lambda x: fn.sum(fn.max(x, axis=1)))(x)), [[0, 0.5, 0.5], [1 / 3] * 3])
    _, tangent = fn.jvp(lambda x: fn.max(x, axis=1), (x,), (fn.array([[1.0, 2.0, 4.0], [3.0, 3.0, 6.0]]),))
    assert np.allclose(np.asarray(tangent), [3, 4])


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_prod_with_zeros(zeros, axis):
    x = normal(3, 5)
    x.ravel()[:zeros] = 0
    check_derivatives(lambda x: fn.prod(x, axis=axis), lambda x: np.prod(x, axis=axis), x)

    def reference(x):
        others = np.empty_like(x)
        for index in np.ndindex(x.shape):
            without = x.copy()
            without[index] = 1
            others[index] = np.prod(without, axis=axis)[() if axis is None else index[1 - axis]]
        return others

    check_derivatives(fn.grad(lambda x: fn.sum(fn.prod(x, axis=axis))), reference, x)


def test_empty():
    assert fn.sum(fn.zeros((0, 3)), axis=0).tolist() == [0, 0, 0]
    assert fn.prod(fn.zeros((0, 3)), axis=0).tolist() == [1, 1, 1]
    assert np.isnan(fn.mean(fn.zeros((0,))).item())
    assert fn.max(fn.zeros((0, 3)), axis=1).shape == (0,)
    for function in (fn.max, fn.min):
        with pytest.raises(ValueError, match="empty"):
            function(fn.zeros((0, 3)), axis=0)


def test_nan_propagates():
    x = fn.array([1.0, float("nan"), 3.0])
    assert np.isnan(fn.max(x).item()) and np.isnan(fn.min(x).item()) and np.isnan(fn.sum(x).item())


def test_axis_errors():
    x = fn.zeros((2, 3))
    for function in (fn.sum, fn.max, fn.mean, fn.var, fn.softmax):
        with pytest.raises(fn.AxisError, match="axis 2 is out of range"):
            function(x, axis=2)
    with pytest.raises(ValueError, match="twice"):
        fn.sum(x, axis=(0, -2))


def np_softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1)])
def test_softmax_family(axis):
    x = normal(4, 6)
    check(lambda x: fn.softmax(x, axis=axis), lambda x: np_softmax(x, axis), x)
    check(lambda x: fn.log_softmax(x, axis=axis), lambda x: np.log(np_softmax(x, axis)), x)
    check(lambda x: fn.logsumexp(x, axis=axis), lambda x: np.log(np.sum(np.exp(x), axis=axis)), x)


def test_softmax_is_stable():
    x = fn.array([[1000.0, 1000.0], [-1000.0, -1001.0]])
    assert np.allclose(np.asarray(fn.softmax(x, axis=-1)), np_softmax(np.asarray(x), -1))
    infinite = fn.array([-np.inf, -np.inf])
    assert fn.logsumexp(infinite).item() == -np.inf
    assert fn.logsumexp(fn.array([np.inf, 1.0])).item() == np.inf
    assert np.allclose(np.asarray(fn.softmax(fn.array([-np.inf, 0.0]))), [0, 1])
    g = fn.grad(lambda x: fn.logsumexp(x))(fn.array([-np.inf, 0.0]))
    assert g.tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [fn.float32, fn.float16])
@pytest.mark.parametrize("run", [lambda f: f, fn.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("f", "rows"),
    [
        (lambda x: fn.logsumexp(x, axis=-1), [[-np.inf] * 3, [0.0, -np.inf, 0.0]]),
        (lambda x: fn.std(x, axis=-1), [[2.0] * 3, [1.0, 2.0, 3.0]]),
        (lambda x: fn.std(x, axis=-1, ddof=1), [[-0.5] * 3, [1.0, 2.0, 3.0]]),
    ],
    ids=["logsumexp", "std", "std of a sample"],
)
def test_rows_without_a_slope_have_derivatives_of_zero(f, rows, run, dtype):
    """The first row: all -inf, or all equal. The second shows that it does not take those of others along."""
    x, along = fn.array(rows, dtype), fn.array([[1.0, 0.5, -2.0]] * 2, dtype)
    gradient = lambda x: fn.grad(lambda x: f(x).sum())(x)  # noqa: E731
    for found in (
        run(gradient)(x),
        run(lambda x: fn.jvp(f, (x,), (along,))[1])(x),
        run(lambda x: fn.jvp(gradient, (x,), (along,))[1])(x),
        run(fn.grad(lambda x: (gradient(x) * along).sum()))(x),
        run(lambda x: fn.jvp(lambda x: fn.jvp(f, (x,), (along,))[1], (x,), (along,))[1])(x),
        run(fn.vmap(fn.hessian(f)))(x),
    ):
        assert not np.asarray(found[0]).any()
        assert np.isfinite(np.asarray(found[1])).all() and np.asarray(found[1]).any()


def test_hessian_of_logsumexp():
    x = normal(5)

    def second(x):
        p = np_softmax(x, 0)
        return p * (p @ np.arange(5.0) * -1 + np.arange(5.0))

    weights = np.arange(5.0)
    gradient = lambda x: fn.grad(lambda x: fn.sum(fn.softmax(x) * fn.array(weights, dtype=x.dtype)))(x)  # noqa: E731
    check_derivatives(gradient, second, x)


@pytest.mark.parametrize("order", [None, 0, 1, 2, 3, np.inf, -np.inf, -1])
@pytest.mark.parametrize("axis", [0, 1])
def test_vector_norms(order, axis):
    x = normal(3, 4)
    check(
        lambda x: fn.linalg.norm(x, ord=order, axis=axis),
        lambda x: np.linalg.norm(x, ord=order, axis=axis),
        x,
        differentiable=order != 0,
        rtol=1e-4,
    )


@pytest.mark.parametrize("order", [None, "fro", 1, -1, np.inf, -np.inf])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norms(order, keepdims):
    for axes in [(0, 1), (1, 2), (2, 0)]:
        check(
            lambda x, axes=axes: fn.linalg.norm(x, ord=order, axis=axes, keepdims=keepdims),
            lambda x, axes=axes: np.linalg.norm(x, ord=order, axis=axes, keepdims=keepdims),
            normal(2, 3, 4),
        )
    with pytest.raises(ValueError, match="norm"):
        fn.linalg.norm(fn.zeros((2, 2, 2)), ord=1)
    with pytest.raises(ValueError, match="not available"):
        fn.linalg.norm(fn.zeros((2, 2)), ord=3)


MASK = rng.random((3, 4, 5)) < 0.6
INITIAL = {"sum": 2.5, "prod": -1.5, "max": 0.25, "min": -0.25}


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_initial_and_where(name, axis, keepdims):
    function, reference, x = getattr(fn, name), getattr(np, name), normal(3, 4, 5)
    for mask in (MASK, MASK[0], MASK[:, :1, :1], np.zeros((3, 4, 5), bool), True):
        options = {"axis": axis, "keepdims": keepdims, "initial": INITIAL[name], "where": mask}
        check(lambda x: function(x, **options), lambda x: reference(x, **options), x, rtol=1e-4)  # noqa: B023
    options = {"axis": axis, "keepdims": keepdims, "initial": INITIAL[name]}
    check(lambda x: function(x, **options), lambda x: reference(x, **options), x, rtol=1e-4)
    np.testing.assert_allclose(getattr(fn.array(x), name)(**options), reference(x, **options), rtol=1e-4)


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize(("name", "options"), [("mean", {}), ("var", {}), ("var", {"ddof": 1}), ("std", {"ddof": 2})])
def test_means_of_what_a_mask_selects(name, options, axis):
    mask = np.ones((3, 4, 5), bool)
    mask[0, 1] = mask[2, 3, 2:] = False
    options = {**options, "axis": axis, "where": mask}
    check(
        lambda x: getattr(fn, name)(x, **options), lambda x: getattr(np, name)(x, **options), normal(3, 4, 5), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["all", "any"])
def test_all_and_any_of_what_a_mask_selects(name):
    x = rng.random((3, 4, 5)) < 0.5
    for axis in (None, 0, (1, 2)):
        for mask in (MASK, False):
            expected = getattr(np, name)(x, axis=axis, where=mask)
            np.testing.assert_array_equal(getattr(fn, name)(fn.array(x), axis=axis, where=mask), expected)


def test_masked_elements_do_not_matter():
    x, mask = fn.array([1.0, np.nan, np.inf, 4.0]), fn.array([True, False, False, True])
    for function in (fn.sum, fn.mean, fn.var, fn.prod):
        value, slope = fn.value_and_grad(lambda x, f=function: f(x, where=mask))(x)
        assert np.isfinite(value.item()) and slope[1].item() == slope[2].item() == 0
    value, slope = fn.value_and_grad(lambda x: fn.max(x, where=mask, initial=-1.0))(x)
    assert value.item() == 4 and slope.tolist() == [0, 0, 0, 1]
    value, slope = fn.value_and_grad(lambda x: fn.max(x, initial=4.0))(x[3:])
    assert value.item() == 4 and slope.tolist() == [1]  # at equality the element takes the derivative
    for dtype, top in [(fn.int8, -128), (fn.uint8, 0), (fn.int64, -(2**63)), (fn.float32, -np.inf)]:
        assert fn.max(fn.array([5], dtype), where=False, initial=fn.array(top, dtype)).item() == top
    assert fn.max(fn.array([True]), where=False, initial=False).item() is False


def test_extremes_of_nothing_beside_an_initial_value():
    assert fn.max(fn.zeros((0,)), initial=3).item() == 3
    assert fn.min(fn.zeros((2, 0, 3), fn.int32), axis=1, initial=7).tolist() == [[7] * 3] * 2
    assert fn.max(fn.zeros((2, 0)), axis=1, keepdims=True, initial=1).shape == (2, 1)
    assert fn.sum(fn.zeros((0,)), initial=2).item() == 2


def test_errors_of_where_and_initial():
    x = fn.ones((2, 3))
    with pytest.raises(ValueError, match=r"max: where .* initial"):
        fn.max(x, where=True)
    with pytest.raises(ValueError, match=r"sum: where must be a bool array, got int32"):
        fn.sum(x, where=fn.array([1, 0, 1]))
    with pytest.raises(ValueError, match=r"mean: where, of shape \(2,\), does not broadcast .* \(2, 3\)"):
        fn.mean(x, where=fn.array([True, False]))
    with pytest.raises(ValueError, match=r"does not broadcast"):
        fn.any(x[0], where=fn.ones((2, 3), fn.bool_))
    with pytest.raises(ValueError, match=r"prod: initial must be a scalar, got shape \(3,\)"):
        fn.prod(x, initial=fn.ones(3))
    with pytest.raises(ValueError, match=r"initial would give one"):
        fn.min(fn.zeros((0,)))


def test_an_initial_value_takes_part_in_promotion():
    assert fn.sum(fn.array([1, 2]), initial=3).dtype == fn.int32
    assert fn.sum(fn.array([1, 2]), initial=0.5).item() == 3.5
    assert fn.sum(fn.ones(2, fn.bfloat16), initial=0.5).dtype == fn.bfloat16
    assert fn.grad(lambda i: fn.sum(fn.ones(2), initial=i))(fn.array(2.0)).item() == 1


def test_the_maximum_of_nan_has_no_derivative():
    for x in ([np.nan, np.nan], [1.0, np.nan]):
        for function in (fn.max, fn.min):
            assert np.isnan(fn.grad(function)(fn.array(x))).all()
            _, tangent = fn.jvp(function, (fn.array(x),), (fn.ones(2),))
            assert np.isnan(tangent.item())


@pytest.mark.parametrize("zeros", [(0,), (3,), (0, 1), (1, 3, 5, 7), (4, 5, 6)])
@pytest.mark.parametrize("size", [4, 7, 8, 19])
def test_the_gradient_of_a_product_that_overflows_beside_zeros(zeros, size):
    zeros = [z for z in zeros if z < size] or [0]
    x = np.full(size, 1e13, np.float32)
    x[zeros] = 0
    got = np.asarray(fn.grad(fn.prod)(fn.array(x)))
    expected = np.zeros(size, np.float32)
    if len(zeros) == 1:
        expected[zeros] = np.inf
    np.testing.assert_array_equal(got, expected)


def test_logsumexp_of_nothing():
    assert fn.logsumexp(fn.zeros((0,))).item() == -np.inf
    assert fn.logsumexp(fn.zeros((2, 0), fn.float16), axis=1).tolist() == [-np.inf] * 2
    assert fn.logsumexp(fn.zeros((2, 0)), axis=1, keepdims=True).shape == (2, 1)
    assert fn.grad(lambda x: fn.logsumexp(x))(fn.zeros((0,))).shape == (0,)


@pytest.mark.parametrize("dtype", ["bool_", "int8", "uint8", "int16", "uint16"])
def test_initial_values_have_the_dtype_of_the_result(dtype):
    x = fn.ones(3, dtype=getattr(fn, dtype))
    assert fn.sum(x, initial=100_000).item() == 100_003
    assert fn.prod(x, initial=100_000).item() == 100_000
    assert fn.sum(x, initial=1).dtype == fn.sum(x).dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("fused", [True, False])
def test_what_is_between_in_short_floats_may_be_out_of_their_range(dtype, fused):
    x = np.array([[300.0, -300.0, 256.0], [1e-4, -1e-4, 0.0]])
    given = fn.array(x, getattr(fn, dtype))
    x = float64_of(given)
    before = fn.set_fusion(fused)
    try:
        for mine, expected in [
            (fn.std(given, axis=1), x.std(1)),
            (fn.linalg.norm(given, axis=1), np.linalg.norm(x, axis=1)),
            (fn.linalg.norm(given, 3, axis=1), np.linalg.norm(x, 3, axis=1)),
            (fn.linalg.norm(given), np.linalg.norm(x)),
        ]:
            assert mine.dtype == given.dtype
            np.testing.assert_allclose(float64_of(mine), expected, rtol=0.01)
    finally:
        fn.set_fusion(before)


@pytest.mark.on_cpu
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((20, 30000), 0), ((130, 10001), 0), ((33001, 65), 0), ((1030, 1024), 0), ((40, 300, 130), 1), ((70, 2, 5000), 1)],
)
@pytest.mark.parametrize("name", ["sum", "max", "mean"])
def test_columns_are_the_same_on_any_number_of_threads(name, shape, axis):
    x = np.random.default_rng(5).normal(1, 1, shape).astype(np.float32)
    a = fn.asarray(x)
    assert_the_same(lambda: [getattr(fn, name)(a, axis=axis), getattr(fn, name)(a * a, axis=axis)], (1, 2, 16, 70))
    np.testing.assert_allclose(getattr(fn, name)(a, axis=axis), getattr(x.astype(np.float64), name)(axis), rtol=2e-6)
