"""Training steps as users of each framework write them: loss, gradients, update, nothing kept that is not needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .place import jax_waits, torch_compile

Step = Callable[[], Any]


def funcnn(loss_fn: Callable[..., Any], params: Any, opt: Any, *batch: Any) -> Step:
    """`loss_fn(params, *batch)`; `opt` is one of funcnn.optim."""
    import funcnn as fn
    from funcnn import optim

    state = opt.init(params)

    @fn.compile(donate=("params", "state"))
    def train(params, state, *batch):
        loss, grads = fn.value_and_grad(loss_fn)(params, *batch)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    def step():
        nonlocal params, state
        params, state, loss = train(params, state, *batch)
        fn.eval(params, state, loss)
        return loss

    return step


def jax(loss_fn: Callable[..., Any], params: Any, opt: Any, *batch: Any) -> Step:
    """`loss_fn(params, *batch)`; `opt` is one of optax."""
    import functools

    import jax
    import optax

    state = opt.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(params, state, *batch):
        loss, grads = jax.value_and_grad(loss_fn)(params, *batch)
        delta, state = opt.update(grads, state, params)
        return optax.apply_updates(params, delta), state, loss

    def step():
        nonlocal params, state
        params, state, loss = jax_waits(train(params, state, *batch))
        return loss

    return step


def mlx(model: Any, loss_fn: Callable[..., Any], opt: Any, *batch: Any) -> Step:
    """`loss_fn(model, *batch)`; `opt` is one of mlx.optimizers."""
    import functools

    import mlx.core as mx
    import mlx.nn as nn

    opt.init(model.trainable_parameters())
    state = [model.state, opt.state]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def train(*batch):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, *batch)
        opt.update(model, grads)
        return loss

    def step():
        loss = train(*batch)
        mx.eval(state, loss)
        return loss.item()

    return step


def torch(loss_fn: Callable[..., Any], opt: Any, *batch: Any, compiled: bool) -> Step:
    """`loss_fn(*batch)`, by torch.compile if `compiled`."""
    loss_fn = torch_compile(loss_fn) if compiled else loss_fn

    def step():
        opt.zero_grad()
        loss = loss_fn(*batch)
        loss.backward()
        opt.step()
        return loss.detach()

    return step
