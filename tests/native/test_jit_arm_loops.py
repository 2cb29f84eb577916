"""Loops compiled to NEON, run on an AArch64 machine or in qemu, against lines evaluated in plain C++: the same bits."""

import pathlib
import platform
import shutil
import struct
import subprocess

import numpy as np
import pytest

from funcnn import _core

NATIVE = platform.system() == "Linux" and platform.machine() in ("aarch64", "arm64")
COMPILER = shutil.which("cc" if NATIVE else "aarch64-linux-gnu-gcc")
QEMU = None if NATIVE else shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
BYTES = {
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "uint32": 4,
}
BYTES |= {"float32": 4, "int64": 8, "uint64": 8, "float64": 8}
CANARY = b"\xa5" * 64
BEST = _core._instruction_set()

pytestmark = pytest.mark.skipif(
    not COMPILER or not (NATIVE or QEMU), reason="needs AArch64, or qemu and a compiler for it"
)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    binary = tmp_path_factory.mktemp("arm") / "runner"
    source = pathlib.Path(__file__).with_name("arm_runner.c")
    subprocess.run([COMPILER, "-O1", "-static", str(source), "-o", str(binary)], check=True)
    return [*([QEMU] if QEMU else []), str(binary)]


def evaluate(loop, rows, cols, buffers):
    """What NEON comes to: vectors of 16 bytes, which zeros of either sign see in `max` and `min`, and fused products."""
    folds = [f for _, folds in loop[1] for f in folds]
    squares = any(f[1] for f in folds)
    assert not (squares and any(f[0] in ("max", "min") for f in folds))
    if not NATIVE and not squares:
        _core._set_instruction_set("baseline")
    try:
        _core._loop_evaluate(loop, rows, cols, buffers)
    finally:
        _core._set_instruction_set(BEST)


def elements(walk, rows, cols):
    return {"element": rows * cols, "column": cols, "row": rows, "scalar": 1}[walk]


def samples(dtype, n, rng, small=False):
    if dtype == "bool":
        return rng.integers(0, 2, n).astype(np.uint8).tobytes()
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, n, dtype=dtype, endpoint=True)
        few = rng.integers(-3 if info.min else 0, 4, n).astype(dtype)
        return np.where(rng.random(n) < 0.5, few, x).tobytes()
    wide = np.float64 if dtype == "float64" else np.float32
    x = (rng.normal(size=n) * np.exp(rng.uniform(-2, 2 if small else 30, n))).astype(wide)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-40, -1e30, 65504, 3e38], wide)
    if not small:
        x = np.where(rng.random(n) < 0.3, rng.choice(edges, n), x)
    if dtype == "bfloat16":
        return (x.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    with np.errstate(over="ignore"):
        return x.astype(dtype).tobytes()


class Job:
    def __init__(self, loop, rows, cols, rng, small=False):
        wide, self.stages, self.streams = loop
        self.loop, self.rows, self.cols = loop, rows, cols
        self.code, self.why = _core._arm_emit(loop)
        self.buffers = []
        for walk, dtype in self.streams:
            size = elements(walk, rows, cols)
            self.buffers.append(samples(dtype, size, rng, small))
        self.whole = cols // (2 if wide else 4) * (2 if wide else 4)

    def packed(self):
        folds = [(stream, BYTES[dtype]) for _, _, dtype, stream in self.stages[0][1]]
        out = struct.pack("<6q", len(self.code), self.rows, self.cols, self.whole, len(folds), len(self.buffers))
        out += b"".join(struct.pack("<2q", *f) for f in folds)
        padded = [CANARY + b + CANARY for b in self.buffers]
        out += b"".join(struct.pack("<2q", len(p), len(CANARY)) for p in padded)
        return out + self.code + b"".join(padded)

    def check(self, data, at):
        """Hold what a run has left against what the line means; the place where the next job's results begin."""
        (changed,) = struct.unpack_from("<q", data, at)
        assert changed == 0, "registers are not as they were"
        at += 8
        meant = [bytearray(b) for b in self.buffers]
        evaluate(self.loop, self.rows, self.cols, meant)
        for s, (want, (_, dtype)) in enumerate(zip(meant, self.streams, strict=True)):
            got = data[at : at + len(want) + 2 * len(CANARY)]
            at += len(got)
            assert got[:64] == CANARY and got[-64:] == CANARY, f"stream {s}: written beyond its end"
            same_bits(got[64:-64], bytes(want), dtype, self)
        return at


def same_bits(got, want, dtype, job):
    if got == want:
        return
    bits = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[BYTES[dtype]]
    a, b = np.frombuffer(got, bits), np.frombuffer(want, bits)
    wrong = a != b
    if "float" in dtype:  # a NaN is a NaN
        exponent = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}[dtype]
        sign = bits(1 << (8 * BYTES[dtype] - 1)) - bits(1)
        wrong &= ~(((a & sign) > bits(exponent)) & ((b & sign) > bits(exponent)))
    if wrong.any():
        i = int(np.argmax(wrong))
        nodes = "\n".join(f"{n}: {node}" for nodes, folds in job.stages for n, node in enumerate([*nodes, folds]))
        raise AssertionError(f"{job.rows} x {job.cols}, element {i} of {dtype}: {a[i]:#x}, not {b[i]:#x}\n{nodes}")


