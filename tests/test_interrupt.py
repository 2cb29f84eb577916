"""Ctrl-C stops an evaluation, and leaves the process and the arrays usable."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import funcnn as fn


@pytest.fixture(autouse=True)
def listen():
    """Handle the signal also where the shell started us deaf to it, as it does in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_soon():
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()


def for_ever():
    return fn.while_loop(lambda c: c < 1e12, lambda c: c + 1, fn.array(0.0))


def long_chain(x):
    for _ in range(400):
        x = fn.sort(fn.sin(x))
    return x


def expect_interrupt(work):
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt_soon()
        work()
        time.sleep(10)
    assert time.monotonic() - start < 5


def test_of_an_endless_loop():
    expect_interrupt(lambda: fn.eval(for_ever()))
    assert (fn.arange(3.0) + 1).tolist() == [1, 2, 3]


def test_of_a_compiled_function():
    expect_interrupt(lambda: fn.compile(for_ever)())
    assert (fn.arange(3.0) + 1).tolist() == [1, 2, 3]


@pytest.mark.on_cpu
def test_while_waiting_for_the_background():
    x = long_chain(fn.ones((600_000,)))
    fn.async_eval(x)
    expect_interrupt(fn.synchronize)
    fn.synchronize()
    assert x[0].item() == x[1].item()


@pytest.mark.on_cpu
def test_leaves_no_half_computed_values():
    """What was overwritten in place says so; everything else is computed again from the start."""
    kept = fn.random.uniform(fn.random.key(0), (3_000_000,))
    fn.eval(kept)
    x = long_chain(kept)
    expect_interrupt(lambda: fn.eval(x))
    assert fn.allclose(kept, fn.random.uniform(fn.random.key(0), (3_000_000,)))

    y = fn.ones((3_000_000,)) + 0
    fn.eval(y)
    y = long_chain(y + 1)  # y's memory is free to be overwritten
    expect_interrupt(lambda: fn.eval(y))
    with pytest.raises(ValueError, match="interrupted"):
        fn.eval(y)


@pytest.mark.on_cpu
def test_handlers_of_programs_wait_for_the_end_of_a_kernel():
    """What they compute must not meet the kernel's."""
    x = fn.asarray(np.arange(8192 * 4096, dtype=np.float32).reshape(8192, 4096) % 17)
    fn.eval(x[:64] @ x.T)
    start = time.monotonic()
    expected = x[:3072] @ x.T
    fn.eval(expected)
    duration, seen = time.monotonic() - start, []

    def handle(*_):
        seen.append((time.monotonic(), (x[:100] @ x.T).sum().item()))

    signal.signal(signal.SIGINT, handle)
    start = time.monotonic()
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert fn.array_equal(x[:3072] @ x.T, expected)
    while not seen:
        time.sleep(0.01)
    ((at, total),) = seen
    assert at - start > duration / 3 and total == (x[:100] @ x.T).sum().item()


@pytest.mark.skipif(fn.get_num_threads() < 2, reason="a thread alone has its work in one piece")
def test_in_the_middle_of_the_first_kernel_of_a_process():
    code = """
import os, signal, threading, time
import funcnn as fn
signal.signal(signal.SIGINT, signal.default_int_handler)
rows, columns = fn.random.uniform(fn.random.key(0), (2, 160_000))
fn.eval(rows, columns)
work = lambda n: fn.sum(fn.sin(rows[:n, None] * columns), axis=1)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.process_time()  # of all threads, and with little memory, whatever else the machine does
try:
    fn.eval(work(160_000))
except KeyboardInterrupt:
    stopped = time.process_time() - start
start = time.process_time()
fn.eval(work(10_000))
sixteenth = time.process_time() - start
assert stopped < 10 * sixteenth, (stopped, sixteenth)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
