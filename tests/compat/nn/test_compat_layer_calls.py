"""Layers, activations, losses and initialisers give what MLX gives: numbers, gradients, dtypes, draws, texts."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from tests.compat.library import mx, nn, utils
from tests.compat.nn.layer_calls import FIGURES, cases, dtype_of, figures, numbers

OURS = SimpleNamespace(mx=mx, nn=nn, utils=utils)
KEPT = json.loads(FIGURES.read_text())
CASES = cases()

# Half precision rounds at every step in MLX, mostly once here.
TOLERANCE = {"float32": 1e-5, "float16": 6e-3, "bfloat16": 4e-2}


def tolerance(name: str, dtype: str = "float32") -> float:
    narrow = "bfloat16" if "bfloat16" in name else "float16" if "float16" in name else "float32"
    return max(TOLERANCE[narrow], TOLERANCE.get(dtype, 0.0))


def test_every_call_is_kept():
    assert KEPT.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_figures_are_those_of_mlx(name):
    found = figures(name, CASES[name](OURS), OURS)
    assert found.keys() == KEPT[name].keys()
    for what, wanted in KEPT[name].items():
        if isinstance(wanted, str):
            assert found[what] == wanted
            continue
        assert found[what][:2] == wanted[:2], what
        size = math.prod(wanted[1]) or 1
        for a, b in zip(found[what][2:], wanted[2:], strict=True):
            assert abs(a - b) <= tolerance(name, wanted[0]) * (wanted[2] + math.sqrt(size)), what


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_mlx(name):
    real = pytest.importorskip("mlx.core")
    import mlx.nn
    import mlx.utils

    real.disable_compile()
    try:
        theirs = SimpleNamespace(mx=real, nn=mlx.nn, utils=mlx.utils)
        wanted, found = CASES[name](theirs), CASES[name](OURS)
        assert list(found) == list(wanted)
        for what, x in wanted.items():
            if isinstance(x, str):
                continue
            assert dtype_of(found[what]) == dtype_of(x), what
            t = tolerance(name, dtype_of(x))
            np.testing.assert_allclose(
                numbers(found[what], OURS),
                numbers(x, theirs),
                rtol=t,
                atol=t * (1 + np.abs(numbers(x, theirs)).max(initial=0)),
                err_msg=what,
            )
    finally:
        real.enable_compile()
