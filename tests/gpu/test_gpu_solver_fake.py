"""cuSOLVER on a driver without a GPU (fake_solver.c): which functions are called, and what is made of what they say."""

import re

import pytest
from test_gpu_cuda_fake import built, libraries, printed, run  # noqa: F401

PROGRAM = """
from funcnn import linalg
def matrices(*shape, dtype=None): return fn.device_put(fn.array(np.ones(shape), dtype or fn.float32), "gpu")
"""


@pytest.fixture
def solver(libraries, run, tmp_path):  # noqa: F811
    """Runs a program with the library there; gives the functions that were called."""

    def calls(program, **environment):
        done = run(PROGRAM + program, FAKE_SOLVER_LOG=str(tmp_path / "log"), **environment)
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    with built(libraries, "fake_solver.c", "libcublas.so.13", "libcusolver.so.12"):
        yield calls


def test_without_the_library_the_host_computes(run):  # noqa: F811
    program = PROGRAM + "fn.eval(*linalg.qr(matrices(300, 30)), linalg.svdvals(matrices(2, 2)))"
    done = run(program, FUNCNN_LOG="gpu", FUNCNN_CUDA="cusolver")
    assert done.returncode == 0, done.stderr
    # Where the machine has the library, that of a real driver does not start on the one made here.
    assert len(re.findall(r"cuSOLVER (is not installed or too old|does not start)", done.stderr)) == 1, done.stderr
    assert "qr runs on the CPU" in done.stderr and "svd runs on the CPU" in done.stderr


def test_a_library_that_does_not_start_is_not_asked_again(solver):
    program = "for i in range(3): fn.eval(linalg.cholesky(matrices(i + 1, i + 1)))"
    done, calls = solver(program, FAKE_SOLVER_BROKEN="1", FUNCNN_LOG="gpu", FUNCNN_CUDA="cusolver")
    assert "LinAlgError" in done.stderr  # of the host: ones are not positive definite
    assert done.stderr.count("cuSOLVER does not start") == 1 and not calls


@pytest.mark.parametrize(
    "call, expected",
    [
        ("cholesky(matrices(9, 9))", ["Xpotrf 9 9"]),
        ("cholesky(matrices(3, 9, 9))", ["potrfBatched 9 3"]),
        ("cholesky(matrices(2, 520, 520))", ["Xpotrf 520 520"] * 2),
        ("lu_factor(matrices(4, 7))", ["Xgetrf 4 7"]),
        ("lu_factor(matrices(5, 7, 7))", ["getrfBatched 7 5"]),
        ("qr(matrices(2, 8, 5), mode='complete')", ["Xgeqrf 8 5"] * 2 + ["orgqr 8 8"] * 2),
        ("qr(matrices(8, 5, dtype=fn.complex64))", ["Xgeqrf 8 5", "ungqr 8 5"]),
        ("eigh(matrices(6, 6, dtype=fn.float64))", ["Xsyevd 6 1"]),
        ("eigvalsh(matrices(2, 260, 260))", ["Xsyevd 260 0"] * 2),
        ("svd(matrices(7, 3))", ["Xgesvd 7 3"]),
        ("svdvals(matrices(3, 7))", ["Xgesvd 7 3"]),
        ("solve_triangular(matrices(6, 6), matrices(6, 2))", ["trsm 2 6"]),
        ("solve_triangular(matrices(4, 6, 6), matrices(4, 6, 2))", ["trsmBatched 6 4"]),
    ],
)
def test_calls(solver, call, expected):
    # Kernels do nothing, so that matrices are zeros in which nothing is found.
    done, calls = solver(
        f"r = linalg.{call}\nfn.eval(*(r if isinstance(r, tuple) else [r]))\nfn.synchronize()", FUNCNN_CUDA="cusolver"
    )
    assert done.returncode == 0, done.stderr
    assert calls == expected


@pytest.mark.parametrize(
    "call, said",
    [
        (
            "cholesky(x)",
            "the matrix at (0,) of an array of shape (2, 300, 300) is not positive definite (its leading 3 rows ",
        ),
        ("eigvalsh(x)", "the iteration for the matrix at (0,) of an array of shape (2, 300, 300) did not converge"),
        ("svdvals(x)", "the iteration for the matrix at (0,) of an array of shape (2, 300, 300) did not converge"),
        ("qr(x)[0]", ""),
        ("lu(x)[1]", ""),
    ],
)
def test_what_is_said_of_matrices_is_raised(solver, call, said):
    program = f"x = matrices(2, 300, 300)\nfn.eval(linalg.{call})"
    done, _ = solver(program, FAKE_SOLVER_INFO="3", FUNCNN_CUDA="cusolver")
    assert f"LinAlgError: {call.partition('(')[0]}: {said}" in done.stderr if said else done.returncode == 0, (
        done.stderr
    )
    done, _ = solver(program, FAKE_SOLVER_INFO="-4", FUNCNN_CUDA="cusolver")
    assert "RuntimeError: CUDA: cuSOLVER refuses argument 4 of " in done.stderr


@pytest.mark.parametrize("error, served", [("1e-7", "True"), ("1e-5", "False"), ("nan", "False")])
def test_perturbed_matrices_go_to_the_host(solver, error, served):
    # The library says 1 of every largest singular value.
    program = """
for shape in ((140, 130), (130, 140)): print(np.asarray(linalg.svd(matrices(*shape)).S)[0] == 1)
"""
    done, calls = solver(program, FAKE_SOLVER_ERROR=error, FUNCNN_CUDA="cusolver")
    assert printed(done) == [served] * 2
    assert calls == ["Xgesvdp 140 130"] * 2


def test_few_small_matrices_stay_with_the_host(solver):
    for size, words in ((8, ""), (600, "nocusolver")):
        done, calls = solver(f"fn.eval(linalg.qr(matrices({size}, {size})))", FUNCNN_LOG="gpu", FUNCNN_CUDA=words)
        assert done.returncode == 0 and "qr runs on the CPU" in done.stderr and not calls
