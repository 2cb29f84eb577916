"""The CUDA runtime on a driver without a GPU (fake_driver.c): memory, transfers, order, and what goes wrong."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A folder with a driver and a compiler that do as if."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux")
    folder = tmp_path_factory.mktemp("libraries")
    packages = folder / "nvidia" / "cu13" / "lib"  # where a wheel of the compiler would put it
    packages.mkdir(parents=True)
    for source, library in (("fake_driver.c", "libcuda.so.1"), ("fake_nvrtc.c", packages / "libnvrtc.so.13")):
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", HERE / source, "-o", folder / library]
        subprocess.run(command, check=True)
    return folder


@contextlib.contextmanager
def built(libraries, source, *names):
    """One more library, by these names, where a wheel would put it."""
    made = [libraries / "nvidia" / "cu13" / "lib" / name for name in names]
    for path in made:
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", HERE / source, "-o", path, "-lm"]
        subprocess.run(command, check=True)
    yield
    for path in made:
        path.unlink()


@pytest.fixture
def run(libraries, tmp_path):
    def run(program, **environment):
        kept = {k: v for k, v in os.environ.items() if k not in ("FUNCNN_METAL", "FUNCNN_CUDA", "FUNCNN_DEVICE")}
        paths = os.pathsep.join([str(libraries), *filter(None, [os.environ.get("PYTHONPATH")])])
        kept |= {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": paths, "FUNCNN_CACHE_DIR": str(tmp_path)}
        prelude = "import numpy as np, funcnn as fn\nx = fn.device_put(fn.ones(8), 'gpu')\n"
        return subprocess.run(
            [sys.executable, "-c", prelude + program],
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def printed(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_work_is_put_on_the_stream_and_results_come_back(run):
    # Kernels do nothing: zeros. Events of arrays that are gone are used again.
    program = """
for i in range(50):
    y = x * i
    fn.eval(y)
    if i % 3 == 0: z = np.asarray(y)
fn.synchronize()
print(z.sum(), fn.device_info("gpu")["device_name"])
"""
    assert printed(run(program)) == ["0.0", "Fake", "GPU", "0"]


@pytest.mark.parametrize("size", [1, 16384, 16385, (4 << 20) // 4, (4 << 20) // 4 + 1, (40 << 20) // 4 + 3])
def test_copies_of_any_size(run, size):
    program = f"""
a = np.arange({size}, dtype=np.int32)
b = fn.device_put(fn.array(a), "gpu")
fn.eval(b)
print((np.asarray(b) == a).all())
"""
    assert printed(run(program)) == ["True"]


def test_memory_that_is_not_there_is_a_memory_error(run):
    program = """
kept = [fn.device_put(fn.array(np.ones(1 << 18, np.float32)), "gpu") for _ in range(3)]
fn.eval(kept)
for size in (1 << 18, 1 << 40):
    try:
        fn.eval(fn.zeros(size, device="gpu") + 1)
        print("room")
    except MemoryError:
        print("none")
del kept
fn.eval(fn.zeros(1 << 18, device="gpu") + 1)
print("room")
"""
    assert printed(run(program, FAKE_CUDA_BYTES=str(4 << 20))) == ["room", "none", "room"]
    assert printed(run(program, FAKE_CUDA_BYTES=str(7 << 19))) == ["none", "none", "room"]


def test_memory_goes_back_when_it_is_asked_back(run):
    program = """
y = fn.device_put(fn.array(np.ones(1 << 18, np.float32)), "gpu")
fn.eval(y)
del y
print(fn.get_cache_memory("gpu") >= 1 << 20)
fn.clear_cache("gpu")
print(fn.get_cache_memory("gpu"))
"""
    assert printed(run(program)) == ["True", "0"]


def test_a_gpu_that_fails_names_its_last_kernels(run):
    program = """
for i in range(5):
    try:
        print(np.asarray(x + i)[0])
    except RuntimeError as error:
        print(error)
