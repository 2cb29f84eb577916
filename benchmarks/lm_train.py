"""A training step of the language model of lm.py: 8 sequences of 128 tokens, causal, cross entropy, AdamW."""

from __future__ import annotations

from . import lm, training
from .case import ARRAYS, Case, losses
from .place import to_funcnn, to_jax, to_torch

ROWS = {"lm_train": "ms"}
FRAMEWORKS = ("funcnn.nn", *ARRAYS)
PEAK_MEMORY = True
RATE, DECAY, SEQUENCES = 1e-3, 0.01, 8


def build(row: str, framework: str) -> Case:
    make = {
        "funcnn": _funcnn,
        "funcnn.nn": _funcnn_nn,
        "jax": _jax,
        "mlx": _mlx,
        "torch": _torch,
        "torch.compile": _torch_compile,
    }
    step = make[framework]()
    return Case(step, losses(step, 3))


def _funcnn():
    import funcnn as fn
    from funcnn import nn, optim

    params = lm.convert(lm.parameters(), to_funcnn)
    data = to_funcnn(lm.batch(SEQUENCES))
    opt = optim.adamw(RATE, weight_decay=DECAY)

    def attend(i, q, k, v):
        return fn.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask="causal")

    def loss_fn(params, data):
        logits = lm.funcnn_model(params, data[:, :-1], attend, params["places"])
        return nn.losses.cross_entropy(logits, data[:, 1:]).mean()

    return training.funcnn(loss_fn, params, opt, data)


def _funcnn_nn():
    from funcnn import nn, optim

    model, params = lm.funcnn_layers(lm.convert(lm.parameters(), to_funcnn))
    data = to_funcnn(lm.batch(SEQUENCES))
    opt = optim.adamw(RATE, weight_decay=DECAY)

    def loss_fn(params, data):
        return nn.losses.cross_entropy(model(params, data[:, :-1]), data[:, 1:]).mean()

    return training.funcnn(loss_fn, params, opt, data)


def _jax():
    import jax.numpy as jnp
    import optax

    params = lm.convert(lm.parameters(), to_jax)
    data = to_jax(lm.batch(SEQUENCES))
    opt = optax.adamw(RATE, weight_decay=DECAY)

    def loss_fn(params, data):
        x, y = data[:, :-1], data[:, 1:]
        mask = jnp.tri(x.shape[1], dtype=bool)
        logits = lm.jax_model(params, x, lambda i, q, k, v: lm.jax_attend(q, k, v, mask), params["places"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    return training.jax(loss_fn, params, opt, data)


def _mlx():
    import functools

    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    from mlx.utils import tree_flatten

    params = lm.convert(lm.parameters(), mx.array)
    data = mx.array(lm.batch(SEQUENCES))
    opt = optim.AdamW(RATE, weight_decay=DECAY, bias_correction=True)
    opt.init(params)
    state = [params, opt.state]

    def attend(i, q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=lm.HEAD**-0.5, mask="causal")

    def loss_fn(params, x, y):
        logits = lm.mlx_model(params, x, attend, params["places"])
        return nn.losses.cross_entropy(logits, y, reduction="mean")

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def train(data):
        loss, grads = mx.value_and_grad(loss_fn)(state[0], data[:, :-1], data[:, 1:])
        state[0] = opt.apply_gradients(grads, state[0])
        return loss

    def step():
        loss = train(data)
        mx.eval([x for _, x in tree_flatten(state[0])], opt.state, loss)
        return loss.item()

    return step


def _torch(compiled=False):
    import torch
    import torch.nn.functional as F

    params = lm.convert(lm.parameters(), lambda x: to_torch(x).requires_grad_())
    leaves = []
    lm.convert(params, leaves.append)
    data = to_torch(lm.batch(SEQUENCES)).long()
    opt = torch.optim.AdamW(leaves, RATE, eps=1e-8, weight_decay=DECAY, fused=True)

    def attend(i, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def loss_fn(params, x, y):
        logits = lm.torch_model(params, x, attend, params["places"])
        return F.cross_entropy(logits.view(-1, lm.VOCABULARY), y.reshape(-1))

    return training.torch(loss_fn, opt, params, data[:, :-1], data[:, 1:], compiled=compiled)


def _torch_compile():
    return _torch(compiled=True)
