"""Build the wheel with the stable ABI and run the tests on it: `python tools/test_wheel.py [arguments of pytest]`.

The wheel is built on the oldest CPython >= 3.12 of this machine and installed on the newest, each with an environment
below build/wheel: what one version builds all later ones must run. The core, which knows no Python, comes from the
build of .venv. Says so and does nothing where there is none. NumPy is one that asks for less of its protocols than the
newest, which the tests of a checkout have.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from installed_build import installed_build

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "wheel"
OLDEST, NEWEST = 12, 20
NUMPY, NUMPY_UP_TO = "numpy<2.4", 14  # the last CPython that it has wheels for

# Without free threading, which has an ABI of its own; with what `make` asks for.
USABLE = """
import sys, sysconfig
assert sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(sys.version_info[1], sys.executable)
"""


def run(*command: object, **kwargs) -> None:
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def interpreters() -> dict[int, str]:
    """The CPythons with headers and venv on the PATH and in pyenv, by minor version."""
    found = {}
    names = [sys.executable, *(f"python3.{minor}" for minor in range(OLDEST, NEWEST))]
    if shutil.which("pyenv"):
        root = pathlib.Path(subprocess.check_output(["pyenv", "root"], text=True).strip())
        names += sorted(map(str, root.glob("versions/3.*/bin/python3")))
    for name in filter(shutil.which, names):
        asked = subprocess.run([name, "-c", USABLE], capture_output=True, text=True)
        if asked.returncode == 0:  # launchers of version managers may find nothing to launch
            minor, path = asked.stdout.split(maxsplit=1)
            complete = subprocess.run([path.strip(), ROOT / "tools" / "check_python.py"], capture_output=True)
            if int(minor) >= OLDEST and complete.returncode == 0:
                found.setdefault(int(minor), path.strip())
    return found


def environment(interpreter: str, name: str) -> pathlib.Path:
    """A fresh environment; returns its interpreter."""
    shutil.rmtree(BUILD / name, ignore_errors=True)
    run(interpreter, "-m", "venv", BUILD / name)
    return BUILD / name / "bin" / "python"


def build(interpreter: str) -> pathlib.Path:
    python = environment(interpreter, "builder")
    run(python, ROOT / "tools" / "install_build_requirements.py")
    shutil.rmtree(BUILD / "dist", ignore_errors=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    settings = {"build-dir": BUILD / "build", "cmake.define.FUNCNN_OBJECTS": installed_build()}
    run(
        *pip,
        *(f"--config-settings={name}={value}" for name, value in settings.items()),
        "--wheel-dir",
        BUILD / "dist",
        ROOT,
    )
    (wheel,) = (BUILD / "dist").glob("*.whl")
    if "-cp312-abi3-" not in wheel.name:
        sys.exit(f"expected a wheel for the stable ABI of CPython 3.12, got {wheel.name}")
    return wheel


def test(interpreter: str, minor: int, wheel: pathlib.Path, arguments: list[str]) -> int:
    python = environment(interpreter, "tester")
    numpy = [NUMPY] if minor <= NUMPY_UP_TO else []
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"{wheel}[test]", *numpy)
    return subprocess.run([python, "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    found = interpreters()
    if not found:
        print(f"no CPython >= 3.{OLDEST} with headers and venv here: no wheel with the stable ABI is tested")
        sys.exit(0)
    oldest, newest = min(found), max(found)
    print(f"building on CPython 3.{oldest}, testing on 3.{newest}", flush=True)
    # CMake comes from the environment where the system has none.
    os.environ["PATH"] = os.pathsep.join([str(BUILD / "builder" / "bin"), os.environ["PATH"]])
    sys.exit(test(found[newest], newest, build(found[oldest]), sys.argv[1:]))
