"""Install what the build back end asks for, or an optional group of requirements, into the environment of this interpreter.

An incremental build needs a build environment that stays where it is, so pip's own throw-away one is of no use; this
does what pip would have done for it: the static requirements of pyproject.toml first, then those that the back end adds
on this machine (CMake and Ninja, where they are missing or too old).

With the name of an extra of pyproject.toml, such as docs, its requirements are installed and nothing is built.
"""

import importlib
import pathlib
import subprocess
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def install(requirements: list[str]) -> None:
    if requirements:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *requirements], check=True)


def main() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if extras := sys.argv[1:]:
        for extra in extras:
            install(pyproject["project"]["optional-dependencies"][extra])
        return
    build = pyproject["build-system"]
    install(build["requires"])
    importlib.invalidate_caches()
    backend = importlib.import_module(build["build-backend"])
    install(backend.get_requires_for_build_editable())


if __name__ == "__main__":
    main()
