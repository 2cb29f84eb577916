"""What names of other libraries are called here. Asking for one raises `AttributeError` that says so."""

from __future__ import annotations

import importlib
import opcode
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_HINTS = {
    "funcnn": {
        "absolute": "use fn.abs",
        "amax": "use fn.max",
        "amin": "use fn.min",
        "angle": "use fn.arctan2(fn.imag(z), fn.real(z))",
        "append": "use fn.concatenate",
        "apply_along_axis": "use fn.vmap",
        "argwhere": "use fn.nonzero, which has one array for each axis",
        "around": "use fn.round",
        "Array": "the class of arrays is fn.array",
        "array_split": "use fn.split with the indices to cut at",
        "as_tensor": "use fn.asarray",
        "average": "use fn.mean, or fn.sum(w * x) / fn.sum(w)",
        "bitwise_not": "use fn.bitwise_invert",
        "block": "use fn.concatenate, row by row",
        "block_until_ready": "use fn.eval and then fn.synchronize, which waits for the device",
        "bmm": "use fn.matmul or the operator @",
        "cat": "use fn.concatenate",
        "cbrt": "use fn.sign(x) * fn.abs(x) ** (1 / 3)",
        "clamp": "use fn.clip",
        "clear_caches": "use fn.clear_cache",
        "column_stack": "use fn.stack with axis=1, or fn.concatenate with axis=1 where there are matrices",
        "complex128": "complex numbers are fn.complex64",
        "compress": "use x[mask]",
        "config": "there is no global configuration; for 64-bit floats say dtype=fn.float64",
        "copy": "arrays do not change, so that x itself will do",
        "core": "the functions of mlx.core are in funcnn itself; MLX's own API is funcnn.compat.core",
        "corrcoef": "centre the rows, divide each by its fn.linalg.norm and multiply: x @ x.T",
        "correlate": "use fn.convolve with the second array reversed, y[::-1]",
        "cov": "centre the rows, x = x - fn.mean(x, 1, keepdims=True), and multiply: x @ x.T / (n - 1)",
        "cuda": "NVIDIA's cards are the device fn.gpu; see fn.is_available and fn.device_info",
        "custom_gradient": "use fn.custom_vjp",
        "default_dtype": "arrays of floats are float32 unless they are made with dtype=",
        "deg2rad": "use fn.radians",
        "delete": "use fn.take with the places that stay",
        "device": "the class of devices is fn.Device; x.device says where an array is",
        "device_get": "use numpy.asarray(x)",
        "devices": "use fn.device_count and fn.device_info",
        "diagflat": "use fn.diag of fn.ravel(x)",
        "digitize": "use fn.searchsorted with side='right'",
        "div": "use fn.divide",
        "double": "the dtype is fn.float64",
        "dstack": "use fn.stack with axis=2",
        "ediff1d": "use fn.diff of fn.ravel(x)",
        "enable_x64": "there is no global configuration; for 64-bit floats say dtype=fn.float64",
        "extract": "use x[mask]",
        "fabs": "use fn.abs",
        "filter_grad": "use fn.grad with where=, or on what fn.tree.partition gives",
        "filter_jit": "use fn.compile, which takes what is no array as a static argument (static_argnames)",
        "filter_value_and_grad": "use fn.value_and_grad with where=, or on what fn.tree.partition gives",
        "filter_vmap": "use fn.vmap with in_axes=None for what is not mapped",
        "flatnonzero": "use fn.nonzero",
        "flatten_util": "use fn.tree.ravel",
        "fliplr": "use fn.flip with axis=1",
        "flipud": "use fn.flip with axis=0",
        "float_power": "use fn.power",
        "fmax": "use fn.where(fn.isnan(x), y, fn.where(fn.isnan(y), x, fn.maximum(x, y)))",
        "fmin": "use fn.where(fn.isnan(x), y, fn.where(fn.isnan(y), x, fn.minimum(x, y)))",
        "fmod": "use x - fn.trunc(x / y) * y; fn.remainder takes the sign of the divisor",
        "from_numpy": "use fn.array, which copies, or fn.asarray, which shares memory where it can",
        "frombuffer": "use fn.asarray of numpy.frombuffer",
        "fromfunction": "call the function with fn.meshgrid of fn.arange and indexing='ij'",
        "func": "transformations such as fn.grad and fn.vmap are in funcnn itself",
        "gather": "use fn.take_along_axis",
        "gcd": "use fn.while_loop, or math.gcd for Python's integers",
        "geomspace": "use fn.exp of fn.linspace between the logarithms",
        "gradient": "use fn.grad for derivatives; for differences of samples, fn.diff",
        "half": "the dtype is fn.float16",
        "heaviside": "use fn.where",
        "histogram": "use fn.bincount of fn.searchsorted",
        "hsplit": "use fn.split with axis=1",
        "hstack": "use fn.concatenate, with axis=1 where there are matrices",
        "index_select": "use fn.take",
        "indices": "use fn.meshgrid of fn.arange with indexing='ij'",
        "inference_mode": "only what fn.grad is asked for is differentiated; layer(params, x) is inference",
        "insert": "use fn.concatenate",
        "interp": "find the interval by fn.searchsorted and mix the values at its ends",
        "intersect1d": "use fn.unique_values of x[fn.isin(x, y)]",
        "invert": "use fn.bitwise_invert",
        "ix_": "use x[i[:, None], j]",
        "jacobian": "use fn.jacrev or fn.jacfwd",
        "jit": "use fn.compile",
        "jnp": "the functions of jax.numpy are in funcnn itself: fn.sum, fn.where and so on",
        "lax": "fn.scan, fn.cond, fn.switch, fn.fori_loop and the operations are in funcnn itself",
        "ldexp": "use x * 2.0**n",
        "lexsort": "sort by the last key first: fn.argsort keeps the order of what is equal",
        "logspace": "use base ** fn.linspace(start, stop, n)",
        "long": "the dtype is fn.int64",
        "make_jaxpr": "use fn.explain",
        "manual_seed": "there is no global random state; pass keys made by fn.random.key",
        "matvec": "use fn.matmul or the operator @",
        "mm": "use fn.matmul or the operator @",
        "mod": "use fn.remainder",
        "modf": "use fn.trunc(x), and x - fn.trunc(x)",
        "Module": "layers derive from fn.nn.Layer; MLX's modules are in funcnn.compat.nn",
        "mps": "the GPU of a Mac is the device fn.gpu; see fn.is_available and fn.device_info",
        "mul": "use fn.multiply",
        "nanargmax": "use fn.argmax of fn.where(fn.isnan(x), -fn.inf, x)",
        "nanargmin": "use fn.argmin of fn.where(fn.isnan(x), fn.inf, x)",
        "nancumsum": "use fn.cumsum of fn.where(fn.isnan(x), 0, x)",
        "nanmax": "use fn.max with where=~fn.isnan(x) and initial=-fn.inf",
        "nanmean": "use fn.mean with where=~fn.isnan(x)",
        "nanmin": "use fn.min with where=~fn.isnan(x) and initial=fn.inf",
        "nanprod": "use fn.prod with where=~fn.isnan(x)",
        "nanstd": "use fn.std with where=~fn.isnan(x)",
        "nansum": "use fn.sum with where=~fn.isnan(x)",
        "nanvar": "use fn.var with where=~fn.isnan(x)",
        "ndarray": "the class of arrays is fn.array",
        "ndim": "use x.ndim",
        "neg": "use fn.negative",
        "no_grad": "only what fn.grad is asked for is differentiated; fn.stop_gradient holds a value constant",
        "np": "the functions of jax.numpy are in funcnn itself: fn.sum, fn.where and so on",
        "numpy": "the functions of jax.numpy are in funcnn itself: fn.sum, fn.where and so on",
        "optimizers": "use fn.optim",
        "permute": "use fn.transpose",
        "piecewise": "use fn.where, or fn.switch for one number",
        "pmap": "use fn.vmap",
        "polyfit": "use fn.linalg.lstsq on the powers, x[:, None] ** fn.arange(n)",
        "polyval": "use fn.scan over the coefficients, or a sum of powers",
        "ptp": "use fn.max and fn.min",
        "put": "use x.at[i].set(v)",
        "rad2deg": "use fn.degrees",
        "rand": "use fn.random.uniform",
        "randn": "use fn.random.normal",
        "remat": "use fn.checkpoint",
        "rint": "use fn.round",
        "rot90": "use fn.flip and fn.swapaxes",
        "row_stack": "use fn.concatenate, or fn.stack where there are vectors",
        "seed": "there is no global random state; pass keys made by fn.random.key",
        "select": "use fn.where within fn.where",
        "set_default_dtype": "arrays of floats are float32 unless they are made with dtype=",
        "setdiff1d": "use fn.unique_values of x[~fn.isin(x, y)]",
        "shape": "use x.shape",
        "sinc": "use fn.where(x == 0, 1, fn.sin(y) / y), where y is fn.pi * fn.where(x == 0, 1, x)",
        "size": "use x.size",
        "sub": "use fn.subtract",
        "swapdims": "use fn.swapaxes",
        "Tensor": "the class of arrays is fn.array",
        "tensor": "use fn.array",
        "trapezoid": "use fn.sum of the means of neighbours, times fn.diff of their places",
        "tree_flatten": "use fn.tree.flatten",
        "tree_leaves": "use fn.tree.leaves",
        "tree_map": "use fn.tree.map",
        "tree_structure": "use fn.tree.structure",
        "tree_unflatten": "use fn.tree.unflatten",
        "tree_util": "use fn.tree",
        "tril_indices": "use fn.nonzero(fn.tril(fn.ones((n, n))))",
        "triu_indices": "use fn.nonzero(fn.triu(fn.ones((n, n))))",
        "true_divide": "use fn.divide",
        "union1d": "use fn.unique_values of fn.concatenate",
        "unravel_index": "use fn.divmod",
        "unsqueeze": "use fn.expand_dims",
        "vander": "use x[:, None] ** fn.arange(n)",
        "vdot": "use fn.vecdot",
        "vecmat": "use fn.matmul or the operator @",
        "vectorize": "use fn.vmap",
        "vsplit": "use fn.split",
        "vstack": "use fn.concatenate, or fn.stack where there are vectors",
    },
    "funcnn.nn": {
        "AdaptiveAvgPool2d": "use fn.mean over the spatial axes, axis=(1, 2), for one element",
        "avg_pool": "use fn.nn.avg_pool2d",
        "BatchNorm1d": "use fn.nn.BatchNorm",
        "BatchNorm2d": "use fn.nn.BatchNorm",
        "BatchNorm3d": "use fn.nn.BatchNorm",
        "BCELoss": "use fn.nn.losses.binary_cross_entropy",
        "BCEWithLogitsLoss": "use fn.nn.losses.binary_cross_entropy",
        "compact": "a layer declares its layers as fields, as in `a: nn.Layer`",
        "Conv": "use fn.nn.Conv1d, Conv2d or Conv3d",
        "CrossEntropyLoss": "use fn.nn.losses.cross_entropy",
        "Dense": "use fn.nn.Linear",
        "dot_product_attention": "use fn.fast.scaled_dot_product_attention",
        "Embed": "use fn.nn.Embedding",
        "F": "functions such as fn.nn.relu are in fn.nn itself",
        "functional": "functions such as fn.nn.relu are in fn.nn itself",
        "hard_silu": "use fn.nn.hardswish",
        "hard_swish": "use fn.nn.hardswish",
        "HuberLoss": "use fn.nn.losses.huber_loss",
        "identity": "use fn.nn.Identity",
        "initializers": "use fn.nn.init",
        "InstanceNorm1d": "use fn.nn.InstanceNorm",
        "InstanceNorm2d": "use fn.nn.InstanceNorm",
        "InstanceNorm3d": "use fn.nn.InstanceNorm",
        "interpolate": "use fn.nn.Upsample",
        "KLDivLoss": "use fn.nn.losses.kl_div_loss",
        "L1Loss": "use fn.nn.losses.l1_loss",
        "max_pool": "use fn.nn.max_pool2d",
        "MLP": "use fn.nn.Sequential of fn.nn.Linear and an activation",
        "Module": "layers derive from fn.nn.Layer; MLX's modules are in funcnn.compat.nn",
        "ModuleDict": "a field that holds a dict of layers does it",
        "ModuleList": "a field that holds a tuple of layers does it",
        "MSELoss": "use fn.nn.losses.mse_loss",
        "MultiheadAttention": "use fn.nn.MultiHeadAttention",
        "NLLLoss": "use fn.nn.losses.nll_loss",
        "Parameter": "parameters are a tree of arrays made by Layer.init",
        "SmoothL1Loss": "use fn.nn.losses.smooth_l1_loss",
        "soft_sign": "use fn.nn.softsign",
        "Swish": "use fn.nn.SiLU",
        "swish": "use fn.nn.silu",
        "utils": "use fn.tree for parameters, fn.optim.clip_by_global_norm for gradients",
    },
    "funcnn.nn.init": {
        "kaiming_normal": "use fn.nn.init.he_normal",
        "kaiming_uniform": "use fn.nn.init.he_uniform",
        "trunc_normal": "use fn.nn.init.truncated_normal, whose bounds are in standard deviations",
        "variance_scaling": "use fn.nn.init.he_normal, glorot_normal or lecun_normal",
        "xavier_normal": "use fn.nn.init.glorot_normal",
        "xavier_uniform": "use fn.nn.init.glorot_uniform",
    },
    "funcnn.nn.losses": {
        "bce_loss": "use fn.nn.losses.binary_cross_entropy",
        "bce_with_logits": "use fn.nn.losses.binary_cross_entropy",
        "BCELoss": "use fn.nn.losses.binary_cross_entropy",
        "cross_entropy_loss": "use fn.nn.losses.cross_entropy",
        "CrossEntropyLoss": "use fn.nn.losses.cross_entropy",
        "l1": "use fn.nn.losses.l1_loss",
        "mse": "use fn.nn.losses.mse_loss",
        "MSELoss": "use fn.nn.losses.mse_loss",
        "softmax_cross_entropy": "use fn.nn.losses.cross_entropy",
        "softmax_cross_entropy_with_integer_labels": "use fn.nn.losses.cross_entropy",
    },
    "funcnn.optim": {
        "AdaDelta": "use fn.optim.adadelta",
        "Adadelta": "use fn.optim.adadelta",
        "Adafactor": "use fn.optim.adafactor",
        "Adagrad": "use fn.optim.adagrad",
        "Adam": "use fn.optim.adam",
        "Adamax": "use fn.optim.adamax",
        "AdamW": "use fn.optim.adamw",
        "clip_grad_norm": "use fn.optim.clip_by_global_norm",
        "clip_grad_norm_": "use fn.optim.clip_by_global_norm",
        "cosine_decay_schedule": "use fn.optim.schedules.cosine_decay",
        "CosineAnnealingLR": "use fn.optim.schedules.cosine_decay",
        "ExponentialLR": "use fn.optim.schedules.exponential_decay",
        "freeze": "use fn.optim.skip_frozen",
        "GradientTransformation": "use fn.optim.Optimizer",
        "inject_hyperparams": "use fn.optim.inject",
        "LambdaLR": "a schedule is any function of the count of steps",
        "Lion": "use fn.optim.lion",
        "lr_scheduler": "use fn.optim.schedules",
        "multi_transform": "use fn.optim.partitioned",
        "MultiOptimizer": "use fn.optim.partitioned",
        "MultiSteps": "use fn.optim.accumulate",
        "Muon": "use fn.optim.muon",
        "OneCycleLR": "use fn.optim.schedules.one_cycle",
        "partition": "use fn.optim.partitioned",
        "RMSprop": "use fn.optim.rmsprop",
        "set_to_zero": "use fn.optim.skip_frozen",
        "SGD": "use fn.optim.sgd",
        "StepLR": "use fn.optim.schedules.step_decay",
        "trace": "use fn.optim.sgd with momentum",
        "warmup_cosine_decay_schedule": "use fn.optim.schedules.warmup_cosine",
    },
    "funcnn.random": {
        "cauchy": "use fn.tan(fn.pi * fn.random.uniform(key, shape, low=-0.5, high=0.5))",
        "dirichlet": "draw fn.random.gamma and divide by the sums",
        "Generator": "there is no global random state; pass keys made by fn.random.key",
        "PRNGKey": "use fn.random.key",
        "RandomState": "there is no global random state; pass keys made by fn.random.key",
        "default_rng": "there is no global random state; pass keys made by fn.random.key",
        "lognormal": "use fn.exp of fn.random.normal",
        "rademacher": "use 2 * fn.random.bernoulli(key, 0.5, shape) - 1",
        "rand": "use fn.random.uniform",
        "randn": "use fn.random.normal",
        "random": "use fn.random.uniform",
        "seed": "there is no global random state; pass keys made by fn.random.key",
        "shuffle": "use fn.random.permutation",
        "state": "there is no global random state; pass keys made by fn.random.key",
    },
    "funcnn.tree": {
        "broadcast": "use fn.tree.broadcast_prefix",
        "ravel_pytree": "use fn.tree.ravel",
        "tree_all": "use fn.tree.all",
        "tree_flatten": "use fn.tree.flatten",
        "tree_flatten_with_path": "use fn.tree.flatten_with_path",
        "tree_leaves": "use fn.tree.leaves",
        "tree_map": "use fn.tree.map",
        "tree_map_with_path": "use fn.tree.map_with_path",
        "tree_reduce": "use fn.tree.reduce",
        "tree_structure": "use fn.tree.structure",
        "tree_transpose": "use fn.tree.transpose",
        "tree_unflatten": "use fn.tree.unflatten",
    },
    "Layer": {
        "add_module": "layers are fields, declared in the class, as in `a: nn.Layer`",
        "append": "layers are tuples; nn.Sequential(*model.layers, another) makes another model",
        "bfloat16": "a layer holds no arrays; use fn.tree.map(lambda p: p.astype(fn.bfloat16), params)",
        "bind": "parameters are an argument: layer(params, x)",
        "children": "layers are fields; see attrs.fields(type(layer))",
        "compile": "use fn.compile(layer), or compile the whole step",
        "cpu": "a layer holds no arrays; use fn.device_put(params, fn.cpu)",
        "cuda": "a layer holds no arrays; use fn.device_put(params, fn.gpu)",
        "double": "a layer holds no arrays; use fn.tree.map(lambda p: p.astype(fn.float64), params)",
        "eval": "layer(params, x) is inference",
        "float": "a layer holds no arrays; use fn.tree.map(lambda p: p.astype(fn.float32), params)",
        "forward": "a layer is called: layer(params, x), or layer.apply(params, x, training=True, key=key)",
        "freeze": "use fn.tree.partition on the parameters",
        "half": "a layer holds no arrays; use fn.tree.map(lambda p: p.astype(fn.float16), params)",
        "leaf_modules": "layers are fields; see attrs.fields(type(layer))",
        "load_state_dict": "parameters are a tree; use fn.io.load with like=params",
        "load_weights": "parameters are a tree; use fn.io.load with like=params",
        "modules": "layers are fields; see attrs.fields(type(layer))",
        "named_modules": "layers are fields; see attrs.fields(type(layer))",
        "named_parameters": "parameters are the tree that init(key) makes; see fn.tree.leaves_with_path",
        "num_parameters": "use sum(p.size for p in fn.tree.leaves(params)), or fn.nn.tabulate",
        "parameters": "a layer holds no arrays; init(key) makes its parameters",
        "register_buffer": "a layer holds no arrays; init(key) makes them, and `updates` of apply brings new ones",
        "register_parameter": "a layer holds no arrays; init(key) makes its parameters",
        "requires_grad_": "use fn.tree.partition on the parameters",
        "save_weights": "parameters are a tree; use fn.io.save",
        "set_dtype": "a layer holds no arrays; use fn.tree.map(lambda p: p.astype(dtype), params)",
        "state_dict": "a layer holds no arrays; init(key) makes its parameters, which fn.io.save takes",
        "summary": "use fn.nn.tabulate",
        "tabulate": "use fn.nn.tabulate",
        "to": "a layer holds no arrays; use fn.device_put(params, device), or fn.tree.map and astype",
        "train": "training is an argument: layer.apply(params, x, training=True, key=key)",
        "trainable_parameters": "use fn.tree.partition on the parameters; see fn.nn.trainable",
        "training": "training is an argument: layer.apply(params, x, training=True, key=key)",
        "unfreeze": "use fn.tree.partition on the parameters",
        "update": "parameters are a tree; fn.tree.merge(params, new) makes another",
        "weight": "a layer holds no arrays; init(key) makes its parameters, read as params['weight']",
        "zero_grad": "derivatives are functions; use fn.grad",
    },
    "Optimizer": {
        "apply": "use opt.update(grads, state, params), then fn.optim.apply_updates(params, updates)",
        "apply_gradients": "use opt.update(grads, state, params), then fn.optim.apply_updates(params, updates)",
        "get_lr": "the rate is opt.learning_rate, a number or a function of the count of steps",
        "load_state_dict": "the state is a tree; use fn.io.load with like=state",
        "lr": "the rate is opt.learning_rate; a schedule of fn.optim.schedules or fn.optim.inject changes it",
        "minimize": "use fn.value_and_grad, then opt.update and fn.optim.apply_updates",
        "param_groups": "use fn.optim.partitioned",
        "set_lr": "the rate is a schedule of fn.optim.schedules, or an entry of the state by fn.optim.inject",
        "state": "the state is a value: opt.init(params) makes it, and opt.update gives the next",
        "state_dict": "the state is the tree that opt.init makes, which fn.io.save takes",
        "step": "use opt.update(grads, state, params), then fn.optim.apply_updates(params, updates)",
        "target": "parameters are a value, which fn.optim.apply_updates gives anew",
        "zero_grad": "gradients are what fn.grad gives; there is nothing to clear",
    },
    "ArrayAt": {
        "div": "use x.at[...].divide",
        "max": "use x.at[...].maximum",
        "min": "use x.at[...].minimum",
        "mul": "use x.at[...].multiply",
        "pow": "use x.at[...].power",
        "sub": "use x.at[...].subtract",
    },
    "array": {
        "add_": "arrays are immutable; write x = x + y",
        "amax": "use x.max",
        "amin": "use x.min",
        "backward": "derivatives are functions; use fn.grad",
        "bfloat16": "use x.astype(fn.bfloat16)",
        "block_until_ready": "use fn.eval(x), which waits for the value",
        "bmm": "use the operator @",
        "bool": "use x.astype(fn.bool_)",
        "chunk": "use x.split(n)",
        "clamp": "use x.clip",
        "clamp_": "arrays are immutable; write x = x.clip(low, high)",
        "clone": "arrays are immutable, so there is no need to copy one",
        "contiguous": "the layout in memory is the library's affair",
        "copy_": "arrays are immutable; bind the name to the other array",
        "cpu": "use numpy.asarray(x) to read an array",
        "cuda": "use fn.device_put(x, fn.gpu)",
        "data": "arrays are immutable, so that x itself will do; fn.stop_gradient(x) is no function of the parameters",
        "detach": "use fn.stop_gradient(x)",
        "devices": "use x.device",
        "dim": "use x.ndim",
        "div": "use the operator /",
        "div_": "arrays are immutable; write x = x / y",
        "double": "use x.astype(fn.float64)",
        "element_size": "use x.itemsize",
        "eq": "use the operator ==",
        "eval": "use fn.eval(x)",
        "expand": "use fn.broadcast_to(x, shape)",
        "expand_as": "use fn.broadcast_to(x, y.shape)",
        "fill": "arrays are immutable; write x = fn.full_like(x, value)",
        "fill_": "arrays are immutable; write x = fn.full_like(x, value)",
        "flat": "use x.flatten()",
        "float": "use x.astype(fn.float32)",
        "gather": "use fn.take_along_axis(x, indices, axis)",
        "ge": "use the operator >=",
        "gelu": "use fn.nn.gelu(x)",
        "get_device": "use x.device",
        "gpu": "use fn.device_put(x, fn.gpu)",
        "grad": "derivatives are functions; use fn.grad",
        "grad_fn": "derivatives are functions; use fn.grad",
        "gt": "use the operator >",
        "half": "use x.astype(fn.float16)",
        "index_add_": "use x.at[...].add",
        "index_select": "use fn.take(x, indices, axis)",
        "int": "use x.astype(fn.int32)",
        "is_contiguous": "the layout in memory is the library's affair",
        "is_cuda": "use x.device",
        "le": "use the operator <=",
        "log_softmax": "use fn.nn.log_softmax(x)",
        "long": "use x.astype(fn.int64)",
        "lt": "use the operator <",
        "masked_fill": "use fn.where(mask, value, x)",
        "masked_fill_": "use fn.where(mask, value, x)",
        "masked_select": "use x[mask]",
        "mm": "use the operator @",
        "movedim": "use x.moveaxis",
        "mps": "use fn.device_put(x, fn.gpu)",
        "mul": "use the operator *",
        "mul_": "arrays are immutable; write x = x * y",
        "narrow": "use a slice, x[start:stop]",
        "ndimension": "use x.ndim",
        "ne": "use the operator !=",
        "nelement": "use x.size",
        "new_ones": "use fn.ones(shape, x.dtype)",
        "new_tensor": "use fn.array(data, x.dtype)",
        "new_zeros": "use fn.zeros(shape, x.dtype)",
        "norm": "use fn.linalg.norm(x)",
        "numel": "use x.size",
        "numpy": "use numpy.asarray(x)",
        "permute": "use x.transpose",
        "pow": "use the operator **",
        "put": "use x.at[i].set(v)",
        "register_hook": "derivatives are functions; use fn.custom_vjp",
        "relu": "use fn.nn.relu(x)",
        "requires_grad": "only what fn.grad is asked for is differentiated",
        "requires_grad_": "only what fn.grad is asked for is differentiated",
        "reshape_as": "use x.reshape(y.shape)",
        "resize": "use x.reshape",
        "retain_grad": "derivatives are functions; use fn.grad",
        "scatter": "use fn.put_along_axis(x, indices, values, axis), or x.at[...].set",
        "scatter_": "use fn.put_along_axis(x, indices, values, axis), or x.at[...].set",
        "scatter_add": "use x.at[...].add",
        "scatter_add_": "use x.at[...].add",
        "sharding": "an array is on one device, x.device",
        "silu": "use fn.nn.silu(x)",
        "softmax": "use fn.softmax(x)",
        "stride": "the layout in memory is the library's affair",
        "strides": "the layout in memory is the library's affair",
        "sub": "use the operator -",
        "sub_": "arrays are immutable; write x = x - y",
        "swapdims": "use x.swapaxes",
        "t": "use x.T",
        "to": "use fn.device_put(x, device), or x.astype(dtype)",
        "tobytes": "use numpy.asarray(x).tobytes()",
        "tofile": "use fn.io.save",
        "type": "use x.astype",
        "type_as": "use x.astype(y.dtype)",
        "unbind": "a for loop, or tuple(x), goes over the first axis",
        "unique": "use fn.unique_values(x)",
        "unsqueeze": "use fn.expand_dims",
        "view_as": "use x.reshape(y.shape)",
        "where": "use fn.where(condition, x, y)",
        "zero_": "arrays are immutable; write x = fn.zeros_like(x)",
    },
}


