"""cuDNN on a driver without a GPU (fake_cudnn.c): which attention it is given, and what is made of what it says."""

import pathlib
import re
import subprocess

import pytest
from test_gpu_cuda_fake import libraries, printed, run  # noqa: F401

HERE = pathlib.Path(__file__).resolve().parent
# Kernels of ours do nothing here: derivatives are given zeros for the logarithms of sums.
PROGRAM = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
from attention_oracle import attention
rng = np.random.default_rng(0)
def draw(*shape, dtype="float16"):
    return fn.device_put(fn.array(rng.standard_normal(shape), getattr(fn, dtype)), "gpu")
def wide(x): return np.asarray(x).astype(np.float64)
def attend(q, k, v, causal=False, scale=0.3):
    return fn.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal" if causal else None)
def near(got, expected, most=2e-3):
    return np.abs(wide(got) - expected).max() <= most * np.abs(expected).max()
def forward(q, k, v, causal=False):
    return near(attend(q, k, v, causal), attention(wide(q), wide(k), wide(v), 0.3, "causal" if causal else None))
def backward(q, k, v, ct, causal=False):
    y, pullback = fn.vjp(lambda *a: attend(*a, causal), q, k, v)
    Q, K, V, C, Y = map(wide, (q, k, v, ct, y))
    group = Q.shape[1] // K.shape[1]
    KK, VV = np.repeat(K, group, 1), np.repeat(V, group, 1)
    s = 0.3 * Q @ KK.swapaxes(2, 3)
    p = np.exp(s)
    if causal: p *= np.arange(s.shape[3]) <= np.arange(s.shape[2])[:, None] + s.shape[3] - s.shape[2]
    ds = 0.3 * p * (C @ VV.swapaxes(2, 3) - (C * Y).sum(-1, keepdims=True))
    def gathered(x): return x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(2)
    expected = ds @ KK, gathered(ds.swapaxes(2, 3) @ Q), gathered(p.swapaxes(2, 3) @ C)
    return all(near(a, b, 1e-2) for a, b in zip(pullback(ct), expected))
"""


@pytest.fixture
def dnn(libraries, run, tmp_path):  # noqa: F811
    """Runs a program with the library there; gives what it executed."""
    path = libraries / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", HERE / "fake_cudnn.c", "-o", path, "-lm"]
    subprocess.run(command, check=True)

    def executed(program, **environment):
        log = tmp_path / "log"
        set_here = {"TESTS": str(HERE.parent), "FAKE_DNN": str(path), "FAKE_DNN_LOG": str(log), "FUNCNN_CUDA": "cudnn"}
        done = run(PROGRAM + program, **{**set_here, **environment})
        return done, log.read_text().splitlines() if log.exists() else []

    yield executed
    path.unlink()


def test_without_the_library_our_kernels_do_it(run):  # noqa: F811
    program = PROGRAM + "q = draw(1, 1, 16, 16)\nfn.eval(attend(q, q, q))"
    done = run(program, TESTS=str(HERE.parent), FUNCNN_LOG="gpu", FUNCNN_CUDA="cudnn")
    assert done.returncode == 0, done.stderr
    # Where the machine has the library, it does not start on the driver made here.
    assert re.search(r"cuDNN (is not installed|\d+: .* failed)", done.stderr) and "compiled attention" in done.stderr


def test_values(dnn):
    program = """
for dtype in ("float16", "bfloat16"):
    q, k, v = draw(2, 4, 9, 16, dtype=dtype), draw(2, 2, 12, 16, dtype=dtype), draw(2, 2, 12, 8, dtype=dtype)
    most = 2e-3 if dtype == "float16" else 1e-2
    for causal in (False, True):
        expected = attention(wide(q), wide(k), wide(v), 0.3, "causal" if causal else None)
        print(near(attend(q, k, v, causal), expected, most))
ct = draw(2, 4, 9, 8)
q, k, v = draw(2, 4, 9, 16), draw(2, 4, 9, 16), draw(2, 4, 9, 8)
print(backward(q, k, v, ct), backward(q, k, v, ct, True))
k, v = draw(2, 2, 12, 16), draw(2, 2, 12, 8)
print(backward(q, k, v, ct), backward(q, k, v, ct, True))
"""
    done, calls = dnn(program)
    assert printed(done) == ["True"] * 8
    assert len(calls) == 12
    assert calls[0].startswith("execute 1:2x4x9x16/2 2:2x2x16x12/2 3:2x2x12x8/2 4:2x4x9x8/2 9:2x4x9x1/0 10:2x4x9x1/0")


def test_operands_as_they_lie(dnn):
    # The library wants rows at multiples of 16 bytes: what begins elsewhere is moved, what lies otherwise is left to our
    # kernels.
    program = """