"""
    done = run(program, FAKE_CUDA_FAIL="2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["0.0", "0.0"]
    for line in lines[2:]:
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in line and "FUNCNN_CUDA=blocking" in line
    blocking = run(program, FAKE_CUDA_FAIL="2", FUNCNN_CUDA="blocking").stdout.splitlines()
    assert "ILLEGAL_ADDRESS" in blocking[2] and "FUNCNN_CUDA" not in blocking[2]


def test_work_that_repeats_launches_the_same_kernels(run, tmp_path):
    # Some numbers differ from run to run, and buffers take turns.
    program = """
a = fn.device_put(fn.array(np.ones((64, 64), np.float32)), "gpu")
f = fn.compile(lambda a, b, c: (fn.softmax(a + b, 0).sum(1, keepdims=True) + c, fn.cumsum(a, 1), fn.sort(a + c, 1)))
def body(carry, i):
    carry = fn.sort(fn.cumsum(carry, 1), 1) + i
    return fn.softmax(carry, 0), carry.sum(0)
g = fn.compile(lambda a: fn.scan(body, a, fn.arange(60)))
kept = []
for i in range(12):
    out = f(a, fn.array(float(i)), i)
    fn.eval(out, g(a))
    kept = [out, *kept][:i % 3]
fn.synchronize()
"""
    for name in ("nographs", "graphs"):
        done = run(program, FAKE_CUDA_LOG=str(tmp_path / name), FUNCNN_CUDA=name)
        assert done.returncode == 0, done.stderr
        assert ("graph of" in done.stderr) == (name == "graphs")
    expected = (tmp_path / "nographs").read_text()
    assert len(expected.splitlines()) > 12 * 4
    assert (tmp_path / "graphs").read_text() == expected


def test_a_fork_ends(run):
    program = """
import os, sys, warnings
warnings.simplefilter("ignore")
fn.eval(x * 2)
child = os.fork()
if child == 0:
    sys.exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert printed(run(program)) == ["0"]


EVERYTHING = """
import copy, pickle, threading
def use(seed):
    rng = np.random.default_rng(seed)
    for i in range(12):
        a = fn.device_put(fn.array(rng.standard_normal((257, 1024)).astype(np.float32)), "gpu")
        b = fn.compile(lambda a: fn.sort(fn.exp(a) @ a.T))(a)
        fn.get_active_memory("gpu"), fn.get_peak_memory("gpu"), fn.get_cache_memory("gpu")
        kept = [np.asarray(a), repr(b), b[0, 0].item(), b[:2].tolist(), pickle.dumps(b[:1]), copy.deepcopy(b[1])]
        a[b[:, 0] == 0], a.at[b[:, 0] == 0].add(1), a.at[b[:, 0] == 0].set(a), a[b[0, 0] == 0]
        fn.grad(lambda a: (fn.fft.rfft(a[:, :1000]).real ** 2).sum())(a).sum().item()
        with fn.profile() as p: fn.eval(a * i)
        p.table()
        if i % 4 == 0: fn.set_cache_limit((i + 1) << 20, device="gpu")
        if i % 4 == 1: fn.clear_cache("gpu")
        if i % 4 == 2: fn.clear_plan_cache()
        if i % 4 == 3: fn.async_eval(a + b.sum()), fn.synchronize()
"""


@pytest.mark.parametrize("settings", [{}, {"FAKE_CUDA_LOCKS": "1"}], ids=["apart", "with the lock inside"])
def test_the_driver_is_not_called_under_the_interpreters_lock(run, libraries, settings):
    # Memory is short, so that blocks go back to the driver all the time; the driver tells of those who hold the lock.
    program = """
threads = [threading.Thread(target=use, args=(i,)) for i in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done")
"""
    with built(libraries, "fake_fft.c", "libcufft.so.12"):
        done = run(EVERYTHING + program, FAKE_CUDA_BYTES=str(48 << 20), FUNCNN_CUDA="cufft", **settings)
    assert printed(done) == ["done"]


