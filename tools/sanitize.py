"""Build the core with sanitizers and run tests under it: `make sanitize`, `make sanitize-thread`.

Without arguments the address and undefined-behaviour sanitizers watch the core's tests; with `--thread` first, the
thread sanitizer watches those of threads. Builds go to build/sanitize* and are not installed; the tests see them through
PYTHONPATH. What these tests do not run comes from the build that is installed, and is not watched. Further arguments
are handed to pytest in place of the default selection; with them, what only that leaves out is built and watched too. Leak checking is off: the interpreter keeps much alive until it
exits, and the tests of memory growth cover what it would find.
"""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
from typing import NamedTuple

from installed_build import installed_build

from funcnn import _core

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Kind(NamedTuple):
    sanitizers: str
    build: pathlib.Path
    runtime: str
    options: dict[str, str]
    selection: list[str]
    unwatched: list[str]  # regular expressions of target/source: by no tests
    idle: list[str]  # what the default selection does not run


# The address sanitizer watches the narrowest and the widest vectors of this machine, the thread sanitizer these alone: one
# text is compiled for all.
INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
WIDEST = _core._instruction_set()
GPU = ["funcnn_core/backends/(gpu|cuda|metal)/"]
REFERENCE = "funcnn_core/backends/reference/"


def kernels_except(*watched: str) -> list[str]:
    return [f"funcnn_simd_{name}/" for name in INSTRUCTION_SETS if name not in watched]


# Left out: tests that measure time or memory, which a sanitizer changes, or that run other programs.
ADDRESS = Kind(
    "address,undefined",
    ROOT / "build" / "sanitize",
    "libasan.so",
    {
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    },
    [
        "tests",
        "--numprocesses=2",
        "--hypothesis-profile=few",
        # Where a kernel reads and writes depends on its operation and its loops, which few dtypes and shapes go through.
        "--most=12",
        *(
            f"--ignore=tests/{name}"
            for name in (
                "test_docs.py",
                "test_benchmarks.py",
                "test_symbols.py",
                "test_examples.py",
                "test_layering.py",
                "test_names.py",
            )
        ),
        # The GPU in software changes stacks behind the sanitizer's back, and stand-ins of drivers run in other programs.
        *(f"--ignore=tests/{name}" for name in ("gpu", "metal")),
        # Layers and optimisers are Python on operations that have tests of their own; views are carried by the core.
        *(f"--ignore=tests/{name}" for name in ("optim", "testing", "test_purity.py", "test_io_checkpoints.py")),
        "--ignore-glob=tests/nn/test_[!v]*",
        # These are compositions of operations too.
        "--ignore-glob=tests/test_array_api*",
        *(f"--ignore=tests/test_{name}.py" for name in ("distributions", "gaussian", "standard", "statistics")),
        # Derivatives of derivatives run the kernels of derivatives.
        "--deselect=tests/test_ops.py::test_second_derivatives_agree_with_central_differences",
        # Of the shim of MLX its arrays, transformations, trees and modules.
        *(f"--ignore=tests/compat/{name}" for name in ("client", "docs", "nn")),
        "--ignore-glob=tests/compat/test_compat_[!mu]*",
        # An eighth of the random programs: the rest of them takes minutes even without.
        *(
            f"--deselect=tests/fuzz/test_recipes.py::test_seeded_recipes_agree_with_numpy[{part}]"
            for part in range(1, 8)
        ),
        "-k",
        "not thousand_steps and not stays_bounded and not in_proportion",
    ],
    [*GPU, *kernels_except("baseline", WIDEST)],
    [REFERENCE],
)
# The interpreter and BLAS are not instrumented: what they do is unseen, what they lock with is seen.
THREAD = Kind(
    "thread",
    ROOT / "build" / "sanitize-thread",
    "libtsan.so",
    {
        "TSAN_OPTIONS": f"suppressions={ROOT / 'tools' / 'sanitize-thread.txt'}:exitcode=66:history_size=4:"
        f"report_signal_unsafe=0:second_deadlock_stack=1:log_path={ROOT / 'build' / 'sanitize-thread' / 'report'}",
        "OPENBLAS_NUM_THREADS": "1",  # NumPy's
    },
    ["tests/test_threads.py"],
    [*GPU, *kernels_except(WIDEST), REFERENCE],
    # Families of operations without tests of threads, code for another processor, the shim, texts of exported functions,
    # and bindings that only convert arguments.
    [
        ".*/(conv[._]|fft|lapack|linalg|quant|hadamard|attention|einsum|windows|block_masked|segmented|gather_dot|mask_order)",
        ".*/(sort|argsort|argreduce|partition|searchsorted|written)",
        ".*/(arm_|body_arm|emit_arm|jit_|shim|lines\\.|custom_kernel|bindings/(ops_|program|record))",
    ],
)


