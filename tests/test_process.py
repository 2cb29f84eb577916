"""Threads, forks and the end of the process."""

import copy
import os
import pickle
import subprocess
import sys

import pytest

import funcnn as fn

RUNS = {
    # As in the handler of a signal that comes there: looking up the main thread runs Python code.
    "an array is evaluated where the first evaluation asks for the main thread": """
asked, ask, steps = [], threading.main_thread, 100_000
def main_thread():
    asked.append(1)
    if len(asked) < 3:
        assert fn.while_loop(lambda c: c < steps, lambda c: c + 1, fn.array(0)).item() == steps
    return ask()
threading.main_thread = main_thread
assert fn.while_loop(lambda c: c < steps, lambda c: c + 1, fn.array(0)).item() == steps
threading.main_thread = ask
assert asked
""",
    "work of async_eval is pending": """
x = fn.asarray(np.ones(2_000_000, np.float32))
for _ in range(100): x = fn.sort(fn.sin(x) + fn.asarray(np.ones(2_000_000, np.float32)))
fn.async_eval(x)
""",
    "daemon threads evaluate": """
def work():
    while True: fn.eval(fn.sort(fn.asarray(np.random.rand(100_000)) + 1))
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
""",
    "threads evaluate at once": """
def work():
    for _ in range(300): fn.eval(fn.sin(fn.ones((300, 300))))
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
""",
    "handlers of atexit evaluate": """
x = fn.ones(10) + 1
@atexit.register
def last():
    fn.async_eval(x * 2)
    assert (x * 3).sum().item() == 60
""",
    "the library is imported again": """
import importlib
importlib.reload(fn)
kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("funcnn")}
try:
    import funcnn
    raise AssertionError
except ImportError as error: assert "a process loads funcnn once" in str(error), error
sys.modules.update(kept)
assert fn.ones(3).sum().item() == 3
""",
    "a list has no room": """
if sys.platform == "linux" and not os.environ.get("FUNCNN_SANITIZED"):
    import resource
    x = fn.asarray(np.ones(3_000_000, np.float32))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, resource.RLIM_INFINITY))
    try:
        x.tolist()
        raise AssertionError
    except MemoryError: pass
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert x.sum().item() == len(x.tolist())
""",
}
FORKS = {
    "after evaluations": ("fn.eval(fn.ones((500, 500)) @ fn.ones((500, 500)))", "pass"),
    "during async_eval": (
        "y = fn.ones((300, 300))\nfor _ in range(60): y = fn.sort(fn.sin(y @ y))\nfn.async_eval(y)",
        "y.sum().item()",
    ),
    "while threads evaluate": (
        """
def work():
    while not stop: fn.eval(fn.sort(fn.sin(fn.ones((300, 300)))))
stop = False
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
""",
        "pass",
    ),
}
FORK = """
{before}
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        {inside}
        fn.set_num_threads(2)
        fn.eval(fn.sort(fn.ones((300, 300)) + 1))
        fn.async_eval(fn.ones(3) + 1)
        fn.synchronize()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
"""


def run(code):
    code = f"import atexit, os, signal, sys, threading, time\nimport numpy as np\nimport funcnn as fn\n{code}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("name", RUNS)
def test_the_process_ends_well_when(name):
    run(RUNS[name])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", FORKS)
def test_children_evaluate_when_forked(name):
    before, inside = FORKS[name]
    run(FORK.format(before=before, inside=inside))


@pytest.mark.parametrize("function", [fn.add, fn.array.sum, fn.set_default_device, fn.nn.relu, fn.grad])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_functions_pickle_and_copy_by_name(function, protocol):
    assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert copy.deepcopy({"act": function})["act"] is function


@fn.compile
def stepped(x):
    return x + 1


@fn.custom_vjp
def clipped(x):
    return x


def clipped_forward(x):
    return x, None


def clipped_backward(_, cotangent):
    return (cotangent * 0,)


clipped.defvjp(clipped_forward, clipped_backward)


def doubled(x, power):
    return 2 * x**power


@pytest.mark.parametrize("function", [stepped, clipped])
def test_what_is_made_of_functions_copies_as_itself_and_pickles_by_name(function):
    assert copy.copy(function) is function and copy.deepcopy([function])[0] is function
    assert pickle.loads(pickle.dumps(function)) is function


def test_what_has_no_name_is_pickled_by_its_parts():
    compiled = pickle.loads(pickle.dumps(fn.compile(doubled, static_argnames="power", cache_size=3)))
    assert compiled(fn.array(3.0), power=2).item() == 18 and compiled.cache_info()["capacity"] == 3
    with pytest.raises(TypeError, match="static"):
        compiled(fn.array(3.0), power=[])

    squared = fn.custom_vjp(doubled, nondiff_argnums=1)
    squared.defvjp(custom_forward, custom_backward)
    tangents = fn.custom_jvp(clipped_forward)
    tangents.defjvp(custom_rule)
    squared, tangents = pickle.loads(pickle.dumps((squared, tangents)))
    assert fn.grad(squared)(fn.array(3.0), 2).item() == 7 and tangents.rule is custom_rule


def custom_forward(x, power):
    return doubled(x, power), None


def custom_backward(power, _, cotangent):
    return (7 * cotangent,)


def custom_rule(primals, tangents):
    return primals[0], tangents[0]


@pytest.mark.parametrize("info", [fn.finfo(fn.bfloat16), fn.iinfo(fn.uint8)])
def test_limits_of_dtypes_pickle_and_copy(info):
    for made in (pickle.loads(pickle.dumps(info)), copy.deepcopy(info)):
        assert repr(made) == repr(info) and made.dtype == info.dtype
