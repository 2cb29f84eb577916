"""Random programs in machine code: its results are compared with the interpreter's, bit by bit, and with NumPy."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import instruction_sets


@instruction_sets.needs_machine_code
def test_recipes_in_machine_code() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--first", "200000", "--programs", "150", "--jobs", "1"]
    done = subprocess.run(
        command,
        env=dict(os.environ, FUNCNN_JIT="always,verify"),
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
