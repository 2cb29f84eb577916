"""Train a classifier on handwritten digits: 1,797 images of 8 x 8 pixels that ship with scikit-learn.

    python examples/digits.py

prints the accuracy on 450 images that were held out and a table of confusions, saves the parameters to
out/digits.safetensors, and draws the loss and the misclassified digits to out/digits.png.
"""

import argparse
import pathlib
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, optim, random, tree

model = nn.Sequential(
    nn.Linear(64, 256),
    nn.BatchNorm(256),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(256, 128),
    nn.BatchNorm(128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)


def loss_fn(params, x, y, key):
    logits, updates = model.apply(params, x, training=True, key=key)
    return nn.losses.cross_entropy(logits, y).mean(), updates


def make_step(opt):
    @fn.compile(donate=("params", "opt_state"))
    def step(params, opt_state, x, y, key):
        (loss, updates), grads = fn.value_and_grad(loss_fn, has_aux=True)(params, x, y, key)
        delta, opt_state = opt.update(grads, opt_state, params)
        return tree.merge(optim.apply_updates(params, delta), updates), opt_state, loss

    return step


@fn.compile
def predict(params, x):
    return fn.argmax(model(params, x), axis=-1)


def batches(rng, x, y, size):
    """The samples in a new random order, in batches of one size."""
    order = rng.permutation(len(x))
    for start in range(0, len(x) - size + 1, size):
        chosen = order[start : start + size]
        yield fn.array(x[chosen]), fn.array(y[chosen])


def train(x, y, epochs, batch_size, seed):
    steps = epochs * (len(x) // batch_size)
    rate = optim.schedules.warmup_cosine(3e-3, warmup_steps=steps // 20, steps=steps)
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate, weight_decay=1e-2, mask="**.weight"))
    step = make_step(opt)
    init_key, dropout_key = random.split(random.key(seed))
    params = model.init(init_key)
    opt_state = opt.init(params)
    rng = np.random.default_rng(seed)
    losses = []
    with tqdm(total=steps, desc="training", unit="step") as progress:
        for _ in range(epochs):
            for images, labels in batches(rng, x, y, batch_size):
                key = random.fold_in(dropout_key, len(losses))
                params, opt_state, loss = step(params, opt_state, images, labels, key)
                losses.append(loss.item())
                progress.update()
            progress.set_postfix(loss=f"{np.mean(losses[-(len(x) // batch_size) :]):.4f}")
    return params, losses


def confusion_table(predicted, actual):
    """Rows are the digits that were there, columns what they were taken for."""
    table = np.zeros((10, 10), int)
    np.add.at(table, (actual, predicted), 1)
    lines = ["      " + "".join(f"{digit:4d}" for digit in range(10)) + "   <- predicted"]
    for digit, row in enumerate(table):
        lines.append(f"{digit:4d} |" + "".join(f"{count:4d}" if count else "   ." for count in row))
    return "\n".join(lines)


def draw(path, losses, images, predicted, actual):
    """Draw the loss curve above the misclassified digits."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    wrong = np.flatnonzero(predicted != actual)[:20]
    figure = plt.figure(figsize=(10, 6.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(3, 2))
    axes = top.subplots()
    window = min(20, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes.semilogy(losses, color="0.8", label="batch")
    axes.semilogy(np.arange(len(smooth)) + window - 1, smooth, color="tab:blue", label=f"mean of {window} batches")
    axes.set(xlabel="step", ylabel="cross entropy", title="Training loss")
    axes.legend()
    bottom.suptitle(f"Misclassified: {int(np.sum(predicted != actual))} of {len(actual)} held-out digits")
    panels = bottom.subplots(2, 10).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, i in zip(panels, wrong, strict=False):
        panel.imshow(images[i].reshape(8, 8), cmap="gray_r")
        panel.set_title(f"{actual[i]} as {predicted[i]}", fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()

    digits = load_digits()
    images = (digits.data / 16.0).astype(np.float32)
    labels = digits.target.astype(np.int32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=450, stratify=labels, random_state=args.seed
    )
    print(f"{len(x_train)} images to train on, {len(x_test)} held out")
    print(model)

    start = time.perf_counter()
    params, losses = train(x_train, y_train, args.epochs, args.batch_size, args.seed)
    print(f"{tree.count(params):,} parameters trained in {time.perf_counter() - start:.1f} s")

    predicted = np.asarray(predict(params, fn.array(x_test)))
    print(f"\ntest accuracy: {np.mean(predicted == y_test):.4f}\n")
    print(confusion_table(predicted, y_test))

    args.out.mkdir(parents=True, exist_ok=True)
    saved = args.out / "digits.safetensors"
    fn.io.save(saved, params, metadata={"model": repr(model)})
    reloaded = fn.io.load(saved, like=params)
    again = np.asarray(predict(reloaded, fn.array(x_test)))
    if not np.array_equal(again, predicted):
        raise SystemExit(f"{saved}: the reloaded parameters predict something else")
    print(f"\nsaved to {saved}, reloaded: the same predictions")

    picture = args.out / "digits.png"
    draw(picture, losses, x_test, predicted, y_test)
    print(f"loss curve and misclassified digits: {picture}")


if __name__ == "__main__":
    main()
