"""The names of ``mlx.core``."""
# ruff: noqa: F403

from . import cuda as cuda
from . import distributed as distributed
from . import fast as fast
from . import fft as fft
from . import linalg as linalg
from . import metal as metal
from . import random as random
from ._basics import *
from ._create import *
from ._elementwise import *
from ._io import *
from ._order import *
from ._products import *
from ._reduce import *
from ._shape import *
from ._streams import *

# Stand-ins for what has files of its own: arrays (_array.py), transformations and compilation.
try:
    from ._array import *  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from ._stand_in import ArrayAt, array  # noqa: F401

try:
    from ._transforms import *  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from ... import checkpoint, grad, jvp, value_and_grad, vjp, vmap  # noqa: F401

try:
    from ._compile import *  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from ... import compile  # noqa: F401

__version__ = "0.32.4"
matrix_norm = linalg.norm
