"""The instruction sets that the CPU's kernels are compiled for, one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from funcnn import _core

NAMES = ("baseline", "avx2", "avx512", "neon")


@contextlib.contextmanager
def _for_now(choose: Callable[[str], None], before: str, choice: str) -> Iterator[None]:
    choose(choice)
    try:
        yield
    finally:
        choose(before)


def using(name: str) -> contextlib.AbstractContextManager[None]:
    """Run by this instruction set. Raises ValueError where the machine has none of the name."""
    return _for_now(_core._set_instruction_set, _core._instruction_set(), name)


def using_amx(use: str) -> contextlib.AbstractContextManager[None]:
    """Multiply bfloat16 by tiles of AMX: "on", "off", or "emulated". Raises ValueError where the machine has none."""
    return _for_now(_core._set_amx, _core._amx(), use)


def _allowed(use: contextlib.AbstractContextManager[None]) -> bool:
    try:
        with use:
            return True
    except ValueError:
        return False


def has(name: str) -> bool:
    return _allowed(using(name))


def has_amx() -> bool:
    return _allowed(using_amx("on"))


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
