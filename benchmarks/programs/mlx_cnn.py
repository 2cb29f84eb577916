"""A convolutional network on 32 images of 32 x 32 x 3, SGD with momentum."""

import mlx.nn as nn
import mlx.optimizers as optim

from . import draws, mlx_training


class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.fc = nn.Linear(8 * 8 * 128, classes)

    def __call__(self, x):
        x = nn.relu(self.conv1(x))
        x = self.pool(nn.relu(self.conv2(x)))
        x = self.pool(nn.relu(self.conv3(x)))
        return self.fc(x.reshape(x.shape[0], -1))


def loss_fn(model, x, y):
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def program():
    model = Network(10)
    mlx_training.draw(model)
    return model, optim.SGD(learning_rate=0.001, momentum=0.9), loss_fn, *draws.examples(32, (32, 32, 3), 10)
