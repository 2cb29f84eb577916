"""One and 32 rows times a quantised matrix of 4096 x 4096, as a language model generates and reads text."""

from __future__ import annotations

import numpy as np

from .case import Case, funcnn_step, mlx_step, outputs

SIZE = 4096
FORMATS = {
    "affine4": {"mode": "affine", "bits": 4, "group_size": 64},
    "affine8": {"mode": "affine", "bits": 8, "group_size": 64},
    "mxfp4": {"mode": "mxfp4", "bits": 4, "group_size": 32},
}
ROWS = {f"qmatvec_{form}_{batch}": "ms" for form in FORMATS for batch in (1, 32)}


def build(row: str, framework: str) -> Case | None:
    # PyTorch and JAX have no such product.
    build = {"funcnn": _funcnn, "mlx": _mlx}.get(framework)
    if build is None:
        return None
    _, form, batch = row.split("_")
    rng = np.random.default_rng(0)
    w = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    x = rng.normal(size=(int(batch), SIZE)).astype(np.float32)
    step, nbytes = build(x, w, FORMATS[form])
    return Case(step, outputs(step), nbytes=nbytes + x.nbytes + 4 * SIZE * int(batch))


def _funcnn(x, w, form):
    import funcnn as fn

    q = fn.quantize(fn.array(w), **form)
    step = funcnn_step(lambda x, *q: fn.quantized_matmul(x, *q, **form), [fn.array(x), *q])
    return step, sum(a.nbytes for a in q)


def _mlx(x, w, form):
    import mlx.core as mx

    q = mx.quantize(mx.array(w), **form)
    step = mlx_step(lambda x, *q: mx.quantized_matmul(x, *q, **form), [mx.array(x), *q])
    return step, sum(a.nbytes for a in q)
