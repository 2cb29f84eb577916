"""`mlx` names funcnn.compat: every way of importing, versions, processes, and beside another MLX."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import multiprocessing.spawn
import os
import pickle
import pkgutil
import subprocess
import sys
import textwrap
import types
import typing

import pytest
from tests.compat.library import REAL

from funcnn import compat

pytestmark = pytest.mark.skipif(REAL, reason="the shim's own")

MODULES = ["core", "core.random", "core.linalg", "core.fft", "core.fast", "nn", "nn.layers.base", "optimizers", "utils"]

# pickle.dumps((mx.array([1.5, 2.5], dtype=mx.bfloat16),)) of mlx 0.32.4
WRITTEN_BY_MLX = (
    b"\x80\x04\x95\xac\x00\x00\x00\x00\x00\x00\x00\x8c\x08mlx.core\x94\x8c\x05array\x94\x93\x94)\x81\x94\x8c\x16numpy._core.multiarray\x94"
    b"\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x07\x8c\x05"
    b"dtype\x94\x93\x94\x8c\x02u2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x04\xc0? @\x94t\x94bK\x0c\x86\x94b"
    b"\x85\x94."
)


@pytest.fixture
def installed():
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "mlx"}
    compat.install()
    yield
    compat.uninstall()
    assert not [name for name in sys.modules if name.split(".")[0] == "mlx"]
    sys.modules.update(hidden)


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options)


def with_path(folder):
    paths = filter(None, [str(folder), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize("first", [True, False], ids=["named before", "named after"])
@pytest.mark.parametrize("name", MODULES)
def test_one_object_for_each_module(installed, name, first):
    if first:
        ours = importlib.import_module(f"funcnn.compat.{name}")
    module = importlib.import_module(f"mlx.{name}")
    ours = importlib.import_module(f"funcnn.compat.{name}")
    assert module is ours and sys.modules[f"mlx.{name}"] is ours
    # The module is still itself: reloading and relative imports go by its spec.
    assert module.__name__ == module.__spec__.name == f"funcnn.compat.{name}"
    assert importlib.util.find_spec(f"mlx.{name}") is module.__spec__
    assert os.path.samefile(inspect.getfile(module), module.__file__)


def test_statements(installed):
    import mlx
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.nn.layers.base
    import mlx.optimizers as optim
    from mlx import utils
    from mlx.core import fast
    from mlx.utils import tree_flatten

    assert mlx is compat and mlx.core is mx is compat.core and mlx.nn is nn and utils is compat.utils
    assert optim is compat.optimizers and fast is mx.fast and tree_flatten is utils.tree_flatten
    assert mlx.nn.layers.base.Module is nn.Module
    with pytest.raises(ModuleNotFoundError, match="No module named 'mlx.extension'"):
        import mlx.extension
    with pytest.raises(ModuleNotFoundError, match="mlx.core.nothing"):
        importlib.import_module("mlx.core.nothing")
    with pytest.raises(ImportError, match="nothing"):
        from mlx.core import nothing  # noqa: F401


def test_asking_without_importing(installed):
    spec = importlib.util.find_spec("mlx")
    assert spec.name == "mlx" and spec.origin == compat.__file__ and list(spec.submodule_search_locations)
    assert spec.loader.is_package("mlx") and "install" in spec.loader.get_source("mlx")
    assert "mlx" not in sys.modules
    assert importlib.util.find_spec("mlx.core").origin == importlib.import_module("funcnn.compat.core").__file__
    assert importlib.util.find_spec("mlx.nothing") is None and importlib.util.find_spec("mlx.extension") is None
    import mlx

    assert {"core", "nn", "optimizers", "utils"} <= {info.name for info in pkgutil.iter_modules(mlx.__path__)}


def test_version(installed):
    import mlx.core as mx

    assert importlib.metadata.version("mlx") == importlib.metadata.version("MLX") == mx.__version__ == "0.32.4"
    found = importlib.metadata.distribution("mlx")
    assert found.metadata["Name"] == "mlx" and not found.requires and not found.files
    assert "mlx" in {one.metadata["Name"] for one in importlib.metadata.distributions()}
    assert importlib.metadata.version("numpy")


def test_classes_by_name(installed):
    import mlx.core as mx
    import mlx.nn as nn

    # What pickles that MLX wrote name.
    assert pickle.loads(b"cmlx.core\narray\n.") is mx.array
    assert pickle.loads(b"cmlx.nn.layers.base\nModule\n.") is nn.Module

    (array,) = pickle.loads(WRITTEN_BY_MLX)
    assert type(array) is mx.array and array.dtype == mx.bfloat16 and array.tolist() == [1.5, 2.5]

    def f(x: "mx.array", layer: "nn.Module") -> "mx.array": ...

    hints = typing.get_type_hints(f, {"mx": mx, "nn": nn})
    assert hints == {"x": mx.array, "layer": nn.Module, "return": mx.array}


def test_twice_and_back():
    before = list(sys.meta_path), multiprocessing.spawn.get_preparation_data
    if foreign := [name for name in sys.modules if name.split(".")[0] == "mlx"]:
        pytest.skip(f"{foreign[0]} is imported")
    compat.install()
    compat.install()
    assert len(sys.meta_path) == len(before[0]) + 1
    import mlx.utils  # noqa: F401

    compat.uninstall()
    compat.uninstall()
    assert (list(sys.meta_path), multiprocessing.spawn.get_preparation_data) == before
    assert "mlx" not in sys.modules and "mlx.utils" not in sys.modules


def test_threads():
    program = """
    import importlib, sys, threading
    from funcnn import compat
    names = ["mlx.core", "mlx.utils", "mlx.nn", "mlx.optimizers", "mlx.nn.layers.base", "mlx", "mlx.core.random"]
    start, seen = threading.Barrier(8), []
    def work(turn):
        start.wait()
        compat.install()
        for name in names[turn % 7:] + names[:turn % 7]:
            seen.append(importlib.import_module(name) is sys.modules[name.replace("mlx", "funcnn.compat")])
    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(len(seen), all(seen), sum(type(f).__module__ == "funcnn.compat._install" for f in sys.meta_path))
    """
    done = python("-c", textwrap.dedent(program))
    assert done.stdout == "56 True 1\n", done.stderr


def test_imported_already(tmp_path):
    for name, text in {"__init__.py": "", "core.py": "REAL = True\n"}.items():
        (tmp_path / "mlx").mkdir(exist_ok=True)
        (tmp_path / "mlx" / name).write_text(text)
    program = """
    import mlx.core
    from funcnn import compat
    try:
        compat.install()
    except ImportError as error:
        print(error)
    import mlx.core
    print(mlx.core.REAL)
    """
    done = python("-c", textwrap.dedent(program), env=with_path(tmp_path))
    assert "MLX itself is already imported (mlx, mlx.core)" in done.stdout and done.stdout.endswith("True\n"), done


@pytest.fixture
def beside_real(tmp_path):
    """The environment of a process that finds another MLX, and a package of another distribution below its name."""
    site = tmp_path / "site"
    for name, text in {
        "mlx/core.py": "raise SystemExit('the real one')\n",
        "mlx/extension.py": "raise SystemExit('the real one')\n",
        "mlx/data/__init__.py": "from mlx.data.files import NAME\n",
        "mlx/data/files.py": "import mlx.core as mx\nNAME = mx.__name__\n",
        "mlx-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mlx\nVersion: 0.1.0\n",
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    return with_path(site)


def test_beside_the_real_one(beside_real):
    program = """
    import importlib.metadata, mlx.core
    print(mlx.core.__name__, importlib.metadata.version("mlx"))
    import mlx.data as dx
    print(dx.NAME, dx.__name__)
    try:
        import mlx.extension
    except ImportError as error:
        print(error)
    """
    done = python("-m", "funcnn.compat", "-c", textwrap.dedent(program), env=beside_real)
    assert done.stdout.splitlines() == [
        "funcnn.compat.core 0.32.4",
        "funcnn.compat.core mlx.data",
        "No module named 'mlx.extension'",
    ], done.stderr


SPAWNING = """
import multiprocessing
import sys

