"""Build the library for AArch64 on another machine and run tests of it there: `make test-aarch64`.

qemu-user emulates the processor; it keeps the order of memory of the machine below, so what it runs says nothing of races.
Arguments are handed to pytest. Needs Debian with qemu-user and g++-aarch64-linux-gnu. Everything else goes below
build/aarch64, and nothing is installed: Debian's packages of Python for arm64 are unpacked into `system`, wheels of PyPI are put
into `environment`, whose bin/python looks like the Python of a virtual environment and starts the emulator.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from sanitize import ROOT, lay_out, run

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

BUILD = ROOT / "build" / "aarch64"
SYSTEM, ENVIRONMENT = BUILD / "system", BUILD / "environment"
PYTHON = ENVIRONMENT / "bin" / "python"
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
CPU = "max,sve=off"  # as Macs are; OpenBLAS computes wrong results by the SVE that is emulated
DEBIAN = ["python3", "libpython3-dev", "libstdc++6", "libgomp1"]
GLIBC = [17, *range(24, 40)]  # of the names that wheels have

# Without a test of time.
SELECTION = [
    "tests/native",
    "tests/test_ops.py",
    "-k",
    "not little_overhead and (not test_ops or test_values and float32)",
]


def unpack_system() -> None:
    """A root of Debian's for arm64 with Python, from the mirrors that this machine uses."""
    apt = BUILD / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "nothing-installed").touch()
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "nothing-installed",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": 0,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": 1,
    }
    get = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    run(*get, "update")
    run(*get, "--yes", "--download-only", "install", *DEBIAN)
    unpacked = BUILD / "system.part"
    shutil.rmtree(unpacked, ignore_errors=True)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        run("dpkg-deb", "--extract", package, unpacked)
    unpacked.rename(SYSTEM)


def interpreter() -> pathlib.Path:
    return next(p for p in (SYSTEM / "usr/bin").glob("python3.*") if re.fullmatch(r"python3\.\d+", p.name))


def make_environment() -> pathlib.Path:
    """A virtual environment, as far as Python looks, with what the tests need; returns the folder of its packages."""
    python = interpreter()
    packages = ENVIRONMENT / "lib" / python.name / "site-packages"
    PYTHON.parent.mkdir(parents=True, exist_ok=True)
    (ENVIRONMENT / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    emulated = shlex.join([EMULATOR, "-cpu", CPU, "-L", str(SYSTEM), "-0", str(PYTHON), str(python)])
    PYTHON.write_text(f'#!/bin/sh\nexec {emulated} "$@"\n')
    PYTHON.chmod(0o755)
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"], "nanobind>=2.9"]
    version = python.name.removeprefix("python")
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"]
    only = ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *platforms]
    run(*pip, *only, f"--target={packages}", *wanted)
    about = packages / f"funcnn-{project['version']}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: funcnn\nVersion: {project['version']}\n")
    return packages


def build() -> None:
    include = SYSTEM / "usr/include"
    definitions = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_CXX_COMPILER": COMPILER,
        "CMAKE_CXX_FLAGS": f"-idirafter {include}",
        "CMAKE_CROSSCOMPILING_EMULATOR": shutil.which("env"),  # bin/python runs as it is
        "CMAKE_BUILD_TYPE": "Release",
        "FUNCNN_STUBS": "OFF",
        "Python_EXECUTABLE": PYTHON,
        "Python_INCLUDE_DIR": include / interpreter().name,
    }
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run("cmake", "-S", ROOT / "native", "-B", BUILD, *generator, *(f"-D{k}={v}" for k, v in definitions.items()))
    run("cmake", "--build", BUILD, "--parallel", os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", os.cpu_count()))


def main(arguments: list[str]) -> int:
    missing = [name for name in ("apt-get", "dpkg-deb", COMPILER, EMULATOR) if not shutil.which(name)]
    if missing:
        sys.exit(f"needs {', '.join(missing)}; on Debian: apt-get install qemu-user g++-aarch64-linux-gnu")
    BUILD.mkdir(parents=True, exist_ok=True)
    if not SYSTEM.exists():
        unpack_system()
    made = BUILD / "environment.stamp"
    if not made.exists() or made.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        make_environment()
        made.touch()
    build()
    command = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", *(arguments or SELECTION)]
    environment = {**os.environ, "PYTHONPATH": str(lay_out(BUILD)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    # CMake comes from the environment of this interpreter where the system has none.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    sys.exit(main(sys.argv[1:]))