# Functions of an array that are no methods of it.
_FUNCTIONS = """
add allclose arccos arccosh arcsin arcsinh arctan arctan2 arctanh array_equal bincount bitwise_and
bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor broadcast_to ceil convolve cosh
count_nonzero cumulative_prod cumulative_sum degrees diff digamma divide divmod empty_like equal erf erfc erfinv
exp2 expand_dims expm1 flip floor floor_divide full_like greater greater_equal hypot inner isclose isfinite isin
isinf isnan isneginf isposinf kron left_shift less less_equal lgamma logaddexp logical_and logical_not
logical_or logical_xor matmul matrix_transpose maximum median minimum minmax multiply nan_to_num negative
nextafter not_equal one_hot ones_like outer pad percentile permute_dims positive power put_along_axis quantile
radians remainder right_shift roll sigmoid sign signbit sinh stop_gradient subtract take_along_axis tan tanh
tensordot tile tril triu trunc unique_values unstack vecdot zeros_like
"""
_HINTS["array"] |= {name: f"use the function fn.{name}" for name in _FUNCTIONS.split()}

# Where names are looked for that a module does not have.
_PLACES = [
    "funcnn",
    *("funcnn." + part for part in ("nn", "nn.losses", "nn.init", "linalg", "fft", "fast", "random", "tree")),
    *("funcnn." + part for part in ("optim", "optim.schedules", "io", "debug", "testing")),
]


