"""Every operation of op_specs.py and its derivatives, written as names and texts and made again from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import funcnn as fn
from funcnn import _core
from op_specs import OPS
from specs.rows import Op
from test_ops import arrays, differentiated, draw, like, outputs, seeded

_native: Any = _core.compat

# Arrays of written functions may be changed in place, and have the updates that MLX has.
WRITTEN = [pytest.param(op, id=op.name) for op in OPS if not op.name.startswith(("at.", "at["))]


def again(function: Callable[..., Any], examples: Sequence[fn.array]) -> Callable[..., Any]:
    """The function as it is read from what would stand in a file."""
    contents = _native.write_function(lambda xs: outputs(function(*xs)), examples, False).contents()

    def through_text(graph: Any) -> Any:
        inputs, nodes, results, constants = graph
        inputs, nodes, results = json.loads(json.dumps([inputs, [[*n[:4]] for n in nodes], results]))
        kinds = lambda given: [(tuple(shape), getattr(fn, dtype)) for shape, dtype in given]  # noqa: E731
        inner = [[through_text(g) for g in n[4]] for n in graph[1]]
        nodes = [
            (name, text, given, kinds(made), held) for (name, text, given, made), held in zip(nodes, inner, strict=True)
        ]
        return kinds(inputs), nodes, results, constants

    return _native.read_function(through_text(contents))


def check(function: Callable[..., Any], xs: Sequence[fn.array], what: str) -> None:
    for found, expected in zip(again(function, xs)(*xs), outputs(function(*xs)), strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
        if found.dtype == fn.bfloat16:
            found, expected = found.astype(fn.float32), expected.astype(fn.float32)
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-5, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("op", WRITTEN)
def test_what_is_read_again_does_the_same(op: Op) -> None:
    rng = seeded(op)
    dtype = "float32" if "float32" in op.dtypes else op.dtypes[0]
    sample = op.samples[-1]
    xs = arrays(op, sample, [draw(rng, s, dtype) for s in sample], dtype)
    check(op.call, xs, op.name)
    if op.batched:
        check(fn.vmap(lambda *x: tuple(outputs(op.call(*x)))), [fn.stack([x, x]) for x in xs], f"vmap of {op.name}")


@pytest.mark.parametrize("op", [p for p in WRITTEN if p.values[0].differentiable and "float64" in p.values[0].dtypes])
def test_derivatives_that_are_read_again_are_the_same(op: Op) -> None:
    rng = seeded(op)
    call, primals = differentiated(op, op.samples[-1], [draw(rng, s, "float64") for s in op.samples[-1]])
    cotangents = tuple(like(rng, y) for y in call(*primals))

    def gradient(*xs: fn.array) -> tuple[fn.array, ...]:
        return tuple(fn.vjp(call, *xs)[1](cotangents))

    check(gradient, primals, f"vjp of {op.name}")
    check(lambda *xs: fn.jvp(call, xs, xs)[1], primals, f"jvp of {op.name}")
    if op.twice:
        check(lambda *xs: fn.vjp(gradient, *xs)[1](xs), primals, f"second vjp of {op.name}")
