"""Recurrent layers, step by step in NumPy."""

import numpy as np

from funcnn import nn

from .rows import LayerSpec


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_step(p, x, h, activation=np.tanh):
    return (activation(x @ p["Wxh"].T + h @ p["Whh"].T + p.get("bias", 0.0)),)


def gru_step(p, x, h):
    gates, own = np.split(x @ p["Wx"].T + p.get("b", 0.0), 3, -1), np.split(h @ p["Wh"].T, 3, -1)
    r, z = sigmoid(gates[0] + own[0]), sigmoid(gates[1] + own[1])
    n = np.tanh(gates[2] + r * (own[2] + p.get("bhn", 0.0)))
    return ((1 - z) * n + z * h,)


def lstm_step(p, x, h, c):
    i, f, g, o = np.split(x @ p["Wx"].T + h @ p["Wh"].T + p.get("bias", 0.0), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def run(step, p, x, states):
    """The states after each step along the second-to-last axis: a list with one array for each."""
    made = []
    for t in range(x.shape[-2]):
        states = step(p, x[..., t, :], *states)
        made.append(states)
    return [np.stack(s, -2) for s in zip(*made, strict=True)]


def alone(step, count=1, size=3):
    """An oracle: from states that are given, or zero."""

    def oracle(p, x, *states):
        states = [*states, *[np.zeros((*x.shape[:-2], size))] * (count - len(states))]
        found = run(step, p, x, states)
        return found if count > 1 else found[0]

    return oracle


def both_ways(step, count, sizes):
    def oracle(p, x, *states):
        first, total = sizes[0], sum(sizes)
        states = [*states, *[np.zeros((*x.shape[:-2], total))] * (count - len(states))]
        there = run(step, p["forward"], x, [s[..., :first] for s in states])
        back = run(step, p["backward"], x[..., ::-1, :], [s[..., first:] for s in states])
        found = [np.concatenate([a, b[..., ::-1, :]], -1) for a, b in zip(there, back, strict=True)]
        return found if count > 1 else found[0]

    return oracle


KINDS = [("RNN", nn.RNN, rnn_step, 1), ("GRU", nn.GRU, gru_step, 1), ("LSTM", nn.LSTM, lstm_step, 2)]

ROWS = [
    LayerSpec(
        name=name + suffix,
        layer=kind(2, 3, bias=not suffix),
        inputs=((3, 2), *[(3,)] * (0 if suffix else count)),
        oracle=alone(step, count),
        mlx=lambda m, name=name, suffix=suffix: getattr(m, name)(2, 3, not suffix),
    )
    for name, kind, step, count in KINDS
    for suffix in ("", "-no-bias-no-state")
] + [
    LayerSpec(
        name="RNN-softsign",
        layer=nn.RNN(2, 3, nonlinearity=nn.softsign),
        inputs=((3, 2),),
        oracle=alone(lambda p, x, h: rnn_step(p, x, h, lambda y: y / (1 + np.abs(y)))),
        mlx=lambda m: m.RNN(2, 3, nonlinearity=m.softsign),
    ),
    LayerSpec(
        name="RNN-trained-nonlinearity",
        layer=nn.RNN(2, 3, nonlinearity=nn.CELU(0.5)),
        inputs=((3, 2),),
        oracle=alone(
            lambda p, x, h: rnn_step(p, x, h, lambda y: np.maximum(y, 0) + 0.5 * np.expm1(np.minimum(y, 0) * 2))
        ),
    ),
    LayerSpec(
        name="LSTM-of-one-sequence",
        layer=nn.LSTM(2, 3),
        inputs=(lambda rng, batch: rng.normal(size=(4, 2)).astype(np.float32),),
        oracle=alone(lstm_step, 2),
        batched=False,
        mlx=lambda m: m.LSTM(2, 3),
    ),
    LayerSpec(
        name="Bidirectional",
        layer=nn.Bidirectional(nn.LSTM(2, 3), nn.LSTM(2, 1)),
        inputs=((3, 2), (4,), (4,)),
        oracle=both_ways(lstm_step, 2, (3, 1)),
    ),
    LayerSpec(
        name="Bidirectional-one-description",
        layer=nn.Bidirectional(nn.GRU(2, 2)),
        inputs=((3, 2),),
        oracle=both_ways(gru_step, 1, (2, 2)),
    ),
]
