"""What a workload hands to the harness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .place import jax_waits, to_numpy, torch_compile

# In the order of the table's columns. torch.compile is torch with Inductor, where that works, funcnn.nn is funcnn with the
# model written in layers instead of plain operations, funcnn.compat the shim of MLX running MLX's program; optree has trees only,
# NumPy and SciPy are asked where a workload names them. MLX with OpenBLAS preloaded builds what MLX builds.
FRAMEWORKS = (
    "funcnn",
    "funcnn.nn",
    "funcnn.compat",
    "torch",
    "torch.compile",
    "jax",
    "mlx",
    "mlx+openblas",
    "numpy",
    "scipy",
    "optree",
)
OURS = ("funcnn", "funcnn.nn", "funcnn.compat")
# Those that are asked where a workload does not say.
ARRAYS = ("funcnn", "torch", "torch.compile", "jax", "mlx", "mlx+openblas")


@dataclass(frozen=True)
class Case:
    """One workload in one framework.

    `step` does the work once and returns when it is finished. `result` is called before any timing and returns what
    must agree between the frameworks. One step counts as `per` operations; it has to move at least `nbytes` bytes.
    """

    step: Callable[[], object]
    result: Callable[[], Sequence[np.ndarray]]
    per: int = 1
    nbytes: int = 0


def outputs(step: Callable[[], object]) -> Callable[[], list[np.ndarray]]:
    """The result of a step without state: what it returns, as NumPy arrays."""

    def result() -> list[np.ndarray]:
        value = step()
        values = value if isinstance(value, (tuple, list)) else [value]
        return [to_numpy(v) for v in values]

    return result


def losses(step: Callable[[], object], count: int = 10) -> Callable[[], list[np.ndarray]]:
    """The result of a training step that returns its loss: the losses of the first steps."""

    def result() -> list[np.ndarray]:
        return [np.array([float(step()) for _ in range(count)])]

    return result


# ---- steps that run a compiled function on arrays of a framework


def _evaluated(f: Callable[..., object], args: Sequence[object], evaluate: Callable[..., None]) -> Callable[[], object]:
    evaluate(*args)

    def step() -> object:
        y = f(*args)
        evaluate(y)
        return y

    return step


def funcnn_step(f: Callable[..., object], args: Sequence[object]) -> Callable[[], object]:
    import funcnn as fn

    return _evaluated(fn.compile(f), args, fn.eval)


def jax_step(f: Callable[..., object], args: Sequence[object]) -> Callable[[], object]:
    import jax

    f = jax.jit(f)
    return lambda: jax_waits(f(*args))


def mlx_step(f: Callable[..., object], args: Sequence[object]) -> Callable[[], object]:
    import mlx.core as mx

    return _evaluated(mx.compile(f), args, mx.eval)


def torch_step(f: Callable[..., object], args: Sequence[object], compiled: bool) -> Callable[[], object]:
    """`compiled`: by torch.compile."""
    import torch

    f = torch_compile(f) if compiled else f

    @torch.inference_mode()
    def step() -> object:
        return f(*args)

    return step
