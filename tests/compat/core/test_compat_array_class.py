"""What is made of arrays are arrays that can be assigned to, also where no element of theirs is read."""

from typing import Any

import pytest
from tests.compat.library import mx

PROGRAMS = [
    "x ** 0",
    "x ** 1",
    "x ** 2",
    "2.0 ** s",
    "1.5 ** s",
    "s ** 0",
    "s ** s",
    "x * 0",
    "+x",
    "-s",
    "abs(mx.array([1], mx.uint8))",
    "~mx.array([True])",
    "x < 1",
    "x == x",
    "x.T",
    "x.mT",
    "x.real",
    "x.imag",
    "x[0]",
    "x[5]",
    "x[:0]",
    "x[...]",
    "x.at[0].add(1)",
    "x.at[5].add(1)",
    "x.at[...].multiply(0)",
    "x[:, :0] @ x.T[:0]",
    "x[0] @ x[0]",
    "x[:0].sum()",
    "x.astype(x.dtype)",
    "x.reshape(x.shape)",
    "x.squeeze()",
    "x.flatten()",
    "x.round()",
    "x.diag()",
    "x.split(1)[0]",
    "list(x)[0]",
    "mx.zeros_like(x)",
    "mx.ones_like(x)",
    "mx.full((2,), 0)",
    "mx.broadcast_to(s, (2, 2))",
    "mx.stop_gradient(x)",
    "mx.array(x)",
    "mx.asarray(x)",
    "mx.atleast_1d(x)",
    "mx.concatenate([x])",
    "mx.power(x, 0)",
    "mx.sum(x, axis=[])",
    "mx.where(True, x, x)",
    "mx.tile(x, 1)",
    "mx.arange(3)",
    "mx.grad(lambda x: (x * 0).sum())(x)",
    "mx.grad(lambda x: mx.array(1.0))(x)",
    "mx.vmap(lambda x: x)(x)",
    "mx.vmap(lambda x: mx.zeros(2))(x)",
    "mx.compile(lambda x: x)(x)",
    "mx.compile(lambda x: mx.ones(2))(x)",
    "mx.jvp(lambda x: mx.ones(2), [x], [x])[1][0]",
    "mx.vjp(lambda x: mx.ones(2), [x], [mx.ones(2)])[1][0]",
    "mx.checkpoint(lambda x: x)(x)",
    "mx.random.normal((2,))",
    "mx.linalg.norm(x)",
    "mx.fft.fft(x)",
    "mx.fast.rms_norm(x, None, 1e-5)",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_everything_can_be_assigned_to(program: str) -> None:
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    made: Any = eval(program, {"mx": mx, "x": x, "s": mx.array(3)})
    assert type(made) is mx.array
    before = x.tolist()
    made[...] = 0
    made += 1
    assert mx.all(made == 1).item()
    assert x.tolist() == before
