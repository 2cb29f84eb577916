"""What names of other libraries are called here. Asking for one raises `AttributeError` that says so."""

from __future__ import annotations

import opcode
import sys
from types import FrameType
from typing import Any

_HINTS = {
    "funcnn": {
        "Array": "the class of arrays is fn.array",
        "Module": "layers derive from fn.nn.Layer",
        "Tensor": "the class of arrays is fn.array",
        "absolute": "use fn.abs",
        "acos": "use fn.arccos",
        "amax": "use fn.max",
        "amin": "use fn.min",
        "argwhere": "use fn.nonzero, which has one array for each axis",
        "as_tensor": "use fn.asarray",
        "asin": "use fn.arcsin",
        "atan": "use fn.arctan",
        "atan2": "use fn.arctan2",
        "block_until_ready": "use fn.eval, which waits for the values",
        "bool": "the dtype is fn.bool_",
        "cat": "use fn.concatenate",
        "clamp": "use fn.clip",
        "complex128": "complex numbers are fn.complex64",
        "config": "there is no global configuration; for 64-bit floats say dtype=fn.float64",
        "core": "the functions of mlx.core are in funcnn itself",
        "custom_gradient": "use fn.custom_vjp",
        "div": "use fn.divide",
        "double": "the dtype is fn.float64",
        "e": "use math.e",
        "flatnonzero": "use fn.nonzero",
        "flatten_util": "use fn.tree.ravel",
        "from_numpy": "use fn.array, which copies, or fn.asarray, which shares memory where it can",
        "func": "transformations such as fn.grad and fn.vmap are in funcnn itself",
        "gather": "use fn.take_along_axis",
        "gelu": "use fn.nn.gelu",
        "half": "the dtype is fn.float16",
        "hstack": "use fn.concatenate with axis=1",
        "index_select": "use fn.take",
        "inf": 'use float("inf")',
        "jit": "use fn.compile",
        "lax": "fn.scan, fn.cond, fn.switch, fn.fori_loop and the operations are in funcnn itself",
        "long": "the dtype is fn.int64",
        "make_jaxpr": "use fn.explain",
        "manual_seed": "there is no global random state; pass keys made by fn.random.key",
        "mm": "use fn.matmul or the operator @",
        "bmm": "use fn.matmul or the operator @",
        "mod": "use fn.remainder",
        "mul": "use fn.multiply",
        "nan": 'use float("nan")',
        "ndarray": "the class of arrays is fn.array",
        "neg": "use fn.negative",
        "newaxis": "use None",
        "no_grad": "only what fn.grad is asked for is differentiated; fn.stop_gradient holds a value constant",
        "np": "the functions of jax.numpy are in funcnn itself: fn.sum, fn.where and so on",
        "numpy": "the functions of jax.numpy are in funcnn itself: fn.sum, fn.where and so on",
        "permute": "use fn.transpose",
        "pi": "use math.pi",
        "pow": "use fn.power",
        "rand": "use fn.random.uniform",
        "randn": "use fn.random.normal",
        "relu": "use fn.nn.relu",
        "remat": "use fn.checkpoint",
        "row_stack": "use fn.concatenate",
        "save": "use fn.io.save",
        "load": "use fn.io.load",
        "slice": "use x[start:stop], or fn.dynamic_slice where the start is traced",
        "slice_update": "use x.at[start:stop].set, or fn.dynamic_update_slice where the start is traced",
        "sub": "use fn.subtract",
        "tensor": "use fn.array",
        "tree_flatten": "use fn.tree.flatten",
        "tree_leaves": "use fn.tree.leaves",
        "tree_map": "use fn.tree.map",
        "tree_structure": "use fn.tree.structure",
        "tree_unflatten": "use fn.tree.unflatten",
        "tree_util": "use fn.tree",
        "true_divide": "use fn.divide",
        "unsqueeze": "use fn.expand_dims",
        "vectorize": "use fn.vmap",
        "vstack": "use fn.concatenate",
    },
    "funcnn.nn": {
        "BCELoss": "use fn.nn.losses.binary_cross_entropy",
        "BatchNorm1d": "use fn.nn.BatchNorm",
        "BatchNorm2d": "use fn.nn.BatchNorm",
        "CrossEntropyLoss": "use fn.nn.losses.cross_entropy",
        "Dense": "use fn.nn.Linear",
        "Embed": "use fn.nn.Embedding",
        "L1Loss": "use fn.nn.losses.l1_loss",
        "MSELoss": "use fn.nn.losses.mse_loss",
        "Module": "layers derive from fn.nn.Layer",
        "ModuleDict": "a field that holds a dict of layers does it",
        "ModuleList": "a field that holds a tuple of layers does it",
        "NLLLoss": "use fn.nn.losses.nll_loss",
        "Parameter": "parameters are a tree of arrays made by Layer.init",
        "Swish": "use fn.nn.SiLU",
        "functional": "functions such as fn.nn.relu are in fn.nn itself",
        "initializers": "use fn.nn.init",
        "one_hot": "use fn.one_hot",
        "swish": "use fn.nn.silu",
        "value_and_grad": "use fn.value_and_grad",
    },
    "funcnn.optim": {
        "Adam": "use fn.optim.adam",
        "AdamW": "use fn.optim.adamw",
        "GradientTransformation": "use fn.optim.Optimizer",
        "SGD": "use fn.optim.sgd",
        "clip_grad_norm": "use fn.optim.clip_by_global_norm",
        "clip_grad_norm_": "use fn.optim.clip_by_global_norm",
        "lr_scheduler": "use fn.optim.schedules",
    },
    "funcnn.random": {
        "Generator": "there is no global random state; pass keys made by fn.random.key",
        "PRNGKey": "use fn.random.key",
        "RandomState": "there is no global random state; pass keys made by fn.random.key",
        "default_rng": "there is no global random state; pass keys made by fn.random.key",
        "rand": "use fn.random.uniform",
        "randn": "use fn.random.normal",
        "random": "use fn.random.uniform",
        "seed": "there is no global random state; pass keys made by fn.random.key",
        "shuffle": "use fn.random.permutation",
        "state": "there is no global random state; pass keys made by fn.random.key",
    },
    "funcnn.tree": {
        "ravel_pytree": "use fn.tree.ravel",
        "tree_flatten": "use fn.tree.flatten",
        "tree_leaves": "use fn.tree.leaves",
        "tree_map": "use fn.tree.map",
        "tree_reduce": "use fn.tree.reduce",
        "tree_structure": "use fn.tree.structure",
        "tree_unflatten": "use fn.tree.unflatten",
    },
    "array": {
        "backward": "derivatives are functions; use fn.grad",
        "block_until_ready": "use fn.eval(x), which waits for the value",
        "clamp": "use x.clip",
        "clone": "arrays are immutable, so there is no need to copy one",
        "contiguous": "the layout in memory is the library's affair",
        "cpu": "use numpy.asarray(x) to read an array",
        "detach": "use fn.stop_gradient(x)",
        "dim": "use x.ndim",
        "double": "use x.astype(fn.float64)",
        "float": "use x.astype(fn.float32)",
        "grad": "derivatives are functions; use fn.grad",
        "half": "use x.astype(fn.float16)",
        "long": "use x.astype(fn.int64)",
        "numel": "use x.size",
        "numpy": "use numpy.asarray(x)",
        "permute": "use x.transpose",
        "requires_grad": "only what fn.grad is asked for is differentiated",
        "unsqueeze": "use fn.expand_dims",
        "view": "use x.reshape, or x.astype for another dtype",
    },
}


