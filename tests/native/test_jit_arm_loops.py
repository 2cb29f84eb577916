"""Loops compiled to NEON, run on an AArch64 machine or in qemu, against lines evaluated in plain C++: the same bits."""

import contextlib
import os
import pathlib
import platform
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from random_loops import BYTES, Lines, elements, same_bits, samples

import instruction_sets
from funcnn import _core

NATIVE = platform.system() == "Linux" and platform.machine() in ("aarch64", "arm64")
# What looks like an AArch64 machine may be an emulator itself, whose `cc` is that of the machine below.
COMPILER = shutil.which("aarch64-linux-gnu-gcc") or (shutil.which("cc") if NATIVE else None)
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
CANARY = b"\xa5" * 64

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
    with instruction_sets.using("baseline") if not NATIVE and not squares else contextlib.nullcontext():
        _core._loop_evaluate(loop, rows, cols, buffers)


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
            same_bits(got[64:-64], bytes(want), dtype, self.stages)
        return at


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
    for number, cols in enumerate([16, 31, 48, 64, 65, 80, 100, 128, 131, 777, 2048]):
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


def test_values_that_wait_for_a_sum_share_a_row(runner, tmp_path):
    """Softmax: what passes from stage to stage lies in one row that all rows write in turn; masks as well."""
    jobs = []
    for seed, cols in enumerate([64, 100, 131]):
        rng = np.random.default_rng(seed)
        first = [("load", -1, -1, -1, 0, 0), ("multiply", 0, 0, -1, -1, 0), ("store", 1, -1, -1, 1, 0)]
        first += [("less", 1, 0, -1, -1, 0), ("mask_store", 3, -1, -1, 2, 0), ("reduce", 1, -1, -1, 0, 0)]
        second = [("load", -1, -1, -1, 1, 0), ("mask_of_load", -1, -1, -1, 2, 0), ("uniform", -1, -1, -1, 3, 0)]
        second += [("divide", 0, 2, -1, -1, 0), ("select", 1, 3, 0, -1, 0), ("store", 4, -1, -1, 4, 0)]
        streams = [("element", "float32"), ("column", "float32"), ("column", "bool"), ("row", "float32")]
        stages = [(first, [("sum", False, "float32", 3)]), (second, [])]
        jobs.append(Job((False, stages, [*streams, ("element", "float32")]), 3, cols, rng, True))
    assert len(run(runner, jobs, tmp_path)) == 3


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
    stage = ([("index", -1, -1, -1, -1, 0), ("store", 0, -1, -1, 1, 0)], [])
    code, why = _core._arm_emit((False, [stage], [("element", "float32")] * 2))
    assert code == b"" and why == "an operation"
