"""Whole programs that know mlx only, run by `python -m funcnn.compat` (or on MLX itself), end as they end on MLX."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from tests.compat.library import REAL

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# What mlx 0.32.4 prints: `python -m tests.compat.programs`.
RESULTS = {
    "cifar": 0.1739468276500702,
    "distributed": 0.5673297047615051,
    "flow": 1.600882887840271,
    "gcn": 0.3284362256526947,
    "linear_regression": 4.944861211697571e-05,
    "logistic_regression": 0.15143679082393646,
    "lora": 0.4034070372581482,
    "mnist": 0.26720482110977173,
    "transformer_lm": [0.22312958538532257, 11.307087898254395],
    "vae": 114.63831329345703,
}


@pytest.fixture(scope="module")
def results():
    command = [sys.executable, *([] if REAL else ["-m", "funcnn.compat"]), "-m", "tests.compat.programs"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": path}
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("mlx") == ("mlx" if REAL else "funcnn.compat")
    return found


def test_every_program_ran(results):
    assert set(results) == set(RESULTS) == {file.stem for file in (ROOT / "tests/compat/programs").glob("[!_]*.py")}


@pytest.mark.parametrize("name", RESULTS)
def test_program(results, name):
    assert results[name] == pytest.approx(RESULTS[name], rel=1e-3)
