"""fn.profile on a GPU: the device's own times."""

import itertools
import json

import pytest

import funcnn as fn

pytestmark = pytest.mark.skipif(not fn.is_available(fn.gpu), reason="there is no GPU")


def test_kernels_are_timed_by_the_queue(tmp_path):
    with fn.default_device("gpu"):
        x = fn.ones((64, 64))
        fn.eval(x)
        with fn.profile() as p:
            for _ in range(3):
                fn.eval(fn.softmax(x @ x, axis=-1))
    assert {r.device for r in p.records} == {"gpu"} and {r.clock for r in p.records} == {"queue"}
    assert {r.calls for r in p.records} == {3}
    assert all(0 < r.least <= r.median <= r.total < p.seconds + 1 for r in p.records)
    assert all(r.thread_time is None and r.fraction for r in p.records)
    assert "gpu reaches" in p.table()
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    kernels = [e for e in events if e["ph"] == "X" and e["args"].get("clock") == "queue"]
    assert len(kernels) == 3 * len(p.records)
    # On the host's clock, one after another.
    kernels.sort(key=lambda e: e["ts"])
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1 for a, b in itertools.pairwise(kernels))
    assert all(-1e3 < e["ts"] < 1e6 * (p.seconds + 1) for e in kernels)


def test_loops_and_transfers():
    with fn.default_device("gpu"):
        xs = fn.ones((5, 16))
        fn.eval(xs)
        with fn.profile() as p:
            y = fn.scan(lambda c, x: (fn.tanh(c + x), c), fn.zeros(16), xs)[1]
            fn.eval(fn.device_put(y, "cpu"))
    inside = [r for r in p.records if "tanh" in r.name]
    assert sum(r.calls for r in inside) == 5 and {r.clock for r in inside} == {"queue"}
    assert [r.clock for r in p.records if r.kind == "control"] == ["launch"]
