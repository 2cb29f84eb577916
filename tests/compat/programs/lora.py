"""Adapters on a frozen network, quantised below them; saved alone, fused in the end."""

import math
import os
import tempfile

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten


class LoRALinear(nn.Module):
    @staticmethod
    def from_linear(linear: nn.Linear, rank: int = 4):
        output_dims, input_dims = linear.weight.shape
        if isinstance(linear, nn.QuantizedLinear):
            input_dims *= 32 // linear.bits
        lora = LoRALinear(input_dims, output_dims, rank)
        lora.linear = linear
        return lora

    def __init__(self, input_dims: int, output_dims: int, rank: int = 4, scale: float = 2.0):
        super().__init__()
        self.linear = nn.Linear(input_dims, output_dims, bias=False)
        self.scale = scale
        bound = 1 / math.sqrt(input_dims)
        self.lora_a = mx.random.uniform(low=-bound, high=bound, shape=(input_dims, rank))
        self.lora_b = mx.zeros(shape=(rank, output_dims))

    def to_linear(self):
        linear = self.linear
        weight = mx.dequantize(linear.weight, linear.scales, linear.biases, linear.group_size, linear.bits)
        output_dims, input_dims = weight.shape
        fused = nn.Linear(input_dims, output_dims, bias=False)
        fused.weight = weight + (self.scale * self.lora_b.T) @ self.lora_a.T
        return fused

    def __call__(self, x):
        return self.linear(x) + self.scale * ((x @ self.lora_a) @ self.lora_b)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)]

    def __call__(self, x):
        return self.layers[1](nn.silu(self.layers[0](x)))


def main():
    mx.random.seed(7)
    model = Net()
    x, y = mx.random.normal((16, 64)), mx.random.normal((16, 64))
    nn.quantize(model, group_size=64, bits=4)
    model.freeze()
    model.update_modules({"layers": [LoRALinear.from_linear(layer) for layer in model.layers]})
    trainable = dict(tree_flatten(model.trainable_parameters()))
    assert set(trainable) == {f"layers.{i}.{name}" for i in (0, 1) for name in ("lora_a", "lora_b")}

    def loss_fn(model, x, y):
        return nn.losses.mse_loss(model(x), y)

    optimizer = optim.Adam(learning_rate=3e-3)
    loss_value_and_grad = nn.value_and_grad(model, loss_fn)
    losses = []
    for _ in range(30):
        loss, grads = loss_value_and_grad(model, x, y)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "adapters.npz")
        mx.savez(path, **dict(tree_flatten(model.trainable_parameters())))
        trained = model(x)
        model.update(tree_unflatten([(k, v * 0) for k, v in trainable.items()]))
        assert not mx.allclose(trained, model(x))
        model.load_weights(path, strict=False)
    assert mx.array_equal(trained, model(x))
    model.update_modules(
        tree_unflatten([(k, m.to_linear()) for k, m in model.named_modules() if isinstance(m, LoRALinear)])
    )
    assert mx.allclose(trained, model(x), atol=1e-3)
    return losses[-1]
