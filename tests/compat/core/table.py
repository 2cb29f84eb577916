"""Calls of every function of ``mlx.core`` and its sub-modules: by the name, the texts that follow it.

The arrays in them are those of `fixtures.py`. Calls that stop the process in MLX (an integer divided by zero), or read and write
where they should not, are not among them.
"""

from __future__ import annotations

from tests.compat.core.calls_devices import DEVICES
from tests.compat.core.calls_edges import EDGES
from tests.compat.core.calls_families import FAMILIES
from tests.compat.core.calls_modules import CUDA, DISTRIBUTED, FAST, FFT, LINALG, METAL, RANDOM
from tests.compat.core.calls_numbers import NUMBERS
from tests.compat.core.calls_others import OTHERS
from tests.compat.core.calls_products import PRODUCTS

_PARTS: list[dict[str, list[str]]] = [
    FAMILIES,
    OTHERS,
    PRODUCTS,
    DEVICES,
    {"matrix_norm": LINALG["norm"]},
    *(
        {f"{module}.{name}": calls for name, calls in part.items()}
        for module, part in {
            "linalg": LINALG,
            "fft": FFT,
            "fast": FAST,
            "random": RANDOM,
            "distributed": DISTRIBUTED,
            "metal": METAL,
            "cuda": CUDA,
        }.items()
    ),
    NUMBERS,
    EDGES,
]
TABLE: dict[str, list[str]] = {}
for _part in _PARTS:
    for _name, _calls in _part.items():
        TABLE[_name] = [*TABLE.get(_name, []), *_calls]
