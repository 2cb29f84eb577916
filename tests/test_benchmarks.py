"""The benchmarks still run: funcnn's half of the small rows, and the table."""

import dataclasses
import math
import multiprocessing
import pathlib
import platform
import re
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks import harness, profile_cost, report, results, roofline, scaling
from benchmarks.kept import Kept
from benchmarks.worker import Worker

SMALL = ["tree", "dispatch", "matmul_64", "mlp_train"]

# What they measure is the host; a device that computes later would have work for minutes when a measurement ends.
pytestmark = pytest.mark.on_cpu


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


def test_the_cost_of_a_profile_is_measured():
    times = profile_cost.measure(calls=2, rounds=1)
    assert list(times) == ["before", "open", "after"] and all(0 < t < float("inf") for t in times.values())


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
    assert "differs" in harness.disagreement([np.ones(3) + 1j], one)
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


def run_benchmarks(*arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)


def test_slopes_are_those_of_the_laws():
    sizes = [10, 100, 1000, 10_000]
    assert scaling.slope(sizes, [3e-6 * n for n in sizes]) == pytest.approx(1)
    assert scaling.slope(sizes, [1e-3] * 4) == pytest.approx(0)
    assert scaling.slope(sizes, [1.0 / n for n in sizes]) == pytest.approx(-1)
    assert math.isnan(scaling.slope([5], [1.0]))
    assert {law.name for law in scaling.laws()} >= {"trace", "plan", "scan_trace", "leaves", "add", "threads_product"}
    assert max(max(law.sizes) for law in scaling.laws() if law.name in ("trace", "plan")) == 100_000


@pytest.mark.parametrize("name", ["trace", "plan", "plan_gradient", "scan_trace", "leaves", "leaves_adamw", "add"])
def test_laws_are_measured(name):
    (law,) = [law for law in scaling.laws(10_000) if law.name == name]
    (row,) = scaling.run([dataclasses.replace(law, sizes=law.sizes[:2])])
    assert all(seconds > 0 for seconds in row.seconds)
    assert len(row.copies) == (2 if name == "add" else 0)
    assert name in scaling.table([row])


def test_threads_are_set_back():
    import funcnn as fn

    before = fn.get_num_threads()
    (law,) = [law for law in scaling.laws(cores=2) if law.name == "threads_product"]
    assert law.sizes == (1, 2) and law.measure(1) > 0
    assert fn.get_num_threads() == before


def test_busy_processes_end():
    with harness.busy(2):
        assert len(multiprocessing.active_children()) >= 2
    assert not multiprocessing.active_children()


def test_the_machine_has_no_name():
    text = results.machine(2)
    assert text.startswith("2 of ") and platform.node() not in text


def test_results_are_written(tmp_path):
    file = tmp_path / "RESULTS.md"
    few = ["--seconds", "0.01", "--threads", "2", "--largest", "3000"]
    refused = run_benchmarks("matmul_64", "--results", file, "--rounds", "4")
    assert refused.returncode == 2 and "at least 5 rounds" in refused.stderr and not file.exists()
    done = run_benchmarks("matmul_64", "leaves", "--results", file, "--peers", "numpy", *few)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith("# Results") and "python -m benchmarks matmul_64" in text
    for part in (
        "| matmul_64",
        "copy bandwidth",
        "5 rounds",
        "beside a busy process",
        "of the ceiling",
        "| leaves ",
    ):
        assert part in text, part
    assert len(re.findall("^## 2", text, re.MULTILINE)) == 1
    # Another run of the day takes its place; one of another machine stays.
    results.write(file, "## 2020-01-01, another machine\n\ntable\n")
    results.write(file, "## 2020-01-02, another machine\n\ntable\n")
    results.write(file, "## 2020-01-02, another machine\n\nother\n")
    text = file.read_text()
    assert re.findall("^## (.*?),", text, re.MULTILINE)[:2] == ["2020-01-02", "2020-01-01"]
    assert "other" in text and text.count("table\n") == 1


def test_an_interrupted_run_goes_on_after_its_rows(tmp_path):
    file, taken = tmp_path / "rows", []

    def one_row(rows):
        for row in rows:
            if taken:
                raise KeyboardInterrupt
            taken.append(row)
            yield row

    def run(progress, rounds=1):
        return harness.run(["matmul_64", "sum_axis1"], ["funcnn", "numpy"], 1, rounds, 0.001, progress, Kept(file))[1]

    with pytest.raises(KeyboardInterrupt):
        run(one_row)
    (kept,) = Kept(file).rows.values()
    again = run(list)
    assert {row.name for row in again} == {"matmul_64", "sum_axis1"} and kept in again
    assert run(list) == again
    assert kept not in run(list, rounds=2)  # measured in another way


def test_rows_behind_a_peer_are_told_with_their_ceiling():
    times = {"funcnn": 2.0, "jax": 1.0}
    row = harness.Row("row", "ms", measurements={f: harness.Measurement([t]) for f, t in times.items()})
    points = {"row": roofline.Point("row", 2.0, 1.9, 1e9, 1e9, 1.5)}
    text = results.below([row], points, "median")
    assert "0.50" in text and "jax" in text and "75%" in text
    beside = harness.Row("row", "ms", measurements={f: harness.Measurement([3 * t]) for f, t in times.items()})
    assert "3.00" in results.beside_table([row], [beside], "median")


def test_the_roofline_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    done = run_benchmarks("matmul_64", "matmul_256", "--roofline", tmp_path / "roofline.png", "--seconds", "0.01")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert "matmul_64" in done.stdout and "Gflop/s" in done.stdout
