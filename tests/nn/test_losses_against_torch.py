"""Losses against PyTorch's, where it is installed."""

import numpy as np
import pytest

import funcnn as fn
from funcnn.nn import losses

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(2, 8, 5)).astype(np.float32) * 3
P = RNG.dirichlet(np.ones(5), size=8).astype(np.float32)
T = RNG.integers(0, 5, 8)
IGNORED = np.where(np.arange(8) % 3 == 0, -100, T)
W = RNG.random(5).astype(np.float32)


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=3e-5, atol=3e-6)


def both(ours, theirs, *arrays):
    """Compare values and gradients by the first argument, for all reductions."""
    for reduction in ("none", "mean", "sum"):
        x = torch.tensor(arrays[0], requires_grad=True)
        expected = theirs(x, *[torch.tensor(a) for a in arrays[1:]], reduction=reduction)
        expected.sum().backward()
        given = [fn.array(a) for a in arrays]
        close(ours(*given, reduction=reduction), expected.detach())
        close(fn.grad(lambda x, *rest, r=reduction: fn.sum(ours(x, *rest, reduction=r)))(*given), x.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("targets", [T, IGNORED], ids=["all", "ignored"])
def test_cross_entropy(smoothing, weights, targets):
    both(
        lambda x, t, reduction: losses.cross_entropy(
            x,
            t,
            label_smoothing=smoothing,
            class_weights=None if weights is None else fn.array(weights),
            ignore_index=-100,
            reduction=reduction,
        ),
        lambda x, t, reduction: F.cross_entropy(
            x,
            t,
            weight=None if weights is None else torch.tensor(weights),
            label_smoothing=smoothing,
            reduction=reduction,
        ),
        X,
        targets,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [P, 2 * P], ids=["normalised", "not"])
def test_cross_entropy_of_probabilities(smoothing, targets):
    for weights in (None, W):
        for reduction in ("none", "sum", "mean"):
            ours = losses.cross_entropy(
                fn.array(X),
                fn.array(targets),
                label_smoothing=smoothing,
                class_weights=None if weights is None else fn.array(weights),
                reduction=reduction,
            )
            theirs = F.cross_entropy(
                torch.tensor(X),
                torch.tensor(targets),
                weight=None if weights is None else torch.tensor(weights),
                label_smoothing=smoothing,
                reduction=reduction,
            )
            close(ours, theirs)


def test_nll():
    log_p = F.log_softmax(torch.tensor(X), dim=-1).numpy()
    both(
        lambda x, t, reduction: losses.nll_loss(
            x, t, class_weights=fn.array(W), ignore_index=-100, reduction=reduction
        ),
        lambda x, t, reduction: F.nll_loss(x, t, weight=torch.tensor(W), reduction=reduction),
        log_p,
        IGNORED,
    )


EDGES = np.array([0, 1, 1e-20, 1e-7, 0.5, 1 - 1e-7], dtype=np.float32)


def test_binary_cross_entropy():
    both(losses.binary_cross_entropy, F.binary_cross_entropy_with_logits, X, P)
    for y, p in [(0.0, EDGES[[1, 3, 4, 5]]), (1.0, EDGES[[0, 3, 4, 5]]), (0.3, EDGES[[0, 1, 3, 4, 5]])]:
        # Where prediction and target both are 0 or both 1, or nearly, PyTorch says 0 for a slope of 1 or -1.
        both(
            lambda p, y, reduction: losses.binary_cross_entropy(p, y, with_logits=False, reduction=reduction),
            F.binary_cross_entropy,
            p,
            np.full(p.shape, y, dtype=np.float32),
        )


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e15])
def test_distances(scale):
    x, y = X * np.float32(scale), Y * np.float32(scale)
    both(losses.l1_loss, F.l1_loss, x, y)
    both(losses.mse_loss, F.mse_loss, x, y)
    both(losses.smooth_l1_loss, F.smooth_l1_loss, x, y)
    both(losses.huber_loss, F.huber_loss, x, y)
    both(
        lambda x, y, reduction: losses.huber_loss(x, y, delta=0.3, reduction=reduction),
        lambda x, y, reduction: F.huber_loss(x, y, delta=0.3, reduction=reduction),
        x,
        y,
    )
    close(
        losses.cosine_similarity_loss(fn.array(x), fn.array(y)), F.cosine_similarity(torch.tensor(x), torch.tensor(y))
    )


def test_others():
    both(
        lambda x, y, reduction: losses.margin_ranking_loss(x, y, fn.sign(fn.array(P - 0.2)), 0.5, reduction=reduction),
        lambda x, y, reduction: F.margin_ranking_loss(
            x, y, torch.sign(torch.tensor(P - 0.2)), 0.5, reduction=reduction
        ),
        X,
        Y,
    )
    close(
        losses.gaussian_nll_loss(fn.array(X), fn.array(Y), fn.array(P + 0.1), full=True),
        F.gaussian_nll_loss(torch.tensor(X), torch.tensor(Y), torch.tensor(P + 0.1), full=True),
    )
    a, b = F.log_softmax(torch.tensor(X), -1), F.log_softmax(torch.tensor(Y), -1)
    close(
        losses.kl_div_loss(fn.array(a.numpy()), fn.array(b.numpy()), reduction="sum"),
        F.kl_div(a, b, reduction="sum", log_target=True),
    )
