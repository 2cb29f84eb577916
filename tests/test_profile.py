"""What fn.profile records: which kernels, how often, how long, also on other devices, threads and late."""

import json
import os
import subprocess
import sys
import threading
import time

import attrs
import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random


def named(p, name):
    found = [r for r in p.records if r.name.startswith(name)]
    assert len(found) == 1, p
    return found[0]


@pytest.mark.on_cpu  # a GPU measures by its queue
def test_a_program_and_a_product():
    x, w = fn.ones((64, 128)), fn.ones((128, 32))
    fn.eval(x, w)
    with fn.profile() as p:
        for _ in range(3):
            fn.eval(fn.softmax(x @ w, axis=-1))
    dot, program = named(p, "dot"), named(p, "fused")
    assert (dot.kind, dot.calls) == ("primitive", 3)
    assert dot.operands == "float32(64, 128), float32(128, 32) -> float32(64, 32)"
    assert dot.flops == 3 * 2 * 64 * 128 * 32
    assert dot.bytes == 3 * 4 * (64 * 128 + 128 * 32 + 64 * 32)
    assert (program.kind, program.calls, program.operands) == ("program", 3, "64 x 32: float32 -> float32")
    assert "row_max" in program.name and "row_sum" in program.name and "row_max" in program.program
    assert program.bytes == 3 * 2 * 4 * 64 * 32
    for r in (dot, program):
        assert 0 < r.least <= r.median <= r.total == r.own
        assert r.least * r.calls <= r.total * (1 + 1e-9)
        assert r.clock == "run" and r.device == "cpu" and r.fraction > 0
        assert 0 < r.thread_time <= r.total * fn.get_num_threads() * 1.01


def test_the_names_are_those_of_explain():
    def f(x, w):
        return fn.softmax(fn.sort(x @ w, axis=-1), axis=-1)

    x, w = fn.ones((8, 4)), fn.ones((4, 16))
    fn.eval(x, w)
    plan = fn.explain(f)(x, w).plan
    with fn.profile() as p:
        fn.eval(fn.compile(f)(x, w))
    for r in p.records:
        assert f"] {r.name}  " in plan


def test_records_are_values():
    with fn.profile() as p:
        fn.eval(fn.ones(8) + 1)
    record = p.records[0]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.calls = 3
    assert p.records == p.records and p.spans == p.spans


def test_median_of_an_even_number_and_the_sums():
    naps = iter([0.001, 0.002, 0.004, 0.03])
    f = fn.compile(lambda x: fn.pure_callback(lambda x: (time.sleep(next(naps)), x)[1], x, x))
    x = fn.array(1.0)
    with fn.profile() as p:
        for _ in range(4):
            f(x)
    (r,) = p.records
    assert r.calls == 4 and r.kind == "primitive" and 0.001 <= r.least < r.median
    assert 0.003 <= r.median < r.total - 0.03 and r.total >= 0.037


def test_nothing_is_recorded_outside():
    with fn.profile() as p:
        x = fn.ones(8) + 1  # not computed here
    fn.eval(x)
    assert p.records == ()
    with fn.profile() as q:
        pass
    assert q.records == () and q.spans == () and q.seconds < 1


def test_compiled_functions_show_trace_plan_and_calls():
    @fn.compile
    def step(x):
        return fn.exp(x).sum()

    x = fn.ones((32, 32))
    fn.eval(x)
    with fn.profile() as p:
        for _ in range(5):
            step(x)
    spans = {(s.kind, s.name): s for s in p.spans}
    assert spans["trace", "step"].calls == 1 and spans["call", "step"].calls == 5
    assert sum(s.calls for s in p.spans if s.kind == "plan") == 1
    assert sum(s.calls for s in p.spans if s.kind == "evaluate") >= 5
    assert sum(r.calls for r in p.records if "exp" in r.name) == 5
    assert all(s.total > 0 for s in p.spans)
    assert p.seconds >= spans["call", "step"].total


