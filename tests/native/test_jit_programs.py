"""Random programs in machine code give the bits of the interpreter."""

import os
import pathlib
import subprocess
import sys

CASES = pathlib.Path(__file__).with_name("jit_programs.py")


def test_random_programs():
    environment = dict(os.environ, FUNCNN_JIT="always,verify", FUNCNN_NUM_THREADS="2")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