import mlx.core as mx
import mlx.nn as nn


class Work(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = mx.arange(4.0)


def work(layer):
    import mlx.utils

    return mx.__name__, isinstance(layer, nn.Module), (layer.weight + 1).sum().item(), sys.modules["mlx"].__name__


if __name__ == "__main__":
    for method in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, *pool.map(work, [Work()]))
"""


def test_processes(beside_real, tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    done = python("-m", "funcnn.compat", str(script), env=beside_real)
    expected = "('funcnn.compat.core', True, 10.0, 'funcnn.compat')"
    methods = multiprocessing.get_all_start_methods()
    assert done.stdout.splitlines() == [f"{method} {expected}" for method in methods], done.stderr


def test_fork_servers_that_import_the_main_module(installed, monkeypatch):
    """CPython 3.14's fork server imports the main module; what it is handed is the text of an expression."""
    main = types.ModuleType("__main__")
    main.__file__, main.__spec__ = "/some/program.py", None
    monkeypatch.setitem(sys.modules, "__main__", main)
    data = multiprocessing.spawn.get_preparation_data("ignore")
    compat.uninstall()
    path = list(sys.path)
    try:
        assert eval(repr(data["init_main_from_path"])) == "/some/program.py" == data["init_main_from_path"]
        import mlx.utils

        assert mlx.utils is compat.utils and sys.path == path
    finally:
        compat.uninstall()


def test_importing_the_shim_installs_nothing():
    done = python("-c", "import funcnn.compat.nn, sys; print('multiprocessing' in sys.modules, 'mlx' in sys.modules)")
    assert done.stdout == "False False\n", done
