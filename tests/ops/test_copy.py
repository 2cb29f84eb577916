"""Copies in blocks: every element arrives, however the blocks are cut and whoever copies them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import funcnn as fn
from thread_counts import assert_the_same

# Rows and columns around and beyond a block of 32 KB, in few rows and many.
SHAPES = [(1, 70001), (3, 40007), (5, 2, 20011), (17, 1031), (260, 263), (70001, 2), (9, 33, 65), (2, 3, 5, 7)]
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned": lambda x: x.T,
    "first two axes exchanged": lambda x: x.swapaxes(0, 1),
    "every other": lambda x: x[..., ::2],
    "part": lambda x: x[..., 1:],
    "backwards": lambda x: x[..., ::-1],
}


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 7 % 251).astype(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_copies_of_views(view: str, shape: tuple[int, ...], dtype: str) -> None:
    x = VIEWS[view](numbers(shape, dtype))
    np.testing.assert_array_equal(np.asarray(fn.contiguous(VIEWS[view](fn.array(numbers(shape, dtype))))), x)
    np.testing.assert_array_equal(np.asarray(fn.array(x)), x)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lengths", [(1, 2, 3), (0, 5, 0, 1), (40, 1, 64), (1025, 7, 4096)], ids=str)
def test_concatenate_parts_of_any_length(lengths: tuple[int, ...], axis: int, dtype: str) -> None:
    shapes = [(n, 37) if axis == 0 else (37, n) for n in lengths]
    parts = [numbers(shape, dtype) + np.array(i, dtype) for i, shape in enumerate(shapes)]
    turned = [np.ascontiguousarray(part.T) for part in parts]
    expected = np.concatenate(parts, axis)
    np.testing.assert_array_equal(np.asarray(fn.concatenate([fn.array(p) for p in parts], axis)), expected)
    np.testing.assert_array_equal(np.asarray(fn.concatenate([fn.array(p).T for p in turned], axis)), expected)


def test_copies_are_the_same_on_any_number_of_threads() -> None:
    x, y = fn.array(numbers((300, 1100), "float32")), fn.array(numbers((5, 70000), "float32"))
    fn.eval(x, y)
    assert_the_same(
        lambda: [fn.contiguous(x.T), fn.concatenate([y, y[:, ::2], y], 1), fn.concatenate([x.T, x.T], 0)], (1, 2, 16)
    )
