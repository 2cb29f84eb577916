"""Every operation of op_specs.py: values, dtypes, derivatives, batching, compilation, errors."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import funcnn as fn
from op_specs import OPS
from specs.rows import In, Op, result_dtype

EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52, "complex64": 2.0**-23}
STEP = 1e-5  # of central differences, in float64


def seeded(op: Op) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(op.name.encode()))


def draw(rng: np.random.Generator, spec: In, dtype: str, lead: tuple[int, ...] = ()) -> np.ndarray:
    """Elements that `dtype` represents, as float64, complex128, int64 or bool."""
    shape = (*lead, *spec.shape)
    kind = fn.float32 if (spec.dtype or dtype) == "bfloat16" else getattr(fn, spec.dtype or dtype)
    if kind == fn.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if fn.isdtype(kind, "integral"):
        low = max(spec.low, 0) if fn.isdtype(kind, "unsigned integer") else spec.low
        return rng.integers(int(np.floor(low)), int(np.ceil(spec.high)) + 1, shape)
    size = int(np.prod(shape))
    if spec.distinct:  # spread evenly, so that no two are close
        step = (spec.high - spec.low) / (size + 1)
        x = spec.low + step * (rng.permutation(size) + rng.uniform(0.1, 0.9)).reshape(shape)
    else:
        x = rng.uniform(spec.low, spec.high, shape)
    if kind == fn.complex64:
        return (x + 1j * rng.uniform(0.1, 1.0, shape)).astype(np.complex64).astype(np.complex128)
    with fn.default_device("cpu"):
        return np.asarray(fn.array(x, getattr(fn, spec.dtype or dtype)).astype(fn.float64))


def arrays(op: Op, sample: tuple[In, ...], values: list[np.ndarray], dtype: str) -> list[fn.array]:
    return [fn.array(v, getattr(fn, s.dtype or dtype)) for s, v in zip(sample, values, strict=True)]


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def agree(got: Any, expected: Any, dtype: str, tolerance: float, what: str, inputs: Sequence[Any] = ()) -> None:
    """Compare with an error bound relative to each element, or to the largest number among inputs and outputs up to 1."""
    for g, e in zip(outputs(got), outputs(expected), strict=True):
        g = np.asarray(g)
        assert g.shape == np.shape(e), what
        if g.dtype.kind in "biu":
            np.testing.assert_array_equal(g, np.asarray(e).astype(g.dtype), err_msg=what)
            continue
        rounding = tolerance * EPSILON.get(dtype, EPSILON["float32"])
        scale = max((float(np.abs(x).max(initial=0.0)) for x in (*inputs, np.asarray(e)[np.isfinite(e)])), default=1.0)
        np.testing.assert_allclose(g, e, rtol=rounding, atol=rounding * min(scale, 1.0), err_msg=what)


def cases() -> Iterator[Any]:
    for op in OPS:
        for dtype in op.dtypes:
            yield pytest.param(op, dtype, id=f"{op.name}-{dtype}")


@pytest.mark.parametrize(("op", "dtype"), list(cases()))
def test_values_and_dtypes_agree_with_numpy(op: Op, dtype: str) -> None:
    rng = seeded(op)
    for sample in op.samples:
        values = [draw(rng, s, dtype) for s in sample]
        result = op.call(*arrays(op, sample, values, dtype))
        with np.errstate(all="ignore"):
            expected = op.reference(*values)
        for out in outputs(result):
            assert out.dtype == result_dtype(op, dtype), f"{op.name}({dtype})"
        name = dtype if dtype in EPSILON else "float32"
        agree(result, expected, name, op.tolerance, f"{op.name}({dtype}) of {[v.shape for v in values]}", values)


EDGE_OPS = [pytest.param(op, id=op.name) for op in OPS if op.edges]


@pytest.mark.parametrize("op", EDGE_OPS)
def test_edge_values_agree_with_numpy(op: Op) -> None:
    for inputs in op.edges:
        values = [np.asarray(v, dtype=np.float32) for v in inputs]
        got = np.asarray(op.call(*[fn.array(v) for v in values]))
        with np.errstate(all="ignore"):
            expected = op.reference(*[v.astype(np.float64) for v in values])
            expected = np.asarray(expected).astype(got.dtype)
        rounding = op.tolerance * EPSILON["float32"]
        np.testing.assert_allclose(got, expected, rtol=rounding, atol=1e-30, err_msg=f"{op.name} of {values}")


DIFFERENTIABLE = [pytest.param(op, id=op.name) for op in OPS if op.differentiable and "float64" in op.dtypes]


def differentiated(op: Op, sample: tuple[In, ...], values: list[np.ndarray]) -> tuple[Any, list[fn.array]]:
    """The operation as a function of its floating-point inputs, in float64, and these inputs."""
    xs = arrays(op, sample, values, "float64")
    moving = [i for i, s in enumerate(sample) if s.dtype is None]

    def call(*given: fn.array) -> tuple[fn.array, ...]:
        full = list(xs)
        for i, x in zip(moving, given, strict=True):
            full[i] = x
        return tuple(outputs(op.call(*full)))

    return call, [xs[i] for i in moving]


def like(rng: np.random.Generator, x: fn.array) -> fn.array:
    return fn.array(rng.uniform(0.5, 1.0, x.shape) * rng.choice([-1, 1], x.shape), x.dtype)


def dot(a: Any, b: Any) -> float:
    return sum(float(np.sum(np.asarray(x) * np.asarray(y))) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_derivatives_agree_with_central_differences(op: Op) -> None:
    rng = seeded(op)
    for sample in op.samples:
        call, primals = differentiated(op, sample, [draw(rng, s, "float64") for s in sample])
        out, pull = fn.vjp(call, *primals)
        cotangents = tuple(like(rng, y) for y in out)
        tangents = [like(rng, x) for x in primals]
        reverse = dot(pull(cotangents), tangents)
        ahead = call(*[x + STEP * t for x, t in zip(primals, tangents, strict=True)])
        behind = call(*[x - STEP * t for x, t in zip(primals, tangents, strict=True)])
        numeric = (dot(cotangents, ahead) - dot(cotangents, behind)) / (2 * STEP)
        size = max(1.0, abs(numeric), sum(float(np.abs(np.asarray(y)).sum()) for y in out))
        assert reverse == pytest.approx(numeric, abs=1e-7 * size), f"vjp of {op.name} at {[x.shape for x in primals]}"
        _, forward = fn.jvp(call, tuple(primals), tuple(tangents))
        assert dot(cotangents, forward) == pytest.approx(reverse, abs=1e-10 * size), f"jvp of {op.name}"


@pytest.mark.parametrize("op", [p for p in DIFFERENTIABLE if p.values[0].twice])
def test_second_derivatives_agree_with_central_differences(op: Op) -> None:
    rng = seeded(op)
    sample = op.samples[min(1, len(op.samples) - 1)]
    call, primals = differentiated(op, sample, [draw(rng, s, "float64") for s in sample])
    cotangents = tuple(like(rng, y) for y in call(*primals))

    def gradient(*xs: fn.array) -> tuple[fn.array, ...]:
        return fn.vjp(call, *xs)[1](cotangents)

    tangents = [like(rng, x) for x in primals]
    _, forward = fn.jvp(gradient, tuple(primals), tuple(tangents))
    weights = [like(rng, x) for x in primals]
    ahead = gradient(*[x + STEP * t for x, t in zip(primals, tangents, strict=True)])
    behind = gradient(*[x - STEP * t for x, t in zip(primals, tangents, strict=True)])
    numeric = (dot(weights, ahead) - dot(weights, behind)) / (2 * STEP)
    size = max(1.0, abs(numeric), sum(float(np.abs(np.asarray(g)).sum()) for g in gradient(*primals)))
    assert dot(weights, forward) == pytest.approx(numeric, abs=1e-6 * size), op.name


BATCHED = [pytest.param(op, id=op.name) for op in OPS if op.batched]


@pytest.mark.parametrize("op", BATCHED)
def test_vmap_agrees_with_a_loop(op: Op) -> None:
    rng = seeded(op)
    dtype = "float32" if "float32" in op.dtypes else op.dtypes[0]
    length = 3
    for sample in op.samples[:4]:
        for mapped in itertools.product([True, False], repeat=len(sample)):
            if not any(mapped):
                continue
            values = [draw(rng, s, dtype, (length,) if m else ()) for s, m in zip(sample, mapped, strict=True)]
            xs = arrays(op, sample, values, dtype)
            rows = [
                outputs(op.call(*[x[i] if m else x for x, m in zip(xs, mapped, strict=True)])) for i in range(length)
            ]
            expected = [np.stack([np.asarray(r) for r in column]) for column in zip(*rows, strict=True)]
            what = f"vmap of {op.name}, {[s.shape for s in sample]}, mapped {mapped}"
            got = fn.vmap(lambda *a: tuple(outputs(op.call(*a))), tuple(0 if m else None for m in mapped))(*xs)
            agree(got, expected, dtype, op.tolerance, what)
            # The same with the axis at the back of the inputs and the outputs.
            back = [fn.moveaxis(x, 0, -1) if m else x for x, m in zip(xs, mapped, strict=True)]
            got = fn.vmap(
                lambda *a: tuple(outputs(op.call(*a))), tuple(-1 if m else None for m in mapped), out_axes=-1
            )(*back)
            agree(got, [np.moveaxis(e, 0, -1) for e in expected], dtype, op.tolerance, what + ", axis -1")


EVERY = [pytest.param(op, id=op.name) for op in OPS]


@pytest.mark.parametrize("op", EVERY)
def test_unfused_agrees_with_fused(op: Op) -> None:
    rng = seeded(op)
    dtype = "float32" if "float32" in op.dtypes else op.dtypes[0]
    for sample in op.samples:
        values = [draw(rng, s, dtype) for s in sample]

        def run(values: list[np.ndarray] = values, sample: tuple[In, ...] = sample) -> list[np.ndarray]:
            # Neighbours on both sides, for the planner to fuse with.
            xs = [x if s.dtype else x + x for s, x in zip(sample, arrays(op, sample, values, dtype), strict=True)]
            return [np.asarray(y if y.dtype == fn.bool_ else y + y) for y in outputs(op.call(*xs))]

        if dtype == "bool_":
            continue
        fused = run()
        before = fn.set_fusion(False)
        try:
            alone = run()
        finally:
            fn.set_fusion(before)
        agree(fused, alone, dtype, op.tolerance, op.name)


@pytest.mark.whole
@pytest.mark.parametrize("op", EVERY)
def test_compiled_agrees_with_eager(op: Op) -> None:
    rng = seeded(op)
    dtype = "float32" if "float32" in op.dtypes else op.dtypes[0]
    compiled = fn.compile(lambda *xs: tuple(outputs(op.call(*xs))))
    for sample in op.samples:
        for _ in range(2):  # traced, then taken from the cache
            xs = arrays(op, sample, [draw(rng, s, dtype) for s in sample], dtype)
            agree(compiled(*xs), [np.asarray(y) for y in outputs(op.call(*xs))], dtype, op.tolerance, op.name)


ERRORS = [
    pytest.param(call, exception, message, id=f"{op.name}-{i}")
    for op in OPS
    for i, (call, exception, message) in enumerate(op.errors)
]


@pytest.mark.parametrize(("call", "exception", "message"), ERRORS)
def test_bad_input_is_refused_at_the_call(call: Any, exception: type[BaseException], message: str) -> None:
    with pytest.raises(exception, match=message):
        call()
