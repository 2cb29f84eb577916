"""What becomes of arrays that a differentiated function changes in place: handles of the caller stay, entries change."""

import pytest
from tests.compat.library import mx, nn


def test_arrays():
    x, y = mx.ones(2), mx.ones(2)

    def f(x, y):
        x += 1
        y += 1
        return (x * x).sum()

    assert mx.grad(f)(x, y).tolist() == [4.0, 4.0]
    assert (x.tolist(), y.tolist()) == ([1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("by_name", [False, True])
def test_entries(by_name):
    x, state = mx.ones(2), {"seen": mx.ones(2), "same": mx.ones(2)}
    seen, same = state["seen"], state["same"]

    def f(x, state):
        state["seen"] += x
        return (x * state["seen"]).sum()

    grad = mx.grad(f)(x, state=state) if by_name else mx.grad(f)(x, state)
    assert grad.tolist() == [3.0, 3.0]
    assert state["seen"].tolist() == [2.0, 2.0]
    assert seen.tolist() == [1.0, 1.0]
    assert state["same"] is same


def test_entries_that_are_differentiated():
    params = {"w": mx.ones(2), "list": [mx.ones(1)]}
    handle, item = params["w"], params["list"][0]

    def f(params):
        params["w"] += 1
        return (params["w"] ** 2).sum()

    assert mx.grad(f)(params)["w"].tolist() == [4.0, 4.0]
    assert (params["w"].tolist(), handle.tolist()) == ([2.0, 2.0], [1.0, 1.0])
    assert params["list"][0] is item


def test_entries_after_an_exception():
    x, state = mx.ones(2), {"seen": mx.ones(2)}

    def f(x, state):
        state["seen"][0] = 5
        raise RuntimeError

    with pytest.raises(RuntimeError):
        mx.grad(f)(x, state)
    assert state["seen"].tolist() == [5.0, 1.0]


def test_arguments_of_checkpoint():
    x, y = mx.ones(2), mx.ones(2)

    def f(x, y):
        y += 1
        return (x * y).sum()

    assert mx.checkpoint(f)(x, y).item() == 4.0
    assert y.tolist() == [1.0, 1.0]


class Statistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = mx.ones(2)
        self.mean = mx.zeros(2)
        self.count = mx.array(0)
        self.freeze(keys=["mean", "count"], recurse=False)

    def __call__(self, x):
        self.count += 1
        self.mean += (mx.stop_gradient(x) - self.mean) / self.count
        return (self.weight * (x - self.mean)).sum()


@pytest.mark.parametrize("compiled", [False, True])
def test_statistics_of_a_module(compiled):
    model = Statistics()

    def step(x):
        return nn.value_and_grad(model, lambda model, x: model(x))(model, x)[1]["weight"]

    if compiled:
        step = mx.compile(step, inputs=[model.state], outputs=[model.state])
    grads = [step(mx.array([value, 0.0])).tolist() for value in (2.0, 4.0, 9.0)]
    assert grads == [[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]]
    assert (model.count.item(), model.mean.tolist()) == (3, [5.0, 0.0])
    assert list(model.trainable_parameters()) == ["weight"]
