"""Build the core with address and undefined-behaviour sanitizers and run tests under it: `make sanitize`.

The build goes to build/sanitize and is not installed; the tests see it through PYTHONPATH. Arguments are handed to
pytest in place of the default selection. Leak checking is off: the interpreter keeps much alive until it exits, and the
tests of memory growth cover what it would find.
"""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "sanitize"
SITE = BUILD / "site"

# Not the core's: they measure time or memory, which a sanitizer changes, or run other programs.
SKIP = ["tests/test_docs.py", "tests/test_benchmarks.py"]
SELECT = "not thousand_steps"


def run(*command: object, **kwargs) -> None:
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def build() -> None:
    definitions = ["-DFUNCNN_SANITIZE=address,undefined", f"-DPython_EXECUTABLE={sys.executable}", "-DFUNCNN_STUBS=OFF"]
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run("cmake", "-S", ROOT / "native", "-B", BUILD, *generator, "-DCMAKE_BUILD_TYPE=Release", *definitions)
    run("cmake", "--build", BUILD, "--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", os.cpu_count()))


def lay_out() -> None:
    """Make a package of links: the Python sources and the instrumented module."""
    shutil.rmtree(SITE, ignore_errors=True)
    package = SITE / "funcnn"
    package.mkdir(parents=True)
    for path in (ROOT / "src" / "funcnn").iterdir():
        if path.name != "_core" and not path.name.startswith(("_core.", "__pycache__")):
            (package / path.name).symlink_to(path)
    (module,) = BUILD.glob("_core.*so")
    (package / module.name).symlink_to(module)


def runtime_libraries() -> str:
    """The sanitizer's runtime must be loaded first, and the C++ library with it (for the exceptions it intercepts)."""
    compiler = ""
    for line in (BUILD / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_CXX_COMPILER:"):
            compiler = line.split("=", 1)[1]
    names = ["libasan.so", "libstdc++.so"]
    found = [subprocess.check_output([compiler, f"-print-file-name={n}"], text=True).strip() for n in names]
    return " ".join(f for f in found if os.path.isabs(f))


def test(arguments: list[str]) -> int:
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime_libraries(),
        "PYTHONPATH": str(SITE),
        "SKBUILD_EDITABLE_SKIP": os.pathsep.join(map(str, BUILD.parent.iterdir())),  # past an editable install
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "FUNCNN_SANITIZED": "1",
    }
    ignored = [f"--ignore={path}" for path in SKIP]
    arguments = arguments or ["tests", "--hypothesis-profile=few", *ignored, "-k", SELECT]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    # CMake comes from the environment of this interpreter where the system has none.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    build()
    lay_out()
    sys.exit(test(sys.argv[1:]))
