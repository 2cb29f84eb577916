"""Calls of every function of ``mlx.core`` and its sub-modules: by the name, the texts that follow it.

The arrays in them are those of `fixtures.py`. Calls that stop the process in MLX (an integer divided by zero), or read and write
where they should not, are not among them.
"""

from __future__ import annotations

from tests.compat.core.calls_devices import DEVICES
from tests.compat.core.calls_families import FAMILIES
from tests.compat.core.calls_modules import CUDA, DISTRIBUTED, FAST, FFT, LINALG, METAL, RANDOM
from tests.compat.core.calls_others import OTHERS
from tests.compat.core.calls_products import PRODUCTS

TABLE: dict[str, list[str]] = {
    **FAMILIES,
    **OTHERS,
    **PRODUCTS,
    **DEVICES,
    "matrix_norm": LINALG["norm"],
    **{f"linalg.{name}": calls for name, calls in LINALG.items()},
    **{f"fft.{name}": calls for name, calls in FFT.items()},
    **{f"fast.{name}": calls for name, calls in FAST.items()},
    **{f"random.{name}": calls for name, calls in RANDOM.items()},
    **{f"distributed.{name}": calls for name, calls in DISTRIBUTED.items()},
    **{f"metal.{name}": calls for name, calls in METAL.items()},
    **{f"cuda.{name}": calls for name, calls in CUDA.items()},
}