def test_memory_waits_for_a_call_that_may_give_it_back(run):
    # What is freed at once exceeds what is kept: it is there for the next that wants memory.
    program = """
fn.set_cache_limit(0, device="gpu")
for i in range(50):
    y = fn.device_put(fn.array(np.ones(1 << 18, np.float32)), "gpu")
    fn.eval(y)
    del y
print(fn.get_active_memory("gpu") < 1 << 20, fn.get_cache_memory("gpu"))
"""
    assert printed(run(program, FAKE_CUDA_BYTES=str(3 << 20))) == ["True", "0"]


def test_nothing_calls_the_driver_after_its_end(run):
    # Arrays, plans and kernels that go with the process, and work that nobody has waited for.
    program = """
import builtins, threading
f = fn.compile(lambda a: fn.scan(lambda c, i: (fn.sort(c) + i, c.sum()), a, fn.arange(20)))
def work(): builtins.kept = [f(x), x * 3, fn.grad(lambda a: fn.sin(a).sum())(x)]
thread = threading.Thread(target=work)
thread.start(), thread.join()
fn.async_eval(builtins.kept)
builtins.cycle = [cycle := [f, x]]
cycle.append(cycle)
"""
    done = run(program)
    assert done.stderr == "" and done.returncode == 0


def test_several_gpus(run):
    program = """
x = fn.device_put(fn.array(np.ones(8, np.float32)), "gpu")
y = fn.device_put(x, "gpu:1")
print(y.device, np.asarray(fn.device_put(y, "gpu")).sum(), np.asarray(y + y).sum())
try:
    fn.device_put(x, "gpu:2")
except ValueError as error:
    print("no" if "there is no device gpu:2" in str(error) else error)
"""
    assert printed(run(program, FAKE_CUDA_COUNT="2")) == ["gpu:1", "8.0", "0.0", "no"]


@pytest.mark.parametrize(
    "environment, reason",
    [
        ({"FAKE_CUDA_COUNT": "0"}, "sees no GPU"),
        ({"FAKE_CUDA_VERSION": "11040"}, "too old: it speaks CUDA 11.4"),
        ({"FAKE_CUDA_VERSION": "12040"}, "NVRTC 13.0 makes code"),
        ({"FUNCNN_CUDA": "off"}, "there is no device gpu"),
    ],
)
def test_what_is_missing_is_said(run, environment, reason):
    done = run("", **environment)
    assert "ValueError: there is no device gpu" in done.stderr and reason in done.stderr


def test_importing_loads_nothing(run):
    program = "print('libcuda' in open('/proc/self/maps').read())"
    assert printed(run(program)) == ["True"]
    environment = {k: v for k, v in os.environ.items() if k != "FUNCNN_DEVICE"}
    alone = subprocess.run(
        [sys.executable, "-c", "import funcnn; " + program], env=environment, capture_output=True, text=True
    )
    assert alone.stdout.split() == ["False"]


def test_kernels_find_scalars_of_the_host_in_memory(run):
    # What has no elements has no memory either.
    program = """
with fn.default_device("gpu"):
    print(*fn.zeros((0, 3))[fn.array([0, 1])].shape, *fn.array(2.0)[None][fn.array([0, 0, 0])].shape)
    fn.eval(fn.zeros((0, 3))[fn.array([0, 1])])
fn.synchronize()
"""
    assert printed(run(program)) == ["2", "3", "3"]


def test_profiles_take_the_time_of_the_stream(run):
    # Every stretch of the stream takes a quarter of a millisecond.
    program = """
fn.eval(x)
with fn.profile() as p:
    for _ in range(5): fn.eval(x * 2)
(r,) = p.records
print(r.calls, r.clock, f"{r.total:.5f}", f"{r.median:.5f}", r.device, r.fraction is not None, "gpu reaches" in p.table())
"""
    assert printed(run(program)) == ["5", "queue", "0.00125", "0.00025", "gpu", "True", "True"]


def test_a_failing_launch_ends_a_profile_in_peace(run):
    program = """
with fn.profile() as p:
    for i in range(4):
        try: fn.eval(x * 2)
        except RuntimeError: pass
print(all(r.clock in ("queue", "launch") and r.calls < 4 for r in p.records), p.table().startswith("profile"))
"""
    assert printed(run(program, FAKE_CUDA_FAIL="1")) == ["True", "True"]