def missing(module: str, name: str) -> Exception:
    """Make the error for an attribute that a module does not have; its ``__getattr__`` raises it."""
    hint = _HINTS.get(module, {}).get(name)
    # `from module import name` swallows an AttributeError and its text.
    if hint and _imports(sys._getframe(2)):
        return ImportError(f"cannot import name {name!r} from {module!r}: {hint}", name=module)
    text = f"module {module!r} has no attribute {name!r}{f': {hint}' if hint else ''}"
    return AttributeError(text, name=name, obj=sys.modules.get(module))


def _imports(frame: FrameType) -> bool:
    """Whether what asks for an attribute is an import statement, of a package or of a module."""
    if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        return True
    return frame.f_code.co_code[frame.f_lasti] == opcode.opmap.get("IMPORT_FROM")


class _Elsewhere:
    """An attribute that instances do not have, with a hint."""

    def __init__(self, owner: str, name: str, hint: str) -> None:
        self.text = f"{owner!r} object has no attribute {name!r}: {hint}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        raise AttributeError(self.text)


def mark(cls: type) -> None:
    """Give a class the hints for its attributes."""
    names = _HINTS[cls.__name__]
    for name, hint in names.items():
        if name not in cls.__dict__:
            setattr(cls, name, _Elsewhere(cls.__name__, name, hint))
    listed: Any = cls.__dir__
    setattr(cls, "__dir__", lambda self: [x for x in listed(self) if x not in names or hasattr(self, x)])  # noqa: B010
