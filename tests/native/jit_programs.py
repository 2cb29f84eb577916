"""Random programs of every operation and dtype; run by test_jit_programs.py with FUNCNN_JIT=always,verify, which raises
where the bits of compiled steps are not those of interpreted ones, and without verify."""

import os
import sys

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, os.path.dirname(__file__))
from program import Builder, run
from test_lines import FUSED, edges

import instruction_sets
from funcnn import _core

# What the planner of the interpreter makes of larger programs.
PLANNED = {"fms", "fnma", "divide_row", "exp_of_difference", "scaled_difference"}
PLANNED |= {f"half_{name}" for name in ("exp", "sigmoid", "tanh", "erf", "gelu", "gelu_derivative")}

KINDS = {}  # of operations: by dtype, name -> (dtypes of operands, dtype of the result)
for name, dtype, operands, result in _core._operations(False):
    if dtype != "complex64" and result != "complex64" and name not in PLANNED:
        KINDS.setdefault(dtype, {})[name] = (operands, result)
for dtype in KINDS:
    KINDS[dtype].pop("make_complex", None)
# Slow in the interpreter, and no code is made of them.
for name in ("polygamma", "lgamma", "digamma"):
    for dtype in ("float32", "float64"):
        KINDS[dtype].pop(name)

USUAL = ["float32", "float32", "float32", "float16", "int32", "bool", "uint8"]
OTHERS = ["bfloat16", "int8", "int16", "uint16", "uint32", "int64", "uint64", "float64"]
DTYPES = st.sampled_from(USUAL) | st.sampled_from(OTHERS)
HALF = ("float16", "bfloat16")


def stored(dtype):
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


isa = instruction_sets.fixture(FUSED, autouse=True)


def data(rng, dtype, count):
    """Usual numbers, and some with any bits."""
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(bool)
    t = stored(dtype)
    x = rng.integers(0, 256, count * t.itemsize, dtype=np.uint8).view(t)
    usual = rng.random(count) < 0.8
    if t.kind == "f":
        x[usual] = (rng.normal(size=usual.sum()) * 3).astype(t)
    elif dtype == "bfloat16":
        x[usual] = (rng.normal(size=usual.sum()) * 3).astype(np.float32).view(np.uint32) >> 16
    else:
        x[usual] = rng.integers(0, 30, usual.sum())
    return x


def test_every_recorded_operation():
    rng = np.random.default_rng(3)
    for name, _, operands, result in _core._operations(True):
        if name in PLANNED:
            continue
        n = 517
        b = Builder(1, n)
        arrays = [np.concatenate([edges(d), data(rng, d, n)])[:n] for d in operands]
        for a in arrays[1:]:
            rng.shuffle(a)
        b.store(b.compute(name, *[b.load(d) for d in operands], dtype=result))
        run(b.build(), *arrays, np.empty(n, result))


SPACES = ["element", "element", "element", "row", "scalar", "column"]


@st.composite
def programs(draw):
    rows, cols = draw(
        st.sampled_from(
            [(1, 1), (1, 7), (1, 300), (1, 5000), (3, 65), (40, 33), (5, 64), (7, 1000), (300, 3), (2, 4100)]
        )
    )
    loads = draw(st.lists(st.tuples(DTYPES, st.sampled_from(SPACES)), min_size=1, max_size=4))
    kinds = ["float32" if dtype in HALF else dtype for dtype, _ in loads]  # of values
    steps = []
    for _ in range(draw(st.integers(1, 12))):
        value = draw(st.integers(0, len(kinds) - 1))
        dtype = kinds[value]
        name = draw(st.sampled_from(["cast", "reduce", *sorted(KINDS[dtype])]))
        if name == "cast":
            to = draw(DTYPES.filter(lambda d: d not in HALF))
            steps.append(("cast", to, [value]))
            kinds.append(to)
        elif name == "reduce":
            names = ["all", "any"] if dtype == "bool" else ["sum", "max", "min", "prod"]
            steps.append(("reduce", draw(st.sampled_from(names)), [value]))
            kinds.append(dtype)
        else:
            operands, result = KINDS[dtype][name]
            args = [draw(st.sampled_from([i for i, k in enumerate(kinds) if k == o] or [-1])) for o in operands]
            if -1 in args:
                continue
            steps.append((name, result, args))
            kinds.append(result)
    stores = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=3, unique=True))
    targets = [draw(st.sampled_from([*HALF, kinds[s]])) if kinds[s] == "float32" else kinds[s] for s in stores]
    return rows, cols, loads, steps, list(zip(stores, targets, strict=True)), draw(st.integers(0, 9))


def build(case):
    rows, cols, loads, steps, stores, seed = case
    rng = np.random.default_rng(seed)
    b = Builder(rows, cols)
    arrays, ids = [], []
    for dtype, space in loads:
        count = {"element": rows * cols, "row": rows, "scalar": 1, "column": cols}[space]
        arrays.append(data(rng, dtype, count))
        column = {"shape": (rows, cols), "strides": (0, 1)} if space == "column" else {}
        ids.append(b.load(dtype, "element" if space == "column" else space, **column))
    for name, detail, args in steps:
        args = [ids[a] for a in args]
        if name == "cast":
            ids.append(b.compute("copy", args[0], dtype=detail))
        elif name == "reduce":
            ids.append(b.reduce_row(detail, args[0]))
        else:
            ids.append(b.compute(name, *args, dtype=detail))
    outs = []
    for s, target in stores:
        b.store(ids[s], target)
        count = {"element": rows * cols, "row": rows, "scalar": 1}[b.info[ids[s]][0]]
        outs.append(np.empty(count, stored(target)))
    return b.build(), arrays, outs


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_compiled_programs_are_interpreted_ones(case):
    program, arrays, outs = build(case)
    run(program, *arrays, *outs)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_later_runs_give_the_same(case):
    """The first compiles; small programs are called with nothing but their operands from then on."""
    program, arrays, outs = build(case)
    run(program, *arrays, *outs)
    for shift in (0, 1):  # elsewhere in memory
        again = [np.zeros(len(out) + shift, out.dtype)[shift:] for out in outs]
        run(program, *[np.concatenate([a[:shift], a])[shift:] for a in arrays], *again)
        for a, b in zip(outs, again, strict=True):
            assert a.tobytes() == b.tobytes()
