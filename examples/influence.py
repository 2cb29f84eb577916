"""Find mislabelled digits by their influence: per-example gradients and Hessian-vector products at work.

    python examples/influence.py

A softmax regression learns 800 handwritten digits, 80 of which carry a wrong label. How much would the loss of another digit
change if one of the 800 were left out? To first order by ``g_test . H^-1 . g_train / n``, where the g are gradients of single
examples and H is the Hessian of the objective (Koh and Liang, "Understanding black-box predictions via influence functions",
2017). Nothing here forms H: a product with it is the derivative of a gradient along a direction, and conjugate gradients solve
with nothing else. Newton's method with the same products trains the model.

The picture, out/influence/influence.png, shows how early a search by influence finds the wrong labels, how close the prediction comes
to leaving examples out and training again, and which examples mislead the model most. The fit resumes where it was interrupted.
"""

import argparse
import pathlib

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, random, tree

model = nn.Linear(64, 10)
flat, unravel = tree.ravel(model.init(random.key(0)))  # vectors are the language of conjugate gradients
RIDGE = 2e-3


def loss_of_one(theta, x, y):
    return nn.losses.cross_entropy(model(unravel(theta), x), y)


def objective(theta, x, y, weights):
    """The weighted mean of the losses, and a ridge that makes the minimum unique."""
    losses = fn.vmap(loss_of_one, in_axes=(None, 0, 0))(theta, x, y)
    return (weights * losses).mean() + RIDGE / 2 * fn.square(theta).sum()


def hessian_times(direction, theta, *data):
    """The derivative of the gradient along a direction: the price of two gradients, whatever the number of parameters."""
    return fn.jvp(lambda theta: fn.grad(objective)(theta, *data), (theta,), (direction,))[1]


def solve(right, theta, *data, steps=60):
    """``H^-1 right``, by conjugate gradients."""

    def step(carry, _):
        x, residual, direction, norm = carry
        product = hessian_times(direction, theta, *data)
        length = norm / fn.maximum(fn.vecdot(direction, product), 1e-30)
        x, residual = x + length * direction, residual - length * product
        new_norm = fn.vecdot(residual, residual)
        return (x, residual, residual + new_norm / fn.maximum(norm, 1e-30) * direction, new_norm), None

    start = (fn.zeros_like(right), right, right, fn.vecdot(right, right))
    return fn.scan(step, start, None, length=steps)[0][0]


@fn.compile
def newton(theta, x, y, weights):
    """One step of Newton's method, and the norm of the gradient before it."""
    gradient = fn.grad(objective)(theta, x, y, weights)
    return theta - solve(gradient, theta, x, y, weights), fn.linalg.norm(gradient)


@fn.compile
def influences(theta, x, y, x_other, y_other):
    """What leaving out each of (x, y) adds to the loss of each of the others, to first order: (others, examples)."""
    gradients = fn.vmap(fn.grad(loss_of_one), in_axes=(None, 0, 0))
    weights = fn.ones(len(x))
    responses = fn.vmap(lambda g: solve(g, theta, x, y, weights))(gradients(theta, x_other, y_other))
    return responses @ gradients(theta, x, y).T / len(x)


@fn.compile
def losses_without(left_out, theta, x, y, x_other, y_other):
    """The mean loss on the others after training without each of some examples: all these fits at once."""

    def fit(index):
        weights = fn.ones(len(x)).at[index].set(0.0)
        again, _ = fn.scan(lambda theta, _: (newton(theta, x, y, weights)[0], None), theta, None, length=2)
        return nn.losses.cross_entropy(model(unravel(again), x_other), y_other, reduction="mean")

    return fn.vmap(fit)(left_out)


def mislabelled_digits(examples, wrong, seed):
    """Digits to learn from, some with a wrong label; which those are; and digits with right labels only."""
    digits = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.data))
    images = (digits.data / 16.0).astype(np.float32)[order]
    labels = digits.target.astype(np.int32)[order]
    flipped = np.zeros(examples, bool)
    flipped[rng.choice(examples, wrong, replace=False)] = True
    given = np.where(flipped, (labels[:examples] + rng.integers(1, 10, examples)) % 10, labels[:examples])
    others = slice(examples, 2 * examples)
    return (images[:examples], given.astype(np.int32)), flipped, (images[others], labels[others])


