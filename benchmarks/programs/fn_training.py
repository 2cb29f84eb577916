"""The training loops of funcnn's users."""

import funcnn as fn
from funcnn import optim, random, tree

from . import draws


def drawn(model):
    """Parameters with the weights that the counterparts have."""
    params = model.init(random.key(0))
    return tree.map_with_path(lambda path, p: fn.array(draws.weight(path, p.shape)), params)


def eager(params, opt, loss_fn, inputs, targets, trainable="**"):
    x, y = fn.array(inputs), fn.array(targets)
    params, frozen = tree.partition(params, trainable)
    state = opt.init(params)
    loss_and_grad_fn = fn.value_and_grad(lambda params, x, y: loss_fn(tree.merge(params, frozen), x, y))

    def step():
        nonlocal params, state
        loss, grads = loss_and_grad_fn(params, x, y)
        delta, state = opt.update(grads, state, params)
        params = optim.apply_updates(params, delta)
        fn.eval(params, state)
        return loss.item()

    return step


def compiled(params, opt, loss_fn, inputs, targets, trainable="**"):
    x, y = fn.array(inputs), fn.array(targets)
    params, frozen = tree.partition(params, trainable)
    state = opt.init(params)

    @fn.compile(donate=("params", "state"))
    def train(params, state, frozen, x, y):
        loss, grads = fn.value_and_grad(lambda params: loss_fn(tree.merge(params, frozen), x, y))(params)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    def step():
        nonlocal params, state
        params, state, loss = train(params, state, frozen, x, y)
        fn.eval(params, state)
        return loss.item()

    return step
