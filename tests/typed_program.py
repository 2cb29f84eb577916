"""What programs may write, for type checkers: `mypy --strict tests/typed_program.py`, `pyright` likewise. It runs, too."""

from typing import TYPE_CHECKING, Any

import numpy as np

import funcnn as fn
from funcnn import nn, optim, random, tree

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: Any, _: Any) -> Any:
        return value


x = fn.zeros((2, 3), "float32") + fn.ones((np.int64(2), 3), np.float32)
assert_type(x, fn.array)
x = x.astype("int32").astype(np.float16).astype(float).astype(np.dtype("float32"))
fn.array([1, 2], dtype="int8")
fn.array(np.ones(3), dtype=np.float32)
fn.arange(0, 3, dtype="int32")
fn.finfo("float32")
key = random.key(0)
random.normal(key, [2, 2], "float16")
random.uniform(key, (np.int32(2),), np.float32)
random.truncated_normal(key, -1.0, 1.0, (2,), "float64")
nn.init.he_normal(key, (3, 3), dtype="bfloat16")
assert_type(x[0, 1:, None] * 2 - np.ones(3), fn.array)
assert_type(1 + x @ x.T, fn.array)
fn.where(x > 0, 1.0, x)
fn.concatenate((x, np.ones((2, 3))))


def loss(w: fn.array, b: fn.array) -> fn.array:
    return (w * b).sum()


@fn.compile
def step(params: dict[str, fn.array], count: int) -> fn.array:
    return params["a"] * count


assert_type(fn.compile(loss)(x, x), fn.array)
assert_type(fn.checkpoint(loss)(x, x), fn.array)
assert_type(fn.vmap(loss, in_axes=(0, None))(x, x[0]), fn.array)
assert_type(step({"a": x}, 3), fn.array)


def mistakes() -> None:
    step({"a": x}, "3")  # type: ignore[arg-type]
    fn.checkpoint(loss)(x)  # type: ignore[call-arg]
    fn.sum(x, dim=0)  # type: ignore[call-arg]
    fn.zeros((2, "a"))  # type: ignore[arg-type]
    x.astype(3)  # type: ignore[arg-type]
    random.normal((2,), key)  # type: ignore[arg-type]


class Scaled(nn.Layer):
    inner: nn.Layer
    scale: float = 2.0

    def __call__(self, params: Any, x: fn.array) -> Any:
        return self.inner(params["inner"], x) * self.scale


model = Scaled(nn.Linear(3, 4))
params = model.init(key)
model(params, x)
opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(1e-3))
updates, state = opt.update(params, opt.init(params), params)
tree.map(lambda a, b: a + b, params, optim.apply_updates(params, updates))