def _hint(module: str, name: str) -> str | None:
    known = _HINTS.get(module, {}).get(name)
    if known or name.startswith("_"):
        return known
    # PyTorch's way of saying that something is changed in place.
    if name.endswith("_"):
        plain = name.rstrip("_")
        hint = _hint(module, plain)
        return f"use fn{module.removeprefix('funcnn')}.{plain}" if hasattr(sys.modules.get(module), plain) else hint
    for place in _PLACES:
        if place != module and name in importlib.import_module(place).__all__:
            return f"use fn{place.removeprefix('funcnn')}.{name}"
    return None


class _Missing(AttributeError):
    """Looks for a hint when it is read: who only asks whether a module has a name waits for nothing."""

    __module__, __qualname__ = "builtins", "AttributeError"  # what tracebacks print

    def __str__(self) -> str:
        hint = _hint(getattr(self.obj, "__name__", ""), str(self.name))
        return f"{self.args[0]}: {hint}" if hint else str(self.args[0])


_Missing.__name__ = "AttributeError"  # what logs print


def missing(module: str, name: str) -> Exception:
    """Make the error for an attribute that a module does not have; its ``__getattr__`` raises it."""
    # `from module import name` swallows an AttributeError and its text. It asks once before it looks for a module of that name.
    frame = sys._getframe(2)
    hint = (
        _HINTS.get(module, {}).get(name) if _is_importlib(frame) else _hint(module, name) if _imports(frame) else None
    )
    if hint:
        return ImportError(f"cannot import name {name!r} from {module!r}: {hint}", name=module)
    return _Missing(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules.get(module))