def test_equal_kernels_of_different_plans_are_one_record():
    with fn.profile() as p:
        for _ in range(2):
            fn.clear_plan_cache()
            fn.eval(fn.exp(fn.ones((16, 3))))
    assert [r.calls for r in p.records if "exp" in r.name] == [2]
    assert sum(s.calls for s in p.spans if s.kind == "plan") == 2


@pytest.mark.on_cpu  # others compute after the evaluation
def test_a_training_loop():
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    params = model.init(random.key(0))
    opt = optim.adamw(1e-3)
    state = opt.init(params)
    x, y = fn.ones((8, 16)), fn.zeros(8, dtype=fn.int32)

    @fn.compile(donate=("params", "state"))
    def train(params, state):
        loss, grads = fn.value_and_grad(lambda p: nn.losses.cross_entropy(model(p, x), y).mean())(params)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    with fn.profile() as p:
        for _ in range(4):
            params, state, _loss = train(params, state)
    assert sum(s.calls for s in p.spans if s.kind == "call") == 4
    assert {r.calls % 4 for r in p.records if "dot" in r.name} == {0}
    assert sum(r.own for r in p.records) <= sum(s.total for s in p.spans if s.kind == "evaluate")


@pytest.mark.on_cpu  # a GPU measures when its work ends, not when it is asked for
def test_loops_count_the_kernels_inside():
    xs = fn.ones((50, 4))
    with fn.profile() as p:
        fn.eval(fn.scan(lambda c, x: (fn.tanh(c * x), c), fn.zeros(4), xs))
    scan = named(p, "scan")
    inside = [r for r in p.records if "tanh" in r.name]
    assert scan.kind == "control" and scan.calls == 1 and scan.fraction is None
    assert sum(r.calls for r in inside) == 50
    assert 0 < scan.own < scan.total
    assert scan.total == pytest.approx(
        scan.own + sum(r.total for r in p.records if r is not scan and r.calls >= 50), rel=0.2
    )
    assert scan.thread_time <= scan.own * fn.get_num_threads()


def test_profiles_nest():
    with fn.profile() as outer:
        fn.eval(fn.exp(fn.ones(8)))
        with fn.profile() as inner:
            fn.eval(fn.sin(fn.ones(8)))
        fn.eval(fn.cos(fn.ones(8)))
    assert [r.calls for r in inner.records if "sin" in r.name] == [1]
    assert not [r for r in inner.records if "exp" in r.name or "cos" in r.name]
    names = " ".join(r.name for r in outer.records)
    assert "exp" in names and "sin" in names and "cos" in names


