"""Rotary positions of float64 arrays, which live on the CPU where the GPU has no float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcnn as fn

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)
X = np.random.default_rng(0).normal(size=(2, 3, 4, 8))
WAYS: dict[str, dict[str, Any]] = {
    "base": {"base": 100.0, "offset": 3},
    "traditional": {"base": 100.0, "offset": 3, "traditional": True, "scale": 0.5},
    "wavelengths": {"base": None, "freqs": np.arange(1.0, 5.0), "offset": 0},
    "each of a batch": {"base": 100.0, "offset": np.array([1, 2])},
    "offset of the default device": {"base": 100.0, "offset": lambda: fn.array([1, 2])},
}


@pytest.mark.parametrize("way", WAYS)
def test_float64_is_turned_where_it_is(way: str) -> None:
    def turned(place: str) -> np.ndarray:
        with fn.default_device("cpu"):
            x = fn.asarray(X)
            options = {k: fn.asarray(v) if k == "freqs" else v for k, v in WAYS[way].items()}
        with fn.default_device(place):
            options = {k: v() if callable(v) else v for k, v in options.items()}
            y = fn.fast.rope(x, 8, **{"traditional": False, "scale": 1.0, **options})
        assert y.dtype == fn.float64
        assert y.device == fn.Device("cpu")
        return np.asarray(y)

    np.testing.assert_array_equal(turned("gpu"), turned("cpu"))
