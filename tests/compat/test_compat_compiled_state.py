"""Arrays that a compiled function writes over stay what they were to everyone who holds them too."""

import copy
from functools import partial

import numpy as np
import pytest
from tests.compat.library import mx, nn, optim, utils


@pytest.mark.parametrize(
    "keep",
    [
        lambda w: w,
        mx.array,
        copy.copy,
        copy.deepcopy,
        mx.stop_gradient,
        mx.contiguous,
        lambda w: w * 1,
        lambda w: w.astype(w.dtype),
        lambda w: w.reshape(4, 5).T,
        lambda w: w[1:],
        lambda w: (mx.array(w),)[0][None],
        np.array,
    ],
)
@pytest.mark.parametrize("evaluated", [False, True])
def test_what_is_kept_of_a_state(keep, evaluated):
    state = {"w": mx.zeros((5, 4))}

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        state["w"] = state["w"] + x

    step(mx.array(1.0))
    step(mx.array(1.0))
    kept = keep(state["w"])
    if evaluated:
        mx.eval(kept)
    step(mx.array(1.0))
    step(mx.array(1.0))
    assert set(np.array(kept).ravel()) == {2.0}
    assert state["w"][0, 0].item() == 4.0


def test_weights_that_were_noted_on_the_way():
    """The best weights so far, and a training that goes back to them."""
    model = nn.Linear(3, 2)
    optimizer = optim.Adam(0.1)
    state = [model.state, optimizer.state]
    x = mx.array([[1.0, 2.0, 3.0]])

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        loss, grads = nn.value_and_grad(model, lambda model, x: mx.square(model(x)).sum())(model, x)
        optimizer.update(model, grads)
        return loss

    for _ in range(2):
        step(x)
    noted = [(path, mx.array(value)) for path, value in utils.tree_flatten(model.parameters())]
    numbers = [value.tolist() for _, value in noted]
    losses = [step(x).item() for _ in range(2)]
    assert [value.tolist() for _, value in noted] == numbers
    model.load_weights(noted)
    assert step(x).item() == pytest.approx(losses[0], rel=1e-5)
