"""Several threads at once: every value is right, whoever computes it. `make sanitize-thread` watches these for races."""

from __future__ import annotations

import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import funcnn as fn
from funcnn import nn, optim, random, tree

THREADS = 4
# Enough to interleave in many ways; the sanitizer slows everything down by an order of magnitude.
ROUNDS = 10 if "thread" in os.environ.get("FUNCNN_SANITIZED", "") else 30


@pytest.fixture(autouse=True)
def many_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def together(*functions: Callable[[], object]) -> None:
    """Call the functions on a thread each, all at once; raise what the first of them raises."""
    start = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def everywhere(function: Callable[[int], object]) -> None:
    together(*(lambda i=i: function(i) for i in range(THREADS)))


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(x: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(x), expected, rtol=2e-4, atol=2e-4)


# ---- evaluating


def test_threads_evaluate_one_expression() -> None:
    data = numbers((64, 64))
    expected = np.tanh(data @ data + 1).sum(0)
    for _ in range(ROUNDS):
        x = fn.tanh(fn.asarray(data) @ fn.asarray(data) + 1).sum(0)
        everywhere(lambda i, x=x: close(x, expected))


def test_threads_evaluate_expressions_with_a_common_part() -> None:
    data = numbers((50, 40))
    row = np.exp(data * 0.1).sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        part = fn.exp(fn.asarray(data) * 0.1)

        def work(i: int, part: fn.array = part) -> None:
            for k in range(4):
                close(part * (i + k) + part.sum(axis=1, keepdims=True), np.exp(data * 0.1) * (i + k) + row)

        everywhere(work)


def test_outputs_of_one_scan_are_evaluated_apart() -> None:
    data = numbers((20, 8)) * 0.1
    ys = np.cumsum(data, axis=0)
    for _ in range(ROUNDS):
        carry, sums = fn.scan(lambda c, x: (c + x, c + x), fn.zeros(8), fn.asarray(data))
        last = sums[-1] * 2
        together(
            lambda carry=carry: close(carry, ys[-1]),
            lambda sums=sums: close(sums, ys),
            lambda last=last: close(last, 2 * ys[-1]),
            lambda carry=carry, sums=sums: close(carry + sums.sum(0), ys[-1] + ys.sum(0)),
        )


READERS: dict[str, Callable[[fn.array], object]] = {
    "item": lambda x: x[1, 2].item(),
    "tolist": lambda x: x.tolist()[1][2],
    "numpy": lambda x: np.asarray(x)[1, 2],
    "memoryview": lambda x: memoryview(x).tolist()[1][2],
    "dlpack": lambda x: np.from_dlpack(x)[1, 2],
    "repr": lambda x: float(repr(x[1:2, 2:3]).split("[[")[1].split("]]")[0]),
}


@pytest.mark.parametrize("reader", READERS)
def test_reading_while_another_thread_evaluates(reader: str) -> None:
    read = READERS[reader]
    data = numbers((30, 30))
    expected = np.sin(data).cumsum(0)[1, 2]
    for _ in range(ROUNDS):
        x = fn.cumsum(fn.sin(fn.asarray(data)), axis=0)
        y = x.T * 2

        def evaluate(x: fn.array = x, y: fn.array = y) -> None:
            fn.eval(y)
            fn.eval(x)

        together(evaluate, *(lambda x=x: close(read(x), expected) for _ in range(THREADS - 1)))


def test_async_evaluation_from_several_threads() -> None:
    data = numbers((40, 40))
    expected = np.tanh(data + 2) @ data
    for _ in range(ROUNDS):
        shared = fn.tanh(fn.asarray(data) + 2)

        def work(i: int, shared: fn.array = shared) -> None:
            x = shared @ fn.asarray(data) + i
            fn.async_eval(x, shared)
            y = x * 2
            fn.async_eval(y)
            if i % 2:
                fn.synchronize()
            close(x, expected + i)
            close(y, 2 * (expected + i))

        everywhere(work)
    fn.synchronize()


def test_building_on_values_that_are_being_computed() -> None:
    """Evaluation lets go of how a value was made while other threads walk, print and differentiate it."""
    data = numbers((16, 16))
    for _ in range(ROUNDS):
        x = fn.asarray(data)
        for _ in range(20):
            x = fn.sin(x) + 0.5
        y = x

        def build(y: fn.array = y) -> None:
            for k in range(10):
                z = (y + k) * 2
                close(z - 2 * y, np.full_like(data, 2 * k))

        def look(y: fn.array = y) -> None:
            for _ in range(10):
                fn.to_dot(lambda a, y=y: a + y)(fn.ones(16))
                fn.explain(lambda a, y=y: (a * y).sum())(fn.ones(16))

        def derive(y: fn.array = y) -> None:
            for _ in range(5):
                close(fn.grad(lambda a, y=y: (a * y).sum())(fn.ones((16, 16))), np.asarray(y))

        together(build, look, derive, lambda y=y: fn.eval(y))


