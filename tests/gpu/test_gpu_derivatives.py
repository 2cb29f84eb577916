"""Derivatives of the table of operations in float32 on the gpu, against float64 on the CPU: some gpus have no float64."""

import numpy as np
import pytest

import funcnn as fn
from test_ops import DIFFERENTIABLE, arrays, dot, draw, like, outputs, seeded

if not fn.is_available(fn.gpu):
    pytest.skip("this machine has no gpu", allow_module_level=True)


def derivatives(op, sample, values, dtype):
    """A weighted sum of the cotangents, and the tangent along the same weights."""
    xs = arrays(op, sample, values, dtype)
    moving = [i for i, s in enumerate(sample) if s.dtype is None]

    def call(*given):
        full = list(xs)
        for i, x in zip(moving, given, strict=True):
            full[i] = x
        return tuple(outputs(op.call(*full)))

    rng = np.random.default_rng(5)
    primals = [xs[i] for i in moving]
    out, pull = fn.vjp(call, *primals)
    cotangents = tuple(like(rng, y) for y in out)
    tangents = [like(rng, x) for x in primals]
    _, forward = fn.jvp(call, tuple(primals), tuple(tangents))
    size = max(1.0, sum(float(np.abs(np.asarray(y)).sum()) for y in out))
    return [np.asarray(c) for c in pull(cotangents)], dot(cotangents, forward), size


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_derivatives_agree_with_the_cpu(op):
    for sample in op.samples[:2]:
        with fn.default_device("cpu"):
            values = [draw(rng, s, "float32") for rng in [seeded(op)] for s in sample]
            pulled, forward, size = derivatives(op, sample, values, "float64")
        with fn.default_device(fn.gpu):
            got, ahead, _ = derivatives(op, sample, values, "float32")
        for g, e in zip(got, pulled, strict=True):
            np.testing.assert_allclose(g, e, rtol=3e-4, atol=3e-5 * size, err_msg=f"vjp of {op.name}")
        assert ahead == pytest.approx(forward, rel=3e-4, abs=3e-5 * size), f"jvp of {op.name}"
