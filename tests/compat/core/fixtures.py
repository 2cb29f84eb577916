"""The arrays that the calls of `calls.py` name, made in the library given."""

from __future__ import annotations

from typing import Any

import numpy as np


def fixtures(mx: Any) -> dict[str, Any]:
    """Arrays by short names: one for each dtype, and shapes that operations treat in ways of their own."""
    f = mx.array([[0.5, -1.25, 2.0], [3.0, 0.0, -0.75]])
    g = mx.array([[1.5, 2.0, -0.5], [0.25, 1.0, 4.0]])
    i = mx.array([[3, -1, 2], [0, 7, -5]])
    names = {
        "mx": mx,
        "np": np,
        "f": f,
        "g": g,
        "i": i,
        "j": mx.array([[2, 3, 1], [4, 2, 3]]),
        "h": f.astype(mx.float16),
        "bf": f.astype(mx.bfloat16),
        "c": mx.array([[1 + 2j, -1j, 0.5], [2.0, 1 - 1j, -3.0]]),
        "t": mx.array([[True, False, True], [False, False, True]]),
        "t2": mx.array([[True, True, False], [False, True, True]]),
        "i8": mx.array([[3, -1, 2], [0, 7, -5]], dtype=mx.int8),
        "i16": mx.array([[3, -1, 2], [4, 7, -5]], dtype=mx.int16),
        "i64": mx.array([[3, -1, 2], [4, 7, -5]], dtype=mx.int64),
        "u8": mx.array([[3, 1, 2], [4, 7, 250]], dtype=mx.uint8),
        "u16": mx.array([[3, 1, 2], [4, 7, 5]], dtype=mx.uint16),
        "u32": mx.array([[3, 1, 2], [4, 7, 5]], dtype=mx.uint32),
        "u64": mx.array([[3, 1, 2], [4, 7, 5]], dtype=mx.uint64),
        "s": mx.array(1.5),
        "si": mx.array(2),
        "p": mx.array([[0.5, 0.25, 0.9], [0.1, 0.75, 0.3]]),
        "v": mx.array([1.0, 2.0, 3.0]),
        "w": mx.array([0.5, -1.0, 2.0]),
        "vi": mx.array([3, 1, 2]),
        "ix": mx.array([1, 0]),
        "z": mx.zeros((0, 3)),
        "zv": mx.zeros((0,)),
        "n": mx.array([1.0, float("nan"), float("inf"), -float("inf"), 0.0]),
        "x3": mx.arange(24).reshape(2, 3, 4).astype(mx.float32),
        "sq": mx.array([[2.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 1.5]]),
        "m": mx.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "x64": mx.arange(128).reshape(2, 64).astype(mx.float32) / 64,
        "q": mx.cos(mx.arange(96.0)).reshape(1, 4, 3, 8),
        "kv": mx.sin(mx.arange(80.0)).reshape(1, 2, 5, 8),
        "k": mx.array([7, 11], dtype=mx.uint32),
        "nan": float("nan"),
        "inf": float("inf"),
    }
    return names
