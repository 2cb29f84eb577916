"""A residual network with batch normalisation; the state of a compiled step holds model, optimiser and random draws."""

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten


class ShortcutA(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.dims = dims

    def __call__(self, x):
        return mx.pad(x[:, ::2, ::2, :], [(0, 0), (0, 0), (0, 0), (self.dims // 4, self.dims // 4)])


class Block(nn.Module):
    def __init__(self, in_dims, dims, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_dims, dims, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm(dims)
        self.conv2 = nn.Conv2d(dims, dims, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm(dims)
        self.shortcut = ShortcutA(dims) if stride != 1 else None

    def __call__(self, x):
        out = nn.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.shortcut is None else self.shortcut(x)
        return nn.relu(out)


class ResNet(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm(4)
        self.layer1 = nn.Sequential(Block(4, 4))
        self.layer2 = nn.Sequential(Block(4, 8, stride=2))
        self.dropout = nn.Dropout(0.1)
        self.linear = nn.Linear(8, num_classes)

    def num_params(self):
        return sum(x.size for k, x in tree_flatten(self.parameters()) if "running" not in k)

    def __call__(self, x):
        x = nn.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        x = mx.mean(x, axis=[1, 2]).reshape(x.shape[0], -1)
        return self.linear(self.dropout(x))


def main():
    mx.random.seed(2)
    model = ResNet()
    mx.eval(model.parameters())
    optimizer = optim.SGD(learning_rate=optim.cosine_decay(0.2, 20), momentum=0.9)
    images = mx.random.normal((8, 8, 8, 3))
    labels = mx.array([0, 1, 2, 0, 1, 2, 0, 1])
    images = images + labels[:, None, None, None] * mx.array([1.0, -1.0, 0.5])

    def train_step(model, inp, tgt):
        output = model(inp)
        loss = mx.mean(nn.losses.cross_entropy(output, tgt))
        return loss, mx.mean(mx.argmax(output, axis=1) == tgt)

    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(inp, tgt):
        (loss, acc), grads = nn.value_and_grad(model, train_step)(model, inp, tgt)
        optimizer.update(model, grads)
        return loss, acc

    losses = []
    for _ in range(12):
        loss, _ = step(images, labels)
        mx.eval(state)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
    assert model.num_params() == 4 * 27 + 8 + 2 * (144 + 8) + (288 + 16) + (576 + 16) + 27
    model.eval()
    assert model.bn1.running_mean.abs().max().item() > 0
    return losses[-1]
