"""``mlx`` as a name for ``funcnn.compat``: the finder of its modules, and switching it on and off."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution, DistributionFinder


_OURS = __package__

# What the real package has of its own. Anything else below `mlx` belongs to another distribution (mlx.data, for example).
_OF_MLX = {"core", "nn", "optimizers", "utils", "extension"}

_lock = threading.RLock()


def _renamed(name: str) -> str:
    return _OURS + name[len("mlx") :]


class _Alias(Loader):
    """Puts the shim's module, imported under its own name, where the module of MLX is asked for."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The import system hands out what stands in sys.modules once this is over, so the shim's module keeps its own spec.
        # One at a time: CPython reports a deadlock where one thread imports a.b while another imports a, which imports a.b.
        with _lock:
            sys.modules[module.__name__] = importlib.import_module(self._spec.name)

    # What pkgutil, inspect and runpy ask loaders, who know their module by its own name only.

    def is_package(self, name: str) -> bool:
        return self._spec.submodule_search_locations is not None

    def get_code(self, name: str) -> CodeType | None:
        code: CodeType | None = self._spec.loader.get_code(self._spec.name)  # type: ignore[union-attr]
        return code

    def get_source(self, name: str) -> str | None:
        source: str | None = self._spec.loader.get_source(self._spec.name)  # type: ignore[union-attr]
        return source

    def get_filename(self, name: str) -> str | None:
        return self._spec.origin

    def get_data(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "mlx" and not fullname.startswith("mlx."):
            return None
        below = fullname.split(".")[1:]
        if below and below[0] not in _OF_MLX and not below[0].startswith("_"):
            return self._other_distribution(fullname, path)
        found = self._ours(_renamed(fullname), path)
        if found is None:
            return None
        spec = ModuleSpec(fullname, _Alias(found), origin=found.origin)
        spec.has_location = found.has_location
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def _ours(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        # Not importlib.util.find_spec, which imports the parent: finders are asked below a lock that all imports need.
        if name in sys.modules:
            return sys.modules[name].__spec__
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, None)):
                return spec
        return None

    @staticmethod
    def _other_distribution(fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
        if fullname.count(".") == 1:
            path = [os.path.join(entry, "mlx") for entry in sys.path]
        return PathFinder.find_spec(fullname, path)

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        if context is None or context.name is None or context.name.lower() == "mlx":
            from ._distribution import MlxDistribution

            yield MlxDistribution()

    def invalidate_caches(self) -> None:
        pass


_finder = _Finder()


def _code_for_children() -> str:
    # The path of the parent comes first, since the new process finds funcnn where this one does.
    return f"import sys; sys.path[:] = {sys.path!r}; from {_OURS} import install; install()"


class _InstallInChild:
    """Unpickling it installs the shim. ``multiprocessing`` unpickles before it imports the main module of a new process."""

    def __reduce__(self) -> Any:
        return exec, (_code_for_children(), {})


class _MainOfServer(str):
    """The path of the main module that a fork server imports, handed over as an expression: its value installs the shim."""

    def __repr__(self) -> str:
        return f"(exec({_code_for_children()!r}, {{}}), {super().__repr__()})[1]"


def _prepares(original: Any) -> Any:
    def get_preparation_data(name: str) -> dict[str, Any]:
        data = original(name)
        if name == "ignore" and "init_main_from_path" in data:  # The fork server asks for no process of its own.
            data["init_main_from_path"] = _MainOfServer(data["init_main_from_path"])
        return {"funcnn.compat": _InstallInChild(), **data}

    get_preparation_data.original = original  # type: ignore[attr-defined]
    return get_preparation_data


def _foreign() -> list[str]:
    """The modules of a real MLX that are imported already."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if (name == "mlx" or (name.startswith("mlx.") and name.split(".")[1] in _OF_MLX))
        and module is not None
        and module is not sys.modules.get(_renamed(name))
    )


def install() -> None:
    """Let ``mlx`` name ``funcnn.compat`` from now on, also where MLX itself is installed.

    Afterwards ``import mlx.core as mx`` gives ``funcnn.compat.core``, ``from mlx.nn.layers.base import Module`` the class
    in ``funcnn.compat.nn.layers.base``, and so on: one object for each module, whatever it is called.
    ``importlib.metadata.version("mlx")`` answers the release of MLX whose API this is. Processes that ``multiprocessing``
    starts (by any start method) know the names too; those of ``subprocess`` know them where they, or this process, are
    started by ``python -m funcnn.compat``. Packages that other distributions put below ``mlx``, such as ``mlx.data``, stay theirs.

    Calling it again does nothing. It may be called from any thread.

    Raises
    ------
    ImportError
        if the real MLX has been imported already: code that holds its arrays cannot be given others.

    Example
    -------
    >>> from funcnn import compat
    >>> compat.install()
    >>> import mlx.utils
    >>> mlx.utils is compat.utils
    True
    >>> compat.uninstall()
    """
    with _lock:
        if _finder in sys.meta_path:
            return
        if foreign := _foreign():
            raise ImportError(
                f"funcnn.compat.install: MLX itself is already imported ({', '.join(foreign[:3])}"
                f"{', ...' if len(foreign) > 3 else ''}); install the shim before anything imports mlx, "
                "or start the program by python -m funcnn.compat",
                name="mlx",
            )
        from multiprocessing import spawn

        spawn.get_preparation_data = _prepares(spawn.get_preparation_data)
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Give the name ``mlx`` back. What was imported keeps working under the names that programs hold; for tests."""
    with _lock:
        if _finder not in sys.meta_path:
            return
        sys.meta_path.remove(_finder)
        from multiprocessing import spawn

        spawn.get_preparation_data = spawn.get_preparation_data.original  # type: ignore[attr-defined]
        for name in [n for n in list(sys.modules) if n == "mlx" or n.startswith("mlx.")]:
            if sys.modules[name] is sys.modules.get(_renamed(name)):
                del sys.modules[name]
