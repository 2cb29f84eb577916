"""Convolutions and transposed convolutions."""

from conv_oracle import conv
from funcnn import nn

from .rows import LayerSpec

SPATIAL = {1: (7,), 2: (5, 6), 3: (3, 4, 3)}


def each(number, spatial):
    return (number,) * spatial if isinstance(number, int) else tuple(number)


def convolved(layer):
    def oracle(params, x):
        n = x.ndim - 2
        stride, padding, dilation = (each(v, n) for v in (layer.stride, layer.padding, layer.dilation))
        y = conv(x, params["weight"], stride, padding, padding, dilation, (1,) * n, layer.groups)
        return y + params.get("bias", 0.0)

    return oracle


def transposed(layer):
    def oracle(params, x):
        n = x.ndim - 2
        stride, padding, dilation, more = (
            each(v, n) for v in (layer.stride, layer.padding, layer.dilation, layer.output_padding)
        )
        reach = [d * (k - 1) for d, k in zip(dilation, params["weight"].shape[1:-1], strict=True)]
        low = [r - p for r, p in zip(reach, padding, strict=True)]
        high = [r - p + m for r, p, m in zip(reach, padding, more, strict=True)]
        y = conv(x, params["weight"], (1,) * n, low, high, dilation, stride, layer.groups, flip=True)
        return y + params.get("bias", 0.0)

    return oracle


def row(kind, channels, options="", mlx=True, **more):
    """A row of a layer with a kernel of 2; MLX makes it with the same options."""
    spatial = int(kind[-2])
    call = f"{kind}({channels[0]}, {channels[1]}, kernel_size=2{options})"
    layer = eval(call, vars(nn))
    return LayerSpec(
        name=f"{kind}{options.replace(', ', '-').replace(' ', '')}",
        layer=layer,
        inputs=((*SPATIAL[spatial], channels[0]),),
        oracle=(transposed if "Transpose" in kind else convolved)(layer),
        mlx=(lambda m: eval(call, vars(m))) if mlx else None,
        **more,
    )


ROWS = [
    row("Conv1d", (2, 3)),
    row("Conv1d", (4, 6), ", stride=2, padding=1, dilation=2, groups=2, bias=False"),
    row("Conv2d", (2, 3)),
    row("Conv2d", (2, 4), ", stride=(2, 1), padding=(0, 1), groups=2"),
    row("Conv2d", (2, 2), ", dilation=2, bias=False"),
    row("Conv3d", (2, 1)),
    row("Conv3d", (2, 2), ", stride=2, padding=1, groups=2", mlx=False),
    row("ConvTranspose1d", (2, 3)),
    row("ConvTranspose1d", (2, 3), ", stride=3, padding=1, dilation=2, output_padding=1, bias=False"),
    row("ConvTranspose2d", (2, 3), ", stride=2, padding=1, output_padding=1"),
    # MLX's gradient has a wrong shape where the margins of the axes differ.
    row("ConvTranspose2d", (2, 3), ", stride=2, padding=(1, 0), output_padding=(0, 1)", mlx=False),
    row("ConvTranspose2d", (4, 2), ", stride=2, groups=2", mlx=False),
    row("ConvTranspose3d", (1, 2)),
]
