"""Padding with what the array holds: NumPy's modes at any width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcnn as fn
from funcnn import testing

MODES = ["edge", "reflect", "symmetric", "wrap"]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), min_size=3, max_size=3),
    st.sampled_from(MODES),
)
def test_values_are_those_of_numpy(shape, widths, mode):
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    widths = widths[: len(shape)]
    np.testing.assert_array_equal(fn.pad(fn.array(x), widths, mode), np.pad(x, widths, mode))


@pytest.mark.parametrize("shape", [(600,), (3, 130), (2, 3, 128), (40, 2, 500)])
@pytest.mark.parametrize("widths", [[(1, 2)], [(0, 3), (2, 0), (1, 1)], [(5, 0)]])
def test_long_rows_with_a_value_around_them(shape, widths):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    widths = (widths * 3)[: len(shape)]
    np.testing.assert_array_equal(
        fn.pad(fn.array(x), widths, constant_values=-7), np.pad(x, widths, constant_values=-7)
    )
    turned = fn.pad(fn.array(x).T, widths, constant_values=-7)
    np.testing.assert_array_equal(turned, np.pad(x.T, widths, constant_values=-7))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widths", [(1, 2), (7, 12)])
def test_derivatives_batching_and_compiling(mode, widths):
    def f(x):
        return fn.pad(x, [widths, (0, 1)], mode)

    x = fn.random.normal(fn.random.key(0), (3, 2))
    testing.check_grads(f, (x,))
    testing.check_vmap(f, (fn.random.normal(fn.random.key(1), (4, 3, 2)),))
    np.testing.assert_array_equal(fn.compile(f)(x), f(x))


@pytest.mark.parametrize("mode", MODES)
def test_axes_of_no_elements(mode):
    empty = np.zeros((0, 2), np.float32)
    assert fn.pad(fn.array(empty), [(0, 0), (1, 1)], mode).shape == np.pad(empty, [(0, 0), (1, 1)], mode).shape
    with pytest.raises(ValueError, match=r"axis 0 of an array of shape \(0, 2\) is empty"):
        fn.pad(fn.array(empty), 1, mode)


def test_many_periods_are_few_operations():
    assert str(fn.explain(lambda x: fn.pad(x, (0, 10_000), "wrap"))(fn.ones(3)).graph).count("concatenate") < 20


def test_refusals():
    with pytest.raises(ValueError, match="unknown mode 'mirror'; expected 'constant', 'edge', 'reflect'"):
        fn.pad(fn.ones(3), 1, "mirror")
    with pytest.raises(ValueError, match="negative"):
        fn.pad(fn.ones(3), -1, "reflect")
