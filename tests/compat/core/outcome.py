"""What a call of either library gives, in words that compare and that JSON holds."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tests.compat.core.calls_expressions import EXPRESSIONS
from tests.compat.core.fixtures import fixtures
from tests.compat.core.table import TABLE


def outcomes(mx: Any, afterwards: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """What every call of the table, and every other expression, gives in a library, by its text. After the calls of a
    function `afterwards` leaves the streams that they entered."""
    found = {}
    for name, calls in TABLE.items():
        mx.random.seed(7)
        names = fixtures(mx)
        for call in calls:
            found[f"mx.{name}{call}"] = outcome(mx, names, f"mx.{name}{call}")
        afterwards()
    mx.set_printoptions()
    names = fixtures(mx)
    return {**found, **{text: outcome(mx, names, text) for text in EXPRESSIONS}}


def outcome(mx: Any, names: dict[str, Any], text: str) -> Any:
    """What evaluating the text gives, or the class of the error it raises."""
    try:
        return _described(mx, eval(text, dict(names)))
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        # An axis out of range is an IndexError in some releases of MLX and a ValueError in others.
        kinds = (AttributeError, TypeError, OverflowError, RuntimeError, MemoryError, KeyError)
        kind = next((kind.__name__ for kind in kinds if isinstance(error, kind)), "ValueError or IndexError")
        return {"error": kind}


def _described(mx: Any, x: Any) -> Any:
    """Types, dtypes, shapes and values."""
    if isinstance(x, mx.array):
        dtype = str(x.dtype).rpartition(".")[2]
        if dtype == "complex64":
            values: Any = [[z.real, z.imag] for z in np.array(x).reshape(-1).tolist()]
        else:
            wide = x.astype(mx.float32) if dtype in ("bfloat16", "float16") else x
            values = np.array(wide).reshape(-1).tolist() if x.size else []
        return {"array": dtype, "shape": list(x.shape), "values": _plain(values)}
    if isinstance(x, dict):
        return {"dict": [[_described(mx, key), _described(mx, value)] for key, value in x.items()]}
    if isinstance(x, (list, tuple)):
        return {type(x).__name__: [_described(mx, item) for item in x]}
    if isinstance(x, enum.Enum):
        return {"enum": repr(x)}
    if x is None or isinstance(x, (bool, int, str)):
        return x
    if isinstance(x, type):
        return {"class": x.__name__}
    if isinstance(x, float):
        return _plain(x)
    if isinstance(x, mx.Dtype):
        return {"dtype": str(x).rpartition(".")[2]}
    return {type(x).__name__: repr(x) if " at 0x" not in repr(x) else ""}


def _plain(x: Any) -> Any:
    if isinstance(x, list):
        return [_plain(item) for item in x]
    if isinstance(x, float):
        return float(f"{x:.6g}") if math.isfinite(x) else repr(x)
    return x


def same(a: Any, b: Any, tolerance: float = 2e-5, floor: float = 2e-6) -> bool:
    """Whether two descriptions are the same, floating-point numbers up to a tolerance."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if isinstance(a, int) or isinstance(b, int):
            return type(a) is type(b) and a == b
        return abs(a - b) <= tolerance * max(abs(a), abs(b)) + floor
    if isinstance(a, dict) and isinstance(b, dict):
        if a.get("array") in ("float16", "bfloat16"):
            tolerance = floor = 1e-3 if a["array"] == "float16" else 1e-2
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance, floor) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tolerance, floor) for x, y in zip(a, b, strict=True))
    return bool(a == b)
