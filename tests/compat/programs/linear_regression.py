"""Least squares by gradient descent on plain arrays."""

import mlx.core as mx


def main():
    num_features, num_examples, num_iters, lr = 20, 200, 300, 0.05
    mx.random.seed(0)
    w_star = mx.random.normal((num_features,))
    X = mx.random.normal((num_examples, num_features))
    y = X @ w_star + 1e-2 * mx.random.normal((num_examples,))

    def loss_fn(w):
        return 0.5 * mx.mean(mx.square(X @ w - y))

    grad_fn = mx.grad(loss_fn)
    w = 1e-2 * mx.random.normal((num_features,))
    for _ in range(num_iters):
        w = w - lr * grad_fn(w)
        mx.eval(w)
    error = mx.sum(mx.square(w - w_star)).item() ** 0.5
    assert error < 0.01, error
    return loss_fn(w).item()
