"""Derivatives of linear algebra where they are not plain: equal and zero values, constant rank, complex numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import funcnn as fn
from funcnn import linalg
from funcnn.linalg import LinAlgError
from test_linalg import adjoint, array, normal


def directional(f, x, tangent, step=1e-6):
    """Of a function to one number, in float64."""
    return (f(x + step * tangent).item() - f(x - step * tangent).item()) / (2 * step)


def symmetric(n, seed):
    x = normal(n, n, dtype="float64", seed=seed)
    return array(x + x.T)


WEIGHTS = normal(4, 4, dtype="float64", seed=9)


@pytest.mark.parametrize("values", [[1, 1, 1, 1], [1, 1, 3, 3], [0, 0, 0, 0], [1, 2, 2, 2]])
def test_equal_eigenvalues(values):
    """They have their derivative; their vectors, and what is computed from these, have none."""
    turn = np.linalg.qr(normal(4, 4, dtype="float64"))[0]
    a, t = array(turn @ np.diag(np.float64(values)) @ turn.T), symmetric(4, 5)

    def traces(x):
        w = linalg.eigvalsh(x)
        return (w**3 + w).sum()

    assert (fn.grad(traces)(a) * t).sum().item() == pytest.approx(directional(traces, a, t), abs=1e-7)
    assert fn.jvp(traces, (a,), (t,))[1].item() == pytest.approx(directional(traces, a, t), abs=1e-7)

    def function(x):  # smooth, but its derivative is a limit that those of w and v do not give
        w, v = linalg.eigh(x)
        return (((v * (w * w + w)) @ v.T) * array(WEIGHTS)).sum()

    for f in (function, lambda x: (linalg.eigh(x).eigenvectors * array(WEIGHTS)).sum()):
        assert np.isnan(np.asarray(fn.grad(f)(a))).any()
        assert np.isnan(fn.jvp(f, (a,), (t,))[1].item())
    # Where only the values are asked for, any of the equal ones may be: a subgradient.
    assert np.isfinite(np.asarray(fn.grad(lambda x: linalg.eigh(x).eigenvalues[-1])(a))).all()


def test_eigenvalues_apart_from_equal_ones_keep_their_derivatives():
    a = array(np.diag([1.0, 1.0, 2.0, 5.0]))
    t = symmetric(4, 5)
    f = lambda x: (linalg.eigh(x).eigenvectors[:, 3] ** 2 * array(WEIGHTS)[0]).sum() + linalg.eigvalsh(x)[2] ** 2  # noqa: E731
    assert (fn.grad(f)(a) * t).sum().item() == pytest.approx(directional(f, a, t), abs=1e-7)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("values", [[2, 2, 2, 1], [3, 1, 1, 1], [2, 1, 0, 0], [2, 0, 0, 0], [2, 1, 0.5, 0]])
@pytest.mark.parametrize("full", [False, True])
def test_equal_singular_values_and_zeros(shape, values, full):
    m, n = shape
    k = min(m, n)
    s = np.zeros((m, n))
    s[range(k), range(k)] = values[:k]
    u, v = np.linalg.qr(normal(m, m, dtype="float64"))[0], np.linalg.qr(normal(n, n, dtype="float64", seed=1))[0]
    a, t = array(u @ s @ v.T), array(normal(m, n, dtype="float64", seed=2))
    weights = array(normal(m, n, dtype="float64", seed=3))

    def function(power):  # U s^p V^T
        def call(x):
            u, s, vh = linalg.svd(x, full_matrices=full)
            return (((u[:, :k] * s**power) @ vh[:k]) * weights).sum()

        return call

    regular = len({x for x in values[:k] if x}) == len([x for x in values[:k] if x])
    zeros = values[:k].count(0)
    exists = regular and (zeros == 0 or (zeros == 1 and m == n))
    for power in (1, 3) if zeros else (0, 1, 3):
        f = function(power)
        gradient, expected = fn.grad(f)(a), directional(f, a, t)
        tangent = fn.jvp(f, (a,), (t,))[1].item()
        if exists:
            assert (gradient * t).sum().item() == pytest.approx(expected, abs=1e-6)
            assert tangent == pytest.approx(expected, abs=1e-6)
        else:  # no number rather than a wrong one
            assert np.isnan((gradient * t).sum().item()) or (gradient * t).sum().item() == pytest.approx(
                expected, abs=1e-6
            )
            assert np.isnan(tangent) or tangent == pytest.approx(expected, abs=1e-6)
    for f in (lambda x: linalg.norm(x, "nuc"), lambda x: linalg.norm(x, 2), lambda x: linalg.svd(x).S.sum()):
        assert np.isfinite(np.asarray(fn.grad(f)(a))).all()


def test_gradients_of_symmetric_arguments_are_symmetric():
    a = symmetric(4, 1) + 10 * fn.eye(4, dtype=fn.float64)
    for f in (linalg.cholesky, lambda x: linalg.eigh(x).eigenvectors, linalg.eigvalsh):
        weights = array(WEIGHTS) if f(a).ndim == 2 else array(WEIGHTS)[0]
        g = np.asarray(fn.grad(lambda x, f=f, weights=weights: (f(x) * weights).sum())(a))
        np.testing.assert_allclose(g, g.T, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("rank", [0, 1, 2, 3, 5])
def test_the_gradient_of_a_determinant_is_the_cofactors(n, rank):
    rank = min(n, rank)
    x = normal(n, rank, dtype="float64") @ normal(rank, n, dtype="float64", seed=1)
    minors = [
        [np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) * (-1) ** (i + j) for j in range(n)] for i in range(n)
    ]
    np.testing.assert_allclose(fn.grad(linalg.det)(array(x)), minors, atol=1e-10)
    t = array(normal(n, n, dtype="float64", seed=2))
    tangent = fn.jvp(linalg.det, (array(x),), (t,))[1].item()
    assert tangent == pytest.approx(float((np.array(minors) * np.asarray(t)).sum()), abs=1e-9)


def test_second_derivatives_of_determinants():
    for n, value in itertools.product((2, 3), (0.0, 1.0)):  # singular
        a, t = fn.full((n, n), value, fn.float64), array(normal(n, n, dtype="float64", seed=1))
        slope = lambda x, t=t: (fn.grad(linalg.det)(x) * t).sum()  # noqa: E731
        assert (fn.grad(slope)(a) * t).sum().item() == pytest.approx(directional(slope, a, t), abs=1e-7)
    x, t = array(normal(5, 5, dtype="float64")), array(normal(5, 5, dtype="float64", seed=1))
    slope = lambda x: (fn.grad(linalg.det)(x) * t).sum()  # noqa: E731
    assert (fn.grad(slope)(x) * t).sum().item() == pytest.approx(directional(slope, x, t), rel=1e-5)


def test_second_derivatives_of_large_singular_determinants_are_refused():
    x = fn.zeros((4, 4))
    with pytest.raises(LinAlgError, match="det"):
        fn.eval(fn.grad(lambda x: fn.grad(linalg.det)(x).sum())(x))


@pytest.mark.parametrize(
    "name", ["cholesky", "inv", "solve", "det", "slogdet", "qr", "eigh", "svd", "lu", "pinv", "eig"]
)
def test_complex_derivatives_are_adjoint_and_right(name):
    """In complex64: the pairing of cotangent and tangent against differences, forward and backward."""
    x, b = (
        normal(4, 4, dtype="complex64") + 4 * np.eye(4, dtype=np.complex64),
        array(normal(4, 2, dtype="complex64", seed=4)),
    )
    if name in ("cholesky", "eigh"):
        x = x @ adjoint(x)
    t = normal(4, 4, dtype="complex64", seed=1)
    if name in ("cholesky", "eigh"):
        t = t + adjoint(t)
    fixed = lambda v: v * fn.conj(v[:1])  # noqa: E731
    call = {
        "solve": lambda x: linalg.solve(x, b),
        "slogdet": lambda x: (lambda r: r.sign * r.logabsdet)(linalg.slogdet(x)),
        "qr": lambda x: (lambda q, r: q @ fn.sin(r))(*linalg.qr(x)),
        "eigh": lambda x: fixed(linalg.eigh(x).eigenvectors),
        "svd": lambda x: (lambda r: fixed(r.U) * r.S)(linalg.svd(x)),
        "lu": lambda x: (lambda p, l, u: l @ fn.sin(u))(*linalg.lu(x)),
        "eig": lambda x: (lambda r: fixed(r.eigenvectors) * r.eigenvalues)(linalg.eig(x)),
    }.get(name, getattr(linalg, name))
    a, tangent = array(x), array(t)
    out, pull = fn.vjp(call, a)
    ct = array(normal(*out.shape, dtype="complex64", seed=3)) if out.shape else array(1 + 2j, fn.complex64)
    pairing = lambda p, q: float(np.sum(np.conj(np.asarray(p)) * np.asarray(q)).real)  # noqa: E731
    step = 1e-2
    numeric = (np.asarray(call(a + step * tangent)) - np.asarray(call(a - step * tangent))) / (2 * step)
    size = max(1.0, abs(pairing(ct, out)))
    back = pull(ct)
    back = back[0] if isinstance(back, (tuple, list)) else back
    assert pairing(back, t) == pytest.approx(pairing(ct, numeric), abs=3e-2 * size)
    forward = fn.jvp(call, (a,), (tangent,))[1]
    assert pairing(ct, forward) == pytest.approx(pairing(back, t), abs=1e-3 * size)


def test_derivatives_of_eigenvalues_of_any_matrix():
    x = array(normal(4, 4))
    gradient = fn.grad(lambda x: (linalg.eigvals(x) ** 3).sum().real)(x)  # the trace of the cube
    np.testing.assert_allclose(gradient, 3 * np.linalg.matrix_power(np.asarray(x), 2).T, rtol=1e-3, atol=1e-3)
    w, v = linalg.eig(x)
    t = array(normal(4, 4, seed=1))
    _, (dw, dv) = fn.jvp(lambda x: tuple(linalg.eig(x)), (x,), (t,))
    np.testing.assert_allclose(t @ v + x @ dv, dv * w + v * dw, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose((fn.conj(v) * dv).sum(0).real, np.zeros(4), atol=1e-4)


def test_pseudo_inverses_have_derivatives_at_constant_rank():
    left, right = array(normal(5, 2, dtype="float64")), array(normal(2, 4, dtype="float64", seed=1))
    weights = array(normal(4, 5, dtype="float64", seed=2))
    f = lambda x: (linalg.pinv(x, rtol=1e-6) * weights).sum()  # noqa: E731
    t = left @ array(normal(2, 4, dtype="float64", seed=3))  # keeps the rank
    assert (fn.grad(f)(left @ right) * t).sum().item() == pytest.approx(directional(f, left @ right, t), rel=1e-5)


def test_values_alone_and_with_vectors_have_the_same_derivative():
    x = array(normal(4, 3, dtype="float64"))
    weights = array([1.0, 2.0, 3.0], fn.float64)
    alone = fn.grad(lambda x: (linalg.svdvals(x) * weights).sum())(x)
    np.testing.assert_allclose(alone, fn.grad(lambda x: (linalg.svd(x).S * weights).sum())(x), atol=1e-12)
    square = array(normal(3, 3, dtype="float64"))
    alone = fn.grad(lambda x: (linalg.eigvalsh(x) * weights).sum())(square)
    np.testing.assert_allclose(
        alone, fn.grad(lambda x: (linalg.eigh(x).eigenvalues * weights).sum())(square), atol=1e-12
    )


def test_solutions_share_one_factorisation_with_their_gradient():
    a, b = array(normal(5, 5)), array(normal(5))
    text = str(fn.explain(fn.grad(lambda a: linalg.solve(a, b).sum()))(a))
    assert text.count("] lu_factor") == 1, text


SCALED = {  # by how much the result grows with the scale, as a power
    "svd": (lambda x: linalg.svd(x, full_matrices=False).U ** 2, 0),
    "eigh": (lambda x: linalg.eigh(x[:3]).eigenvectors ** 2, 0),
    "eig": (lambda x: (fn.abs(linalg.eig(x[:3]).eigenvectors) ** 4).sum(-1), 0),  # in no order
    "lstsq": (lambda x: linalg.lstsq(x[:, :2], x[:, 2]).x, 0),
    "pinv": (lambda x: linalg.pinv(x) @ x[:, 0] ** 2, 1),
    "slogdet": (lambda x: linalg.slogdet(x[:3]).logabsdet, 0),
    "norm": (lambda x: linalg.norm(x, 3, axis=0), 1),
}


@pytest.mark.parametrize("exponent", [-60, 60, -100, 100])
@pytest.mark.parametrize("name", list(SCALED))
def test_derivatives_do_not_leave_the_range_on_the_way(name, exponent):
    """Those of first and second order are as exact for tiny and huge matrices as for others."""
    call, power = SCALED[name]
    if name == "pinv" and abs(exponent) > 60:
        return  # its squares are out of range
    x, t = normal(5, 3), normal(5, 3, seed=1)
    x[:3], t[:3] = x[:3] + x[:3].T, t[:3] + t[:3].T

    def derivatives(scale):
        a, tangent = array(x * np.float32(scale)), array(t * np.float32(scale))
        ct = array(normal(*call(a).shape, seed=2))
        slope = fn.grad(lambda x: (call(x) * ct).sum())
        values = [slope(a), fn.jvp(call, (a,), (tangent,))[1], fn.jvp(slope, (a,), (tangent,))[1]]
        return [np.float64(v) / scale**p for v, p in zip(values, (power - 1, power, power - 1), strict=True)]

    for got, expected in zip(derivatives(2.0**exponent), derivatives(1.0), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