def run(*command: object, **kwargs) -> None:
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def build(kind: Kind, everything: bool) -> None:
    unwatched = kind.unwatched if everything else kind.unwatched + kind.idle
    definitions = [
        f"-DFUNCNN_SANITIZE={kind.sanitizers}",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DFUNCNN_STUBS=OFF",
        f"-DFUNCNN_OBJECTS={installed_build()}",
        f"-DFUNCNN_OBJECTS_OF=^({'|'.join(unwatched)})",
    ]
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run("cmake", "-S", ROOT / "native", "-B", kind.build, *generator, "-DCMAKE_BUILD_TYPE=Release", *definitions)
    run("cmake", "--build", kind.build, "--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", os.cpu_count()))


def lay_out(build: pathlib.Path) -> pathlib.Path:
    """Make a package of links: the Python sources and the module built there. Returns the folder it is in."""
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    package = site / "funcnn"
    package.mkdir(parents=True)
    for path in (ROOT / "src" / "funcnn").iterdir():
        if path.name != "_core" and not path.name.startswith(("_core.", "__pycache__")):
            (package / path.name).symlink_to(path)
    (module,) = build.glob("_core.*so")
    (package / module.name).symlink_to(module)
    return site


def runtime_libraries(kind: Kind) -> str:
    """The sanitizer's runtime must be loaded first, and the C++ library with it (for the exceptions it intercepts)."""
    compiler = ""
    for line in (kind.build / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_CXX_COMPILER:"):
            compiler = line.split("=", 1)[1]
    names = [kind.runtime, "libstdc++.so"]
    found = [subprocess.check_output([compiler, f"-print-file-name={n}"], text=True).strip() for n in names]
    return " ".join(f for f in found if os.path.isabs(f))


def test(kind: Kind, site: pathlib.Path, arguments: list[str]) -> int:
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime_libraries(kind),
        "PYTHONPATH": str(site),
        "SKBUILD_EDITABLE_SKIP": os.pathsep.join(map(str, (ROOT / "build").iterdir())),  # past an editable install
        "PYTHONMALLOC": "malloc",
        "FUNCNN_SANITIZED": kind.sanitizers,
        **kind.options,
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--capture=sys",
        *(arguments or kind.selection),
    ]
    if kind is THREAD and shutil.which("setarch"):
        # Older runtimes do not find their way in an address space with much randomness.
        command = ["setarch", platform.machine(), "--addr-no-randomize", *command]
    for report in kind.build.glob("report.*"):
        report.unlink()
    status = subprocess.run(command, cwd=ROOT, env=environment).returncode
    for report in kind.build.glob("report.*"):  # pytest keeps what passing tests print
        print(report.read_text())
    return status


if __name__ == "__main__":
    # CMake comes from the environment of this interpreter where the system has none.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    arguments = sys.argv[1:]
    kind = THREAD if "--thread" in arguments else ADDRESS
    selection = [a for a in arguments if a != "--thread"]
    build(kind, everything=bool(selection))
    sys.exit(test(kind, lay_out(kind.build), selection))