# ---- transformations


def test_derivatives_and_batching_on_several_threads() -> None:
    w = numbers((12, 12)) * 0.3
    shared = fn.asarray(w) * 1.0

    def loss(a: fn.array, x: fn.array) -> fn.array:
        return (fn.tanh(x @ a) ** 2).sum()

    def expected(x: np.ndarray) -> np.ndarray:
        t = np.tanh(x @ w)
        return x.T @ (2 * t * (1 - t * t))

    def work(i: int) -> None:
        for k in range(ROUNDS):
            x = numbers((5, 12), seed=10 * i + k)
            close(fn.grad(loss)(shared, fn.asarray(x)), expected(x))
            each = fn.vmap(fn.grad(loss), in_axes=(None, 0))(shared, fn.asarray(x[:, None]))
            close(each.sum(0), expected(x))
            value, tangent = fn.jvp(lambda a, x=x: loss(a, fn.asarray(x)), (shared,), (fn.ones((12, 12)),))
            close(tangent, expected(x).sum())
            close(value, (np.tanh(x @ w) ** 2).sum())
            close(fn.grad(fn.checkpoint(loss))(shared, fn.asarray(x)), expected(x))

    everywhere(work)


def test_a_compiled_function_is_called_from_several_threads() -> None:
    traces = []

    @fn.compile
    def step(a: fn.array, b: fn.array) -> tuple[fn.array, fn.array]:
        traces.append(a.shape)
        return fn.sin(a) @ b, a.sum()

    def work(i: int) -> None:
        for k in range(ROUNDS):
            n = 2 + (k + i) % 3
            a, b = numbers((n, 8), seed=i), numbers((8, 4), seed=k)
            product, total = step(fn.asarray(a) * 1.0, fn.asarray(b))
            close(product, np.sin(a) @ b)
            close(total, a.sum())

    everywhere(work)
    assert set(traces) == {(2, 8), (3, 8), (4, 8)}


def test_donated_arguments_on_several_threads() -> None:
    @fn.compile(donate="state")
    def step(state: fn.array, x: fn.array) -> fn.array:
        return state * 0.5 + x

    def work(i: int) -> None:
        state, expected = fn.zeros(100) + i, np.full(100, i, np.float32)
        for k in range(ROUNDS * 3):
            x = numbers((100,), seed=k)
            state = step(state, fn.asarray(x))
            expected = expected * 0.5 + x
        close(state, expected)

    everywhere(work)


def test_training_on_several_threads() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    opt = optim.adam(1e-2)

    @fn.compile
    def step(params: object, state: object, x: fn.array, y: fn.array) -> tuple[object, object, fn.array]:
        loss, grads = fn.value_and_grad(lambda p: ((model(p, x) - y) ** 2).mean())(params)
        delta, state = opt.update(grads, state, params)
        return optim.apply_updates(params, delta), state, loss

    x, y = fn.asarray(numbers((16, 4))), fn.asarray(numbers((16, 2), seed=1))
    losses: dict[int, float] = {}

    def work(i: int) -> None:
        params = model.init(random.key(0))
        state = opt.init(params)
        for _ in range(ROUNDS):
            params, state, loss = step(params, state, x, y)
        losses[i] = loss.item()

    everywhere(work)
    assert len(set(losses.values())) == 1


def test_control_flow_on_several_threads() -> None:
    limit = fn.asarray(np.array(10, np.int32)) + 0

    def work(i: int) -> None:
        for k in range(ROUNDS):
            n, _ = fn.while_loop(lambda s: s[0] < limit, lambda s: (s[0] + 1, s[1] * 2), (fn.array(i), fn.ones(3)))
            assert n.item() == 10
            y = fn.cond(fn.array(k % 2 == 0), lambda a: a + 1, lambda a: a - 1, limit)
            assert y.item() == (11 if k % 2 == 0 else 9)
            keys = random.split(random.key(i), 3)
            assert random.uniform(keys[k % 3], (5,)).tolist() == random.uniform(keys[k % 3], (5,)).tolist()

    everywhere(work)


# ---- memory and the runtime


def test_handles_are_dropped_by_other_threads() -> None:
    """One thread builds and evaluates, another drops the last handles, of foreign memory too."""
    made: queue.Queue[object] = queue.Queue(maxsize=20)

    def produce() -> None:
        for k in range(ROUNDS * 5):
            foreign = numbers((200,), seed=k)
            x = fn.asarray(foreign)
            y = fn.sin(x) + x
            if k % 2:
                fn.eval(y)
            made.put((x, y, np.asarray(y * 1) if k % 3 == 0 else y.__dlpack__()))
            del foreign, x, y
        made.put(None)

    def consume() -> None:
        while (item := made.get()) is not None:
            if isinstance(item, tuple) and item[1].size % 2 == 0:
                fn.eval(item[1] * 2)
            del item

    together(produce, consume)
    gc.collect()


