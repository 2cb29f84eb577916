"""An evaluation that raised may be asked for again: nothing that it is computed from has been overwritten."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import funcnn as fn
from funcnn import linalg

pytestmark = pytest.mark.usefixtures("either_fusion")
SHAPE = (64, 64)
Call = Callable[[fn.array], fn.array]


def computed() -> fn.array:
    x = fn.array(np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(SHAPE)) * 1.0
    fn.eval(x)
    return x


# Each lets go of the only name of its argument, whose memory the first step could have.
WAYS: dict[str, Callable[[Call, fn.array], fn.array]] = {
    "operand": lambda call, x: call(x - 2 * x),
    "beside": lambda call, x: call(-fn.ones(SHAPE)) + fn.sin(x * 2 + 1),
    "two steps": lambda call, x: call(-(fn.cumsum(x, 0) @ x)) + 1,
    "scatter": lambda call, x: call(-x.at[3].set(5.0)) + 1,
    "carry": lambda call, x: fn.scan(lambda c, _: (call(c * -2), None), x, None, length=1)[0] + 1,
    "branch": lambda call, x: fn.cond(x.sum() > 0, lambda x: call(x * -2), lambda x: x, x * 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_factorisation_that_failed_names_its_matrix_again(way: str) -> None:
    lazy = WAYS[way](linalg.cholesky, computed())
    for _ in range(2):
        with pytest.raises(linalg.LinAlgError, match="not positive definite"):
            fn.eval(lazy)


@pytest.mark.parametrize("way", ["carry", "branch"])  # elsewhere functions of Python are called at once
def test_what_a_function_refused_is_computed_the_next_time(way: str) -> None:
    calls = 0

    def function(x: fn.array) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("not yet")
        return np.asarray(x)

    lazy = WAYS[way](lambda x: fn.pure_callback(function, fn.zeros(SHAPE), x), computed())
    with pytest.raises(RuntimeError, match="not yet"):
        fn.eval(lazy)
    np.testing.assert_array_equal(np.asarray(lazy), np.asarray(WAYS[way](lambda x: x, computed())))


@pytest.mark.immediate
def test_memory_is_taken_over_once_nothing_can_raise() -> None:
    x = computed()
    lazy = fn.sin(x + linalg.cholesky(x[:2, :2] + fn.eye(2))[0, 0])
    del x
    fn.reset_peak_memory()
    before = fn.get_active_memory()
    fn.eval(lazy)
    assert fn.get_peak_memory() - before < 64 * 64 * 4