def test_profiles_of_threads_see_everything():
    ready, done = threading.Barrier(2), threading.Barrier(2)
    seen = {}

    def work(function):
        with fn.profile() as p:
            ready.wait()
            fn.eval(function(fn.ones(8)))
            done.wait()
        seen[function] = " ".join(r.name for r in p.records)

    threads = [threading.Thread(target=work, args=(f,)) for f in (fn.exp, fn.sin)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all("exp" in text and "sin" in text for text in seen.values())


def test_many_threads_profile_and_read_at_once():
    errors = []

    def work(number):
        try:
            for _ in range(20):
                with fn.profile() as p:
                    fn.eval(fn.ones(number + 8) * 2)
                assert sum(r.calls for r in p.records) >= 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []


def test_an_exception_inside_keeps_what_ran():
    def fail(x):
        raise RuntimeError("on purpose")

    p = fn.profile()
    with pytest.raises(Exception, match="on purpose"), p:
        fn.eval(fn.exp(fn.ones(8)))
        fn.eval(called_late(fail))
    assert [r.calls for r in p.records if "exp" in r.name] == [1]
    fn.eval(fn.sin(fn.ones(8)))
    assert not [r for r in p.records if "sin" in r.name]
    # A kernel after one that failed has no more inside it than its own.
    with fn.profile() as q:
        fn.eval(fn.exp(fn.ones(8)))
    assert named(q, "fused(exp)").own == named(q, "fused(exp)").total


def test_work_belongs_where_it_is_asked_for():
    inside, go = threading.Event(), threading.Event()

    def hold(x):
        inside.set()
        go.wait(30)
        return x

    # While a callback runs nothing else is evaluated.
    held = fn.compile(lambda x: fn.pure_callback(hold, x, x))
    holder = threading.Thread(target=held, args=(fn.array(1.0),))
    holder.start()
    assert inside.wait(30)
    with fn.profile() as before:
        fn.async_eval(fn.exp(fn.ones(8)))
    with fn.profile() as after:
        pass
    threading.Timer(0.05, go.set).start()
    assert [r.calls for r in before.records if "exp" in r.name] == [1]  # waits for it
    assert not [r for r in after.records if "exp" in r.name]
    holder.join()
    fn.synchronize()


def called_late(function):
    """An array that calls a function when it is evaluated."""
    return fn.scan(lambda c, x: (fn.pure_callback(function, c, c), None), fn.zeros(()), fn.ones(1))[0]


def test_reading_from_inside_does_not_wait_for_itself():
    seen = []

    def look(x):
        seen.append(len(p.records))
        return x

    with fn.profile() as p:
        fn.eval(fn.exp(fn.ones(8)))
        fn.async_eval(called_late(look))
        fn.synchronize()
    assert seen and seen[0] >= 1
    assert sum(r.calls for r in p.records if r.kind == "control") == 1


def test_what_async_eval_fails_in_is_no_harm():
    def fail(x):
        raise RuntimeError("on purpose")

    with fn.profile() as p:
        fn.async_eval(called_late(fail))
    assert not [r for r in p.records if r.kind == "control"]
    with pytest.raises(Exception, match="on purpose"):
        fn.synchronize()


@pytest.mark.on_cpu  # a GPU's arrays come through the host
def test_another_device_measures_by_its_queue():
    with fn.default_device("reference"):
        x = fn.ones((16, 16))
        with fn.profile() as p:
            y = fn.exp(x) @ x
            fn.eval(y)
        dot = named(p, "dot")
        assert dot.device == "reference" and dot.clock == "queue" and dot.total > 0
        assert dot.thread_time is None and dot.fraction is None
        assert "on reference" in p.table()
    with fn.profile() as q:
        fn.eval(fn.device_put(fn.array(np.ones(1000, np.float32)), "reference"))
    moved = [r for r in q.records if r.kind == "transfer"]
    assert len(moved) == 1 and moved[0].bytes == 8000 and moved[0].fraction is None


@pytest.mark.on_cpu  # the table names the device
def test_the_table():
    x = fn.ones((64, 64))
    with fn.profile() as p:
        for i in range(12):
            fn.eval(fn.sort(x[: i + 2], axis=0) + 1)
    text = p.table()
    head, ceiling, columns, *lines = text.splitlines()
    assert head.startswith("profile of ") and "plan" in head
    assert ceiling.startswith("cpu reaches ")
    assert columns.split()[:3] == ["ms", "share", "runs"] and columns.endswith("kernel")
    assert len(lines) == len(p.records)
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times, reverse=True)
    assert p.table(3).count("\n") == 6 and "more" in p.table(3).splitlines()[-1]
    assert repr(p).splitlines()[0] == head
    for rows in (0, -1):
        with pytest.raises(ValueError, match="rows must be at least 1"):
            p.table(rows)
    with pytest.raises(TypeError, match="rows"):
        p.table("all")


