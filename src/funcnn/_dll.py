"""On Windows, let the loader find OpenBLAS beside funcnn before the extension module is loaded."""

import importlib.util
import os
import sys


def add_dll_directory() -> None:
    """Add the folder of scipy-openblas32's DLL to the search path; does nothing on other systems."""
    if sys.platform == "win32":
        spec = importlib.util.find_spec("scipy_openblas32")
        if spec is not None and spec.origin is not None:
            os.add_dll_directory(os.path.join(os.path.dirname(spec.origin), "lib"))
