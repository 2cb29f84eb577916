"""The examples for users of MLX run on the shim as they are."""

import pathlib
import re
import subprocess
import sys

import pytest
from tests.compat.library import REAL

pytestmark = pytest.mark.skipif(REAL, reason="the shim's own")
EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent / "examples" / "mlx"


def test_digits():
    pytest.importorskip("sklearn")
    command = [sys.executable, "-m", "funcnn.compat", str(EXAMPLES / "digits.py"), "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    where, *epochs = done.stdout.splitlines()
    assert where == "running on funcnn.compat.core" and len(epochs) == 1
    assert float(re.search(r"([\d.]+)% right", epochs[-1])[1]) > 80