def run(runner, jobs, folder):
    jobs = [j for j in jobs if j.code]
    (folder / "jobs").write_bytes(struct.pack("<q", len(jobs)) + b"".join(j.packed() for j in jobs))
    subprocess.run([*runner, str(folder / "jobs"), str(folder / "results")], check=True, timeout=300)
    data, at = (folder / "results").read_bytes(), 0
    for j in jobs:
        at = j.check(data, at)
    assert at == len(data)
    return jobs


def test_operations_of_the_tables(runner, tmp_path):
    rng = np.random.default_rng(1)
    loops = _core._operation_loops()
    jobs = [Job(loop, 1, n, rng) for _, _, loop in loops for n in (37, 3)]
    refused = {(op, dtype, j.why) for (op, dtype, _), j in zip(loops, jobs[::2], strict=True) if not j.code}
    assert len(run(runner, jobs, tmp_path)) > 300
    assert not refused


# ---- random lines


REAL = {
    "add": 2,
    "subtract": 2,
    "multiply": 2,
    "divide": 2,
    "fma": 3,
    "fms": 3,
    "fnma": 3,
    "square_root": 1,
    "least": 2,
}
REAL |= {"greatest": 2, "floor": 1, "ceil": 1, "truncate": 1, "nearest": 1}
INTEGER = {"int_add": 2, "int_subtract": 2, "int_multiply": 2, "int_least": 2, "int_greatest": 2, "uint_least": 2}
INTEGER |= {"uint_greatest": 2, "bit_and": 2, "bit_or": 2, "bit_xor": 2, "shift_left_by": 2, "shift_right_by": 2}
INTEGER |= {"shift_right_signed_by": 2, "shift_left": 1, "shift_right": 1, "shift_right_signed": 1}
COMPARE = {
    "less": "real",
    "less_equal": "real",
    "equal": "real",
    "not_equal": "real",
    "int_less": "int",
    "int_equal": "int",
}


