"""The benchmarks still run: funcnn's half of the small rows, and the table."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks import harness, report
from benchmarks.worker import Worker

SMALL = ["tree", "dispatch", "matmul_64", "mlp_train"]


@pytest.mark.parametrize("module, row", [(module, row) for module, row, _ in harness.workloads(SMALL)])
def test_small_rows_run(module, row):
    worker = Worker("funcnn", threads=2)
    result, _, per, _ = worker.build(module, row)
    assert all(np.isfinite(value).all() for value in result)
    median, least = worker.time(0.001)
    assert 0 < least <= median and per >= 1


@pytest.mark.parametrize("row", [row for _, row, _ in harness.workloads(["mlx_modules"])])
def test_rows_of_the_shim_run(row):
    worker = Worker("funcnn.compat", threads=2)
    result, *_ = worker.build("mlx_modules", row)
    assert np.isfinite(result[0])


def test_names_select_workloads_and_rows():
    everything = harness.workloads([])
    assert [row for _, row, _ in harness.workloads(["gelu"])] == ["gelu"]
    assert {row for _, row, _ in harness.workloads(["gemm"])} < {row for _, row, _ in everything}
    assert harness.workloads(["no such row"]) == []


def test_disagreement():
    one = [np.ones(3)]
    assert harness.disagreement(one, one) is None
    assert "shape" in harness.disagreement([np.ones(4)], one)
    assert "differs" in harness.disagreement([np.ones(3) * 1.01], one)
    assert "differs" in harness.disagreement([np.full(3, np.nan)], one)


def test_ratio_is_best_peer_over_funcnn():
    times = {"funcnn": 2.0, "jax": 4.0, "torch": 6.0}
    row = harness.Row("row", "ms", measurements={f: harness.Measurement([t]) for f, t in times.items()})
    assert report.ratio(row) == 2
    assert "2.00" in report.table([row])


def test_programs_of_mlx_agree_with_those_of_funcnn():
    """The same work in the shim and in funcnn; in processes of their own, since the shim takes the name of mlx there."""
    rows = ["mlp_eager", "mlp_compiled", "lora_compiled"]
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        *rows,
        "--peers",
        "funcnn.compat",
        "--rounds",
        "1",
        "--seconds",
        "0.01",
    ]
    root = pathlib.Path(__file__).resolve().parent.parent
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300).stdout
    (_, *lines) = printed.partition("MLX's program under the shim")[2].strip().splitlines()
    assert [line.split()[1] for line in lines[1 : 1 + len(rows)]] == rows
    assert lines[1 + len(rows) :] == []  # no row has a problem to tell of
