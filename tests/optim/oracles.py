"""Optimisers as their papers have them, for one array in float64."""

import numpy as np


def at(rate, t):
    """The learning rate of the step after `t` others."""
    return rate(t) if callable(rate) else rate


def sgd(p, grads, rate, momentum=0.0, decay=0.0, dampening=0.0, nesterov=False):
    trace = np.zeros_like(p)
    for t, g in enumerate(grads):
        g = g + decay * p
        step = g
        if momentum:
            trace = momentum * trace + (1 - dampening) * g
            step = g + momentum * trace if nesterov else trace
        p = p - at(rate, t) * step
    return p


def adam_directions(p, grads, b1, b2, eps, corrected, root=0.0):
    m, v = np.zeros_like(p), np.zeros(p.shape)
    for t, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        c1, c2 = (1 - b1**t, 1 - b2**t) if corrected else (1, 1)
        yield t - 1, m / c1 / (np.sqrt(v / c2 + root) + eps)


def adam(p, grads, rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, corrected=True):
    for t, d in adam_directions(p, grads, b1, b2, eps, corrected):
        p = p - at(rate, t) * (d + decay * p)
    return p


def lamb(p, grads, rate, b1=0.9, b2=0.999, eps=1e-6, decay=0.0, corrected=True):
    for t, d in adam_directions(p, grads, b1, b2, eps, corrected):
        u = d + decay * p
        ours, theirs = np.linalg.norm(p), np.linalg.norm(u)
        p = p - at(rate, t) * u * (ours / theirs if ours and theirs else 1.0)
    return p


def adamax(p, grads, rate, b1=0.9, b2=0.999, eps=1e-8, corrected=True):
    m, v = np.zeros_like(p), np.zeros(p.shape)
    for t, g in enumerate(grads, 1):
        m = b1 * m + (1 - b1) * g
        v = np.maximum(b2 * v, np.abs(g))
        p = p - at(rate, t - 1) * m / (v + eps) / (1 - b1**t if corrected else 1)
    return p


def adagrad(p, grads, rate, eps=1e-8):
    v = np.zeros(p.shape)
    for t, g in enumerate(grads):
        v = v + np.abs(g) ** 2
        p = p - at(rate, t) * g / (np.sqrt(v) + eps)
    return p


def rmsprop(p, grads, rate, alpha=0.99, eps=1e-8):
    v = np.zeros(p.shape)
    for t, g in enumerate(grads):
        v = alpha * v + (1 - alpha) * np.abs(g) ** 2
        p = p - at(rate, t) * g / (np.sqrt(v) + eps)
    return p


def adadelta(p, grads, rate, rho=0.9, eps=1e-6):
    v, u = np.zeros(p.shape), np.zeros(p.shape)
    for t, g in enumerate(grads):
        v = rho * v + (1 - rho) * np.abs(g) ** 2
        d = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * np.abs(d) ** 2
        p = p - at(rate, t) * d
    return p


def lion(p, grads, rate, b1=0.9, b2=0.99, decay=0.0):
    m = np.zeros_like(p)
    for t, g in enumerate(grads):
        p = p - at(rate, t) * (np.sign(b1 * m + (1 - b1) * g) + decay * p)
        m = b2 * m + (1 - b2) * g
    return p


def _rms(x):
    return np.sqrt(np.mean(np.square(x)))


def adafactor(
    p, grads, rate=None, eps=(1e-30, 1e-3), threshold=1.0, power=-0.8, b1=None, decay=0.0, scale=True, warmup=False
):
    mu = np.zeros_like(p)
    row, col, full = np.zeros(p.shape[:-1]), np.zeros((*p.shape[:-2], *p.shape[-1:])), np.zeros(p.shape)
    for t, g in enumerate(grads, 1):
        b2 = 1 - float(t) ** power
        size = min(1e-6 * t if warmup else 1e-2, t**-0.5) if rate is None else at(rate, t - 1)
        size = size * (max(eps[1], _rms(p)) if scale else 1.0)
        square = g * g + eps[0]
        if p.ndim >= 2:
            row = b2 * row + (1 - b2) * square.mean(-1)
            col = b2 * col + (1 - b2) * square.mean(-2)
            full = row[..., :, None] * col[..., None, :] / row.mean(-1)[..., None, None]
        else:
            full = b2 * full + (1 - b2) * square
        u = g / np.sqrt(full)
        u = size * u / max(1.0, _rms(u) / threshold)
        if b1 is not None:
            u = mu = b1 * mu + (1 - b1) * u
        p = p - size * decay * p - u
    return p


def muon(p, grads, rate, momentum=0.95, decay=0.01, nesterov=True, steps=5):
    v = np.zeros_like(p)
    for t, g in enumerate(grads):
        g = g + decay * p
        v = momentum * v + (1 - momentum) * g
        u = momentum * v + (1 - momentum) * g if nesterov else v
        if p.ndim >= 2:
            x = u.reshape(len(u), -1)
            x = x / (np.linalg.norm(x) + 1e-7)
            for _ in range(steps):
                x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
            u = x.reshape(p.shape) * max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
        p = p - at(rate, t) * u
    return p


def lookahead(p, grads, rate, momentum, period, part, reset=False):
    """Lookahead over gradient descent with momentum."""
    slow, trace = p, np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        trace = momentum * trace + g
        p = p - rate * trace
        if t % period == 0:
            p = slow = slow + part * (p - slow)
            trace = np.zeros_like(p) if reset else trace
    return p


def ema(grads, decay, debias=True):
    average = np.zeros_like(grads[0])
    for t, g in enumerate(grads, 1):
        average = decay * average + (1 - decay) * g
        yield average / (1 - decay**t) if debias else average


def clipped(grads, limit):
    """Gradients by path, each scaled down to a norm."""
    for g in grads:
        norm = np.sqrt(sum((np.abs(x) ** 2).sum() for x in g.values()))
        yield {path: x * min(1.0, limit / norm) for path, x in g.items()}