class Lines:
    """Random lines over every operation: of values, integers that share their bits, and masks."""

    def __init__(self, rng, wide, length):
        self.rng, self.wide = rng, wide
        self.real, self.integer = ("float64", "int64") if wide else ("float32", "int32")
        self.streams, self.stages, self.sources = [], [], []
        dtypes = [self.real, self.integer]
        dtypes += [] if wide else ["float16", "bfloat16", "int8", "uint8", "int16", "uint16"]
        for dtype in [*rng.choice(dtypes, 3), self.real]:
            self.source("load", rng.choice(["element", "element", "column"]), str(dtype))
        self.source("uniform", rng.choice(["row", "scalar"]), self.real)
        self.source("uniform", "row", self.integer)
        self.source("mask_of_load", rng.choice(["element", "row", "column"]), "bool")
        self.start(length)

    def source(self, what, walk, dtype):
        kind = "mask" if dtype == "bool" else "real" if "float" in dtype else "int"
        self.sources.append((kind, what, self.stream(walk, dtype)))

    def start(self, length):
        """A stage begins, with values of all that is read."""
        self.nodes, self.folds = [], []
        self.stages.append((self.nodes, self.folds))
        self.kinds = {"real": [], "int": [], "mask": []}
        for kind, what, stream in self.sources:
            self.value(kind, what, stream=stream)
        for _ in range(3):
            self.kinds["real"].append(self.value_of(self.rng.normal()))
        self.value("int", "constant", bits=int(self.rng.integers(0, 70)))
        for _ in range(length):
            self.operation()

    def stream(self, walk, dtype):
        self.streams.append((str(walk), dtype))
        return len(self.streams) - 1

    def node(self, what, args=(), stream=-1, bits=0):
        self.nodes.append((str(what), *[*args, -1, -1, -1][:3], stream, bits))
        return len(self.nodes) - 1

    def value(self, kind, what, args=(), stream=-1, bits=0):
        self.kinds[kind].append(self.node(what, args, stream, bits))

    def some(self, kind):
        # Late values keep many alive at once.
        known = self.kinds[kind]
        return int(known[int(len(known) * self.rng.beta(2, 1.2))])

    def operation(self):
        rng = self.rng
        group = rng.choice(["real", "int", "compare", "mask", "select", "convert"], p=[0.45, 0.2, 0.1, 0.08, 0.1, 0.07])
        if group == "real":
            what = str(rng.choice(list(REAL)))
            self.value("real", what, [self.some("real") for _ in range(REAL[what])])
        elif group == "int":
            what = str(rng.choice(list(INTEGER)))
            bits = int(rng.integers(0, 64 if self.wide else 32)) if INTEGER[what] == 1 else 0
            self.value("int", what, [self.some("int") for _ in range(INTEGER[what])], bits=bits)
        elif group == "compare":
            what = str(rng.choice(list(COMPARE)))
            self.value("mask", what, [self.some(COMPARE[what]) for _ in range(2)])
        elif group == "mask":
            what = str(rng.choice(["mask_and", "mask_or", "mask_xor", "mask_not"]))
            self.value("mask", what, [self.some("mask") for _ in range(1 if what == "mask_not" else 2)])
        elif group == "select":
            kind = str(rng.choice(["real", "int"]))
            self.value(kind, rng.choice(["select", "choose"]), [self.some("mask"), self.some(kind), self.some(kind)])
        elif rng.random() < 0.5:
            self.value("real", "from_int", [self.some("int")])
        elif not self.wide and rng.random() < 0.5:
            self.value("real", "half", [self.some("real")])
        else:  # of what fits only; NaN is not greater
            clamped = self.node("greatest", [self.some("real"), self.value_of(-1e9)])
            self.value("int", "to_int", [self.node("least", [clamped, self.value_of(1e9)])])

    def value_of(self, x):
        whole, real = ("<Q", "<d") if self.wide else ("<I", "<f")
        return self.node("constant", bits=struct.unpack(whole, struct.pack(real, x))[0])

    def store(self):
        for dtype in [self.real, self.integer] + ([] if self.wide else ["float16", "uint8", "int16"]):
            self.node("store", [self.some("real" if "float" in dtype else "int")], self.stream("element", dtype))
        self.node("mask_store", [self.kinds["mask"][-1]], self.stream("element", "bool"))
        self.node("store", [self.kinds["real"][-1]], self.stream("element", self.real))

    def reduce(self, dtype, op, squares=False):
        stream = self.stream("row", dtype)
        self.folds.append((op, squares, dtype, stream))
        self.node("reduce", [self.some("real" if "float" in dtype else "int")], len(self.folds) - 1)
        self.sources.append(("real" if "float" in dtype else "int", "uniform", stream))

    def loop(self):
        return (self.wide, self.stages, self.streams)


@pytest.mark.parametrize("wide", [False, True])
def test_random_lines(runner, tmp_path, wide):
    jobs = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lines = Lines(rng, wide, int(rng.integers(1, 120)))
        lines.store()
        rows, cols = [(1, 1), (1, 9), (3, 4), (2, 7), (5, 16), (4, 3)][seed % 6]
        jobs.append(Job(lines.loop(), rows, cols, rng))
    assert len(run(runner, jobs, tmp_path)) == 60


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64"])
def test_reductions_of_rows(runner, tmp_path, dtype):
    jobs, wide = [], BYTES[dtype] == 8
    kinds = [("sum", False), ("max", False), ("min", False)]
    kinds += [("prod", False)] if dtype not in ("int64", "uint64") else []
    kinds += [("sum", True)] if "float" in dtype else []
    for number, cols in enumerate([64, 65, 100, 128, 131, 777, 2048]):
        rng = np.random.default_rng(number)
        for small in (False, True):
            lines = Lines(rng, wide, int(rng.integers(1, 60)))
            chosen = [kinds[k] for k in rng.permutation(len(kinds))[: 1 + number % 3]]
            if ("sum", True) in chosen:
                chosen = [(op, squares) for op, squares in chosen if op in ("sum", "prod")]
            for op, squares in chosen:
                lines.reduce(dtype, op, squares)
            if number % 2:
                lines.store()
            if number % 3:
                lines.start(20)
                lines.store()
            jobs.append(Job(lines.loop(), 1 + number % 3, cols, rng, small))
    assert len(run(runner, jobs, tmp_path)) == len(jobs)


