"""A graph convolution network on two communities."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np


class GCNLayer(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)

    def __call__(self, x, adj):
        return adj @ self.linear(x)


class GCN(nn.Module):
    def __init__(self, x_dim, h_dim, out_dim, nb_layers=2, dropout=0.2):
        super().__init__()
        sizes = [x_dim] + [h_dim] * nb_layers + [out_dim]
        self.gcn_layers = [GCNLayer(i, o) for i, o in zip(sizes[:-1], sizes[1:])]  # noqa: B905, RUF007
        self.dropout = nn.Dropout(p=dropout)

    def __call__(self, x, adj):
        for layer in self.gcn_layers[:-1]:
            x = self.dropout(nn.relu(layer(x, adj)))
        return self.gcn_layers[-1](x, adj)


def main():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 15)
    edges = (rng.random((30, 30)) < np.where(labels[:, None] == labels, 0.4, 0.05)).astype(np.float32)
    edges = np.maximum(np.maximum(edges, edges.T), np.eye(30, dtype=np.float32))
    degree = edges.sum(1) ** -0.5
    adj = mx.array(degree[:, None] * edges * degree)
    x, y = mx.array(rng.standard_normal((30, 6)).astype(np.float32)), mx.array(labels)
    train_mask = mx.array([0, 1, 2, 3, 15, 16, 17, 18])
    mx.random.seed(0)
    gcn = GCN(6, 12, 2)
    mx.eval(gcn.parameters())
    optimizer = optim.Adam(learning_rate=3e-2)

    def forward_fn(gcn, x, adj, y):
        y_hat = gcn(x, adj)
        loss = mx.mean(nn.losses.cross_entropy(y_hat[train_mask], y[train_mask]))
        params = [layer.linear.weight for layer in gcn.gcn_layers]
        return loss + 1e-4 * sum(mx.sum(p**2) for p in params), y_hat

    loss_and_grad_fn = nn.value_and_grad(gcn, forward_fn)
    for _ in range(40):
        gcn.train()
        (loss, _), grads = loss_and_grad_fn(gcn, x, adj, y)
        optimizer.update(gcn, grads)
        mx.eval(gcn.parameters(), optimizer.state)
        gcn.eval()
    accuracy = mx.mean(mx.argmax(gcn(x, adj), axis=1) == y).item()
    assert accuracy > 0.85, accuracy
    return loss.item()
