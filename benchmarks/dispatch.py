"""What a framework adds to the arithmetic: tiny operations, 8 elements each."""

from __future__ import annotations

from .case import Case, outputs

CHAIN = 1000
LEAVES = 100
ROWS = {
    "eager_chain": "us",
    "compiled_chain": "us",
    "compiled_call": "us",
    "compiled_call_100": "us",  # a tree of so many leaves, each plus one
    "value_and_grad": "us",
    "build_op": "us",
}


def build(row: str, framework: str) -> Case | None:
    make = {"funcnn": _funcnn, "jax": _jax, "mlx": _mlx, "torch": _torch, "torch.compile": _torch_compile}[framework]
    step = make(row)
    if step is None:
        return None
    return Case(step, outputs(step), per=CHAIN if row in ("eager_chain", "compiled_chain", "build_op") else 1)


def _plus_one(tree):
    return [leaf + 1 for leaf in tree.values()]


def _chain(x, y):
    for _ in range(CHAIN):
        x = x + y
    return x


def _funcnn(row):
    import funcnn as fn

    x, y, v = fn.zeros(8), fn.ones(8), fn.array(0.7)
    fn.eval(x, y, v)
    evaluate = fn.eval

    def run(f, *args):
        def step():
            out = f(*args)
            evaluate(out)
            return out

        return step

    return {
        "eager_chain": lambda: run(_chain, x, y),
        "compiled_chain": lambda: run(fn.compile(_chain), x, y),
        "compiled_call": lambda: run(fn.compile(lambda x, y: x + y), x, y),
        "compiled_call_100": lambda: run(fn.compile(_plus_one), {str(i): fn.zeros(8) for i in range(LEAVES)}),
        "value_and_grad": lambda: run(fn.value_and_grad(lambda v: fn.sin(v * v) * v), v),
        "build_op": lambda: lambda: _chain(x, y),
    }[row]()


def _jax(row):
    import jax
    import jax.numpy as jnp

    x, y, v = jnp.zeros(8), jnp.ones(8), jnp.array(0.7)

    def run(f, *args):
        return lambda: jax.block_until_ready(f(*args))

    return {
        "eager_chain": lambda: run(_chain, x, y),
        "compiled_chain": lambda: run(jax.jit(_chain), x, y),
        "compiled_call": lambda: run(jax.jit(lambda x, y: x + y), x, y),
        "compiled_call_100": lambda: run(jax.jit(_plus_one), {str(i): jnp.zeros(8) for i in range(LEAVES)}),
        "value_and_grad": lambda: run(jax.value_and_grad(lambda v: jnp.sin(v * v) * v), v),
        "build_op": lambda: lambda: _chain(x, y),
    }[row]()


def _mlx(row):
    import mlx.core as mx

    x, y, v = mx.zeros(8), mx.ones(8), mx.array(0.7)
    mx.eval(x, y, v)

    def run(f, *args):
        def step():
            out = f(*args)
            mx.eval(out)
            return out

        return step

    return {
        "eager_chain": lambda: run(_chain, x, y),
        "compiled_chain": lambda: run(mx.compile(_chain), x, y),
        "compiled_call": lambda: run(mx.compile(lambda x, y: x + y), x, y),
        "compiled_call_100": lambda: run(mx.compile(_plus_one), {str(i): mx.zeros(8) for i in range(LEAVES)}),
        "value_and_grad": lambda: run(mx.value_and_grad(lambda v: mx.sin(v * v) * v), v),
        "build_op": lambda: lambda: _chain(x, y),
    }[row]()


def _torch(row):
    import torch

    x, y, v = torch.zeros(8), torch.ones(8), torch.tensor(0.7, requires_grad=True)

    def value_and_grad():
        out = torch.sin(v * v) * v
        return out.detach(), *torch.autograd.grad(out, v)

    chain = torch.inference_mode()(lambda: _chain(x, y))
    make = {"eager_chain": chain, "value_and_grad": value_and_grad, "build_op": chain}
    return make.get(row)


def _torch_compile(row):
    import torch

    x, y = torch.zeros(8), torch.ones(8)
    # Inductor needs minutes for the chain.
    if row == "compiled_call":
        f = torch.compile(lambda x, y: x + y)
        return lambda: f(x, y)
    if row == "compiled_call_100":
        tree, each = {str(i): torch.zeros(8) for i in range(LEAVES)}, torch.compile(_plus_one)
        return lambda: each(tree)
    return None