def test_reductions_of_plain_rows(runner, tmp_path):
    """Of what is loaded, so that ties, infinities and NaN are many."""
    jobs = []
    for dtype, load in [("float32", "load"), ("float64", "load")]:
        for kind in [("sum", False), ("prod", False), ("max", False), ("min", False), ("sum", True)]:
            for cols in (64, 67, 200, 1031):
                rng = np.random.default_rng(cols)
                nodes = [(load, -1, -1, -1, 0, 0), ("reduce", 0, -1, -1, 0, 0)]
                loop = (dtype == "float64", [(nodes, [(*kind, dtype, 1)])], [("element", dtype), ("row", dtype)])
                jobs += [Job(loop, 5, cols, rng, small) for small in (False, True)]
    assert len(run(runner, jobs, tmp_path)) == len(jobs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_several_blocks(runner, tmp_path, dtype):
    jobs = []
    for number, cols in enumerate([2049, 4096, 5 * 2048 + 77, 2048 + 64]):
        rng = np.random.default_rng(number)
        lines = Lines(rng, dtype == "float64", 5)
        for squares in [False, True][: 1 + number % 2]:
            lines.reduce(dtype, "sum", squares)
        lines.start(5)
        lines.store()
        jobs.append(Job(lines.loop(), 2, cols, rng, True))
    assert len(run(runner, jobs, tmp_path)) == len(jobs)


def test_stages_one_after_another(runner, tmp_path):
    jobs = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        lines = Lines(rng, False, 10)
        for stage in range(4):
            if stage != 2:
                lines.reduce("float32", str(rng.choice(["sum", "max"])))
            else:
                lines.store()
            if stage == 1:
                lines.reduce("int32", "min")
            lines.start(int(rng.integers(1, 60)))
        lines.store()
        jobs.append(Job(lines.loop(), 3, [64, 130, 301][seed % 3], rng, True))
    assert len(run(runner, jobs, tmp_path)) == 20


def test_values_of_rows_are_stored(runner, tmp_path):
    jobs = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        nodes = [("uniform", -1, -1, -1, 0, 0), ("uniform", -1, -1, -1, 1, 0), ("multiply", 0, 1, -1, -1, 0)]
        nodes += [("store", 2, -1, -1, 2, 0), ("less", 0, 1, -1, -1, 0), ("mask_store", 4, -1, -1, 3, 0)]
        nodes += [("store", 2, -1, -1, 4, 0)]
        reads = [("uniform", -1, -1, -1, 2, 0), ("mask_of_load", -1, -1, -1, 3, 0), ("load", -1, -1, -1, 5, 0)]
        reads += [("select", 1, 0, 2, -1, 0), ("store", 3, -1, -1, 6, 0)]
        streams = [("row", "float32"), ("row", "float32"), ("row", "float32"), ("row", "bool"), ("row", "float16")]
        streams += [("element", "float32")] * 2
        jobs.append(Job((False, [(nodes, []), (reads, [])], streams), 4, [1, 4, 7][seed % 3], rng))
    assert len(run(runner, jobs, tmp_path)) == 6


def test_more_operands_than_registers(runner, tmp_path):
    rng = np.random.default_rng(5)
    nodes, streams = [("load", -1, -1, -1, 0, 0)], [("element", "float32")]
    for n in range(1, 30):
        streams.append((["element", "row", "column"][n % 3], "float32"))
        nodes.append(("uniform" if n % 3 == 1 else "load", -1, -1, -1, n, 0))
        nodes.append(("add", len(nodes) - 2 if n > 1 else 0, len(nodes) - 1, -1, -1, 0))
    streams.append(("element", "float32"))
    nodes.append(("store", len(nodes) - 1, -1, -1, 30, 0))
    jobs = [Job((False, [(nodes, [])], streams), rows, cols, rng, True) for rows, cols in [(1, 5), (3, 10)]]
    assert len(run(runner, jobs, tmp_path)) == 2


def test_what_it_does_not_know_is_refused():
    for nodes in ([("index", -1, -1, -1, -1, 0)], [("load", -1, -1, -1, 0, 0), ("scale", 0, 0, -1, -1, 0)]):
        stage = ([*nodes, ("store", len(nodes) - 1, -1, -1, 1, 0)], [])
        loop = (False, [stage], [("element", "float32")] * 2)
        code, why = _core._arm_emit(loop)
        assert code == b"" and why == "an operation"
