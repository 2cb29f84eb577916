"""What runs every kernel of the shared back end: families, and for each the sizes around those at which its forms change.

A case is a function of arrays and its arrays; those of a family are named by what tells them apart. The first of each
family is the quick one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import funcnn as fn
from funcnn import nn, optim

# How the names of kernels begin; what follows tells dtypes and forms apart.
KERNELS = (
    *("map", "map_turned", "maps", "rows", "columns"),
    *("arg_reduce", "arg_reduce_pieces", "sort_blocks", "merge_runs", "sorted_output", "searchsorted"),
    *("radix_lines", "radix_counts", "radix_starts", "radix_scatter"),
    *("attention", "attention_few", "attention_combine_", "attention_dq", "attention_dk", "attention_dv"),
    *(
        "attention_dmask",
        "conv_",
        "conv_each_",
        "conv_depth_",
        "conv_depth_weight_",
        "conv_weight_",
        "conv_weight_each_",
        "conv_weight_sum_",
        "sum_windows_",
    ),
    *(
        "cumulative",
        "cumulative_lines",
        "cumulative_totals",
        "linear_recurrence",
        "fft",
        "hadamard_blocks",
        "hadamard_pass",
    ),
    *("dot_small", "dot_few_along_depth", "dot_few_along_outer", "dot_tiles", "dot_add_parts"),
    *(
        "dot_grouped_tiles",
        "scatter_dot_small",
        "scatter_dot_tiles",
        "count_items",
        "order_items",
        "segments_spread_small",
    ),
    *("quantize", "quantized_values", "dequantize", "quantized_dot_small", "quantized_dot_few", "to_fp8", "from_fp8"),
    *(
        "gather",
        "pad",
        "truths",
        "mask_order",
        "random_bits",
        "random_uniform",
        "random_fold_in",
        "fill_",
        "custom_kernel_",
    ),
    *("scatter_few", "scatter_places", "scatter_set", "scatter_chunks", "scatter_carried"),
)


@dataclass(frozen=True)
class Case:
    family: str
    name: str
    call: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    tolerance: float = 1e-4  # of the largest number; of integers and what is only moved: none
    dtype: str | None = None  # floats are converted to it


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(dtype)


def integers(high: int, *shape: int, low: int = 0) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(low, high, shape).astype(np.int32)


# One, odd, prime, about a warp, about a group; nothing.
LENGTHS = [37, 0, 1, 31, 32, 33, 127, 255, 257, 1023, 1025]
# One row, one column, about the tiles of a transposition.
PLANES = [(33, 35), (1, 7), (7, 1), (0, 5), (5, 0), (31, 33), (32, 64), (65, 37)]


def programs() -> Iterator[Case]:
    for n in LENGTHS:
        x = numbers(n)
        yield Case("map", f"{n}", lambda x: (x * 2 + 1, x > 0, x.astype(fn.float16)), (x,))
        yield (
            Case("map, strided", f"{n}", lambda x: x[1:] + x[:-1][::-1] * x[::-1][1:], (x,))
            if n
            else Case("map, strided", "0", lambda x: x[::-1] * 2, (x,))
        )
    for shape in PLANES:
        x, y = numbers(*shape), numbers(*shape[::-1])
        yield Case("map_turned", str(shape), lambda x, y: x.T + y, (x, y))
        yield Case("copies", str(shape), lambda x: (x.T.reshape(-1), x[::2, ::-1].reshape(-1)), (x,))
        yield Case("copies", f"{shape} of bytes", lambda x: x.T.reshape(-1), (integers(100, *shape).astype(np.int8),))
    for cols in [33, 1, 3, 31, 257, 1023, 1025, 4099, 40001]:
        for rows in {1, max(2, 60 // cols)}:
            x = numbers(rows, cols)

            def rows_of(x: fn.array) -> Any:
                top = x.max(axis=1, keepdims=True)
                return fn.softmax(x, axis=1), x.sum(axis=1), (x > 2).any(axis=1), x - top, fn.var(x, axis=1)

            yield Case("rows", f"{rows} x {cols}", rows_of, (x,), 1e-3)
    # Of half precision: rows of a warp with and without all their packs, of a group, of a wider array.
    for rows, cols in [(67, 1024), (67, 520), (5, 1024), (67, 37)]:
        x, gain = numbers(rows, cols), numbers(cols)

        def halves_of(x: fn.array, gain: fn.array) -> Any:
            return (
                fn.fast.layer_norm(x, gain, gain, 1e-5),
                fn.softmax(x[:, x.shape[1] // 2 :], axis=1),
                nn.gelu(x),
                fn.tanh(x),
            )

        yield Case("rows", f"bfloat16 {rows} x {cols}", halves_of, (x, gain), 2e-2, "bfloat16")
    yield Case("rows", "none", lambda x: (x.sum(axis=1), fn.prod(x, axis=1)), (numbers(0, 5),))
    yield Case("rows", "empty", lambda x: (x.sum(axis=1), fn.prod(x, axis=1)), (numbers(5, 0),))
    for shape, axis in [
        ((41, 33), 0),
        ((0, 3), 0),
        ((1, 5), 0),
        ((4001, 1), 0),
        ((257, 31), 0),
        ((3001, 7), 0),
        ((3, 257, 5), 1),
        ((2, 31, 33, 3), (0, 2)),
    ]:
        x = numbers(*shape)
        yield Case("columns", str(shape), lambda x, a=axis: (x.sum(axis=a), fn.all(x > 9, axis=a), x * 2), (x,), 1e-3)
    for n in [1025, 0, 1, 70001]:
        yield Case("everything", f"{n}", lambda x: (x.sum(), fn.any(x > 2)), (numbers(n),), 1e-3)
    for sizes in [(300, 7, 1), (1, 1), (33, 257, 1000, 3, 5)]:
        xs = tuple(numbers(n) for n in sizes)

        def update(*xs: fn.array) -> Any:
            state = optim.adam(0.1)
            return optim.apply_updates(xs, state.update(tuple(x * 2 for x in xs), state.init(xs), xs)[0])

        yield Case("maps", str(sizes), fn.compile(update), xs)
    windows = lambda x: (fn.max(x, axis=(2, 4)), fn.sum(x, axis=(2, 4)))  # noqa: E731
    for shape in [(2, 3, 2, 4, 2, 5), (8, 16, 2, 16, 2, 4)]:
        yield Case("windows", f"{shape}", windows, (numbers(*shape),))


def products() -> Iterator[Case]:
    # An element a thread, tiles and around them, depths in parts, few rows and few columns.
    sizes = [(33, 37, 35), (1, 1, 1), (0, 3, 2), (3, 0, 2), (31, 29, 31), (63, 64, 65), (64, 64, 64), (65, 129, 127)]
    sizes += [(5, 4099, 7), (1, 700, 31), (31, 700, 1), (2, 257, 70), (130, 515, 2)]
    for m, k, n in sizes:
        a, b, c = numbers(m, k), numbers(k, n), numbers(n)
        for dtype in ("float32", "bfloat16"):
            tolerance = 1e-4 if dtype == "float32" else 5e-2
            yield Case("dot", f"{m}, {k}, {n} {dtype}", lambda a, b: a @ b, (a, b), tolerance, dtype)
        yield Case("dot, epilogue", f"{m}, {k}, {n}", fn.compile(lambda a, b, c: nn.relu(a @ b + c)), (a, b, c))
        yield Case("dot, turned", f"{m}, {k}, {n}", lambda a, b: a.T @ b.T, (a.T.copy(), b.T.copy()))
    # Few vectors: columns of a warp, of a quarter of one and of less, whole packs and not, a depth that groups share.
    for m, k, n in [(1, 259, 1300), (2, 130, 520), (8, 67, 1028), (3, 515, 131), (1, 16411, 8), (8, 8200, 3)]:
        a, b, c, r = numbers(m, k), numbers(k, n), numbers(n), numbers(m, n)
        for dtype in ("float32", "bfloat16"):
            tolerance = 1e-4 if dtype == "float32" else 5e-2
            name = f"{m}, {k}, {n} {dtype}"
            yield Case("dot, few", name, lambda a, b: a @ b, (a, b), tolerance, dtype)
            call = lambda a, b: a @ fn.swapaxes(b, 0, 1)  # noqa: E731
            yield Case("dot, few turned", name, call, (a, b.T.copy()), tolerance, dtype)
        call = fn.compile(lambda a, b, c, r: nn.gelu(a @ b + c) + r)
        yield Case("dot, few and epilogue", f"{m}, {k}, {n}", call, (a, b, c, r))
    for lead in [(3,), (2, 0), (2, 1)]:
        yield Case("dot, batches", str(lead), lambda a, b: a @ b, (numbers(*lead, 33, 31), numbers(*lead, 31, 35)))
    for m, k, n in [(33, 64, 35), (1, 37, 41), (40, 48, 5)]:
        for items in [5, 1, 80, 0]:
            left, right = integers(2, items), integers(3, items, low=-1)
            a, b = numbers(2, m, k), numbers(3, k, n)
            call = lambda a, b, i, j: fn.gather_mm(a, b, lhs_indices=i, rhs_indices=j)  # noqa: E731
            yield Case("gather_dot", f"{m}, {k}, {n} x {items}", call, (a, b, left, right))
            gradient = fn.grad(lambda a, b, i, j, call=call: (call(a, b, i, j) ** 2).sum(), (0, 1))
            yield Case("scatter_dot", f"{m}, {k}, {n} x {items}", gradient, (a, b, left, right), 1e-3)
        bounds = np.array([[0, k], [3, 3], [7, 2], [1, k - 1], [k - 9, k + 5]], np.int32)
        yield Case("segmented_dot", f"{m}, {k}, {n}", fn.segmented_mm, (numbers(m, k), numbers(k, n), bounds))
        gradient = fn.grad(lambda a, b, s: (fn.segmented_mm(a, b, s) ** 2).sum(), (0, 1))
        arrays = (numbers(m, k), numbers(k, n), bounds)
        yield Case("segments_spread", f"{m}, {k}, {n}", gradient, arrays, 1e-3)


def quantised() -> Iterator[Case]:
    forms = [("affine", 4, 64), ("affine", 3, 32), ("affine", 8, 128), ("mxfp4", 4, 32), ("mxfp8", 8, 32)]
    for mode, bits, group in [*forms, ("nvfp4", 4, 16), ("affine", 6, 64), ("affine", 2, 32), ("affine", 5, 32)]:
        how = {"mode": mode, "bits": bits, "group_size": group}
        w = numbers(41, 256)
        name = f"{mode} {bits}"
        yield Case("quantize", name, lambda w, how=how: fn.dequantize(*fn.quantize(w, **how), **how), (w,))
        for rows in [5, 1, 37]:
            for transpose in (True, False):

                def product(x: fn.array, w: fn.array, how: Any = how, transpose: bool = transpose) -> fn.array:
                    return fn.quantized_matmul(x, *fn.quantize(w, **how), transpose=transpose, **how)

                x = numbers(rows, 256 if transpose else 41)
                kind = "" if transpose else " across"
                yield Case("quantized_dot", f"{name} x {rows}{kind}", product, (x, w), 1e-3)
    for mode in ("nvfp4", "mxfp8"):
        product = lambda x, w, mode=mode: fn.qqmm(x, w, mode=mode)  # noqa: E731
        yield Case("quantized_values", mode, product, (numbers(5, 64), numbers(33, 64)), 1e-3)
    codes = np.arange(256, dtype=np.uint8)
    yield Case("float8", "from", lambda c: fn.from_fp8(c, dtype=fn.float16), (codes,))
    yield Case("float8", "to", fn.to_fp8, (numbers(333),))


def attention() -> Iterator[Case]:
    sizes = [(33, 37, 16, 16), (1, 300, 40, 70), (2, 31, 16, 16), (64, 64, 64, 64), (65, 63, 31, 33), (9, 1, 1, 1)]
    for queries, keys, depth, values in [*sizes, (16, 130, 100, 130), (5, 20, 300, 290)]:
        for mask in [None, "causal", "added"]:
            for dtype in ("float32", "float16"):
                arrays = [numbers(1, 4, queries, depth), numbers(1, 2, keys, depth), numbers(1, 2, keys, values)]
                if mask == "added":
                    arrays.append(numbers(1, 4, queries, keys))

                def attend(q: Any, k: Any, v: Any, m: Any = mask) -> Any:
                    y, pull = fn.vjp(
                        lambda *a: fn.fast.scaled_dot_product_attention(*a[:3], scale=0.3, mask=a[3] if a[3:] else m),
                        *((q, k, v) if m is None or isinstance(m, str) else (q, k, v, m)),
                    )
                    return (y, *pull(y))

                name = f"{queries}, {keys}, {depth}, {values} {mask} {dtype}"
                yield Case("attention", name, attend, tuple(arrays), 1e-3 if dtype == "float32" else 3e-2, dtype)
    # One query or few: whole packs of features and not, one group for all keys and several.
    heads = [(12, 12), (4, 1), (6, 2), (8, 1)]
    few = [(1, 128, 64, 64), (1, 1, 64, 64), (1, 65, 128, 128), (1, 453, 64, 64), (2, 33, 40, 24), (1, 200, 256, 192)]
    for i, (queries, keys, depth, values) in enumerate([*few, (1, 37, 5, 3), (3, 613, 16, 80)]):
        all_heads, key_heads = heads[i % 2 if queries > 1 else i % 4]
        if queries * all_heads // key_heads > 8:
            all_heads = 2 * key_heads
        for mask in ["none", "boolean", "added"]:
            for dtype in ("float32", "bfloat16"):
                arrays = [numbers(2, all_heads, queries, depth), numbers(2, key_heads, keys, depth)]
                arrays += [numbers(2, key_heads, keys, values), numbers(all_heads)]
                if mask != "none":
                    more = numbers(all_heads, queries, keys)
                    arrays.append(more > -1 if mask == "boolean" else more)

                def attend_few(q: Any, k: Any, v: Any, sinks: Any, mask: Any = None) -> Any:
                    attend = fn.fast.scaled_dot_product_attention
                    return attend(q, k, v, scale=0.3, mask=mask, sinks=sinks), attend(q, k, v, scale=0.3)

                name = f"{all_heads} of {key_heads}, {queries}, {keys}, {depth}, {values} {mask} {dtype}"
                tolerance = 1e-3 if dtype == "float32" else 3e-2
                yield Case("attention of few", name, attend_few, tuple(arrays), tolerance, dtype)


def convolutions() -> Iterator[Case]:
    rows = [
        ((2, 9, 11, 16), (33, 3, 3, 16), {"padding": 1}),
        ((2, 9, 11, 5), (17, 3, 3, 5), {"padding": 1}),
        ((3, 17, 17, 3), (4, 3, 3, 3), {"stride": 2}),
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 8, 8, 16), (32, 2, 2, 8), {"groups": 2, "stride": 2}),
        ((2, 9, 9, 12), (12, 3, 3, 1), {"groups": 12, "padding": 1}),
        ((2, 14, 13, 40), (40, 3, 3, 1), {"groups": 40, "stride": 2, "padding": 1}),
        ((1, 29, 2), (6, 4, 1), {"groups": 2, "padding": ([3], [0])}),
        ((2, 7, 6, 8), (16, 3, 4, 8), {"input_dilation": (2, 3), "stride": (3, 2), "padding": ([2, -3], [0, 4])}),
        ((6, 20, 20, 8), (16, 3, 3, 8), {"padding": 1}),
        ((2, 40, 8), (16, 5, 8), {"kernel_dilation": 3}),
    ]
    for x, w, options in rows:

        def convolve(x: Any, w: Any, options: Any = options) -> Any:
            y, pull = fn.vjp(lambda x, w: fn.conv_general(x, w, **options), x, w)
            return (y, *pull(y))

        for dtype in ("float32", "float16"):
            tolerance = 1e-3 if dtype == "float32" else 2e-2
            yield Case("conv", f"{x} {w} {dtype}", convolve, (numbers(*x), numbers(*w)), tolerance, dtype)
    for window, stride in [(3, 2), (2, 2), (7, 1)]:
        for pool in (nn.max_pool2d, nn.avg_pool2d):

            def pooled(x: Any, pool: Any = pool, window: int = window, stride: int = stride) -> Any:
                return fn.grad(lambda x: (pool(x, window, stride, padding=1) ** 2).sum())(x)

            yield Case("pooling", f"{pool.__name__} {window} {stride}", pooled, (numbers(2, 9, 11, 3),))


def moves() -> Iterator[Case]:
    for dtype in (np.float32, np.int8, np.float16, np.int64, np.complex64):
        x, y = (numbers(*s) for s in [(3, 5), (3, 7)])
        x, y = (a.astype(dtype) for a in (x, y))
        name = np.dtype(dtype).name
        yield Case("join", f"concatenate {name}", lambda x, y: fn.concatenate([x, y[:, :0], y], axis=1), (x, y))
        yield Case("join", f"pad {name}", lambda x: fn.pad(x, [(1, 0), (3, 1)], constant_values=1), (x,))
        yield Case("join", f"update {name}", lambda x, y: x.at[::2, 3:0:-1].set(y[:2, :3]), (x, y))
        for width in [3, 1, 4, 33]:
            table, places = numbers(11, width).astype(dtype), integers(15, 37, low=-15)
            yield Case("gather", f"{width} {name}", lambda t, i: t[i], (table, places))
    yield Case("join", "pad nothing", lambda x: fn.pad(x, 1), (numbers(0, 3),))
    yield Case("view", "bytes", lambda x: (x.T.view(fn.uint8), x.view(fn.int32)), (numbers(4, 6),))
    yield Case("view", "truths", lambda x: x.view(fn.uint8).view(fn.bool_), (np.array([[0.0, 1.5, -0.0]], "f"),))
    yield Case("gather", "along an axis", lambda x, i: fn.take_along_axis(x, i, 1), (numbers(4, 5), integers(5, 4, 7)))
    for count in [65, 0, 1, 31, 64, 257, 1025, 2500]:
        places, values = integers(12, count, low=-12), integers(9, count, low=-9)
        for mode in ("set", "add", "maximum"):
            call = lambda x, i, v, m=mode: getattr(x.at[i], m)(v)  # noqa: E731
            yield Case("scatter", f"{mode} {count}", call, (integers(9, 10), places, values))
            rows = integers(9, count, 3, low=-9)
            yield Case("scatter", f"{mode} {count} rows", call, (integers(9, 10, 3), places, rows))
    for length in [2049, 1, 31, 2047, 5000]:
        mask = np.random.default_rng(length).integers(0, 2, length).astype(bool)
        update = fn.compile(lambda x, m, v: x.at[m].set(v))
        yield Case("mask_order", f"{length}", update, (numbers(length), mask, numbers(int(mask.sum()))))


def orders() -> Iterator[Case]:
    for length in [37, 0, 1, 2, 257, 1025, 2049, 4097, 9001]:
        x = np.round(numbers(2, length))
        for dtype in (np.float32, np.int64):
            a = x.astype(dtype)
            name = f"{length} {np.dtype(dtype).name}"
            yield Case("sort", name, lambda x: (fn.sort(x, axis=1), fn.argsort(x, axis=0), fn.argsort(x, axis=1)), (a,))
            if length:
                k = min(9, length)
                yield Case("sort", f"{name} topk", lambda x, k=k: fn.topk(x, k, axis=1), (a,))
        if length:
            for axis in (0, 1):
                yield Case(
                    "argreduce",
                    f"{length} axis {axis}",
                    lambda x, a=axis: (fn.argmax(x, axis=a), fn.argmin(x, axis=a)),
                    (x,),
                )
    for dtype, shape in [
        ("float16", (1, 8193)),
        ("float32", (2, 4096)),
        ("int64", (1, 2048)),
        ("uint8", (2, 4097)),
        ("int16", (1, 12289)),
        ("uint8", (1, 70001)),
    ]:
        x = np.nan_to_num(numbers(*shape) * 50).astype(dtype)
        sorts = lambda x, k=shape[1] - 9: (fn.sort(x, axis=1), fn.argsort(x, axis=1), fn.topk(x, k, axis=1))  # noqa: E731
        yield Case("radix sort", f"{dtype} {shape[1]}", sorts, (x,))
    turned = np.round(9 * numbers(9001, 2, 2)).astype(np.float16)
    yield Case("radix sort", "turned", lambda x: (fn.sort(x[::-1], axis=0), fn.argsort(x, axis=0)), (turned,))
    yield Case("argreduce", "pieces", lambda x: fn.argmax(x, axis=1), (np.round(numbers(1, 70001)),))
    yield Case("argreduce", "turned", lambda x: fn.argmin(x, axis=0), (np.round(numbers(40001, 2)),))
    for n in [99, 1, 0]:
        yield Case("searchsorted", f"{n}", fn.searchsorted, (np.sort(numbers(n)), numbers(33, 3)))
    for shape, axis in [
        ((3, 40), 1),
        ((3, 0), 1),
        ((5, 1), 1),
        ((3, 40), 0),
        ((2, 9, 5), 1),
        ((1, 9001), 1),
        ((2, 8200), 1),
        ((700, 3), 1),
    ]:
        x = numbers(*shape) / 8
        for running in (fn.cumsum, fn.cummax, fn.logcumsumexp):
            for reverse in (False, True):
                call = lambda x, f=running, a=axis, r=reverse: f(x, axis=a, reverse=r)  # noqa: E731
                yield Case("cumulative", f"{running.__name__} {shape} {axis} {reverse}", call, (x,), 1e-3)
        gradient = fn.grad(lambda x, a=axis: (fn.cumprod(1 + x / 50, axis=a) ** 2).sum())
        yield Case("linear_recurrence", f"{shape} {axis}", gradient, (x,), 1e-3)


def others() -> Iterator[Case]:
    key = np.array([1, 2], np.uint32)
    for shape in [(37,), (0,), (1,), (5, 33), (2, 513)]:
        for width in (4, 2, 1):
            yield Case("random", f"bits {shape} {width}", lambda k, s=shape, w=width: fn.random.bits(k, s, w), (key,))
        yield Case("random", f"uniform {shape}", lambda k, s=shape: fn.random.uniform(k, shape=s), (key,))
    yield Case("random", "split", lambda k: (fn.random.split(k, 5), fn.random.fold_in(k, 17)), (key,))
    yield Case(
        "random", "keys", fn.vmap(fn.random.fold_in), (np.arange(12, dtype=np.uint32).reshape(6, 2), integers(9, 6))
    )
    for length in [13, 1, 2, 12, 97, 440, 1031, 4096]:
        z = (numbers(3, length) + 1j * numbers(3, length)).astype(np.complex64)
        yield Case("fft", f"{length}", lambda z: (fn.fft.fft(z), fn.fft.ifft(z)), (z,), 1e-3)
        yield Case(
            "fft", f"{length} real", lambda x: fn.fft.irfft(fn.fft.rfft(x), n=x.shape[1]), (z.real.copy(),), 1e-3
        )
    for shape in [(70, 60), (70, 7), (2, 60, 5), (2, 5000, 3)]:
        z = (numbers(*shape) + 1j * numbers(*shape)).astype(np.complex64)
        yield Case("fft", f"{shape}", lambda z: (fn.fft.fft(z, axis=1), fn.fft.fft(z.T, axis=0)), (z,), 1e-3)
    for length in [28, 1, 2, 12, 16, 2048, 4096, 2048 * 32]:
        yield Case("hadamard", f"{length}", fn.hadamard_transform, (numbers(3, length),), 1e-3)


def of_users() -> Iterator[Case]:
    if not fn.metal.is_available():
        return
    kernel = fn.fast.metal_kernel(
        "halves", ["x"], ["y"], "uint i = thread_position_in_grid.x; if (i % 2 == 0) y[i] = x[i] / 2;"
    )
    for n in [37, 1, 257]:

        def call(x: Any) -> Any:
            if x.device != fn.gpu:
                return fn.where(fn.arange(x.size) % 2 == 0, x / 2, 7)
            how = {"output_shapes": [x.shape], "output_dtypes": [x.dtype], "init_value": 7}
            return kernel(inputs=[x[::-1][::-1]], grid=(x.size, 1, 1), threadgroup=(32, 1, 1), **how)[0]

        yield Case("kernels of users", f"{n}", call, (numbers(n),))


CASES = [
    case
    for family in (programs, products, quantised, attention, convolutions, moves, orders, others, of_users)
    for case in family()
]
