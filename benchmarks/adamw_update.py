"""The AdamW update alone: 100 leaves of 100,000 parameters."""

from __future__ import annotations

import numpy as np

from .case import Case
from .place import jax_waits, to_funcnn, to_jax, to_numpy, to_torch

ROWS = {"adamw_update": "ms"}
PEAK_MEMORY = True
LEAVES, SHAPE = 100, (400, 250)
RATE, DECAY = 1e-3, 0.01


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, LEAVES, *SHAPE), np.float32)


def build(row: str, framework: str) -> Case | None:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch}.get(framework)
    if make is None:
        return None
    step, leaves = make()

    def result():
        for _ in range(3):
            step()
        return [np.stack([to_numpy(leaf) for leaf in leaves()])]

    # Read parameters, gradients and two moments; write all but the gradients.
    return Case(step, result, nbytes=7 * 4 * LEAVES * SHAPE[0] * SHAPE[1])


def _funcnn():
    import funcnn as fn
    from funcnn import optim

    params, grads = ({f"p{i}": to_funcnn(leaf) for i, leaf in enumerate(tree)} for tree in data())
    opt = optim.adamw(RATE, weight_decay=DECAY)
    state = opt.init(params)

    @fn.compile(donate=("params", "state"))
    def update(params, state, grads):
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state

    def step():
        nonlocal params, state
        params, state = update(params, state, grads)
        fn.eval(params, state)

    return step, lambda: [params[f"p{i}"] for i in range(LEAVES)]


def _jax():
    import functools

    import jax
    import optax

    params, grads = ({f"p{i}": to_jax(leaf) for i, leaf in enumerate(tree)} for tree in data())
    opt = optax.adamw(RATE, weight_decay=DECAY)
    state = opt.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(params, state, grads):
        delta, state = opt.update(grads, state, params)
        return optax.apply_updates(params, delta), state

    def step():
        nonlocal params, state
        params, state = jax_waits(update(params, state, grads))

    return step, lambda: [params[f"p{i}"] for i in range(LEAVES)]


def _mlx():
    import functools

    import mlx.core as mx
    import mlx.optimizers as optim

    params, grads = ({f"p{i}": mx.array(leaf) for i, leaf in enumerate(tree)} for tree in data())
    opt = optim.AdamW(RATE, weight_decay=DECAY, bias_correction=True)
    opt.init(params)
    state = [params, opt.state]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def update(grads):
        state[0] = opt.apply_gradients(grads, state[0])

    def step():
        update(grads)
        mx.eval(state)

    return step, lambda: [state[0][f"p{i}"] for i in range(LEAVES)]


def _torch():
    import torch

    params, grads = data()
    params = [torch.nn.Parameter(to_torch(p.copy())) for p in params]
    for param, grad in zip(params, grads, strict=True):
        param.grad = to_torch(grad.copy())
    opt = torch.optim.AdamW(params, RATE, weight_decay=DECAY, fused=True)
    return opt.step, lambda: [p.detach() for p in params]