def listing(names: dict[str, Any]) -> Callable[[], list[str]]:
    """Make the ``__dir__`` of a module: its public names, modules below it, and what Python puts into any."""
    own = names["__name__"] + "."
    return lambda: sorted(
        {*names["__all__"]}
        | {name for name in names if name.startswith("__")}
        | {name for name, value in names.items() if getattr(value, "__name__", "") == own + name and name[0] != "_"}
    )


def close(names: dict[str, Any]) -> None:
    """Let a module list what is public, and give hints for what it lacks."""
    module = names["__name__"]

    def __getattr__(name: str) -> Any:
        raise missing(module, name)

    names.update(__dir__=listing(names), __getattr__=__getattr__)


def _is_importlib(frame: FrameType) -> bool:
    return frame.f_code.co_filename == "<frozen importlib._bootstrap>"


def _imports(frame: FrameType) -> bool:
    """Whether what asks for an attribute is an import statement, of a module."""
    return frame.f_code.co_code[frame.f_lasti] == opcode.opmap.get("IMPORT_FROM")


class _Elsewhere:
    """An attribute that instances do not have, with a hint."""

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}: {self.hint}")


def mark(cls: type, called: str = "") -> None:
    """Give a class the hints for its attributes, or those of what is `called` so."""
    names = _HINTS[called or cls.__name__]
    for name, hint in names.items():
        if name not in cls.__dict__:
            setattr(cls, name, _Elsewhere(name, hint))
    listed: Any = cls.__dir__
    setattr(cls, "__dir__", lambda self: [x for x in listed(self) if x not in names or hasattr(self, x)])  # noqa: B010
