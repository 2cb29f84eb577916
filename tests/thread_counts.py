"""Results are the same, bit by bit, for any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import funcnn as fn


def assert_the_same(compute: Callable[[], Sequence[fn.array]], counts: tuple[int, ...] = (1, 2, 3)) -> None:
    """Compute on so many threads in turn and compare."""
    before = fn.get_num_threads()
    found = []
    try:
        for count in counts:
            fn.set_num_threads(count)
            found.append([np.asarray(x) for x in compute()])
    finally:
        fn.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
