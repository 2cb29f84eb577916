"""What can be known of CUDA without a GPU: that its kernels compile, and how compiled kernels are kept."""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent

# Of each family some: the whole table is one command (see compile_cuda.py).
SOME = ["add", "exp", "softmax", "sum", "matmul", "sort", "cumsum", "take", "conv2d", "where", "lu", "solve", "eigh"]

ADD = """
import funcnn as fn
x = fn.device_put(fn.ones(5), "gpu")
fn.eval(x + x)
"""

# Kernels for which nobody waits, and some that are asked for when the process is about to end.
MANY = """
import atexit
late = []
atexit.register(lambda: late[0]())
import funcnn as fn
x = fn.device_put(fn.ones(5), "gpu")
late.append(lambda: fn.eval(fn.argmax(x * 3)))
fn.async_eval(fn.softmax(x, 0), fn.sort(x), fn.cumsum(x, 0), fn.sum(x))
"""

# One token; several are a product of cuBLASLt's, which does not know this one.
EPILOGUES = """
import funcnn as fn
from funcnn import nn
for shape in [(1, 64), (1, 1, 64), (4, 64)]:
    y = fn.explain(lambda x, w: nn.gelu(x @ w), device="gpu")(fn.ones(shape), fn.ones((64, 96)))
    print("with epilogue" in str(y.plan))
"""


def run(*command, **environment):
    environment = {"FUNCNN_CUDA": "compile", "FUNCNN_LOG": "gpu", **environment}
    kept = {k: v for k, v in os.environ.items() if k != "FUNCNN_METAL"}
    return subprocess.run(
        [sys.executable, *command], env={**kept, **environment}, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """The folder of a cache, in which the kernel of ADD is; skips without NVRTC."""
    folder = tmp_path_factory.mktemp("cache")
    done = run("-c", ADD, FUNCNN_CACHE_DIR=str(folder))
    if "NVRTC, which is not installed" in done.stderr:
        pytest.skip("NVRTC is not installed")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_process_may_end_while_kernels_are_compiled(compiler, tmp_path):
    for i in range(3):  # with a cache that knows none
        done = run("-c", MANY, FUNCNN_CACHE_DIR=str(tmp_path / str(i)))
        assert done.returncode == 0, done.stderr


def kept(folder):
    return [path for path in (folder / "cuda").iterdir() if path.suffix != ".part"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_kernels_compile(compiler, dtype):
    done = run(HERE / "compile_cuda.py", f"--{dtype}", *SOME, FUNCNN_CACHE_DIR=str(compiler))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_follows_a_product_with_vectors_is_its_epilogue(compiler):
    done = run("-c", EPILOGUES, FUNCNN_CACHE_DIR=str(compiler))
    ours = "cuBLASLt is not installed" in done.stderr
    assert done.stdout.split() == ["True", "True", str(ours)], done.stdout + done.stderr


def test_compiled_kernels_are_kept(compiler):
    assert kept(compiler)
    assert "compiled" not in run("-c", ADD, FUNCNN_CACHE_DIR=str(compiler)).stderr


@pytest.mark.parametrize("damage", [lambda content: content[:-7], lambda content: b"", lambda content: content[::-1]])
def test_damaged_files_are_compiled_again(compiler, tmp_path, damage):
    (tmp_path / "cuda").mkdir()
    for path in kept(compiler):
        (tmp_path / "cuda" / path.name).write_bytes(damage(path.read_bytes()))
    done = run("-c", ADD, FUNCNN_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0 and "compiled" in done.stderr
    assert "compiled" not in run("-c", ADD, FUNCNN_CACHE_DIR=str(tmp_path)).stderr


def test_a_folder_that_cannot_be_made_costs_a_compilation(compiler, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("-c", ADD, FUNCNN_CACHE_DIR=str(tmp_path / "file" / "below"))
    assert done.returncode == 0 and "compiled" in done.stderr


def test_there_is_no_gpu_where_it_is_switched_off():
    done = run("-c", ADD, FUNCNN_CUDA="off")
    assert "ValueError: there is no device gpu" in done.stderr