def test_deep_graphs_are_dropped_on_several_threads() -> None:
    def work(i: int) -> None:
        for _ in range(max(1, ROUNDS // 5)):
            x = shared
            for _ in range(2000):
                x = x + 1
            del x

    for _ in range(3):
        shared = fn.asarray(numbers((3,))) * 2
        everywhere(work)
        close(shared, numbers((3,)) * 2)


def test_large_blocks_come_and_go_on_several_threads() -> None:
    def work(seed: int) -> None:
        for round in range(ROUNDS):
            a = np.full(700_000 + 4096 * round, seed, np.float32)  # beyond 2 MB, where the host maps large pages
            x = fn.array(a)
            assert float(x[-1].item()) == seed == float(x[0].item())
            del x
            fn.clear_cache("cpu")

    everywhere(work)


def test_settings_and_statistics_while_others_evaluate() -> None:
    limit, threads = fn.set_cache_limit(1 << 20), fn.get_num_threads()
    stop = threading.Event()
    data = numbers((300, 300))
    expected = np.sin(data) @ data

    def work() -> None:
        for _ in range(ROUNDS):
            close(fn.sin(fn.asarray(data)) @ fn.asarray(data), expected)

    def workers() -> None:
        try:
            everywhere(lambda i: work())
        finally:
            stop.set()

    def disturb() -> None:
        k = 0
        while not stop.is_set():
            k += 1
            assert fn.get_active_memory() >= 0 and fn.get_cache_memory() >= 0
            fn.reset_peak_memory()
            assert fn.get_peak_memory() >= 0
            fn.set_cache_limit((k % 3) << 19)
            fn.set_num_threads(1 + k % 3)
            assert 1 <= fn.get_num_threads() <= 3
            fn.plan_cache_info()
            if k % 5 == 0:
                fn.clear_cache()
                fn.clear_plan_cache()
            stop.wait(0.001)

    try:
        together(workers, disturb)
    finally:
        fn.set_cache_limit(limit)
        fn.set_num_threads(threads)


@pytest.mark.on_cpu
@pytest.mark.parametrize("threads", [2, 16, 70, 300])
def test_several_callers_share_many_workers(threads: int) -> None:
    data, large = numbers((64, 512)), numbers((512, 1024), 1)
    expected = np.tanh(data).sum(1), np.tanh(large).sum(0), data @ large
    before = fn.get_num_threads()
    fn.set_num_threads(threads)
    try:
        assert fn.get_num_threads() == threads

        def work(i: int) -> None:
            for _ in range(3):
                x, y = fn.asarray(data), fn.asarray(large)
                close(fn.tanh(x).sum(1), expected[0])
                close(fn.tanh(y).sum(0), expected[1])
                close(x @ y, expected[2])

        everywhere(work)
    finally:
        fn.set_num_threads(before)


def test_errors_on_one_thread_leave_others_alone() -> None:
    def fail() -> None:
        for _ in range(ROUNDS):
            with pytest.raises(fn.TracedValueError):
                fn.vmap(lambda x: x.item())(fn.ones(3))
            with pytest.raises(ValueError):
                fn.ones((2, 3)) @ fn.ones((2, 3))

    def work() -> None:
        for k in range(ROUNDS):
            close(
                fn.vmap(lambda x: (x * x).sum())(fn.asarray(numbers((3, 4), seed=k))), (numbers((3, 4), k) ** 2).sum(1)
            )

    together(fail, work, fail, work)


def test_trees_on_several_threads() -> None:
    params = tree.frozendict({"a": (fn.ones(2), {"b": fn.zeros(3)}), "c": [1, 2.0]})

    def work(i: int) -> None:
        for _ in range(ROUNDS):
            leaves, treedef = tree.flatten(params)
            assert hash(treedef) == hash(tree.structure(params))
            assert tree.structure(treedef.unflatten(leaves)) == treedef
            close(tree.map(lambda x: x + i, params)["a"][1]["b"], np.full(3, i))

    everywhere(work)


@pytest.mark.parametrize("patience", ["0", "50", "2000"])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_workers_that_sleep_or_look_for_work(patience: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fn.get_num_threads()
    monkeypatch.setenv("FUNCNN_SPIN_US", patience)
    fn.set_num_threads(count)
    try:
        xs = [numbers((rows, 513), seed=rows) for rows in (1, 64, 301)]
        wanted = [np.square(x.astype(np.float64)).sum(1) for x in xs]

        def work() -> None:
            for k in range(3 * ROUNDS):
                close(fn.square(fn.asarray(xs[k % 3])).sum(1), wanted[k % 3])
                if k % 7 == 0:
                    time.sleep(0.0002)  # long enough for some to fall asleep

        together(*[work] * THREADS)
    finally:
        fn.set_num_threads(before)
