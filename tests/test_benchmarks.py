"""The benchmarks still run: funcnn's half of the small rows, and the table."""

import pathlib
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
