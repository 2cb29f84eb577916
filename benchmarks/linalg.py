"""Linear algebra in float32: one matrix of 512 or 1024 rows, and a thousand of 16."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, torch_step

FRAMEWORKS = ("funcnn", "torch", "jax", "mlx", "numpy", "scipy")
NAMES = ("solve", "inv", "cholesky", "qr", "svd", "eigh")
SHAPES = {"512": (512, 512), "1024": (1024, 1024), "1000x16": (1000, 16, 16)}
ROWS = {f"{name}_{size}": "ms" for name in NAMES for size in SHAPES}


def build(row: str, framework: str) -> Case | None:
    name, size = row.split("_")
    shape = SHAPES[size]
    n = shape[-1]
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) + 2 * np.sqrt(n) * np.eye(n)
    if name in ("cholesky", "eigh"):
        x = x @ x.swapaxes(-1, -2) / n
    arguments = [x.astype(np.float32)]
    if name == "solve":
        arguments.append(rng.normal(size=(*shape[:-1], 8)).astype(np.float32))
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "numpy": _numpy, "scipy": _scipy}[framework]
    step = make(name, arguments)
    return step and Case(step, lambda: _invariant(name, step()))


def _invariant(name, value):
    """What does not depend on the signs of vectors."""
    values = [np.asarray(v, np.float64) for v in (value if isinstance(value, (tuple, list)) else [value])]
    if name == "svd":
        u, s, vh = values
        return [s, (u * s[..., None, :]) @ vh]
    if name == "eigh":
        w, v = values
        return [w, (v * w[..., None, :]) @ v.swapaxes(-1, -2)]
    if name == "qr":
        q, r = values
        return [np.abs(r), q @ r]
    return values


def _funcnn(name, arguments):
    import funcnn as fn

    return funcnn_step(getattr(fn.linalg, name), [fn.array(x) for x in arguments])


def _jax(name, arguments):
    import jax.numpy as jnp

    return jax_step(getattr(jnp.linalg, name), [jnp.asarray(x) for x in arguments])


def _mlx(name, arguments):
    import mlx.core as mx

    return mlx_step(getattr(mx.linalg, name), [mx.array(x) for x in arguments])


def _torch(name, arguments):
    import torch

    return torch_step(getattr(torch.linalg, name), [torch.from_numpy(x) for x in arguments], False)


def _numpy(name, arguments):
    return lambda: getattr(np.linalg, name)(*arguments)


def _scipy(name, arguments):
    from scipy import linalg

    if arguments[0].ndim > 2:
        return None  # a Python loop there
    further = {"cholesky": {"lower": True}, "qr": {"mode": "economic"}}.get(name, {})
    return lambda: getattr(linalg, name)(*arguments, **further)
