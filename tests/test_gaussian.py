"""Draws from the normal distribution of several dimensions."""

import numpy as np
import pytest

import funcnn as fn
from funcnn import random

MEAN, COV = np.float32([1.0, -2.0]), np.float32([[2.0, 0.5], [0.5, 1.0]])


def test_draws_are_those_of_mlx():
    # mlx 0.32: mx.random.multivariate_normal(MEAN, COV, shape, key=mx.random.key(3))
    expected = {
        (): [0.8442057371139526, -1.98468017578125],
        (3,): [
            [-0.2224963903427124, -2.4831042289733887],
            [1.0178550481796265, -1.1913540363311768],
            [1.7608838081359863, -1.0136032104492188],
        ],
    }
    for shape, values in expected.items():
        np.testing.assert_allclose(random.multivariate_normal(random.key(3), MEAN, COV, shape), values, rtol=2e-5)
    means = fn.array([[1.0, -2.0], [0.0, 0.0]])
    wanted = [[-0.47543203830718994, -4.384688377380371], [0.28715604543685913, -0.3604181110858917]]
    np.testing.assert_allclose(random.multivariate_normal(random.key(3), means, COV), wanted, rtol=2e-5)


def test_moments():
    cov = fn.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    x = np.asarray(random.multivariate_normal(random.key(0), fn.array([1.0, 0.0, -1.0]), cov, (200_000,)))
    np.testing.assert_allclose(x.mean(0), [1, 0, -1], atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.03)


def test_shapes_and_dtypes():
    assert random.multivariate_normal(random.key(0), MEAN, fn.ones((3, 2, 2))).shape == (3, 2)
    assert random.multivariate_normal(random.key(0), fn.ones((3, 1, 2)), fn.ones((4, 2, 2))).shape == (3, 4, 2)
    assert random.multivariate_normal(random.key(0), MEAN, COV, 5, fn.float16).dtype == fn.float16
    assert random.multivariate_normal(random.key(0), MEAN, COV, (0,)).shape == (0, 2)
    wide = random.multivariate_normal(random.key(0), MEAN, COV, dtype=fn.float64)
    assert wide.dtype == fn.float64
    # No spread, and one in a line.
    assert random.multivariate_normal(random.key(0), MEAN, fn.zeros((2, 2)), (2,)).tolist() == [[1, -2]] * 2
    line = random.multivariate_normal(random.key(0), fn.zeros(2), fn.ones((2, 2)), (9,))
    np.testing.assert_allclose(line[:, 0], line[:, 1], atol=1e-3)
    mapped = fn.vmap(lambda k, c: random.multivariate_normal(k, MEAN, c))(
        random.split(random.key(1), 3), fn.ones((3, 2, 2))
    )
    assert mapped.shape == (3, 2)


def test_refusals():
    for mean, cov in ((1.0, COV), (MEAN, fn.ones((2, 3))), (MEAN, fn.ones(2)), (fn.ones(3), COV)):
        with pytest.raises(ValueError, match="expected a mean of shape"):
            random.multivariate_normal(random.key(0), mean, cov)
    with pytest.raises(ValueError, match=r"parameters of shape \(3,\) do not broadcast to the shape \(2,\)"):
        random.multivariate_normal(random.key(0), fn.ones((3, 2)), COV, (2,))
    with pytest.raises(ValueError, match="expected a floating point type, got int32"):
        random.multivariate_normal(random.key(0), MEAN, COV, dtype=fn.int32)


@pytest.mark.parametrize(
    "cov", [np.eye(3), np.diag([1.0, 2.0, 2.0]), np.array([[2, 0.5, 0.1], [0.5, 1, 0], [0.1, 0, 3]])]
)
def test_derivatives(cov):
    rng = np.random.default_rng(0)
    cov, along = fn.array(cov, fn.float64), fn.array(rng.normal(size=(3, 3)), fn.float64)
    weights = fn.array(rng.normal(size=(5, 3)), fn.float64)

    def loss(c):
        drawn = random.multivariate_normal(random.key(2), fn.zeros(3), c, (5,), fn.float64)
        return (fn.sin(drawn) * weights).sum()

    step = 1e-5
    slope = (fn.grad(loss)(cov) * along).sum().item()
    numeric = (loss(cov + step * along) - loss(cov - step * along)).item() / (2 * step)
    assert slope == pytest.approx(numeric, rel=1e-6, abs=1e-8)
    assert fn.jvp(loss, (cov,), (along,))[1].item() == pytest.approx(slope, rel=1e-10)
    bend = (fn.grad(lambda c: (fn.grad(loss)(c) * along).sum())(cov) * along).sum().item()
    ahead, behind = ((fn.grad(loss)(cov + s * along) * along).sum().item() for s in (step, -step))
    assert bend == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-7)
