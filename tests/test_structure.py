"""Hashes stand for equality: of plans, of traces, of common subexpressions. What differs has different ones."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcnn as fn
from funcnn import _core, random
from op_specs import OPS

NATIVE = pathlib.Path(__file__).parent.parent / "native"

X = np.arange(12, dtype=np.float32).reshape(3, 4) / 8 - 0.6
V = X[0] + 0.1
KEY = np.array([1, 2], np.uint32)


def named(f: Callable[[fn.array], fn.array]) -> Callable[[fn.array], fn.array]:
    return lambda x: fn.checkpoint_name(f(fn.checkpoint_name(f(x), "a")), "b") * 2


def custom_vjp(k: float) -> Callable[[fn.array], fn.array]:
    f = fn.custom_vjp(lambda x: fn.sin(x) * k)
    f.defvjp(lambda x: (fn.sin(x) * k, x), lambda x, g: (g * k,))
    return f


def custom_jvp(k: float) -> Callable[[fn.array], fn.array]:
    f = fn.custom_jvp(lambda x: fn.cos(x) * k)
    f.defjvp(lambda x, t: (fn.cos(x[0]) * k, t[0] * k))
    return f


def devices() -> list[str]:
    found = []
    for name in ("cpu", "reference", "gpu"):
        with contextlib.suppress(ValueError):
            _core._device_put(fn.ones(1), name)
            found.append(name)
    return found


# Calls that differ in what their primitives are made with, or in the graphs that these hold: (calls, inputs).
FAMILIES: dict[str, tuple[list[Callable[..., Any]], tuple[np.ndarray, ...]]] = {
    "axes": ([lambda x, a=a: fn.sum(x, axis=a, keepdims=True) for a in (None, 0, 1)], (X,)),
    "argmax": ([lambda x, a=a: fn.argmax(x, axis=a) for a in (0, 1)], (X[:3, :3],)),
    "argmin": ([lambda x, a=a: fn.argmin(x, axis=a) for a in (0, 1)], (X[:3, :3],)),
    **{
        f.__name__: ([lambda x, a=a, r=r, f=f: f(x, axis=a, reverse=r) for a in (0, 1) for r in (False, True)], (X,))
        for f in (fn.cumsum, fn.cumprod, fn.cummax, fn.cummin, fn.logcumsumexp)
    },
    "exclusive": ([lambda x, i=i: fn.cumsum(x, axis=0, inclusive=i) for i in (False, True)], (X,)),
    "cumprod'": (
        [
            lambda x, a=a, r=r: fn.grad(lambda y: fn.cumprod(y, a, reverse=r).sum())(x)
            for a in (0, 1)
            for r in (False, True)
        ],
        (X,),
    ),
    "sort": ([lambda x, a=a: fn.sort(x, axis=a) for a in (0, 1)], (X[::-1],)),
    "argsort": ([lambda x, a=a: fn.argsort(x, axis=a) for a in (0, 1)], (X[::-1],)),
    "topk": ([lambda x, a=a, k=k: fn.topk(x, k, axis=a) for a in (0, 1) for k in (1, 2)], (X,)),
    **{
        f.__name__: ([lambda x, a=a, k=k, f=f: f(x, k, axis=a) for a in (0, 1) for k in (0, 2)], (X[::-1],))
        for f in (fn.partition, fn.argpartition)
    },
    "searchsorted": ([lambda a, v, s=s: fn.searchsorted(a, v, side=s) for s in ("left", "right")], (V, V)),
    "astype": ([lambda x, d=d: x.astype(d) for d in (fn.int32, fn.bool_, fn.float16, fn.bfloat16)], (X * 9,)),
    "transpose": ([lambda x, p=p: fn.transpose(x, p) for p in itertools.permutations(range(3))], (X.reshape(2, 2, 3),)),
    "broadcast": ([lambda x, s=s: fn.broadcast_to(x, s) for s in ((4, 4), (2, 4), (2, 2, 4))], (V,)),
    "reshape": ([lambda x, s=s: fn.reshape(x, s) for s in ((12,), (4, 3), (2, 6), (2, 2, 3))], (X,)),
    "slice": ([lambda x, i=i: x[i] for i in np.s_[0:2, 1:3, 0:3:2, 2:0:-1, 1::-1, (0, 1), :, ::-1]], (X,)),
    "pad": ([lambda x, w=w: fn.pad(x, w) for w in (0, 1, (0, 2), (2, 0), ((0, 1), (1, 0)), ((1, 0), (0, 1)))], (X,)),
    "concatenate": ([lambda x, y, a=a: fn.concatenate([x, y], a) for a in (0, 1)], (X[:, :3], X[:, 1:])),
    "slice_update": (
        [lambda x, i=i: x.at[i].set(5.0) for i in np.s_[0:1, 1:2, 0:3:2, (0, slice(1, 3)), (0, slice(0, 4, 2))]],
        (X,),
    ),
    "take": ([lambda x, i, a=a: fn.take(x, i, axis=a) for a in (0, 1)], (X[:, :3], np.array([2, 0, 1], np.int32))),
    "scatter": (
        [
            lambda x, i, f=f, a=a: getattr((x.at[i] if a == 0 else x.at[:, i]), f)(2.0)
            for f in ("set", "add", "multiply", "maximum", "minimum")
            for a in (0, 1)
        ],
        (X, np.array([2, 0, 2], np.int32)),
    ),
    "mask": ([lambda x, t=t, n=n: x.at[x > t].set(fn.ones(n)) for t, n in ((-0.45, 3), (-0.3, 2), (-0.2, 1))], (V,)),
    "dot": (
        [
            lambda x, y, s=s: fn.einsum(s, x, y)
            for s in ("ij,jk->ik", "ij,kj->ik", "ji,jk->ik", "ij,ij->i", "ij,jk->ki")
        ],
        (X[:3, :3], X[:3, 1:]),
    ),
    "iota": ([lambda x, n=n, d=d: x + fn.arange(n, dtype=d) for n, d in ((4, fn.float32), (4, fn.int32))], (V,)),
    "where a draw stands": (
        [lambda k, i=i, s=s: random.uniform(random.split(k, 4)[i], s) for i in (0, 1) for s in ((3,), (4,), (3, 1))],
        (KEY,),
    ),
    "bits": ([lambda k, w=w: random.bits(k, (3,), w) for w in (1, 2, 4)], (KEY,)),
    "fold_in": ([lambda k, n=n: random.fold_in(k, n) for n in (0, 1, 7)], (KEY,)),
    "draws": ([lambda k, f=f: f(k, (5,)) for f in (random.uniform, random.normal, random.gumbel)], (KEY,)),
    "scan": (
        [
            lambda x, r=r, f=f: fn.scan(f, fn.zeros(4), x, reverse=r)
            for r in (False, True)
            for f in (
                lambda c, x: (c + x, c),
                lambda c, x: (c + x, x),
                lambda c, x: (c + 2 * x, c),
                lambda c, x: (c + 3 * x, c),
                lambda c, x: (x, c),
            )
        ],
        (X,),
    ),
    "cond": (
        [
            lambda p, x, f=f, g=g: fn.cond(p > 0, f, g, x)
            for f, g in itertools.permutations((fn.sin, fn.cos, lambda x: x * 2, lambda x: x * 3), 2)
        ],
        (np.float32(1), X),
    ),
    "while_loop": (
        [
            lambda x, n=n, f=f: fn.while_loop(lambda s: s[0] < n, f, (fn.array(0), x))
            for n in (2, 3)
            for f in (
                lambda s: (s[0] + 1, s[1] * 2),
                lambda s: (s[0] + 1, s[1] * 3),
                lambda s: (s[0] + 1, fn.sin(s[1])),
            )
        ],
        (X,),
    ),
    "checkpoint": (
        [
            lambda x, f=f, names=names: fn.checkpoint(f, policy=fn.checkpoint_policies.save_names(*names))(x)
            for f in (named(fn.sin), named(fn.cos))
            for names in ((), ("a",), ("a", "b"))
        ],
        (X,),
    ),
    "checkpoint_name": ([lambda x, n=n: fn.checkpoint_name(fn.sin(x), n) for n in ("a", "b")], (X,)),
    "transfer": ([lambda x, d=d: _core._device_put(x * 2, d) for d in devices()], (X,)),
    "custom": ([lambda x, k=k, f=f: f(k)(x) for k in (2.0, 3.0) for f in (custom_vjp, custom_jvp)], (X,)),
}


def inputs(arrays: tuple[np.ndarray, ...]) -> list[fn.array]:
    return [fn.asarray(a) for a in arrays]


def contents(result: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    return [(str(x.dtype), x.shape, bytes(x)) for x in fn.tree.leaves(result) if x.dtype != fn.bfloat16]


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_hashes_give_equal_results(family: str) -> None:
    calls, arrays = FAMILIES[family]
    results: dict[str, Any] = {}
    for call in calls:
        key, _ = _core._structure(call, *inputs(arrays))
        assert key == _core._structure(call, *inputs(arrays))[0], "the same graph has two hashes"
        result = contents(call(*inputs(arrays)))
        assert results.setdefault(key, result) == result
    if family not in ("checkpoint", "checkpoint_name"):  # which compute the same
        distinct = {str(contents(call(*inputs(arrays)))) for call in calls}
        assert len(results) >= len(distinct)


@pytest.fixture(scope="module")
def primitives() -> dict[str, dict[str, set[str]]]:
    """What was seen of each primitive: from its text to its hashes."""
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(call: Callable[..., Any], arrays: list[fn.array]) -> None:
        for name, text, key in _core._structure(call, *arrays)[1]:
            seen[name][text].add(key)

    for op in OPS:
        for sample in op.samples:
            fallback = "float32" if "float32" in op.dtypes else op.dtypes[0]
            arrays = [fn.zeros(i.shape, getattr(fn, i.dtype or fallback)) for i in sample]
            add(op.call, arrays)
            chosen = tuple(i for i, x in enumerate(sample) if x.dtype is None)
            if op.differentiable and "float" in fallback:
                add(lambda *xs, op=op, c=chosen: fn.grad(lambda *ys: total(op.call(*ys)), argnums=c)(*xs), arrays)
    for family, (calls, given) in FAMILIES.items():
        for call in calls:
            add(call, inputs(given))
            if given[0].dtype == np.float32 and given[0].ndim and family != "while_loop":
                add(lambda x, *rest, call=call: fn.grad(lambda y: total(call(y, *rest)))(x), inputs(given))
    return seen


def total(result: Any) -> fn.array:
    return sum((x.astype(fn.float32).sum() for x in fn.tree.leaves(result)), fn.array(0.0))


def test_what_says_different_things_of_itself_has_different_hashes(primitives: Any) -> None:
    for name, texts in primitives.items():
        by_hash: dict[str, set[str]] = defaultdict(set)
        for text, keys in texts.items():
            for key in keys:
                by_hash[key].add(text)
        for same in by_hash.values():
            assert len(same) == 1, f"{name}: one hash for {sorted(same)}"


def test_every_primitive_takes_part(primitives: Any) -> None:
    """A primitive with parameters or graphs is seen with more than one of them."""
    for path in NATIVE.rglob("*.[ch]*"):
        for body in re.split(r"\bclass (?=\w+ (?:final )?: public Primitive)", path.read_text())[1:]:
            literal = re.search(r'name\(\) const override \{ return "(\w+)"', body.split("\n};")[0])
            if literal and literal[1] not in EXEMPT:
                varied = re.search(r"parameters\(\) const override|control\(\) const override", body.split("\n};")[0])
                assert len(primitives[literal[1]]) >= (2 if varied else 1), f"{literal[1]} is not tested: add a family"


# Leaves of traces, what holds the place of a recomputation or begins the order of effects, and what there is with a
# second device only.
EXEMPT = {"placeholder", "barrier", "together", "effects", *(["transfer"] if len(devices()) < 2 else [])}
