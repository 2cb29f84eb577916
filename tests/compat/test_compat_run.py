"""`python -m funcnn.compat` runs programs as `python` does."""

import os
import re
import subprocess
import sys
import zipfile

import pytest
from tests.compat.library import REAL

from funcnn.compat._run import main

pytestmark = pytest.mark.skipif(REAL, reason="the shim's own")

STATE = """
import sys
print(sys.argv, sys.path[0], __name__, __package__, __spec__ and __spec__.name, type(__loader__).__name__)
print(globals().get("__file__"), sorted(vars()), sys.modules["__main__"].__dict__ is globals(), __doc__)
class Here: pass
import pickle
print(pickle.loads(pickle.dumps(Here())).__class__ is Here)
"""

PROGRAMS = {
    "state.py": f'"""A doc."""{STATE}',
    "raises.py": "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as e:\n    raise ValueError('no') from e\n",
    "syntax.py": "x = 1\nx = = 2\n",
    "leaves.py": "import atexit, sys\natexit.register(lambda: print('at exit', vars()))\nprint('out')\nsys.exit(3)\n",
    "says.py": "raise SystemExit('bye')\n",
    "hook.py": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__, a[2].tb_frame.f_code.co_name)\n1 / 0\n",
    "late.py": "import threading, time\nx = 5\ndef f():\n    time.sleep(0.1)\n    print(x)\n"
    "threading.Thread(target=f).start()\nundefined\n",
    "package/__init__.py": "",
    "package/__main__.py": STATE,
    "package/other.py": f"from . import __main__\n{STATE}1 / 0\n",
    "folder/__main__.py": f"{STATE}import beside\n",
    "folder/beside.py": "print('beside')\n",
    "interrupted.py": "raise KeyboardInterrupt\n",
}

COMMANDS = {
    "script": ["state.py", "-m", "a", "--help"],
    "below": ["./package/../state.py"],
    "link": ["link/linked.py"],
    "folder": ["folder", "x"],
    "archive": ["archive.zip", "x"],
    "module": ["-m", "package", "x"],
    "module that raises": ["-m", "package.other"],
    "no module": ["-m", "package.nothing"],
    "no package": ["-m", "absent"],
    "code": ["-c", STATE, "-c", "x"],
    "code that raises": ["-c", "def f():\n    undefined\nf()"],
    "wrong code": ["-c", "1 +"],
    "raises": ["raises.py"],
    "syntax": ["syntax.py"],
    "leaves": ["leaves.py"],
    "says": ["says.py"],
    "hook": ["hook.py"],
    "late": ["late.py"],
    "absent": ["absent.py"],
    "input": ["-", "x"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("programs")
    for name, text in PROGRAMS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    with zipfile.ZipFile(root / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", STATE)
    (root / "link").mkdir()
    (root / "link" / "linked.py").symlink_to(root / "state.py")
    return root


def run(folder, *arguments, stdin=STATE, flags=()):
    return subprocess.run(
        [sys.executable, *flags, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_as_python(folder, name):
    theirs = run(folder, *COMMANDS[name])
    ours = run(folder, "-m", "funcnn.compat", *COMMANDS[name])
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    # CPython 3.13 remembers the text of -c for tracebacks.
    shown = [
        re.sub(r"(?m)^    .*\n", "", done.stderr) if "<string>" in done.stderr else done.stderr
        for done in (ours, theirs)
    ]
    assert shown[0] == shown[1]


def test_safe_path(folder):
    theirs = run(folder, "state.py", flags=["-I"])
    ours = run(folder, "-m", "funcnn.compat", "state.py", flags=["-I"])
    assert ours.stdout == theirs.stdout and not ours.returncode, ours.stderr


def test_interrupt(folder):
    theirs, ours = run(folder, "interrupted.py"), run(folder, "-m", "funcnn.compat", "interrupted.py")
    assert ours.returncode == theirs.returncode and ours.stderr.endswith("\nKeyboardInterrupt\n")


@pytest.mark.parametrize("arguments, code", [([], 2), (["-m"], 2), (["-c"], 2), (["-x"], 2), (["--help"], 0)], ids=str)
def test_usage(arguments, code, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    assert left.value.code == code and "usage: python -m funcnn.compat SCRIPT" in (err if code else out)


CHILD = "import mlx.core as mx, mlx.nn, sys; print(mx.__name__, mlx.nn.__name__, sys.modules['mlx'].__name__, mx.arange(3).tolist())"
STARTS = f"""
import importlib.util, os, subprocess, sys
found = "import importlib.util; print(importlib.util.find_spec('mlx') is not None)"
for code in ({CHILD!r}, found):
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout, end="")
nested = [sys.executable, "-m", "funcnn.compat", "-c", "import os; print(os.environ['PYTHONPATH'])"]
assert subprocess.run(nested, capture_output=True, text=True).stdout.strip() == os.environ["PYTHONPATH"]
"""


@pytest.mark.parametrize("path", [None, "elsewhere", f"elsewhere{os.pathsep}beyond"])
def test_python_processes_that_a_program_starts_find_the_shim(folder, path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    code = STARTS + f"assert os.environ['PYTHONPATH'].split(os.pathsep)[1:] == {path.split(os.pathsep) if path else []}"
    done = run(folder, "-m", "funcnn.compat", "-c", code)
    assert done.stdout == "funcnn.compat.core funcnn.compat.nn funcnn.compat [0, 1, 2]\nTrue\n", done.stderr


def test_a_python_without_funcnn_says_why_there_is_no_mlx(folder):
    code = (
        "import subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-S', '-c', 'import mlx.core'], capture_output=True, text=True)\n"
        "print(done.stderr.splitlines()[-1])"
    )
    done = run(folder, "-m", "funcnn.compat", "-c", code)
    assert re.match(
        r"ModuleNotFoundError: No module named 'mlx': .*python -m funcnn.compat.* has no funcnn", done.stdout
    )