x = draw(2, 10, 3, 4, 16)  # as a projection gives queries, keys and values
q, k, v = (fn.swapaxes(x[:, :, i], 1, 2) for i in range(3))
print(forward(q, k, v), backward(q, k, v, fn.swapaxes(draw(2, 10, 4, 16), 1, 2), True))
flat = draw(3 + 2 * 4 * 10 * 16)
for i in range(1, 4):  # the kernels that move them do nothing here
    y, pullback = fn.vjp(attend, q, k, v)
    fn.eval(attend(flat[i:i + 1280].reshape(2, 4, 10, 16), k, v), *pullback(flat[i:i + 1280].reshape(2, 4, 10, 16)))
a, b, c = draw(3, 2, 4, 10, 16), draw(3, 2, 4, 10, 16), draw(3, 2, 4, 10, 16)
got = fn.vmap(attend)(a, b, c)
print(all(near(got[i], attention(wide(a[i]), wide(b[i]), wide(c[i]), 0.3)) for i in range(3)))
fn.eval(fn.scan(lambda s, t: (s, attend(*t)), fn.array(0.0), (a, b, c))[1])
one = draw(1, 1, 1, 16)
print(forward(one, one, one, True))
"""
    done, calls = dnn(program)
    assert printed(done) == ["True"] * 4, done.stderr
    assert len(calls) == 3 + 9 + 1 + 3 + 1
    executed = len(calls)
    left = """
q = draw(2, 4, 10, 16)
short, odd = draw(2, 4, 10, 12)[..., ::1], draw(2, 4, 10, 18)[..., 1:17]
fn.eval(attend(fn.swapaxes(draw(2, 4, 16, 10), 2, 3), q, q), attend(short, short, short), attend(odd, q, q))
fn.eval(attend(draw(2, 4, 12, 16), q, q, True))  # queries that see no key
wide32 = draw(2, 4, 10, 16, dtype="float32")
fn.eval(attend(wide32, wide32, wide32), attend(fn.broadcast_to(q[:1], q.shape), q, q))
fn.eval(fn.fast.scaled_dot_product_attention(q, q, q, scale=1.0, mask=draw(10, 10)))
fn.eval(fn.fast.scaled_dot_product_attention(q, q, q, scale=1.0, sinks=draw(4)))
"""
    done, calls = dnn(left)
    assert done.returncode == 0 and len(calls) == executed, done.stderr


def test_memory_for_derivatives_is_bounded(dnn):
    program = """
for causal in (False, True):
    print(backward(draw(2, 6, 8, 16), draw(2, 3, 12, 16), draw(2, 3, 12, 8), draw(2, 6, 8, 8), causal))
"""
    done, calls = dnn(program, FUNCNN_CUDA="cudnn,cudnnparts")
    assert printed(done) == ["True"] * 2
    assert [c.split()[1] for c in calls] == ["1:2x6x8x16/2", *["1:1x2x8x16/2"] * 6] * 2


@pytest.mark.parametrize(("length", "asked"), [(32768, 2), (33000, 1)])
def test_one_head_that_would_take_too_much_memory_is_left_to_our_kernels(dnn, length, asked):
    program = f"""
q = fn.device_put(fn.zeros((1, 1, {length}, 8), fn.float16), "gpu")
y, pullback = fn.vjp(attend, q, q, q)
for f in (lambda: [y], lambda: pullback(q)):
    os.environ["FAKE_DNN_FAIL"] = "1" if os.environ.get("FAKE_DNN_FAIL") == "01" else "01"  # it need not compute so much
    fn.eval(*f())
"""
    done, calls = dnn(program, FUNCNN_LOG="gpu")
    assert done.returncode == 0 and not calls and done.stderr.count("cuDNN 91900: ") == asked, done.stderr


def test_what_it_refuses_is_left_to_our_kernels(dnn):
    # One step after another, for shapes of their own, up to those of a run.
    program = """
import ctypes, itertools
fake, lengths = ctypes.CDLL(os.environ["FAKE_DNN"]), itertools.product(range(1, 30), range(30, 60))
def attempt(at, gradient):
    (n, m), ct = next(lengths), None
    q, k = draw(1, 2, n, 16), draw(1, 2, m, 16)
    y, pullback = fn.vjp(lambda *a: attend(*a, True), q, k, k)
    if gradient: fn.eval(y)
    os.environ["FAKE_DNN_FAIL"] = str(at)
    alive = fake.fake_alive()
    try: fn.eval(*pullback(q)) if gradient else fn.eval(y)
    except RuntimeError: return False
    assert fake.fake_alive() == alive
    return True
for gradient in (False, True):
    steps = itertools.count(1 + 2 * gradient, 5)
    print(sum(1 for at in itertools.takewhile(lambda at: attempt(at, gradient), steps)))
    os.environ["FAKE_DNN_FAIL"] = ""
