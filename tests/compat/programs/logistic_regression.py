"""Classification by a plane, the step compiled with its state captured."""

from functools import partial

import mlx.core as mx


def main():
    mx.random.seed(1)
    w_star = mx.random.normal((10,))
    X = mx.random.normal((300, 10))
    y = (X @ w_star) > 0
    state = {"w": mx.zeros(10)}

    def loss_fn(w):
        logits = X @ w
        return mx.mean(mx.logaddexp(0.0, logits) - y * logits)

    @partial(mx.compile, inputs=state, outputs=state)
    def step():
        loss, grad = mx.value_and_grad(loss_fn)(state["w"])
        state["w"] = state["w"] - 0.5 * grad
        return loss

    for _ in range(100):
        loss = step()
        mx.eval(state, loss)
    accuracy = mx.mean(((X @ state["w"]) > 0) == y).item()
    assert accuracy > 0.95, accuracy
    return loss.item()
