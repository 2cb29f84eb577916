"""Random programs in machine code: its results are compared with NumPy, or with the interpreter's, bit by bit."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import instruction_sets


# What verified steps leave is the interpreter's.
@pytest.mark.parametrize(("setting", "first"), [("always,verify", 200000), ("always", 200100)])
@instruction_sets.needs_machine_code
def test_recipes_in_machine_code(setting: str, first: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--first", str(first), "--programs", "100", "--jobs", "1"]
    done = subprocess.run(
        command,
        env=dict(os.environ, FUNCNN_JIT=setting),
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
