"""cuBLASLt on a driver without a GPU (fake_cublaslt.c): what it is given to do beside products, and what it makes of it."""

import pytest
from test_gpu_cuda_fake import built, libraries, printed, run  # noqa: F401

PROGRAM = """
from funcnn import nn
rng = np.random.default_rng(0)
def draw(*shape, dtype=fn.float32):
    x = fn.device_put(fn.array(rng.standard_normal(shape).astype(np.float32)).astype(dtype), "gpu")
    return whole(x), x
def whole(x): return np.asarray(fn.device_put(x, "cpu").astype(fn.float32)).astype(np.float64)
# The sum is exact to float32 and rounded once.
def near(got, expected):
    unit = {fn.bfloat16: 2**-8, fn.float32: 2**-22}[got.dtype]
    return bool((np.abs(whole(got) - expected) <= unit * np.abs(expected) + 1e-5).all())
def products(dtype):
    return draw(12, 32, dtype=dtype), draw(20, 32, dtype=dtype), draw(20, dtype=dtype), draw(12, 20, dtype=dtype)
(X, x), (W, w), (B, b), (C, c) = products(DTYPE)
"""


@pytest.fixture
def multiply(libraries, run, tmp_path):  # noqa: F811
    """Runs a program with the library there; gives what it multiplied."""

    def calls(program, dtype="fn.float32", **environment):
        # Graphs of the driver without a GPU do not call libraries.
        environment = {"FUNCNN_CUDA": "nographs", "FAKE_LT_LOG": str(tmp_path / "log"), **environment}
        done = run(PROGRAM.replace("DTYPE", dtype) + program, **environment)
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    with built(libraries, "fake_cublaslt.c", "libcublasLt.so.13"):
        yield calls


@pytest.mark.parametrize("dtype", ["fn.float32", "fn.bfloat16"])
@pytest.mark.parametrize(
    "got, expected, call",
    [
        ("x @ w.T", "X @ W.T", ""),
        ("x @ w.T + b", "X @ W.T + B", " + vector"),
        ("nn.Linear(32, 20)({'weight': w, 'bias': b}, x)", "X @ W.T + B", " + vector"),
        ("c + x @ w.T", "X @ W.T + C", " + matrix"),
        ("c + (x @ w.T + b)", "X @ W.T + B + C", " + matrix + vector"),
        ("fn.addmm(c, x, w.T) + b", "X @ W.T + B + C", " + matrix + vector"),
        ("nn.relu(x @ w.T)", "np.maximum(X @ W.T, 0)", ", relu"),
        ("nn.relu(c + (x @ w.T + b))", "np.maximum(X @ W.T + B + C, 0)", " + matrix + vector, relu"),
    ],
)
def test_what_is_added_to_a_product(multiply, dtype, got, expected, call):
    done, calls = multiply(f"print(near({got}, {expected}))", dtype)
    assert printed(done) == ["True"]
    assert calls == ["1 x (12, 32, 20)" + call]


def test_products_of_products(multiply):
    program = """
y = x @ w.T + (c @ w) @ w.T
print(np.abs(whole(y) - X @ W.T - (C @ W) @ W.T).max() < 1e-3)
rows, matrices = fn.reshape(x, (3, 4, 32)), fn.stack([w.T] * 3)
print(near(rows @ w.T + b, (X @ W.T + B).reshape(3, 4, 20)))
"""
    done, calls = multiply(program)
    assert printed(done) == ["True"] * 2
    assert sorted(calls) == sorted(
        ["1 x (12, 32, 20)", "1 x (12, 20, 32)", "1 x (12, 32, 20) + matrix", "1 x (12, 32, 20) + vector"]
    )


def test_batches_have_a_matrix_each_and_a_vector_in_common(multiply):
    program = """
(P, p), (Q, q), (R, r) = draw(2, 5, 3, 4, 6), draw(5, 2, 3, 6, 7), draw(2, 5, 3, 4, 7)
(S, s) = draw(7)
print(near(r[0, 0] + p[0, 0] @ q[0, 0] + s, R[0, 0] + P[0, 0] @ Q[0, 0] + S))
q = fn.swapaxes(q, 0, 1)  # the axes of a batch are no one axis
print(near(r + p @ q + s, R + P @ Q.swapaxes(0, 1) + S))
"""
    done, calls = multiply(program)
    assert printed(done) == ["True"] * 2
    assert calls == ["3 x (4, 6, 7) + matrix + vector"] * 11