"""
    done, _ = dnn(program, FUNCNN_LOG="gpu")
    forward, gradient = map(int, printed(done))
    assert 50 < forward < gradient
    lines = [line for line in done.stderr.splitlines() if "cuDNN 91900: " in line]
    assert len(lines) == forward + gradient
    steps = {re.sub(r"\d+", "N", line.split(" failed")[0].split("91900: ")[1]) for line in lines}
    for step in ("a graph: finishing it", "a tensor: setting attribute N", "a plan: making its descriptor"):
        assert step in steps, steps
    for step in ("a product: finishing it", "a reduction: making its descriptor"):
        assert step in steps, steps
    assert all("status 2000 (the fake refuses): attention of" in line for line in lines)


def test_a_run_that_it_refuses_is_an_error(dnn):
    program = """
q = draw(1, 2, 8, 16)
fn.eval(attend(q, q, q))
os.environ["FAKE_DNN_FAIL"] = "6"
try: fn.eval(attend(q, q, q))
except RuntimeError as e: print("cuDNN's attention: running it failed with status 2000" in str(e))
os.environ["FAKE_DNN_FAIL"] = ""
print(forward(q, q, q))
"""
    done, calls = dnn(program)
    assert printed(done) == ["True", "True"] and len(calls) == 2


def test_plans_are_remembered_and_bounded(dnn):
    program = """
import ctypes, threading
fake = ctypes.CDLL(os.environ["FAKE_DNN"])
def again(n):
    q = draw(1, 2, n, 16)
    fn.eval(attend(q, q, q))
    fn.synchronize()
again(8)
one = fake.fake_alive()
fn.clear_plan_cache()
again(8)
print(one > 0, fake.fake_alive() == one)
for n in range(9, 100): again(n)
fn.clear_plan_cache()
print(fake.fake_alive() == 64 * one)
good = []
def work():
    for _ in range(5): good.append(forward(*(draw(1, 2, 40, 16) for _ in range(3))))
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(good), all(good))
"""
    done, _ = dnn(program)
    assert printed(done) == ["True", "True", "True", "20", "True"]


@pytest.mark.parametrize(
    ("flaw", "line"),
    [
        ("FAKE_DNN_IGNORANT", "cuDNN 91900 knows no way to compute such a graph: attention of 8 queries and 8 keys"),
        ("FAKE_DNN_BROKEN", "cuDNN 91900: the library: starting it failed with status 2000 (the fake refuses)"),
    ],
)
def test_a_library_that_is_of_no_use_is_asked_once(dnn, flaw, line):
    program = "q = draw(1, 2, 8, 16)\nfor _ in range(3):\n    fn.eval(attend(q, q, q))\n    fn.clear_plan_cache()"
    done, calls = dnn(program, **{flaw: "1"}, FUNCNN_LOG="gpu")
    assert done.returncode == 0 and not calls
    assert done.stderr.count(line) == 1, done.stderr


def test_it_is_called_between_what_is_launched_as_graphs(dnn):
    program = """
q, a = draw(1, 2, 8, 16), fn.device_put(fn.array(rng.standard_normal((64, 64)), fn.float32), "gpu")
@fn.compile
def step(a, q, i):
    before = fn.sort(fn.cumsum(a, 1), 1), fn.sort(fn.cumsum(a, 0), 0)
    return *before, attend(q, q, q), fn.sort(fn.cumsum(a + i, 1), 1), fn.sort(fn.cumsum(a - i, 0), 0)
expected = attention(wide(q), wide(q), wide(q), 0.3)
print(*(near(step(a, q, float(i))[2], expected) for i in range(8)))
"""
    done, calls = dnn(program, FAKE_CUDA_LOG="/dev/null")
    assert printed(done) == ["True"] * 8 and len(calls) == 8
    assert "graph of" in done.stderr


@pytest.mark.parametrize(("words", "expected"), [("", 2), ("nocudnn", 0), ("cudnn", 5)])
def test_it_is_asked_where_it_is_quicker(dnn, words, expected):
    # Lengths that are no multiples of 64 and short ones are left to our kernels, or each would wait for a plan.
    program = """
for at, shape in enumerate(((768, 1, 128, 64), (192, 1, 520, 64), (2, 1, 512, 64), (8, 4, 1024, 96), (4000, 1, 64, 64))):
    q = fn.zeros(shape, fn.bfloat16, device="gpu") + fn.array(1, fn.bfloat16)
    os.environ["FAKE_DNN_FAIL"] = str(at + 5)  # it is asked, and need not compute so much
    fn.eval(attend(q, q, q))
"""
    done, _ = dnn(program, FUNCNN_CUDA=words, FUNCNN_LOG="gpu", FAKE_CUDA_BYTES=str(4 << 30))
    assert done.returncode == 0 and done.stderr.count("cuDNN 91900: ") == expected, done.stderr
