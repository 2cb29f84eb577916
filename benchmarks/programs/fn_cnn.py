"""`mlx_cnn.py` with funcnn's layers."""

from funcnn import nn, optim

from . import draws, fn_training


class CNN(nn.Layer):
    conv1: nn.Layer = nn.Conv2d(3, 32, kernel_size=3, padding=1)
    conv2: nn.Layer = nn.Conv2d(32, 64, kernel_size=3, padding=1)
    conv3: nn.Layer = nn.Conv2d(64, 128, kernel_size=3, padding=1)
    pool: nn.Layer = nn.MaxPool2d(2, 2)
    fc: nn.Layer = nn.Linear(8 * 8 * 128, 10)

    def __call__(self, params, x):
        x = nn.relu(self.conv1(params["conv1"], x))
        x = self.pool(params["pool"], nn.relu(self.conv2(params["conv2"], x)))
        x = self.pool(params["pool"], nn.relu(self.conv3(params["conv3"], x)))
        return self.fc(params["fc"], x.reshape(x.shape[0], -1))


def program():
    model = CNN()

    def loss_fn(params, x, y):
        return nn.losses.cross_entropy(model(params, x), y).mean()

    return fn_training.drawn(model), optim.sgd(0.001, momentum=0.9), loss_fn, *draws.examples(32, (32, 32, 3), 10)
