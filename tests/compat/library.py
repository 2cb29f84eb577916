"""The library under test: funcnn.compat, or MLX itself where the environment says FUNCNN_COMPAT_LIBRARY=mlx."""

import os

REAL = os.environ.get("FUNCNN_COMPAT_LIBRARY") == "mlx"

if REAL:
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    import mlx.utils as utils
else:
    import funcnn.compat.core as mx
    import funcnn.compat.nn as nn
    import funcnn.compat.optimizers as optim
    import funcnn.compat.utils as utils

__all__ = ["REAL", "mx", "nn", "optim", "utils"]
