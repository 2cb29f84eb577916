"""Where the arrays of a process are and what their numbers are: the CPU and float32, unless benchmarks.gpu says otherwise
before a workload is built."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Place:
    gpu: bool = False
    dtype: str = "float32"  # of floating-point data
    wait: bool = True  # steps return when their work is finished; else when it is on its way
    compile_mode: str | None = None  # of torch.compile


PLACE = Place()


@contextlib.contextmanager
def dtype(name: str) -> Iterator[None]:
    """Workloads built meanwhile compute in this dtype."""
    before, PLACE.dtype = PLACE.dtype, name
    try:
        yield
    finally:
        PLACE.dtype = before


def _is_float(x: np.ndarray) -> bool:
    return bool(np.issubdtype(x.dtype, np.floating))


def to_funcnn(x: np.ndarray) -> Any:
    import funcnn as fn

    return fn.array(x, getattr(fn, PLACE.dtype)) if _is_float(x) else fn.array(x)


def to_jax(x: np.ndarray) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(x, PLACE.dtype) if _is_float(x) else jnp.asarray(x)


def to_torch(x: np.ndarray) -> Any:
    import torch

    made = torch.from_numpy(x)
    return made.to("cuda" if PLACE.gpu else "cpu", getattr(torch, PLACE.dtype) if _is_float(x) else made.dtype)


def to_numpy(x: Any) -> np.ndarray:
    """An array of any framework on the host, bfloat16 as float32."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if "bfloat16" in str(x.dtype) else x
    elif "bfloat16" in str(getattr(x, "dtype", "")):
        library = type(x).__module__.split(".")[0].removesuffix("lib")  # jaxlib's arrays are those of jax
        float32 = importlib.import_module({"jax": "numpy", "mlx": "mlx.core"}.get(library, library)).float32
        x = x.astype(float32)
    return np.asarray(x)


def jax_waits(x: Any) -> Any:
    import jax

    return jax.block_until_ready(x) if PLACE.wait else x


def torch_compile(f: Any) -> Any:
    import torch

    return torch.compile(f, mode=PLACE.compile_mode)
