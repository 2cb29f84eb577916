"""The functions of the functional API that layers, losses and initialisers of the shim compute with.

They give mutable arrays where they get some, which their types do not say.
"""

from typing import Any

from ... import fast as _fast
from ... import nn as _nn
from ...nn import (
    _activations,
    _attention,
    _dropout,
    _group_norm,
    _linear,
    _norm,
    _positions,
    _recurrent,
    _transformer,
    _upsample,
)
from ...nn.losses import _classes, _common, _distances

nn: Any = _nn
fast: Any = _fast

activations: Any = _activations
attention: Any = _attention
dropout: Any = _dropout
group_norm: Any = _group_norm
linear: Any = _linear
norm: Any = _norm
positions: Any = _positions
recurrent: Any = _recurrent
transformer: Any = _transformer
upsample: Any = _upsample

loss_arguments: Any = _common
losses_of_classes: Any = _classes
losses_of_numbers: Any = _distances
