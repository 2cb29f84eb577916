"""Indexing against NumPy, and updates by x.at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import funcnn as fn

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


def ours(index: Any) -> Any:
    """The index with NumPy arrays as ours."""
    if isinstance(index, tuple):
        return tuple(ours(i) for i in index)
    return fn.array(index) if isinstance(index, np.ndarray) else index


@given(st.data(), SHAPES)
def test_basic_indexing_agrees_with_numpy(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))
    np.testing.assert_array_equal(fn.array(x)[index], x[index])


@given(st.data(), SHAPES)
def test_integer_arrays_agree_with_numpy(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    np.testing.assert_array_equal(fn.array(x)[ours(index)], x[index])


@given(st.data(), SHAPES)
def test_mixed_indices_agree_with_numpy(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    items: list[Any] = []
    for length in shape:
        kind = data.draw(st.sampled_from(["integer", "slice", "list", "none"]))
        if kind == "none":
            items.append(None)
            kind = "slice"
        if kind == "integer":
            items.append(data.draw(st.integers(-length, length - 1)))
        elif kind == "slice":
            items.append(data.draw(st.slices(length)))
        else:
            items.append(data.draw(st.lists(st.integers(-length, length - 1), min_size=2, max_size=2)))
    np.testing.assert_array_equal(fn.array(x)[tuple(items)], x[tuple(items)])


@given(st.data(), SHAPES)
def test_masks_agree_with_numpy(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    covered = shape[: data.draw(st.integers(1, len(shape)))]
    mask = data.draw(hnp.arrays(np.bool_, covered))
    np.testing.assert_array_equal(fn.array(x)[fn.array(mask)], x[mask])
    np.testing.assert_array_equal(
        fn.array(x).at[fn.array(mask)].set(-1),
        np.where(mask.reshape(covered + (1,) * (len(shape) - len(covered))), -1, x),
    )


UPDATES = {
    "set": None,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@pytest.mark.parametrize("method", UPDATES)
@given(st.data(), SHAPES)
def test_updates_agree_with_numpy(method: str, data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = data.draw(hnp.arrays(np.int32, shape, elements=st.integers(-9, 9)))
    index = data.draw(
        st.one_of(
            hnp.basic_indices(shape, allow_newaxis=False),
            hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)),
        )
    )
    part = x[index]
    values = data.draw(hnp.arrays(np.int32, part.shape, elements=st.integers(-9, 9)))
    expected = x.copy()
    if UPDATES[method] is None:
        expected[index] = values
    else:
        UPDATES[method].at(expected, index, values)
    before = fn.array(x)
    after = getattr(before.at[ours(index)], method)(fn.array(values))
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(before, x)


def test_division_and_numbers() -> None:
    x = fn.array([2.0, 4.0])
    assert x.at[0].divide(4).tolist() == [0.5, 4]
    assert x.at[...].set(1).tolist() == [1, 1]
    assert x.astype(fn.int32).at[1].add(3).dtype == fn.int32


@pytest.mark.parametrize(
    ("index", "exception", "message"),
    [
        (5, IndexError, "out of range"),
        ((0, 0, 0), IndexError, "too many indices"),
        (1.5, IndexError, "expected integers"),
        ("a", IndexError, "expected integers"),
        ((..., ...), IndexError, "ellipsis"),
        (slice(None, None, 0), ValueError, "zero"),
        (np.array([1.5]), (IndexError, ValueError), "integer"),
    ],
)
def test_bad_indices_are_refused(index: Any, exception: Any, message: str) -> None:
    x = fn.zeros((2, 3))
    with pytest.raises(exception, match=message):
        x[ours(index)]
    with pytest.raises(exception, match=message):
        x.at[ours(index)].set(1)


def test_at_needs_an_index() -> None:
    with pytest.raises(ValueError, match=r"x\.at\[index\]"):
        fn.zeros(3).at.set(1)


def test_out_of_range_positions_of_arrays_touch_nothing() -> None:
    x = fn.array([1, 2, 3])
    assert x[fn.array([0, 7, -9])].tolist() == [1, 0, 0]
    assert x.at[fn.array([0, 7, -9])].set(5).tolist() == [5, 2, 3]


def test_arrays_bound_slices_and_index() -> None:
    x = fn.array([1, 2, 3, 4])
    assert x[fn.array(1) : fn.array(3)].tolist() == [2, 3]
    assert x[fn.array(2)].item() == 3
    assert x[np.int64(2)].item() == 3
    assert x[np.array([0, 1])].tolist() == [1, 2]
    assert x[[]].shape == (0,)
    assert fn.array(5)[()].item() == 5


def test_masks_have_no_shape_under_vmap() -> None:
    with pytest.raises(fn.TracedValueError, match="where"):
        fn.vmap(lambda x: x[x > 0])(fn.ones((2, 3)))
    updated = fn.vmap(lambda x: x.at[x > 1].set(0))(fn.array([[1, 2], [3, 1]]))
    assert updated.tolist() == [[1, 0], [0, 1]]
