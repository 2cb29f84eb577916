"""mlx-lm, unmodified, runs on the shim and gives what it gives on MLX: every architecture, and what its users do with it.

What MLX gives is frozen in logits.json and scenarios.json. Skipped where mlx-lm is not installed (`pip install 'funcnn[mlx-lm]'`).
"""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from tests.compat.client.scenarios import differences
from tests.compat.library import REAL

if importlib.util.find_spec("mlx_lm") is None:
    pytest.skip("mlx-lm is not installed", allow_module_level=True)

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
LOGITS = json.loads((HERE / "logits.json").read_text())
EXPECTED = json.loads((HERE / "scenarios.json").read_text())
RELEASE = "0.32.2"  # of mlx-lm, whose results are frozen

if importlib.metadata.version("mlx-lm") != RELEASE:
    pytest.skip(f"the frozen results are those of mlx-lm {RELEASE}", allow_module_level=True)


def run(tool, target):
    """Run a tool in a process of its own, in which mlx is the library under test."""
    command = [sys.executable, "-m", f"tests.compat.client.{tool}", "mlx" if REAL else "funcnn", str(target)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr[-3000:]


@pytest.fixture(scope="module")
def logits(tmp_path_factory):
    from tests.compat.client.logits import digest

    target = tmp_path_factory.mktemp("logits") / "logits.npz"
    run("logits", target)
    return digest(np.load(target))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    target = tmp_path_factory.mktemp("scenarios") / "scenarios.json"
    run("scenarios", target)
    return json.loads(target.read_text())


@pytest.mark.parametrize("name", LOGITS)
def test_architecture(name, logits):
    expected = LOGITS[name]
    if isinstance(expected, str):  # MLX does not run it on a CPU, for want of Metal or of a package
        assert isinstance(logits[name], str)
        return
    assert isinstance(logits[name], dict), logits[name]
    assert logits[name]["names"] == expected["names"], "the names, shapes or dtypes of the weights"
    np.testing.assert_allclose(logits[name]["weights"], expected["weights"], rtol=1e-5, atol=1e-3)
    for key in ("plain", "prefill", "steps"):
        np.testing.assert_allclose(
            logits[name][key], expected[key], rtol=1e-4, atol=1e-4 * expected[key][-1], err_msg=key
        )


def test_page_has_the_table():
    from tests.compat.client.logits import PAGE, page

    assert PAGE.read_text() == page(), "write it again: python -m tests.compat.client.logits document"


@pytest.mark.parametrize("name", EXPECTED)
def test_scenario(name, results):
    assert not isinstance(results[name], str), results[name]
    assert list(differences(results[name], EXPECTED[name])) == []


def test_no_scenario_is_missing(results):
    assert results.keys() == EXPECTED.keys()
