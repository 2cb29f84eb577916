"""Found as ``mlx`` by the Python processes that a program under ``python -m funcnn.compat`` starts: installs the shim."""

import sys

try:
    from funcnn import compat
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"No module named {__name__!r}: the program was started by python -m funcnn.compat, "
        f"and {sys.executable} has no funcnn",
        name=__name__,
    ) from error

sys.modules.pop(__name__)  # Else install would take this module for MLX itself.
compat.install()
sys.modules[__name__] = compat
