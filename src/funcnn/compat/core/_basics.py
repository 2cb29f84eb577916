"""Dtypes, constants, evaluation, memory and printing: what is the same in funcnn."""

from __future__ import annotations

import funcnn as fn
from funcnn import (
    Dtype,
    DtypeCategory,
    PrintOptions,
    bfloat16,
    bool_,
    broadcast_shapes,
    can_cast,
    complex64,
    complexfloating,
    e,
    einsum_path,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    floating,
    generic,
    get_array_buffer_size,
    get_printoptions,
    iinfo,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    integer,
    isdtype,
    issubdtype,
    nan,
    newaxis,
    number,
    pi,
    printoptions,
    result_type,
    set_printoptions,
    set_wired_limit,
    signedinteger,
    uint8,
    uint16,
    uint32,
    uint64,
    unsignedinteger,
)


def __array_namespace_info__() -> object:
    """Describe this namespace, as the Python array API standard says."""
    return fn.__array_namespace_info__()


async_eval = fn.async_eval
clear_cache = fn.clear_cache
eval = fn.eval
get_active_memory = fn.get_active_memory
get_cache_memory = fn.get_cache_memory
get_memory_limit = fn.get_memory_limit
get_peak_memory = fn.get_peak_memory
reset_peak_memory = fn.reset_peak_memory
set_cache_limit = fn.set_cache_limit
set_memory_limit = fn.set_memory_limit

__all__ = [
    "Dtype",
    "DtypeCategory",
    "PrintOptions",
    "__array_namespace_info__",
    "async_eval",
    "bfloat16",
    "bool_",
    "broadcast_shapes",
    "can_cast",
    "clear_cache",
    "complex64",
    "complexfloating",
    "e",
    "einsum_path",
    "euler_gamma",
    "eval",
    "finfo",
    "float16",
    "float32",
    "float64",
    "floating",
    "generic",
    "get_active_memory",
    "get_array_buffer_size",
    "get_cache_memory",
    "get_memory_limit",
    "get_peak_memory",
    "get_printoptions",
    "iinfo",
    "inexact",
    "inf",
    "int16",
    "int32",
    "int64",
    "int8",
    "integer",
    "isdtype",
    "issubdtype",
    "nan",
    "newaxis",
    "number",
    "pi",
    "printoptions",
    "reset_peak_memory",
    "result_type",
    "set_cache_limit",
    "set_memory_limit",
    "set_printoptions",
    "set_wired_limit",
    "signedinteger",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "unsignedinteger",
]
