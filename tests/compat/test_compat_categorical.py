"""Draws from one distribution come from its sums of probabilities, from several by Gumbel noise, as in MLX."""

import numpy as np
import pytest
from tests.compat.library import mx

LOGITS = np.arange(12, dtype=np.float32).reshape(1, 12) * np.float32(0.3) - 1

# [mx.random.categorical(x, key=mx.random.key(i), **options).tolist() for i in range(6)] on MLX 0.32.4
DRAWN = [
    (None, {}, [[9], [5], [9], [11], [6], [10]]),
    (
        None,
        {"num_samples": 4},
        [[[11, 7, 10, 8]], [[10, 8, 11, 9]], [[10, 6, 10, 3]], [[7, 1, 10, 8]], [[10, 11, 10, 11]], [[11, 5, 9, 11]]],
    ),
    (None, {"shape": (2, 1)}, [[[7], [11]], [[9], [11]], [[6], [11]], [[9], [9]], [[8], [10]], [[3], [11]]]),
    ((12,), {}, [11, 9, 9, 2, 6, 1]),
    ((12,), {"num_samples": 2}, [[7, 11], [9, 11], [6, 11], [9, 9], [8, 10], [3, 11]]),
    ((12, 1), {"axis": 0}, [[9], [5], [9], [11], [6], [10]]),
]


@pytest.mark.parametrize(("shape", "options", "expected"), DRAWN)
def test_drawn_indices(shape, options, expected):
    x = mx.array(LOGITS if shape is None else LOGITS.reshape(shape))
    assert [mx.random.categorical(x, key=mx.random.key(i), **options).tolist() for i in range(6)] == expected


def test_several_distributions():
    x = mx.array(np.concatenate([LOGITS, -LOGITS]))
    drawn = [mx.random.categorical(x, key=mx.random.key(i)).tolist() for i in range(6)]
    assert drawn == [[9, 3], [11, 5], [10, 0], [10, 0], [10, 9], [10, 0]]


def test_what_cannot_be_drawn_is_not():
    x = mx.array([[-np.inf, 0.0, -np.inf, 1.0, -np.inf]])
    for dtype in (mx.float32, mx.float16, mx.bfloat16):
        drawn = mx.random.categorical(x.astype(dtype), num_samples=500, key=mx.random.key(0))
        assert drawn.dtype == mx.uint32 and drawn.shape == (1, 500)
        assert sorted(set(drawn[0].tolist())) == [1, 3]
