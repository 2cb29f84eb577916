"""Trees as one vector, stacked, filled and compared."""

import numpy as np
import pytest
from hypothesis import given

import funcnn as fn
import strategies
from funcnn import frozendict, random, tree

PARAMS = frozendict(
    layers=(frozendict(weight=fn.arange(6, dtype=fn.float32).reshape(2, 3), bias=fn.ones(2)), frozendict()),
    scale=fn.array(3.0),
)


def same(a, b):
    assert tree.structure(a) == tree.structure(b)
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_array_equal(x, y)


# ---- ravel


def test_ravel_goes_there_and_back():
    vector, unravel = tree.ravel(PARAMS)
    np.testing.assert_array_equal(vector, [1, 1, 0, 1, 2, 3, 4, 5, 3])  # bias before weight: sorted keys
    same(unravel(vector), PARAMS)
    same(unravel(np.asarray(vector) * 2), tree.map(lambda x: x * 2, PARAMS))
    assert fn.tree.structure(unravel(vector)) == tree.structure(PARAMS)


def test_ravel_of_mixed_dtypes_and_sizes():
    mixed = {
        "a": fn.array([1, 2], fn.int8),
        "b": fn.array(0.5, fn.float16),
        "c": fn.zeros((2, 0)),
        "d": fn.array([True]),
        "e": 7,
        "f": fn.array([1.5], fn.bfloat16),
    }
    vector, unravel = tree.ravel(mixed)
    assert vector.dtype == fn.float32 and vector.tolist() == [1, 2, 0.5, 1, 7, 1.5]
    back = unravel(vector)
    assert {k: x.dtype for k, x in back.items()} == {k: fn.asarray(x).dtype for k, x in mixed.items()}
    assert back["c"].shape == (2, 0) and back["e"].item() == 7
    vector, unravel = tree.ravel(())
    assert vector.shape == (0,) and vector.dtype == fn.float32 and unravel(vector) == ()
    big, unravel = tree.ravel([fn.array([2**40], fn.int64), fn.array([1], fn.int32)])
    assert big.tolist() == [2**40, 1] and unravel(big)[1].dtype == fn.int32


def test_ravel_under_transformations():
    vector, unravel = tree.ravel(PARAMS)

    def loss(params):
        return (params["layers"][0]["weight"] ** 2).sum() + fn.sin(params["scale"]) + params["layers"][0]["bias"].prod()

    for run in (lambda f: f, fn.compile):
        flat = run(fn.grad(lambda v: loss(unravel(v))))(vector)
        same(unravel(flat), fn.grad(loss)(PARAMS))
        np.testing.assert_array_equal(run(fn.grad(lambda p: (tree.ravel(p)[0] * vector).sum()))(PARAMS)["scale"], 3)
    assert fn.hessian(lambda v: loss(unravel(v)))(vector).shape == (9, 9)
    assert fn.vmap(unravel)(fn.zeros((4, 9)))["scale"].shape == (4,)
    half, back = tree.ravel({"w": fn.ones(2, fn.bfloat16), "s": fn.ones(1)})
    slope = fn.grad(lambda v: (back(v)["w"] * fn.array([1.0, 2.0], fn.bfloat16)).sum().astype(fn.float32))(half)
    assert slope.tolist() == [0, 1, 2]


def test_ravel_errors():
    _, unravel = tree.ravel(PARAMS)
    with pytest.raises(ValueError, match=r"unravel: expected a vector of shape \(9,\), got \(8,\)"):
        unravel(fn.zeros(8))
    with pytest.raises(ValueError, match="real numbers"):
        unravel(fn.zeros(9, fn.complex64))
    with pytest.raises(TypeError, match=r"tree\.ravel: expected arrays and numbers, got a str at a"):
        tree.ravel({"a": "text"})


# ---- stack, unstack


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("count", [1, 3])
def test_stack_and_unstack(count, axis):
    trees = [tree.map(lambda x, i=i: x + i, PARAMS) for i in range(count)]
    stacked = tree.stack(trees, axis)
    assert stacked["layers"][0]["weight"].shape == ((count, 2, 3) if axis == 0 else (2, 3, count))
    assert stacked["scale"].shape == (count,)
    for a, b in zip(tree.unstack(stacked, axis), trees, strict=True):
        same(a, b)
    same(tree.stack(iter(trees), axis), stacked)


def test_stacked_trees_are_scanned_and_mapped():
    layers = [{"w": random.normal(k, (3, 3)), "b": random.normal(k, (3,))} for k in random.split(random.key(0), 4)]
    x = fn.ones(3)

    def layer(p, x):
        return fn.tanh(p["w"] @ x + p["b"])

    expected = x
    for p in layers:
        expected = layer(p, expected)
    np.testing.assert_allclose(fn.scan(lambda x, p: (layer(p, x), None), x, tree.stack(layers))[0], expected, rtol=1e-6)
    each = fn.vmap(layer, in_axes=(0, None))(tree.stack(layers), x)
    np.testing.assert_allclose(each, fn.stack([layer(p, x) for p in layers]), rtol=1e-6)
    slopes = fn.grad(lambda ps: tree.stack(ps)["w"].sum() * 2)(layers)
    assert all((np.asarray(s["w"]) == 2).all() for s in slopes)


