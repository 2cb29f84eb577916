"""Fourier transforms in float32 and complex64: one long line, many lines, two axes, prime lengths, real numbers."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step

FRAMEWORKS = ("funcnn", "torch", "jax", "mlx", "numpy", "scipy")
# The function and the shape it is given.
CASES = {
    "fft_1024": ("fft", (1024,)),
    "fft_16384": ("fft", (16384,)),
    "fft_262144": ("fft", (262144,)),
    "fft_1048576": ("fft", (1048576,)),
    "fft_64x1024": ("fft", (64, 1024)),
    "fft_1000x128": ("fft", (1000, 128)),
    "fft_64x16384": ("fft", (64, 16384)),
    "fft_64x1000": ("fft", (64, 1000)),
    "fft_64x1009": ("fft", (64, 1009)),
    "fft_100003": ("fft", (100003,)),
    "fft2_512": ("fft2", (512, 512)),
    "rfft_16384": ("rfft", (16384,)),
    "rfft_1048576": ("rfft", (1048576,)),
    "rfft_64x1024": ("rfft", (64, 1024)),
    "irfft_64x1024": ("irfft", (64, 513)),
    "rfft2_512": ("rfft2", (512, 512)),
}
ROWS = dict.fromkeys(CASES, "us")


def build(row: str, framework: str) -> Case:
    name, shape = CASES[row]
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    if not name.startswith("r"):
        x = (x + 1j * rng.normal(size=shape)).astype(np.complex64)
    step = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "numpy": _numpy, "scipy": _scipy}[framework]
    step = step(name, x)
    return Case(step, outputs(step))


def _funcnn(name, x):
    import funcnn as fn

    return funcnn_step(getattr(fn.fft, name), [fn.array(x)])


def _jax(name, x):
    import jax.numpy as jnp

    return jax_step(getattr(jnp.fft, name), [jnp.asarray(x)])


def _mlx(name, x):
    import mlx.core as mx

    return mlx_step(getattr(mx.fft, name), [mx.array(x)])


def _torch(name, x):
    import torch

    return torch_step(getattr(torch.fft, name), [torch.from_numpy(x)], compiled=False)


def _numpy(name, x):
    return lambda: getattr(np.fft, name)(x)


def _scipy(name, x):
    import scipy.fft

    return lambda: getattr(scipy.fft, name)(x, workers=2)
