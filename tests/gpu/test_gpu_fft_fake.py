"""cuFFT on a driver without a GPU (fake_fft.c): which lines it is given, and what is made of what it says."""

import re

import pytest
from test_gpu_cuda_fake import built, libraries, printed, run  # noqa: F401

PROGRAM = """
rng = np.random.default_rng(0)
def draw(*shape): return rng.standard_normal(shape).astype(np.float32)
def complex_(*shape): return (draw(*shape) + 1j * draw(*shape)).astype(np.complex64)
def put(x): return fn.device_put(fn.array(x), "gpu")
def near(got, expected): return np.allclose(np.asarray(got), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
"""


@pytest.fixture
def fft(libraries, run, tmp_path):  # noqa: F811
    """Runs a program with the library there; gives what it was called for."""

    def calls(program, **environment):
        done = run(PROGRAM + program, **{"FAKE_FFT_LOG": str(tmp_path / "log"), "FUNCNN_CUDA": "cufft", **environment})
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    with built(libraries, "fake_fft.c", "libcufft.so.12"):
        yield calls


def executed(calls):
    return [c for c in calls if c[:3] in ("C2C", "R2C", "C2R")]


def test_without_the_library_our_kernels_do_it(run):  # noqa: F811
    program = PROGRAM + "for n in (8, 12): fn.eval(fn.fft.fft(put(complex_(n, n))))"
    done = run(program, FUNCNN_LOG="gpu", FUNCNN_CUDA="cufft")
    assert done.returncode == 0, done.stderr
    # Where the machine has the library, that of a real driver does not start on the one made here.
    assert re.search(r"cuFFT (is not installed|has no plan for 8 lines of 8)", done.stderr), done.stderr


def test_a_library_that_does_not_start_leaves_it_to_our_kernels(fft):
    done, calls = fft("fn.eval(fn.fft.fft(put(complex_(3, 8))))", FAKE_FFT_BROKEN="1", FUNCNN_LOG="gpu")
    assert done.returncode == 0 and "cuFFT has no plan for 3 lines of 8" in done.stderr and not calls


def test_values(fft):
    # What our kernels would have to do first is left out: here they do nothing.
    program = """
for shape, axis in [((16,), 0), ((3, 10), 1), ((10, 3), 0), ((2, 3, 14), -1), ((9, 4, 1), 1), ((6, 1, 5), 0)]:
    z, x = complex_(*shape), draw(*shape)
    print(near(fn.fft.fft(put(z), axis=axis), np.fft.fft(z, axis=axis)))
    print(near(fn.fft.rfft(put(x), axis=axis), np.fft.rfft(x, axis=axis)))
    print(near(fn.fft.ifft(put(z), axis=axis, norm="forward"), np.fft.ifft(z, axis=axis, norm="forward")))
z, x = complex_(6, 8), draw(6, 10)
print(near(fn.fft.fft2(put(z)), np.fft.fft2(z)), near(fn.fft.rfft2(put(x)), np.fft.rfft2(x)))
print(near(fn.vmap(fn.fft.fft)(put(z)), np.fft.fft(z)), near(fn.fft.fft(put(z)[2:5]), np.fft.fft(z[2:5])))
"""
    done, calls = fft(program)
    assert printed(done) == ["True"] * 22
    assert executed(calls)[:6] == ["C2C 1 x 16", "R2C 1 x 16", "C2C 1 x 16", "C2C 3 x 10", "R2C 3 x 10", "C2C 3 x 10"]
    assert executed(calls)[-6:] == ["C2C 6 x 8", "C2C 8 x 6", "R2C 6 x 10", "C2C 6 x 6", "C2C 6 x 8", "C2C 3 x 8"]


