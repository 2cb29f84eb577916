"""Train an ensemble of networks at once with `vmap`, and see how much it knows about what it does not know.

    python examples/ensemble.py

Sixteen networks learn the digits of scikit-learn from 300 images, each from initial values and batches of its own (Lakshminarayanan
et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", 2017). One network is an ordinary function of
its parameters; mapped over stacked parameters it is sixteen, whose products are batched products. What one network predicts with 95 %
confidence should be right 95 times of 100, also for images that are noisier than those it has learnt from; the mean of the
ensemble comes closer.

The picture, out/ensemble/ensemble.png, compares confidence with accuracy, and shows what each further member adds. Training resumes
where it was interrupted.
"""

import argparse
import pathlib

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, optim, random, tree

BATCH = 32
NOISE = 0.2  # of the harder images

model = nn.Sequential(
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
opt = optim.adam(5e-3)


def loss_fn(params, x, y):
    return nn.losses.cross_entropy(model(params, x), y, reduction="mean")


def step_of_one(params, opt_state, images, labels, key):
    """An ordinary step of training of an ordinary network, which draws its batch itself."""
    chosen = random.randint(key, 0, len(images), (BATCH,))
    loss, grads = fn.value_and_grad(loss_fn)(params, images[chosen], labels[chosen])
    delta, opt_state = opt.update(grads, opt_state, params)
    return optim.apply_updates(params, delta), opt_state, loss


@fn.compile(donate=("params", "opt_state"))
def step(params, opt_state, images, labels, keys):
    """The same step of all members: each has parameters, a state and a key of its own; the images are shared."""
    return fn.vmap(step_of_one, in_axes=(0, 0, None, None, 0))(params, opt_state, images, labels, keys)


@fn.compile
def predict(params, x):
    """The probabilities that each member gives, of shape (members, n, 10)."""
    return fn.vmap(lambda params: fn.softmax(model(params, x), axis=-1))(params)


def train(images, labels, members, steps, seed, checkpoints):
    init_key, train_key = random.split(random.key(seed))
    params = fn.vmap(model.init)(random.split(init_key, members))
    state = {"params": params, "opt": fn.vmap(opt.init)(params)}
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state).tree
    progress = tqdm(range(start, steps), desc=f"training {members} networks", unit="step", initial=start, total=steps)
    for i in progress:
        keys = random.split(random.fold_in(train_key, i), members)
        params, opt_state, loss = step(state["params"], state["opt"], images, labels, keys)
        state = {"params": params, "opt": opt_state}
        if i % 50 == 0:
            progress.set_postfix(loss=f"{loss.mean().item():.4f}")
        if (i + 1) % max(1, steps // 10) == 0 or i + 1 == steps:
            checkpoints.save(i + 1, state)
    return state["params"]


def calibration(probabilities, labels, bins=10):
    """Confidence, accuracy and share of the predictions in each bin of confidence, and the expected calibration error."""
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    means = [np.bincount(place, values, bins)[filled] / count[filled] for values in (confidence, right)]
    share = count[filled] / len(labels)
    return means[0], means[1], share, np.sum(share * np.abs(means[0] - means[1]))


def log_loss(probabilities, labels):
    return -np.log(np.maximum(probabilities[..., np.arange(len(labels)), labels], 1e-12)).mean(-1)


def draw(path, one, together, labels, log_losses):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.5, 4.2), layout="constrained", width_ratios=(1, 1, 1.15))
    for panel, probabilities, name, colour in [
        (panels[0], one, "One network", "tab:orange"),
        (panels[1], together, "The ensemble", "tab:blue"),
    ]:
        confidence, accuracy, share, error = calibration(probabilities, labels)
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        panel.vlines(confidence, confidence, accuracy, color=colour, alpha=0.4, linewidth=3)
        panel.scatter(confidence, accuracy, s=20 + 600 * share, color=colour, alpha=0.8, clip_on=False)
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
        panel.set_title(f"{name}: calibration error {error:.1%}")
    panels[0].text(0.04, 0.93, "area: share of the images", fontsize=9, color="0.4")
    sizes = np.arange(1, len(log_losses["noisy images"]) + 1)
    for (name, values), style in zip(log_losses.items(), ["o-", "s--"], strict=True):
        panels[2].plot(sizes, values, style, markersize=4, color="tab:blue", label=name)
    panels[2].set(xlabel="members", ylabel="log loss", ylim=(0, None), title="What each further member adds")
    panels[2].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/ensemble"))
    args = parser.parse_args(arguments)

    digits = load_digits()
    rng = np.random.default_rng(args.seed)
    order = rng.permutation(len(digits.data))
    images = (digits.data / 16.0).astype(np.float32)[order]
    labels = digits.target.astype(np.int32)[order]
    held_out, truth = images[300:], labels[300:]
    noisy = (held_out + NOISE * rng.standard_normal(held_out.shape)).astype(np.float32)

    checkpoints = fn.io.CheckpointManager(args.out / f"checkpoints-{args.steps}-{args.seed}", keep_last=2)
    params = train(fn.array(images[:300]), fn.array(labels[:300]), args.members, args.steps, args.seed, checkpoints)
    print(f"{args.members} networks, {tree.count(params):,} parameters")

    log_losses = {}
    print("\n                accuracy        log loss        calibration error")
    print("                one   ensemble  one   ensemble  one    ensemble")
    for name, x in [("noisy images", noisy), ("clean images", held_out)]:
        each = np.asarray(predict(params, fn.array(x)))
        # The mean of the first 1, 2, ... members.
        means = np.cumsum(each, 0) / np.arange(1, args.members + 1)[:, None, None]
        log_losses[name] = log_loss(means, truth)
        accuracy = [np.mean(p.argmax(-1) == truth) for p in (each, means[-1])]
        errors = [np.mean([calibration(p, truth)[3] for p in each]), calibration(means[-1], truth)[3]]
        print(
            f"{name}    {accuracy[0]:.3f} {accuracy[1]:.3f}     {log_loss(each, truth).mean():.3f} "
            f"{log_losses[name][-1]:.3f}     {errors[0]:.3f}  {errors[1]:.3f}"
        )
        if x is noisy:
            one, together = each[0], means[-1]

    picture = args.out / "ensemble.png"
    draw(picture, one, together, truth, log_losses)
    print(f"\npicture: {picture}")


if __name__ == "__main__":
    main()
