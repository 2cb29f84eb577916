"""A convolutional variational autoencoder: transposed convolution by upsampling, noise, a loss of two terms."""

import math
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim


def upsample_nearest(x, scale: int = 2):
    B, H, W, C = x.shape
    x = mx.broadcast_to(x[:, :, None, :, None, :], (B, H, scale, W, scale, C))
    return x.reshape(B, H * scale, W * scale, C)


class Encoder(nn.Module):
    def __init__(self, num_latent_dims, image_shape):
        super().__init__()
        self.conv1 = nn.Conv2d(image_shape[-1], 4, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm(4)
        flattened_dim = 4 * image_shape[0] // 2 * image_shape[1] // 2
        self.proj_mu = nn.Linear(flattened_dim, num_latent_dims)
        self.proj_log_var = nn.Linear(flattened_dim, num_latent_dims)

    def __call__(self, x):
        x = nn.leaky_relu(self.bn1(self.conv1(x)))
        x = mx.flatten(x, 1)
        mu = self.proj_mu(x)
        logvar = self.proj_log_var(x)
        sigma = mx.exp(logvar * 0.5)
        eps = mx.random.normal(sigma.shape)
        return eps * sigma + mu, mu, logvar


class Decoder(nn.Module):
    def __init__(self, num_latent_dims, image_shape):
        super().__init__()
        self.input_shape = (image_shape[0] // 2, image_shape[1] // 2, 4)
        self.lin1 = nn.Linear(num_latent_dims, math.prod(self.input_shape))
        self.upconv = nn.Conv2d(4, image_shape[-1], 3, padding=1)

    def __call__(self, z):
        x = self.lin1(z).reshape(-1, *self.input_shape)
        return mx.sigmoid(self.upconv(upsample_nearest(nn.leaky_relu(x))))


class CVAE(nn.Module):
    def __init__(self, num_latent_dims, input_shape):
        super().__init__()
        self.encoder = Encoder(num_latent_dims, input_shape)
        self.decoder = Decoder(num_latent_dims, input_shape)

    def __call__(self, x):
        z, mu, logvar = self.encoder(x)
        return self.decoder(z), mu, logvar


def loss_fn(model, X):
    X_recon, mu, logvar = model(X)
    recon_loss = nn.losses.mse_loss(X_recon, X, reduction="sum")
    kl_div = -0.5 * mx.sum(1 + logvar - mu.square() - logvar.exp())
    return recon_loss + 0.1 * kl_div


def main():
    mx.random.seed(5)
    model = CVAE(2, (8, 8, 1))
    mx.eval(model.parameters())
    optimizer = optim.AdamW(learning_rate=5e-3)
    images = mx.random.uniform(shape=(8, 8, 8, 1)) > 0.5
    images = images.astype(mx.float32)
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(X):
        loss, grads = nn.value_and_grad(model, loss_fn)(model, X)
        optimizer.update(model, grads)
        return loss

    losses = []
    for _ in range(15):
        loss = step(images)
        mx.eval(state)
        losses.append(loss.item())
    assert losses[-1] < losses[0], losses
    model.eval()
    recon = model.decoder(mx.zeros((1, 2)))
    assert recon.shape == (1, 8, 8, 1)
    return losses[-1]
