"""Convolutions, float32, batch 8, channels last: 3 x 3 with the same padding at three sizes, 1 x 1, and a gradient."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, jax_step, mlx_step, outputs, torch_step

# (size, channels in, channels out, kernel)
SIZES = {
    "conv3x3_56": (56, 64, 64, 3),
    "conv3x3_28": (28, 128, 128, 3),
    "conv3x3_14": (14, 256, 256, 3),
    "conv1x1_56": (56, 64, 256, 1),
    "conv3x3_28_grad": (28, 128, 128, 3),
}
ROWS = dict.fromkeys(SIZES, "ms")


def data(row):
    size, ins, outs, kernel = SIZES[row]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, size, size, ins)).astype(np.float32)
    weight = rng.normal(0, (ins * kernel**2) ** -0.5, (outs, kernel, kernel, ins)).astype(np.float32)
    ct = rng.normal(size=(8, size, size, outs)).astype(np.float32)
    return x, weight, ct


def build(row: str, framework: str) -> Case:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step, result = make(row, SIZES[row][3] // 2, row.endswith("grad"))
    return Case(step, result)


# With a gradient, one step computes the result and, for a cotangent, the gradients by input and weight.


def _funcnn(row, padding, gradient):
    import funcnn as fn

    x, weight, ct = map(fn.array, data(row))

    def conv(x, weight):
        return fn.conv2d(x, weight, padding=padding)

    def both(x, weight, ct):
        y, pull = fn.vjp(conv, x, weight)
        return (y, *pull(ct))

    step = funcnn_step(both, [x, weight, ct]) if gradient else funcnn_step(conv, [x, weight])
    return step, outputs(step)


def _jax(row, padding, gradient):
    import jax
    import jax.numpy as jnp

    x, weight, ct = map(jnp.asarray, data(row))

    def conv(x, weight):
        kernel = weight.transpose(1, 2, 3, 0)
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def both(x, weight, ct):
        y, pull = jax.vjp(conv, x, weight)
        return (y, *pull(ct))

    step = jax_step(both, [x, weight, ct]) if gradient else jax_step(conv, [x, weight])
    return step, outputs(step)


def _mlx(row, padding, gradient):
    import mlx.core as mx

    x, weight, ct = map(mx.array, data(row))

    def conv(x, weight):
        return mx.conv2d(x, weight, padding=padding)

    def both(x, weight, ct):
        (y,), grads = mx.vjp(lambda *a: conv(*a), (x, weight), (ct,))
        return y, *grads

    step = mlx_step(both, [x, weight, ct]) if gradient else mlx_step(conv, [x, weight])
    return step, outputs(step)


def _torch(row, padding, gradient, compiled=False):
    import torch

    x, weight, ct = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in data(row))  # channels_last

    def conv(x, weight):
        return torch.nn.functional.conv2d(x, weight, padding=padding)

    if not gradient:
        step = torch_step(conv, [x, weight], compiled)
        return step, lambda: [step().permute(0, 2, 3, 1).numpy()]
    x.requires_grad_()
    weight.requires_grad_()
    f = torch.compile(conv) if compiled else conv

    def step():
        y = f(x, weight)
        return y.detach(), *torch.autograd.grad(y, (x, weight), ct)

    return step, lambda: [a.permute(0, 2, 3, 1).numpy() for a in step()]


def _torch_compile(row, padding, gradient):
    return _torch(row, padding, gradient, compiled=True)
