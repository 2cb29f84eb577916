"""The names of ``mlx.core``."""
# ruff: noqa: F403

from . import cuda as cuda
from . import distributed as distributed
from . import fast as fast
from . import fft as fft
from . import linalg as linalg
from . import metal as metal
from . import random as random
from ._array import *
from ._basics import *
from ._compile import *
from ._create import *
from ._custom import *
from ._dtypes import *
from ._einsum import einsum_path as einsum_path
from ._elementwise import *
from ._export import *
from ._io import *
from ._memory import *
from ._namespace import *
from ._order import *
from ._printing import *
from ._products import *
from ._reduce import *
from ._shape import *
from ._streams import *
from ._transforms import *

__version__ = "0.32.4"
matrix_norm = linalg.norm