def test_operands_are_made_ready_and_kept(fft):
    # The library wants every step and address to be right, or refuses; it writes over half spectra.
    program = """
kept, real = complex_(5, 8), draw(100)
z, x = put(kept), put(real)
f = fn.fft
fn.eval(f.ifft(z)), fn.eval(f.fft(z, norm="ortho")), fn.eval(f.fft(z[:, ::2])), fn.eval(f.fft(z.T, axis=0))
fn.eval(f.fft(fn.broadcast_to(z[0], (3, 8)))), fn.eval(f.ihfft(x))
fn.eval(f.irfft(z)), fn.eval(f.irfft(z, n=8)), fn.eval(f.hfft(z, axis=0))
for i in range(2): fn.eval(f.rfft(x[i:i + 90]))  # real lines that begin between complex numbers
fn.eval(fn.scan(lambda c, row: (c, f.irfft(row, n=10)), fn.array(0.0), z[:3, :6])[1])
print((np.asarray(z) == kept).all(), (np.asarray(x) == real).all())
# Lines of lines, of one element and of none, and real ones of odd length, are left to our kernels.
fn.eval(f.fft(put(complex_(4, 6, 3)), axis=1), f.fft(put(complex_(4, 1))), f.fft(put(complex_(0, 4))),
        f.rfft(put(draw(4, 9))), f.irfft(put(complex_(4, 5)), n=9))
"""
    done, calls = fft(program)
    assert printed(done) == ["True", "True"]
    assert executed(calls) == [
        *("C2C 5 x 8", "C2C 5 x 8", "C2C 5 x 4", "C2C 5 x 8", "C2C 3 x 8", "R2C 1 x 100"),
        *("C2R 5 x 14", "C2R 5 x 8", "C2R 8 x 8"),
        *["R2C 1 x 90"] * 2,
        *["C2R 1 x 10"] * 3,
    ]


def test_plans_are_shared_and_go_with_the_kernels(fft):
    # The library refuses a plan that is at work already.
    program = """
import threading
host = complex_(40, 60)
expected, good, z = np.fft.fft(host), [], put(host)
def work():
    for _ in range(10): good.append(near(fn.fft.fft(put(host)), expected))
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(good), all(good))
fn.eval(fn.fft.ifft(z, norm="forward"), fn.fft.fft(z.reshape(2, 20, 60)))
fn.clear_plan_cache()
for n in range(2, 20): fn.eval(fn.fft.fft(put(complex_(n))))
fn.clear_plan_cache()
"""
    done, calls = fft(program)
    assert printed(done) == ["40", "True"]
    assert calls.count("plan 40 x 60") == calls.count("destroy 40 x 60") == 1
    assert sum(c.startswith("plan") for c in calls) == sum(c.startswith("destroy") for c in calls) == 19


def test_it_is_called_between_what_is_launched_as_graphs(fft):
    program = """
z, a = complex_(4, 8), put(draw(64, 64))
@fn.compile
def step(a, z, i):
    before = fn.sort(fn.cumsum(a, 1), 1), fn.sort(fn.cumsum(a, 0), 0)
    y = fn.fft.fft(z)
    return *before, y, fn.sort(fn.cumsum(a + i, 1), 1), fn.sort(fn.cumsum(a - i, 0), 0)
zs = put(z)
print(*(near(step(a, zs, float(i))[2], np.fft.fft(z)) for i in range(8)))
"""
    done, calls = fft(program, FAKE_CUDA_LOG="/dev/null")
    assert printed(done) == ["True"] * 8
    assert "graph of" in done.stderr
    assert executed(calls) == ["C2C 4 x 8"] * 8


@pytest.mark.parametrize("words, expected", [("", ["R2C 512 x 16384"]), ("nocufft", [])])
def test_it_is_asked_where_it_is_quicker(fft, words, expected):
    program = "for lines in (3, 512): fn.eval(fn.fft.rfft(fn.zeros((lines, 1 << 14), device='gpu') + 1))"
    done, calls = fft(program, FUNCNN_CUDA=words)
    assert done.returncode == 0 and executed(calls) == expected, done.stderr