def test_stack_errors():
    with pytest.raises(ValueError, match="at least one tree"):
        tree.stack([])
    with pytest.raises(ValueError, match=r"^tree\.stack: tree 1: the trees differ at a: expected"):
        tree.stack([{"a": {"b": fn.zeros(1)}}, {"a": {"c": fn.zeros(1)}}])
    with pytest.raises(ValueError, match=r"tree\.stack: the leaves at a have shapes \(1,\) and \(2,\)"):
        tree.stack([{"a": fn.zeros(1)}, {"a": fn.zeros(2)}])
    with pytest.raises(fn.AxisError, match=r"tree\.stack: a stack of leaves of shape \(1,\), as at a, has no axis 2"):
        tree.stack([{"a": fn.zeros(1)}], axis=2)
    with pytest.raises(TypeError, match=r"tree\.stack: expected arrays and numbers, got a str at a"):
        tree.stack([{"a": "x"}])
    with pytest.raises(TypeError, match=r"tree\.stack: axis must be an integer, got 'a'"):
        tree.stack([{"a": fn.zeros(1)}], axis="a")
    with pytest.raises(TypeError, match=r"tree\.stack: trees must be a list of trees, got a int"):
        tree.stack(3)
    with pytest.raises(ValueError, match="the leaf at a has length 2 along axis 0, the leaf at b has length 3"):
        tree.unstack({"a": fn.zeros(2), "b": fn.zeros(3)})
    with pytest.raises(ValueError, match="no leaves"):
        tree.unstack({})
    with pytest.raises(fn.AxisError, match=r"tree\.unstack: the leaf at a, of shape \(\), has no axis 0"):
        tree.unstack({"a": fn.array(1.0)})
    assert tree.unstack({"a": fn.zeros((0, 2))}) == ()


# ---- zeros_like, ones_like


def test_filled():
    zeros, ones = tree.zeros_like(PARAMS), tree.ones_like(PARAMS, fn.bfloat16)
    same(zeros, tree.map(lambda x: x * 0, PARAMS))
    same(ones, tree.map(lambda x: fn.ones(x.shape, fn.bfloat16), PARAMS))
    assert tree.zeros_like({"a": 3, "b": np.ones((2, 2), np.int64)})["b"].dtype == fn.int64
    assert fn.compile(tree.zeros_like)(PARAMS)["scale"].item() == 0
    assert fn.vmap(tree.ones_like)({"a": fn.zeros((3, 2))})["a"].shape == (3, 2)
    with pytest.raises(TypeError, match=r"tree\.zeros_like"):
        tree.zeros_like("text")


# ---- equal


@given(strategies.trees(), strategies.trees())
def test_equal_says_what_diff_finds(a, b):
    assert tree.equal(a, a) and tree.equal(b, b)
    assert tree.equal(a, b) == (not tree.diff(a, b))


def test_equal_of_arrays():
    nan = float("nan")
    x = {"a": fn.array([1.0, nan]), "b": (fn.array(2), None)}
    assert tree.equal(x, tree.map(lambda v: v + 0, x))
    for other in (
        {"a": fn.array([1.0, 2.0]), "b": (fn.array(2), None)},
        {"a": fn.array([[1.0, nan]]), "b": (fn.array(2), None)},
        {"a": fn.array([1.0, nan]), "b": (fn.array(2.0), None)},
        {"a": fn.array([1.0, nan]), "b": (fn.array(2), fn.array(1))},
        {"a": fn.array([1.0, nan]), "b": [fn.array(2), None]},
        {"a": np.array([1.0, nan], np.float32), "b": (fn.array(2), None)},
    ):
        assert not tree.equal(x, other) and not tree.equal(other, x)
    assert tree.equal({"z": fn.zeros(0)}, {"z": fn.zeros(0)})
    with pytest.raises(fn.TracedValueError, match=r"tree\.equal.*fn\.array_equal"):
        fn.compile(lambda x: x if tree.equal(x, x + 0) else -x)(fn.zeros(2))


def test_where_chooses_whole_trees_and_keeps_dtypes():
    a = {"x": fn.ones((2,), fn.float16), "y": (fn.array(1), None)}
    b = {"x": fn.zeros((2,), fn.float16), "y": (fn.array(0), None)}
    for pick in (tree.where, fn.compile(tree.where)):
        assert tree.equal(pick(fn.array(True), a, b), a) and tree.equal(pick(fn.array(False), a, b), b)
    rows = fn.vmap(lambda c: tree.where(c, a, b))(fn.array([True, False]))
    np.testing.assert_array_equal(rows["y"][0], [1, 0])
    skipped = tree.where(fn.array(False), {"x": fn.array(float("nan"))}, {"x": fn.array(2.0)})
    assert skipped["x"].item() == 2.0
    with pytest.raises(
        ValueError, match=r"where: the leaves at x are float16 of shape \(2,\) and float16 of shape \(1,\)"
    ):
        tree.where(True, a, tree.set(b, "x", fn.zeros((1,), fn.float16)))
    with pytest.raises(TypeError, match="at x are float16 of shape .* and float32"):
        tree.where(True, a, tree.set(b, "x", fn.zeros((2,))))
    with pytest.raises(ValueError, match=r"condition must be 0-d, got shape \(1,\)"):
        tree.where(fn.array([True]), a, b)
    with pytest.raises(ValueError, match=r"^tree\.where: b: the trees differ at the root"):
        tree.where(True, a, {"x": a["x"]})


def test_all_finite_of_every_dtype():
    assert tree.all_finite(()).item() is True
    assert tree.all_finite({"i": fn.array([1]), "b": True, "u": fn.array([2**32 - 1], fn.uint32)}).item() is True
    for dtype in (fn.float16, fn.bfloat16, fn.float32, fn.float64, fn.complex64):
        x = fn.ones((5,), dtype)
        assert tree.all_finite([x, fn.finfo(fn.float32).max]).item() is True
        for bad in (float("nan"), float("inf"), -float("inf")):
            assert fn.compile(tree.all_finite)([x, x.at[3].set(bad)]).item() is False
    assert tree.all_finite(fn.array(complex(1, float("nan")))).item() is False
    with pytest.raises(TypeError, match="all_finite"):
        tree.all_finite({"a": "text"})