@pytest.mark.on_cpu  # a GPU measures by its queue, too
def test_the_trace_file(tmp_path):
    with fn.profile() as p:
        fn.eval(fn.compile(lambda x: fn.exp(x).sum())(fn.ones((4, 4))))
        with fn.default_device("reference"):
            fn.eval(fn.ones(8) * 3)
    p.save(tmp_path / "trace.json")
    assert os.listdir(tmp_path) == ["trace.json"]
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(events) == sum(r.calls for r in p.records) + sum(s.calls for s in p.spans)
    for e in events:
        assert e["dur"] >= 0 and -1e3 <= e["ts"] <= 1e6 * p.seconds + 1e6
        assert isinstance(e["name"], str) and isinstance(e["pid"], int) and isinstance(e["tid"], int)
    lines = {e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert {"funcnn", "reference", "queue"} <= lines
    queue = {e["pid"] for e in events if e["args"].get("clock") == "queue"}
    assert len(queue) == 1 and queue.isdisjoint(e["pid"] for e in events if e["args"].get("clock") == "run")
    # Kernels lie inside the evaluation that runs them.
    evaluations = [e for e in events if e["cat"] == "evaluate"]
    for kernel in (e for e in events if e["cat"] == "program" and e["args"]["clock"] == "run"):
        assert any(
            e["ts"] <= kernel["ts"] + 1 and kernel["ts"] + kernel["dur"] <= e["ts"] + e["dur"] + 1 for e in evaluations
        )
    with pytest.raises(OSError):
        p.save(tmp_path / "nowhere" / "trace.json")


@pytest.mark.on_cpu
def test_the_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    x = fn.ones((64, 64))
    with fn.profile() as p:
        fn.eval(fn.exp(x @ x))
    ax = p.plot()
    assert ax.get_xlabel() == "flop / byte" and ax.get_xscale() == "log"
    (dots,) = ax.collections
    assert len(dots.get_offsets()) == len([r for r in p.records if r.flops])
    assert p.plot(ax) is ax
    ax.figure.savefig(tmp_path / "roofline.png")
    with fn.profile() as q:
        pass
    with pytest.raises(ValueError, match="no kernel"):
        q.plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'funcnn\[plot\]'"):
        p.plot()


@pytest.mark.on_cpu  # the ceilings are those of the device
def test_ceilings():
    with fn.profile() as p:
        fn.eval(fn.ones((512, 512)) @ fn.ones((512, 512)))
    reached = p.ceilings["cpu"]
    assert 1e8 < reached.bandwidth < 1e13 and 1e8 < reached.flops < 1e14
    dot = named(p, "dot")
    assert dot.fraction == pytest.approx(
        max(dot.bytes / reached.bandwidth, dot.flops / reached.flops) / dot.own, rel=1e-6
    )
    assert p.ceilings["cpu"] is reached  # measured once


def test_entering_twice_and_reading_too_early():
    p = fn.profile()
    assert repr(p) == "<profile that was not entered>"
    for read in (lambda: p.records, lambda: p.table(), lambda: p.save("x"), lambda: p.plot(), lambda: p.seconds):
        with pytest.raises(RuntimeError, match="with fn.profile"):
            read()
    with p, pytest.raises(RuntimeError, match="entered once"), p:
        pass
    with pytest.raises(RuntimeError, match="entered once"), p:
        pass


def test_a_profile_that_is_dropped_open_ends():
    p = fn.profile()
    p.__enter__()
    del p
    with fn.profile() as q:
        fn.eval(fn.ones(8) + 1)
    assert len(q.records) == 1


@pytest.mark.skipif(fn.default_device() == fn.Device("reference"), reason="its kernels take few operands")
def test_results_are_the_same_and_joint_launches_are_counted_as_one():
    leaves = [fn.ones(100 + i) for i in range(30)]
    fn.eval(*leaves)
    f = fn.compile(lambda xs: [x * 2 + 1 for x in xs])
    expected = [np.asarray(y) for y in f(leaves)]
    with fn.profile() as p:
        got = [np.asarray(y) for y in f(leaves)]
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)
    launches = [r for r in p.records if "multiply" in r.name]
    assert sum(r.calls for r in launches) <= 2
    assert sum(r.bytes for r in launches) == sum(2 * 4 * (100 + i) + 8 for i in range(30))  # with two numbers


def test_gathering_counts_what_it_reads():
    table = fn.ones((100_000, 16))
    fn.eval(table)
    with fn.profile() as p:
        fn.eval(fn.take(table, fn.array([3, 5, 7]), axis=0))
    assert named(p, "gather").bytes < 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on():
    code = """
import os, funcnn as fn
with fn.profile() as p:
    fn.eval(fn.ones(8) + 1)
    child = os.fork()
    if child == 0:
        fn.eval(fn.exp(fn.ones(8)))
        os._exit(0 if any("exp" in r.name for r in p.records) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert not any("exp" in r.name for r in p.records)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
