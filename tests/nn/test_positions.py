"""RoPE, SinusoidalPositionalEncoding and ALiBi against their formulas."""

import math

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, random


def close(a, b, tolerance=1e-6):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


# ---- RoPE


@pytest.mark.parametrize("traditional", [False, True])
def test_rope_multiplies_complex_numbers(traditional):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6))
    layer = nn.RoPE(4, traditional, base=50.0, scale=0.5)
    y = np.asarray(layer({}, fn.array(x, fn.float32), offset=3))
    order = [0, 2, 1, 3] if traditional else [0, 1, 2, 3]  # the real parts, then the imaginary ones
    angles = 0.5 * (3 + np.arange(5))[:, None] * 50.0 ** (-np.arange(2) / 2)
    a, b = (z[..., :4][..., order] for z in (x, y))
    turned = (a[..., :2] + 1j * a[..., 2:]) * np.exp(1j * angles)
    close(b[..., :2] + 1j * b[..., 2:], turned, 1e-5)
    close(y[..., 4:], x[..., 4:])


def test_rope_makes_scores_depend_on_distances_alone():
    layer, cache = nn.RoPE(8), nn.KVCache.empty(2, 2, 16, 8)
    q, k = (random.normal(random.key(i), (2, 2, 4, 8)) for i in range(2))
    at = [layer({}, q, offset=i) @ fn.swapaxes(layer({}, k, offset=i), -1, -2) for i in (0, 9)]
    close(at[0], at[1], 1e-5)
    filled = cache.append(k, k).append(k, k)
    close(layer({}, q, offset=filled.offset), layer({}, q, offset=8))
    each = layer({}, q, offset=fn.array([0, 9]))
    close(each[1], layer({}, q, offset=9)[1])


@pytest.mark.parametrize("dtype", [fn.float16, fn.bfloat16], ids=str)
def test_rope_of_distant_places_in_half_precision(dtype):
    x = random.normal(random.key(0), (1, 2, 8)).astype(dtype)
    y = nn.RoPE(8)({}, x, offset=100_000)
    assert y.dtype == dtype
    close(y.astype(fn.float32), nn.RoPE(8)({}, x.astype(fn.float32), offset=100_000), 2e-2)


# ---- SinusoidalPositionalEncoding


def test_sinusoidal_formula():
    x = np.array([[0.0, 1.0, -2.5], [3.0, 1e4, 7.0]])
    y = nn.SinusoidalPositionalEncoding(8, min_freq=0.01, max_freq=2.0)({}, fn.array(x, fn.float32))
    angles = x[..., None] * np.geomspace(2.0, 0.01, 4)
    assert y.shape == (2, 3, 8) and y.dtype == fn.float32
    close(y, np.sqrt(2 / 8) * np.concatenate([np.sin(angles), np.cos(angles)], -1), 2e-3)
    close(y[0], (np.sqrt(2 / 8) * np.concatenate([np.sin(angles), np.cos(angles)], -1))[0], 1e-6)
    close(fn.sum(y * y, axis=-1), fn.ones((2, 3)))


def test_sinusoidal_options():
    x = fn.array([1, 2, 3])
    plain = nn.SinusoidalPositionalEncoding(4, scale=1.0)({}, x)
    swapped = nn.SinusoidalPositionalEncoding(4, scale=2.0, cos_first=True)({}, x)
    close(swapped, 2 * fn.concatenate([plain[:, 2:], plain[:, :2]], axis=-1))
    turns = nn.SinusoidalPositionalEncoding(4, min_freq=0.5, scale=1.0, full_turns=True)({}, x)
    close(turns, [[0, 0, 1, -1], [0, 0, 1, 1], [0, 0, 1, -1]], 1e-5)
    close(nn.SinusoidalPositionalEncoding(2, scale=1.0)({}, x), fn.stack([fn.sin(x), fn.cos(x)], axis=-1))
    assert nn.SinusoidalPositionalEncoding(4)({}, fn.zeros((0, 3))).shape == (0, 3, 4)
    assert nn.SinusoidalPositionalEncoding(4)({}, fn.array(1.0, fn.float64)).dtype == fn.float64
    for dims in (3, 1, 0, -2):
        with pytest.raises(ValueError, match="SinusoidalPositionalEncoding: dims must be"):
            nn.SinusoidalPositionalEncoding(dims)
    with pytest.raises(ValueError, match="min_freq must be a number above 0, got 0"):
        nn.SinusoidalPositionalEncoding(4, min_freq=0)


