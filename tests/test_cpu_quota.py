"""The quota of CPU time of control groups, in trees of files like those of Linux."""

import math
import os
import subprocess
import sys

import pytest

from funcnn import _core

V2 = {"/sys/fs/cgroup/cpu.max": "max 100000\n"}
NESTED = {
    "/sys/fs/cgroup/a/cpu.max": "300000 100000\n",
    "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/a/b/c/cpu.max": "1600000 200000\n",
}


def v1(folder, quota, period):
    at = f"/sys/fs/cgroup/{folder}"
    return {f"{at}/cpu.cfs_quota_us": f"{quota}\n", f"{at}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", V2, math.inf),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "5000 100000\n"}, 0.05),
        ("0::/a/b/c\n", NESTED, 3.0),  # the least on the way up
        ("0::/a/b\n", NESTED, 3.0),
        ("0::/a:b\n", {"/sys/fs/cgroup/a:b/cpu.max": "200000 100000"}, 2.0),
        ("0::/docker/0123\n", {"/sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),  # the path outside a container
        ("4:memory:/m\n3:cpu,cpuacct:/x\n0::/\n", v1("cpu,cpuacct/x", 250000, 100000), 2.5),
        ("3:cpuacct,cpu:/x/y\n", v1("cpu/x", 50000, 50000), 1.0),
        ("2:cpu:/docker/0123\n", v1("cpu", 400000, 100000), 4.0),
        ("2:cpu:/\n", v1("cpu", -1, 100000), math.inf),
        ("2:cpuset:/\n1:cpuacct:/\n", v1("cpuset", 100000, 100000) | v1("cpuacct", 100000, 100000), math.inf),
        ("2:cpu:/\n0::/x\n", v1("cpu", -1, 100000) | {"/sys/fs/cgroup/unified/x/cpu.max": "100000 50000\n"}, 2.0),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": ""}, math.inf),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "100000 0\n"}, math.inf),
        ("no groups\n:\n::\n", V2, math.inf),
        (None, {"/sys/fs/cgroup/cpu.max": "100000 100000\n"}, math.inf),
    ],
)
def test_quotas(tmp_path, groups, files, cores):
    for name, text in (({} if groups is None else {"/proc/self/cgroup": groups}) | files).items():
        path = tmp_path / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert _core._cpu_quota(str(tmp_path)) == cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the quota is one of Linux")
def test_the_number_of_threads_keeps_within_it():
    environment = {key: value for key, value in os.environ.items() if key != "FUNCNN_NUM_THREADS"}
    run = [sys.executable, "-c", "import funcnn as fn; print(fn.get_num_threads())"]
    threads = int(subprocess.run(run, env=environment, capture_output=True, check=True, text=True).stdout)
    assert threads == min(len(os.sched_getaffinity(0)), max(1, math.ceil(min(_core._cpu_quota(""), 1e6))))
