"""Optimisers: frozen values with two pure functions, ``init(params)`` and ``update(grads, state, params)``.

>>> import funcnn as fn
>>> from funcnn import optim
>>> opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(1e-3))
>>> params = {"w": fn.array([1.0, 2.0])}
>>> state = opt.init(params)
>>> grads = fn.grad(lambda p: fn.sum(p["w"] * p["w"]))(params)
>>> delta, state = opt.update(grads, state, params)
>>> params = optim.apply_updates(params, delta)
"""

import attrs

from .. import _calls, _hints
from . import schedules
from ._adafactor import adafactor
from ._adam import adam, adamw
from ._adaptive import adadelta, adagrad, adamax, rmsprop
from ._ema import ema
from ._groups import masked, partitioned, skip_frozen
from ._inject import inject
from ._lamb import lamb
from ._lion import lion
from ._muon import muon
from ._protocol import Optimizer, ScalarOrSchedule, Schedule, apply_updates
from ._sgd import sgd
from ._transforms import add_decayed_weights, chain, clip, clip_by_global_norm, global_norm, scale, scale_by_schedule
from ._wrappers import accumulate, apply_if_finite, lookahead

__all__ = [
    "Optimizer",
    "ScalarOrSchedule",
    "Schedule",
    "accumulate",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "add_decayed_weights",
    "apply_if_finite",
    "apply_updates",
    "chain",
    "clip",
    "clip_by_global_norm",
    "ema",
    "global_norm",
    "inject",
    "lamb",
    "lion",
    "lookahead",
    "masked",
    "muon",
    "partitioned",
    "rmsprop",
    "scale",
    "scale_by_schedule",
    "schedules",
    "sgd",
    "skip_frozen",
]

for _value in [*(globals()[name] for name in __all__), *vars(schedules).values()]:
    if isinstance(_value, type) and _value.__module__.startswith(__name__) and attrs.has(_value):
        _calls.explain_construction(_value)
        if issubclass(_value, Optimizer):
            _hints.mark(_value, "Optimizer")

_hints.close(globals())
