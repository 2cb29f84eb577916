"""The instruction sets that the CPU's kernels are compiled for, one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from funcnn import _core

NAMES = ("baseline", "avx2", "avx512", "neon")


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Run by this instruction set. Raises ValueError where the machine has none of the name."""
    best = _core._instruction_set()
    _core._set_instruction_set(name)
    try:
        yield
    finally:
        _core._set_instruction_set(best)


@contextlib.contextmanager
def using_amx(use: str) -> Iterator[None]:
    """Multiply bfloat16 by tiles of AMX: "on", "off", or "emulated". Raises ValueError where the machine has none."""
    before = _core._amx()
    _core._set_amx(use)
    try:
        yield
    finally:
        _core._set_amx(before)


def has(name: str) -> bool:
    try:
        with using(name):
            return True
    except ValueError:
        return False


def has_amx() -> bool:
    try:
        with using_amx("on"):
            return True
    except ValueError:
        return False


SUPPORTED = [name for name in NAMES if has(name)]  # by this machine, the baseline first where it has one
MACHINE_CODE = [name for name in SUPPORTED if name != "baseline"]  # code is made for these
X86 = [name for name in MACHINE_CODE if name != "neon"]

needs_machine_code = pytest.mark.skipif(not MACHINE_CODE, reason="machine code is made for AVX2, AVX-512 and NEON")
needs_two_widths = pytest.mark.skipif(len(MACHINE_CODE) < 2, reason="a machine with one of these instruction sets")


def fixture(names: list[str], **options: bool) -> Callable[..., Any]:
    """A fixture that runs a test by each of these instruction sets, and is the name of the one in use."""

    @pytest.fixture(params=names, **options)
    def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
        with using(request.param):
            yield request.param

    return instruction_set


def amx_fixture(**options: bool) -> Callable[..., Any]:
    """A fixture that runs a test by tiles of AMX, emulated and, where the machine has them, by the processor."""

    @pytest.fixture(params=["emulated", *(["on"] if has_amx() else [])], **options)
    def amx(request: pytest.FixtureRequest) -> Iterator[str]:
        with using_amx(request.param):
            yield request.param

    return amx
