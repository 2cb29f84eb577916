"""Runs a recipe with funcnn, in the ways its mode says."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import funcnn as fn
from funcnn import random

from .numpy_interpreter import elements, slices
from .numpy_matrices import packed
from .numpy_values import INEXACT, storage
from .recipe import Body, Const, Input, Recipe, Step


def dtype_of(name: str) -> fn.Dtype:
    return getattr(fn, name)


def make_input(given: Input) -> Any:
    """A computed array with the layout that the input asks for."""
    x = elements(given)
    dtype = dtype_of(given.dtype)
    if given.layout == "scalar":
        return placed(fn.array(x.item(), dtype))
    if given.layout == "transposed" and x.ndim > 1:
        a = fn.transpose(fn.array(np.ascontiguousarray(x.T), dtype))
    elif given.layout == "strided" and x.ndim:
        a = fn.array(np.ascontiguousarray(np.repeat(x, 2, axis=-1)), dtype)[..., ::2]
    elif given.layout == "reversed" and x.ndim:
        a = fn.flip(fn.array(np.ascontiguousarray(np.flip(x, 0)), dtype), 0)
    elif given.layout == "offset" and x.ndim:
        a = fn.array(np.concatenate([x[:1], x], 0), dtype)[len(x[:1]) :]
    else:
        a = fn.array(x, dtype)
    a = placed(a)
    fn.eval(a)
    return a


def at(x: Any, key: Any, mode: str, values: Any) -> Any:
    return getattr(x.at[key], mode)(values)


def attention(q: Any, k: Any, v: Any, causal: bool) -> Any:
    heads = [x[:, None] for x in (q, k, v)]
    return fn.fast.scaled_dot_product_attention(*heads, scale=0.5, mask="causal" if causal else None)[:, 0]


def scan(*args: Any, body: Body, carries: int, sequences: int, length: int, reverse: bool) -> list[Any]:
    constants = args[carries + sequences :]

    def step(carry: Any, xs: Any) -> Any:
        out = run_body(body, [*carry, *(xs if xs is not None else ()), *constants])
        return tuple(out[:carries]), tuple(out[carries:])

    xs = tuple(args[carries : carries + sequences]) if sequences else None
    carry, ys = fn.scan(step, tuple(args[:carries]), xs, length=length, reverse=reverse)
    return [*carry, *ys]


def cond(pred: Any, *args: Any, first: Body, second: Body) -> list[Any]:
    return list(
        fn.cond(pred, lambda *a: tuple(run_body(first, list(a))), lambda *a: tuple(run_body(second, list(a))), *args)
    )


def while_loop(*args: Any, body: Body, carries: int, limit: int) -> list[Any]:
    constants = args[carries:]

    def step(carry: Any) -> Any:
        return (carry[0] + 1, *run_body(body, [*carry, *constants]))

    return list(fn.while_loop(lambda carry: carry[0] < limit, step, tuple(args[:carries])))


def call(*args: Any, body: Body, how: str) -> list[Any]:
    def f(*args: Any) -> Any:
        return tuple(run_body(body, list(args)))

    return list({"checkpoint": fn.checkpoint, "compile": fn.compile}[how](f)(*args))


def vmap(*args: Any, body: Body, mapped: int) -> list[Any]:
    axes = (0,) * mapped + (None,) * (len(args) - mapped)
    return list(fn.vmap(lambda *a: tuple(run_body(body, list(a))), in_axes=axes)(*args))


def linalg(x: Any, *others: Any, name: str) -> Any:
    x = fn.where(fn.isnan(x), 0.0, fn.tanh(x))
    if name in ("cholesky", "eigvalsh"):
        x = (x + fn.swapaxes(x, -1, -2)) / 2
    a = x + 2 * x.shape[-1] * fn.eye(x.shape[-1])
    if name == "slogdet":
        return fn.linalg.slogdet(a).logabsdet
    return getattr(fn.linalg, name)(a, *(fn.where(fn.isfinite(b), b, 0.0) for b in others))


def quantized_matmul(x: Any, seed: int, rows: int, mode: str, bits: int, transpose: bool) -> Any:
    length = x.shape[-1]
    shape = (rows, length) if transpose else (length, rows)
    words, scales, *biases = map(fn.array, packed(seed, *shape, mode, bits))
    if mode == "affine":
        scales, biases = scales.astype(x.dtype), [biases[0].astype(x.dtype)]
    form = {"mode": mode, "bits": bits, "group_size": 32, "transpose": transpose}
    return fn.quantized_matmul(x, words, scales, *biases, **form)


OPS: dict[str, Callable[..., Any]] = {
    "where": fn.where,
    "astype": lambda x, dtype: x.astype(dtype_of(dtype)),
    "index": lambda x, at: x[slices(at)],
    "pad": lambda x, widths, mode, value: fn.pad(x, widths, mode, value),
    "concatenate": lambda *xs, axis: fn.concatenate(list(xs), axis),
    "stack": lambda *xs, axis: fn.stack(list(xs), axis),
    "split": lambda x, at, axis: fn.split(x, list(at), axis),
    "arange": lambda stop, dtype: fn.arange(stop, dtype=dtype_of(dtype)),
    "full": lambda shape, value, dtype: fn.full(shape, value, dtype_of(dtype)),
    "cumsum": lambda x, axis, reverse, inclusive: fn.cumsum(x, axis, reverse=reverse, inclusive=inclusive),
    "cumprod": lambda x, axis, reverse, inclusive: fn.cumprod(x, axis, reverse=reverse, inclusive=inclusive),
    "cummax": lambda x, axis, reverse, inclusive: fn.cummax(x, axis, reverse=reverse, inclusive=inclusive),
    "cummin": lambda x, axis, reverse, inclusive: fn.cummin(x, axis, reverse=reverse, inclusive=inclusive),
    "logcumsumexp": lambda x, axis, reverse, inclusive: fn.logcumsumexp(x, axis, reverse=reverse, inclusive=inclusive),
    "einsum": lambda a, b, spec: fn.einsum(spec, a, b),
    "attention": attention,
    "linalg": linalg,
    "quantized_matmul": quantized_matmul,
    "fourier": lambda x, name, axis: getattr(fn.fft, name)(x, axis=axis),
    "searchsorted": lambda s, v, side: fn.searchsorted(s, v, side=side),
    "at_index": lambda x, i, v, mode, axis: at(x, (slice(None),) * axis + (i,), mode, v),
    "at_pair": lambda x, i, j, v, mode: at(x, (i, j), mode, v),
    "at_slice": lambda x, v, mode, at: getattr(x.at[slices(at)], mode)(v),
    "at_mask": lambda x, m, v, mode: at(x, m, mode, v),
    "random_bits": random.bits,
    "random_uniform": random.uniform,
    "scan": scan,
    "cond": cond,
    "while_loop": while_loop,
    "call": call,
    "vmap": vmap,
}


# Which steps run on another device now.
moved = 0


@contextlib.contextmanager
def moving(which: int) -> Iterator[None]:
    global moved
    before, moved = moved, which
    try:
        yield
    finally:
        moved = before


def is_moved(step: Step) -> bool:
    return moved > 0 and zlib.crc32(repr((moved, step.op, step.args)).encode()) % 3 == 0


def placed(x: Any) -> Any:
    """Numbers are nowhere in particular, which a body that moves them about may not find out."""
    return fn.device_put(x, fn.get_default_device()) if moved else x


def run_step(step: Step, values: Sequence[Any]) -> list[Any]:
    args = [a.value if isinstance(a, Const) else values[a] for a in step.args]
    f = OPS.get(step.op) or getattr(fn, step.op)
    elsewhere = is_moved(step)
    if elsewhere:
        there = fn.Device("reference") if fn.get_default_device() == fn.cpu else fn.cpu
        args = [fn.device_put(a, there) if isinstance(a, fn.array) else a for a in args]
        with fn.default_device(there), moving(0):
            out = f(*args, **step.params)
    else:
        out = f(*args, **step.params)
    out = list(out) if isinstance(out, (list, tuple)) else [out]
    return [placed(x) for x in out] if elsewhere or not step.args else out


def run_body(body: Body, args: list[Any]) -> list[Any]:
    values = list(args)
    for step in body.steps:
        values += run_step(step, values)
    return [values[i] for i in body.outputs]


def run_eager(recipe: Recipe) -> dict[int, Any]:
    """Values with a handle at the end: outputs and those kept, by number."""
    mode = recipe.mode
    values: list[Any] = [make_input(i) for i in recipe.inputs]
    asked = {*recipe.outputs, *mode.kept}
    last: dict[int, int] = {}
    for number, step in enumerate(recipe.steps):
        for a in step.args:
            if not isinstance(a, Const):
                last[a] = number
    stops: dict[int, list[int]] = {}
    for after, which in mode.stops:
        stops.setdefault(after, []).extend(which)
        for i in which:
            last[i] = max(last.get(i, -1), after)
    for number, step in enumerate(recipe.steps):
        values += run_step(step, values)
        now = [values[i] for i in stops.get(number, ())]
        if now and mode.background:
            fn.async_eval(*now)
        elif now:
            fn.eval(*now)
        del now
        for i in range(len(values)):
            if i not in asked and last.get(i, -1) <= number:
                values[i] = None
    fn.eval(*[values[i] for i in recipe.outputs])
    return {i: values[i] for i in asked}


def program(recipe: Recipe) -> Callable[..., tuple[Any, ...]]:
    def f(*inputs: Any) -> tuple[Any, ...]:
        return tuple(run_body(Body(len(inputs), recipe.steps, recipe.outputs), list(inputs)))

    return f


def run_compiled(recipe: Recipe) -> list[dict[int, Any]]:
    """Two calls; outputs, and inputs that were not given away."""
    mode = recipe.mode
    f = fn.compile(program(recipe), donate=list(mode.donated))
    runs = []
    for _ in range(2):
        inputs = [make_input(i) for i in recipe.inputs]
        out = f(*inputs)
        got = {i: x for i, x in enumerate(inputs) if i not in mode.donated}
        del inputs
        got.update(zip(recipe.outputs, out, strict=True))
        runs.append(got)
    return runs


def to_numpy(x: Any, dtype: str) -> np.ndarray:
    if dtype in INEXACT and dtype not in ("float64", "complex64"):
        x = fn.device_put(x, fn.cpu).astype(fn.float64)
    return np.asarray(x).astype(storage(dtype), copy=False)
