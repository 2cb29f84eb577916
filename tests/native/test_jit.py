"""Programs in machine code: the cases of jit_cases.py checked against the interpreter, and when code is made."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from program import Builder, run

import instruction_sets
from funcnn import _core

HERE = pathlib.Path(__file__).parent
pytestmark = instruction_sets.needs_machine_code


def run_with(setting, *command):
    environment = dict(os.environ, FUNCNN_JIT=setting, FUNCNN_NUM_THREADS="2")
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=600, check=False
    )


# Verified steps leave what the interpreter makes of them, others what machine code does.
@pytest.mark.parametrize("setting", ["always", "always,verify"])
def test_compiled_steps_give_the_bits_of_interpreted_ones(tmp_path, setting):
    folder = tmp_path / "code"
    cases = str(HERE / "jit_cases.py")
    done = run_with(f"{setting},dump:{folder}", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", cases)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    # All that the cases are about was compiled.
    names = {path.stem.split("-", 2)[2] for path in folder.glob("*.bin")}
    for part in ("where", "rsqrt", "max_exp", "prod", "min", "sqrt", "bitwise_xor", "tanh"):
        assert any(part in name for name in names), (part, sorted(names))
    if _core._instruction_set() not in ("avx2", "avx512"):
        return
    text = "".join(path.read_text() for path in folder.glob("*.txt"))
    assert all(
        line in text for line in (": float32 by element, anywhere\n", ": float32 by row, anywhere\n", ": index\n")
    )


SCRIPT = """
import sys; sys.path.insert(0, {here!r})
import numpy as np
from program import Builder, run
b = Builder(1, {n})
x = b.load("float32")
y = b.compute("multiply", x, x)
for _ in range({steps}):
    y = b.compute("tanh", y)
b.store(y)
program = b.build()
x, out = np.linspace(-3, 3, {n}, dtype="float32"), np.empty({n}, "float32")
for _ in range({runs}):
    run(program, x, out)
"""


@pytest.mark.parametrize(
    ("setting", "n", "steps", "runs", "compiled"),
    [
        ("1", 1 << 19, 1, 3, True),
        ("1", 1 << 19, 1, 1, False),  # a second run may never come
        ("1", 1000, 1, 20, False),  # little work
        ("1", 1000, 400, 4, False),  # and little for each of many steps
        ("always", 1000, 1, 1, True),
    ],
)
def test_code_is_made_where_it_pays(tmp_path, setting, n, steps, runs, compiled):
    folder = tmp_path / "code"
    done = run_with(f"{setting},dump:{folder}", "-c", SCRIPT.format(here=str(HERE), n=n, steps=steps, runs=runs))
    assert done.returncode == 0, done.stderr
    assert bool(list(folder.glob("*.bin"))) == compiled


TIMES = """
import time, funcnn as fn
for steps in (100, 800):
    x = fn.ones((4,))
    for _ in range(steps):
        x = fn.exp(-x)
    start = time.process_time()
    fn.eval(x)
    print(time.process_time() - start)
"""


def test_the_time_that_code_takes_is_linear_in_steps():
    done = run_with("always", "-c", TIMES)
    assert done.returncode == 0, done.stderr
    few, many = map(float, done.stdout.split())
    assert many < 24 * few  # 64 where it is quadratic


def test_a_folder_that_cannot_be_written_is_an_error():
    done = run_with("always,dump:/dev/null/code", "-c", SCRIPT.format(here=str(HERE), n=1000, steps=1, runs=1))
    assert done.returncode != 0
    assert "FUNCNN_JIT=dump" in done.stderr


def elements():
    b = Builder(1, 1 << 18)
    x, y = b.load("float32"), b.load("float32")
    b.store(b.compute("exp", b.compute("fma", x, y, b.compute("sigmoid", y))))
    return b


def rows():
    """More rows than are run together, values that go from stage to stage, results of rows."""
    b = Builder(1500, 200)
    x, y = b.load("float32"), b.load("float32")
    e = b.compute("exp", b.compute("subtract", x, b.reduce_row("max", x)))
    total = b.reduce_row("sum", b.compute("multiply", e, y))
    b.store(b.compute("divide", e, total))
    b.store(total)
    return b


def parts():
    """Rows that are reduced part by part, several of which are run together."""
    b = Builder(3, 200_003)
    x, y = b.load("float32"), b.load("float32")
    b.store(b.reduce_row("sum", b.compute("multiply", x, y)))
    b.store(b.reduce_row("max", b.compute("subtract", x, y)))
    return b


def test_results_that_no_cache_holds():
    rows, cols = 1500, 4096
    b = Builder(rows, cols)
    x, y = b.load("float32"), b.load("float32")
    b.store(b.compute("subtract", x, y))
    b.store(b.compute("less", x, y, dtype="bool"))
    program = b.build()

    def begins(place):  # so many elements behind a multiple of 64 bytes
        room = np.empty(rows * cols + 32, "float32")
        return room[-room.ctypes.data // 4 % 16 + place :][: rows * cols].reshape(rows, cols)

    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, cols)).astype("float32")
    y, less = np.roll(values, 1, 0), np.empty((rows, cols), bool)
    for place in (0, 3):
        x, out = begins(place), begins(place)
        for result in (out, x):  # elsewhere, and over an operand
            for _ in range(3):
                out[...] = 0
                x[...] = values
                run(program, x, y, result, less)
                np.testing.assert_array_equal(result, values - y)
                np.testing.assert_array_equal(less, values < y)


def to_bfloat16(x):
    """The upper bits of the nearest bfloat16, ties to even; NaN stays NaN."""
    bits = x.view("uint32")
    return np.where(np.isnan(x), 0x7FC0, (bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("uint16")


def test_every_class_of_numbers_is_rounded_to_bfloat16():
    rng = np.random.default_rng(0)
    bits = np.concatenate([np.arange(1 << 16) << 16 | low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    bits = rng.permutation(np.concatenate([bits, rng.integers(0, 1 << 32, 1 << 18)])).astype("uint32")
    b = Builder(1, len(bits))
    x, y = b.load("float32"), b.load("float32")
    product = b.compute("round_bfloat16", b.compute("multiply", x, y))
    b.store(product, dtype="bfloat16")
    b.store(b.compute("add", product, y), dtype="bfloat16")
    program = b.build()
    x, y = bits.view("float32"), rng.choice(np.float32([1, 1, 0.3, -3]), len(bits))
    with np.errstate(all="ignore"):
        first = to_bfloat16(x * y)
        second = to_bfloat16((first.astype("uint32") << 16).view("float32") + y)
    for _ in range(4):
        out = np.empty((2, len(bits)), "uint16")
        run(program, x, y, *out)
        out[(out & 0x7FFF) > 0x7F80] = 0x7FC0
        np.testing.assert_array_equal(out, [first, second])


@pytest.mark.parametrize("make", [elements, rows, parts])
def test_results_stay_the_same_when_code_takes_over(make):
    b = make()
    program, shape = b.build(), (b.rows, b.cols)
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype("float32") for _ in range(2))
    results = []
    for _ in range(6):
        out = [np.zeros(shape, "float32"), np.zeros(shape[:1], "float32")]
        run(program, x, y, *out[: b.operands - 2])
        results.append(np.concatenate([o.ravel() for o in out[: b.operands - 2]]))
    for out in results[1:]:
        np.testing.assert_array_equal(out.view("int32"), results[0].view("int32"))
