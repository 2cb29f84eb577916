"""Every recorded operation, and random programs, in machine code give the bits of the interpreter."""

import os
import pathlib
import subprocess
import sys

import instruction_sets
from funcnn import _core

sys.path.insert(0, os.path.dirname(__file__))
from jit_programs import PLANNED

CASES = pathlib.Path(__file__).with_name("jit_programs.py")


def run(jit, *options):
    environment = dict(os.environ, FUNCNN_JIT=jit, FUNCNN_NUM_THREADS="2")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(CASES), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@instruction_sets.needs_machine_code
def test_programs(tmp_path):
    run(f"always,verify,dump:{tmp_path}", "-k", "not test_later_runs_give_the_same")
    compiled = {path.stem.split("-", 2)[2] for path in tmp_path.glob("*.bin")}
    recorded = {name for name, dtype, _, _ in _core._operations(True) if dtype == "float32"} - PLANNED
    assert {f"funcnn_{name}" for name in recorded} <= compiled


@instruction_sets.needs_machine_code
def test_later_runs():
    run("always", "-k", "test_later_runs_give_the_same")
