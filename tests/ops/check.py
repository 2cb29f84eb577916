"""Compare an operation with NumPy and its rules with finite differences (of NumPy, in float64) and loops."""

import numpy as np

import funcnn as fn
from widest import WIDEST, reachable


def numeric_jvp(function, arguments, tangents, step=1e-6):
    """Central differences of a float64 function along a direction."""
    forward = function(*[a + step * t for a, t in zip(arguments, tangents, strict=True)])
    backward = function(*[a - step * t for a, t in zip(arguments, tangents, strict=True)])
    return (forward - backward) / (2 * step)


def check(function, reference, *arguments, differentiable=True, rtol=1e-5, atol=1e-5):
    """function (of funcnn arrays) against reference (of NumPy arrays), with jvp, vjp and vmap over every argument."""
    arrays = [fn.array(a) for a in arguments]
    expected = np.asarray(reference(*arguments))
    result = np.asarray(function(*arrays))
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)
    if differentiable:
        check_derivatives(function, reference, *arguments)
    check_vmap(function, *arguments, rtol=rtol, atol=atol)


def check_derivatives(function, reference, *arguments, rtol=1e-4, atol=1e-5):
    rng = np.random.default_rng(7)
    arguments = [np.asarray(a, np.float64) for a in arguments]
    tangents = [rng.standard_normal(a.shape) for a in arguments]
    arrays = [fn.array(a, dtype=WIDEST) for a in arguments]
    directions = [fn.array(t, dtype=WIDEST) for t in tangents]
    expected = numeric_jvp(reference, arguments, tangents)
    _, tangent = fn.jvp(function, tuple(arrays), tuple(directions))
    rtol, atol = reachable(rtol), reachable(atol)
    np.testing.assert_allclose(np.asarray(tangent), expected, rtol=rtol, atol=atol)
    output, pull = fn.vjp(function, *arrays)
    cotangent = rng.standard_normal(output.shape)
    cotangents = pull(fn.array(cotangent, dtype=WIDEST))
    inner = sum(float(np.sum(np.asarray(c) * t)) for c, t in zip(cotangents, tangents, strict=True))
    np.testing.assert_allclose(inner, float(np.sum(cotangent * expected)), rtol=rtol, atol=atol * 10)


def check_vmap(function, *arguments, rtol=1e-5, atol=1e-5):
    """Every subset of arguments mapped, along the first and the last axis."""
    size = 3
    rng = np.random.default_rng(3)
    for mask in range(1, 2 ** len(arguments)):
        for last in (False, True):
            batches, axes = [], []
            for i, a in enumerate(arguments):
                if not mask >> i & 1:
                    batches.append(np.asarray(a))
                    axes.append(None)
                    continue
                stacked = np.stack(
                    [np.asarray(a)]
                    + [rng.permutation(np.asarray(a).ravel()).reshape(np.shape(a)) for _ in range(size - 1)]
                )
                batches.append(np.moveaxis(stacked, 0, -1) if last else stacked)
                axes.append(-1 if last else 0)
            arrays = [fn.array(b) for b in batches]
            mapped = np.asarray(fn.vmap(function, in_axes=tuple(axes))(*arrays))
            for i in range(size):
                one = [np.take(b, i, axis=x) if x is not None else b for b, x in zip(batches, axes, strict=True)]
                single = np.asarray(function(*[fn.array(o) for o in one]))
                np.testing.assert_allclose(mapped[i], single, rtol=rtol, atol=atol)
