"""Loops compiled for AVX2 and AVX-512, in both calling conventions, against lines evaluated in plain C++: the same bits."""

import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from random_loops import Lines, elements, same_bits, samples

import instruction_sets
from funcnn import _core

CANARY = bytes([0xA5]) * 64

pytestmark = pytest.mark.skipif(not instruction_sets.X86, reason="needs AVX2 or AVX-512")

level = instruction_sets.fixture(instruction_sets.X86)


def aligned(contents):
    """Bytes that can be written, at a multiple of 64."""
    room = np.empty(len(contents) + 64, "uint8")
    at = room[-room.ctypes.data % 64 :][: len(contents)]
    at[:] = np.frombuffer(contents, "uint8")
    return memoryview(at)


def compiled(loop, level, rows, cols, rng, small=False, windows=False, past_caches=False):
    """Whether there is code for the loop, which then has to give the bits that the lines stand for."""
    _, stages, streams = loop
    contents = [samples(dtype, elements(walk, rows, cols), rng, small) for walk, dtype, *_ in streams]
    padded = [aligned(CANARY + c + CANARY) for c in contents]
    meant = [bytearray(c) for c in contents]
    inner = [p[64:-64] for p in padded]
    changed = _core._x86_run(loop, level == "avx512", windows, rows, cols, inner, past_caches)
    if isinstance(changed, str):
        return False
    assert changed == 0, "registers are not as they were"
    _core._loop_evaluate(loop, rows, cols, meant)
    for s, (got, want, (_, dtype, *_)) in enumerate(zip(padded, meant, streams, strict=True)):
        assert got[:64] == CANARY and got[-64:] == CANARY, f"stream {s}: written beyond its end"
        same_bits(bytes(got[64:-64]), bytes(want), dtype, stages)
    return True


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("windows", [False, True])
def test_random_lines(level, wide, windows):
    if wide and level == "avx2":
        pytest.skip("AVX2 lacks some operation of nearly every line of 8-byte lanes")
    count = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lines = Lines(rng, wide, int(rng.integers(1, 120)), ["select"], numbers=True)
        lines.store()
        # With AVX2 the code for narrow elements goes over whole vectors only.
        rows, cols = [(1, 1), (1, 9), (3, 4), (2, 7), (5, 16), (4, 32), (2, 37), (1, 8), (3, 24)][seed % 9]
        count += compiled(lines.loop(), level, rows, cols, rng, windows=windows)
    assert count > (50 if level == "avx512" else 15)


@pytest.mark.parametrize("past_caches", [False, True])
def test_operands_from_memory_and_results_past_the_caches(level, past_caches):
    count = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lines = Lines(rng, seed % 4 == 3 and level == "avx512", int(rng.integers(1, 60)), ["select"], numbers=True)
        lines.store()
        wide, stages, streams = lines.loop()
        loop = wide, stages, [(walk, dtype, True) for walk, dtype in streams]
        rows, cols = [(1, 1600), (1, 1111), (5, 64), (3, 960)][seed // 4 % 4]
        count += compiled(loop, level, rows, cols, rng, past_caches=past_caches)
    assert count > (50 if level == "avx512" else 10)


def test_a_choice_needs_a_flag(level):
    lines = Lines(np.random.default_rng(0), False, 1)
    mask, value = lines.some("mask"), lines.some("real")
    lines.value("real", "choose", [mask, value, lines.some("real")])
    lines.store()
    assert not compiled(lines.loop(), level, 1, 32, np.random.default_rng(0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint32", "int64"])
def test_reductions_of_rows(level, dtype):
    kinds = [("sum", False), ("max", False), ("min", False), ("prod", False)]
    kinds += [("sum", True)] if "float" in dtype else []
    count = 0
    lengths = [16, 31, 48, 64, 65, 80, 96, 100, 128, 131, 777, 2048]
    for number, cols in enumerate(lengths * (1 if level == "avx512" else 3)):
        rng = np.random.default_rng(number)
        for small in (False, True):
            length = int(rng.integers(1, 40 if level == "avx512" else 8))
            lines = Lines(rng, dtype in ("float64", "int64"), length, ["select"], numbers=True)
            chosen = rng.permutation(len(kinds))[: 1 + number % 3 if level == "avx512" else 1]
            for k in chosen:
                lines.reduce(dtype, *kinds[k])
            if number % 3:
                lines.start(20)
                lines.store()
            count += compiled(lines.loop(), level, 1 + number % 3, cols, rng, small)
    assert count > (10 if level == "avx512" else 0)


def test_operations_of_the_tables(level):
    rng = np.random.default_rng(1)
    count = 0
    for _, _, loop in _core._operation_loops():
        count += sum(compiled(loop, level, 1, cols, rng) for cols in (32, 37, 3))
    assert count > (900 if level == "avx512" else 500)