def train(data, steps, checkpoints):
    theta = fn.zeros_like(flat)
    weights = fn.ones(len(data[0]))
    start = checkpoints.latest() or 0
    if start:
        theta = checkpoints.restore({"theta": theta}).tree["theta"]
    progress = tqdm(range(start, steps), desc="Newton's method", unit="step", initial=start, total=steps)
    for i in progress:
        theta, norm = newton(theta, *data, weights)
        progress.set_postfix(gradient=f"{norm.item():.1e}")
        checkpoints.save(i + 1, {"theta": theta})
    return theta


def draw(path, found, predicted, retrained, panels):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 8), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    left, right = top.subplots(1, 2)

    inspected = np.arange(1, len(found["influence"]) + 1) / len(found["influence"])
    for name, colour in [("influence", "tab:blue"), ("loss", "tab:orange"), ("chance", "0.6")]:
        left.plot(100 * inspected, 100 * found[name], color=colour, label=f"by {name}")
    left.set(xlabel="examples inspected, %", ylabel="wrong labels found, %", title="Searching for wrong labels")
    left.legend(loc="lower right", frameon=False)

    limit = 1.1 * 1e3 * max(np.abs(predicted).max(), np.abs(retrained).max())
    right.axline((0, 0), slope=1, color="0.8", zorder=0)
    right.scatter(1e3 * predicted, 1e3 * retrained, s=16, color="tab:blue", alpha=0.7)
    right.set(
        xlim=(-limit, limit), ylim=(-limit, limit), xlabel="predicted by influence", ylabel="trained again without it"
    )
    right.set_title("Held-out loss without one example: change in 1e-3")

    bottom.suptitle("Digits it gets wrong, and the six examples that mislead it most (red: a wrong label)")
    for row, (image, caption, culprits) in zip(bottom.subplots(len(panels), 7), panels, strict=True):
        row[0].imshow(image.reshape(8, 8), cmap="gray_r")
        row[0].set_title(caption, fontsize=9, fontweight="bold")
        for panel, (culprit, label, is_wrong) in zip(row[1:], culprits, strict=True):
            panel.imshow(culprit.reshape(8, 8), cmap="gray_r")
            panel.set_title(f"labelled {label}", fontsize=9, color="tab:red" if is_wrong else "black")
        for panel in row:
            panel.axis("off")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="of Newton's method")
    parser.add_argument("--examples", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/influence"))
    args = parser.parse_args(arguments)

    train_set, flipped, held_out = mislabelled_digits(args.examples, args.examples // 10, args.seed)
    data, others = ([fn.array(part) for part in parts] for parts in (train_set, held_out))
    theta = train(
        data, args.steps, fn.io.CheckpointManager(args.out / f"checkpoints-{args.steps}-{args.seed}", keep_last=2)
    )
    logits = model(unravel(theta), others[0])
    taken_for = np.asarray(fn.argmax(logits, axis=-1))
    print(f"accuracy on held-out digits: {np.mean(taken_for == held_out[1]):.3f}")

    # An example's influence on its own loss is large where nothing but the example itself speaks for its label.
    on_itself = np.diagonal(np.asarray(influences(theta, *data, *data)))
    own_loss = np.asarray(fn.vmap(loss_of_one, in_axes=(None, 0, 0))(theta, *data))
    found = {"chance": np.arange(1, args.examples + 1) / args.examples}
    for name, score in [("influence", on_itself), ("loss", own_loss)]:
        found[name] = np.cumsum(flipped[np.argsort(-score)]) / flipped.sum()
    first = args.examples // 10
    print(
        f"wrong labels among the {first} most influential of {args.examples} examples: {found['influence'][first - 1]:.0%}"
    )

    # Train again without each of the 60 examples that matter most to the held-out digits, and compare.
    on_others = np.asarray(influences(theta, *data, *others))
    predicted = on_others.mean(0)
    chosen = np.argsort(-np.abs(predicted))[:60]
    before = nn.losses.cross_entropy(logits, others[1], reduction="mean").item()
    retrained = np.asarray(losses_without(fn.array(chosen), theta, *data, *others)) - before
    print(f"correlation of prediction and training again: {np.corrcoef(predicted[chosen], retrained)[0, 1]:.3f}")

    panels = []
    for i in np.flatnonzero(taken_for != held_out[1])[:3]:
        culprits = np.argsort(on_others[i])[:6]  # leaving these out lowers the loss most
        shown = [(train_set[0][j], train_set[1][j], flipped[j]) for j in culprits]
        panels.append((held_out[0][i], f"{held_out[1][i]} taken for {taken_for[i]}", shown))
    picture = args.out / "influence.png"
    draw(picture, found, predicted[chosen], retrained, panels)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