def test_operands_that_begin_in_between(multiply):
    # The library wants addresses as it was told of them.
    program = """
(V, v), (M, m) = draw(41), draw(12 * 20 + 1)
for at in (0, 1, 4, 21): print(near(x @ w.T + v[at:at + 20], X @ W.T + V[at:at + 20]))
print(near(x @ w.T + m[1:].reshape(12, 20) + b, X @ W.T + M[1:].reshape(12, 20) + B))
"""
    done, calls = multiply(program)
    assert printed(done) == ["True"] * 5
    assert calls == ["1 x (12, 32, 20) + vector"] * 4 + ["1 x (12, 32, 20) + matrix + vector"]


@pytest.mark.parametrize(
    "call",
    [
        "nn.gelu(x @ w.T + b)",
        "x @ w.T + c[:, :1]",  # a number a row
        "x @ w.T + b + b * 2",  # two vectors
        "x @ w.T + c.T.reshape(12, 20)",
        "nn.relu(x @ w.T) + b",
        "fn.maximum(b, x @ w.T)",
        "(x @ w.T) * 2 + b",
        "(x @ w.T + b).astype(fn.bfloat16)",
        "(lambda y: (y, nn.relu(y + b)))(x @ w.T)",
    ],
)
def test_what_else_follows_is_one_kernel_after_the_product(multiply, call):
    program = f"""
made = fn.explain(lambda x, w, b, c: {call}, device="gpu")(x, w, b, c)
steps = [line for line in str(made.plan).splitlines() if line.startswith("[")]
print("with epilogue" in str(made.plan), sum("dot" in step for step in steps), sum("fused" in step for step in steps))
r = {call}
fn.eval(*(r if isinstance(r, tuple) else [r]))
"""
    done, calls = multiply(program)
    assert printed(done) == ["False", "1", "2" if "b * 2" in call else "1"]
    assert calls == ["1 x (12, 32, 20)"]


def test_what_is_found_out_late_is_a_kernel_after_the_product(multiply, tmp_path):
    """A least number other than zero, and what the library turns out not to do."""
    program = "f = fn.compile(lambda x, w, b, least: fn.maximum(x @ w.T + b, least))\n"
    program += "for least in (0, 1, 0.5, 0, -0.0): fn.eval(f(x, w, b, fn.array(least, dtype=x.dtype)))"
    launches = tmp_path / "launches"
    done, calls = multiply(program, FAKE_CUDA_LOG=str(launches))
    assert done.returncode == 0, done.stderr
    added, plain = "1 x (12, 32, 20) + vector, relu", "1 x (12, 32, 20)"
    assert calls == [added, plain, plain, added, plain]
    assert launches.read_text().count("map_add_maximum") == 3


@pytest.mark.parametrize("environment", [{"FAKE_LT_ALONE": "1"}, {"FUNCNN_CUDA": "nographs,noepilogue"}])
def test_a_library_that_adds_nothing(multiply, tmp_path, environment):
    launches = tmp_path / "launches"
    done, calls = multiply("fn.eval(nn.relu(c + (x @ w.T + b)))", FAKE_CUDA_LOG=str(launches), **environment)
    assert done.returncode == 0, done.stderr
    assert calls == ["1 x (12, 32, 20)"]
    assert launches.read_text().count("map_add") == 1


def test_without_the_library_our_kernels_take_every_epilogue(run):  # noqa: F811
    program = PROGRAM.replace("DTYPE", "fn.float32") + (
        "print('with epilogue' in str(fn.explain(lambda x, w, b: nn.gelu(x @ w.T + b), device='gpu')(x, w, b).plan))"
    )
    done = run(program, FUNCNN_LOG="gpu")
    if "cuBLASLt is not installed" not in done.stderr:
        pytest.skip("the machine has the library")
    assert printed(done) == ["True"]