# ---- ALiBi


def test_slopes_of_the_paper():
    slopes = {heads: nn.ALiBi.create_alibi_slope(heads).reshape(-1).tolist() for heads in (1, 2, 3, 6, 8)}
    assert slopes[1] == [2**-8] and slopes[2] == [2**-4, 2**-8] and slopes[8] == [2**-i for i in range(1, 9)]
    assert slopes[3] == [2**-4, 2**-8, 2**-2] and slopes[6] == [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    with pytest.raises(ValueError, match="num_heads must be at least 1, got 0"):
        nn.ALiBi.create_alibi_slope(0)


def test_biases():
    scores = random.normal(random.key(0), (2, 3, 4, 6))
    distance = np.abs(np.arange(2, 6)[:, None] - np.arange(6))
    wanted = -distance * np.array([2**-4, 2**-8, 2**-2])[:, None, None]
    for offset in (2, fn.array(2)):
        close(nn.ALiBi()({}, scores, offset) - scores, np.broadcast_to(wanted, scores.shape))
    close(nn.ALiBi.create_alibi_matrix(6, 6, 3, offset=2), wanted[None])
    close(nn.ALiBi()({}, scores, 2, fn.ones((4, 6))), nn.ALiBi()({}, scores, 2) + 1)
    seen = fn.array(np.tri(4, 6, 2, dtype=bool))
    y = nn.ALiBi()({}, scores, 2, seen)
    assert fn.array_equal(fn.isinf(y), fn.broadcast_to(~seen, y.shape)).item()
    assert fn.array_equal(fn.where(seen, y, 0), fn.where(seen, nn.ALiBi()({}, scores, 2), 0)).item()


def test_biases_as_a_mask_of_attention():
    q, k, v = (random.normal(random.key(i), (1, 3, 4, 8)) for i in range(3))
    mask = nn.ALiBi.create_alibi_matrix(4, 4, 3)
    y = fn.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask=mask)
    close(y, nn.softmax(nn.ALiBi()({}, q @ fn.swapaxes(k, -1, -2))) @ v, 1e-5)


def test_distant_places_in_half_precision():
    """Distances above 256 are not rounded before they are multiplied."""
    matrix = nn.ALiBi.create_alibi_matrix(2002, 1, 8, offset=2001, dtype=fn.bfloat16)
    assert matrix[0, :, 0, 0].tolist() == fn.array([-2001 * 2.0**-i for i in range(1, 9)], fn.bfloat16).tolist()
    half = nn.ALiBi()({}, fn.zeros((1, 1, 1, 1), fn.float16), offset=70_000)
    assert half.item() == fn.array(-70_000 / 256, fn.float16).item() and math.isfinite(half.item())


def test_refusals():
    with pytest.raises(ValueError, match=r"in ALiBi: expected scores \(batch, heads, queries, keys\), got \(4, 6\)"):
        nn.ALiBi()({}, fn.ones((4, 6)))
    with pytest.raises(ValueError, match="offset must be an integer, got float32"):
        nn.ALiBi()({}, fn.ones((1, 1, 4, 6)), fn.array(1.5))
    with pytest.raises(ValueError, match=r"offset must lie between 0 and 3 \(q_sequence_length\), got 4"):
        nn.ALiBi.create_alibi_matrix(3, 3, 2, offset=4)
    with pytest.raises(ValueError, match="RoPE: dims must be even, got 3"):
        nn.RoPE(3)
    with pytest.raises(ValueError, match="in RoPE: rope: expected at least three axes"):
        nn.RoPE(4)({}, fn.ones((3, 4)))
