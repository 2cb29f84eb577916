"""The folder of the build that `make` installs, whose objects other builds take."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def installed_build() -> pathlib.Path:
    """That of the interpreter of .venv, as scikit-build-core names it."""
    minor = sys.version_info[1]
    threads = "t" if not getattr(sys, "_is_gil_enabled", lambda: True)() else ""
    tag = "cp312-abi3" if minor >= 12 and not threads else f"cp3{minor}-cp3{minor}{threads}"
    (found,) = (ROOT / "build").glob(f"{tag}-*")
    return found
