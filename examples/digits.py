"""Train a convolutional network on handwritten digits: 1,797 images of 8 x 8 pixels that ship with scikit-learn.

    python examples/digits.py

prints the accuracy on 450 images that were held out and a table of confusions, saves the parameters to
out/digits/digits.safetensors, and draws the loss and the hardest digits to out/digits/digits.png. Interrupted and started
again, it goes on from its last checkpoint. With FUNCNN_DEVICE=gpu it trains on the GPU.
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

BATCH = 64

model = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1),
    nn.BatchNorm(32),
    nn.ReLU(),
    nn.Conv2d(32, 32, 3, padding=1),
    nn.BatchNorm(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1),
    nn.BatchNorm(64),
    nn.ReLU(),
    nn.Flatten(),
    nn.Dropout(0.4),
    nn.Linear(4 * 4 * 64, 10),
)


def loss_fn(params, x, y, key):
    logits, updates = model.apply(params, x, training=True, key=key)
    return nn.losses.cross_entropy(logits, y, label_smoothing=0.1, reduction="mean"), updates


def shifted(x, key):
    """Move each image by up to one pixel: the digit stays what it is, and the network sees it in more places."""
    padded = fn.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    corners = random.randint(key, 0, 3, (len(x), 2))
    return fn.vmap(lambda image, corner: fn.dynamic_slice(image, (corner[0], corner[1], 0), x.shape[1:]))(
        padded, corners
    )


def make_step(opt):
    @fn.compile(donate=("params", "opt_state"))
    def step(params, opt_state, x, y, key):
        shift_key, drop_key = random.split(key)
        x = shifted(x, shift_key)
        (loss, updates), grads = fn.value_and_grad(loss_fn, has_aux=True)(params, x, y, drop_key)
        delta, opt_state = opt.update(grads, opt_state, params)
        return tree.merge(optim.apply_updates(params, delta), updates), opt_state, loss

    return step


@fn.compile
def predict(params, x):
    """The probability of every digit."""
    return fn.softmax(model(params, x), axis=-1)


def train(x, y, epochs, seed, checkpoints):
    per_epoch = len(x) // BATCH
    steps = epochs * per_epoch
    rate = optim.schedules.warmup_cosine(3e-3, warmup_steps=max(1, steps // 20), steps=steps)
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate, weight_decay=1e-2, mask="**.weight"))
    step = make_step(opt)
    init_key, train_key = random.split(random.key(seed))
    params = model.init(init_key)
    state = {"params": params, "opt": opt.init(params), "losses": fn.zeros(steps)}
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state).tree
    params, opt_state, losses = state["params"], state["opt"], np.array(state["losses"])
    with tqdm(total=steps, initial=start * per_epoch, desc="training", unit="step") as progress:
        for epoch in range(start, epochs):
            epoch_key = random.fold_in(train_key, epoch)  # the order of an epoch follows from its number alone
            order = random.permutation(epoch_key, len(x))
            for i in range(per_epoch):
                batch = order[i * BATCH : (i + 1) * BATCH]
                key = random.fold_in(epoch_key, i)
                params, opt_state, loss = step(params, opt_state, x[batch], y[batch], key)
                losses[epoch * per_epoch + i] = loss.item()
                progress.update()
            progress.set_postfix(loss=f"{losses[epoch * per_epoch : (epoch + 1) * per_epoch].mean():.4f}")
            if (epoch + 1) % max(1, epochs // 8) == 0 or epoch + 1 == epochs:
                checkpoints.save(epoch + 1, {"params": params, "opt": opt_state, "losses": losses})
    return params, losses


def confusion_table(predicted, actual):
    """Rows are the digits that were there, columns what they were taken for."""
    table = np.zeros((10, 10), int)
    np.add.at(table, (actual, predicted), 1)
    lines = ["      " + "".join(f"{digit:4d}" for digit in range(10)) + "   <- predicted"]
    for digit, row in enumerate(table):
        lines.append(f"{digit:4d} |" + "".join(f"{count:4d}" if count else "   ." for count in row))
    return "\n".join(lines)


def draw(path, losses, images, probabilities, actual):
    """Draw the loss curve above the digits that the network is least sure of."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    predicted, sure = probabilities.argmax(-1), probabilities.max(-1)
    figure = plt.figure(figsize=(10, 6.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(3, 2))
    axes = top.subplots()
    window = min(20, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    axes.semilogy(losses, color="0.8", label="batch")
    axes.semilogy(np.arange(len(smooth)) + window - 1, smooth, color="tab:blue", label=f"mean of {window} batches")
    axes.set(xlabel="step", ylabel="cross entropy, with smoothed labels", title="Training loss")
    axes.legend(frameon=False)
    wrong = int(np.sum(predicted != actual))
    bottom.suptitle(f"The 20 it is least sure of, of {len(actual)} held-out digits; {wrong} are wrong (red)")
    for panel, i in zip(bottom.subplots(2, 10).ravel(), np.argsort(sure), strict=False):
        panel.imshow(images[i, ..., 0], cmap="gray_r")
        colour = "black" if predicted[i] == actual[i] else "tab:red"
        panel.set_title(f"{actual[i]} as {predicted[i]}: {sure[i]:.0%}", fontsize=8, color=colour)
        panel.axis("off")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/digits"))
    args = parser.parse_args(arguments)

    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., None]  # channels last: (1797, 8, 8, 1)
    labels = digits.target.astype(np.int32)
    x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=450, stratify=labels, random_state=0)
    print(f"{len(x_train)} images to train on, {len(x_test)} held out")
    print(model)

    start = time.perf_counter()
    checkpoints = fn.io.CheckpointManager(args.out / f"checkpoints-{args.epochs}-{args.seed}", keep_last=2)
    params, losses = train(fn.array(x_train), fn.array(y_train), args.epochs, args.seed, checkpoints)
    print(f"{tree.count(params):,} parameters trained in {time.perf_counter() - start:.1f} s")

    probabilities = np.asarray(predict(params, fn.array(x_test)))
    predicted = probabilities.argmax(-1)
    print(f"\ntest accuracy: {np.mean(predicted == y_test):.4f}\n")
    print(confusion_table(predicted, y_test))

    saved = args.out / "digits.safetensors"
    fn.io.save(saved, params, metadata={"model": repr(model)})
    reloaded = fn.io.load(saved, like=params)
    again = np.asarray(predict(reloaded, fn.array(x_test)))
    if not np.array_equal(again, probabilities):
        raise SystemExit(f"{saved}: the reloaded parameters predict something else")
    print(f"\nsaved to {saved}, reloaded: the same predictions")

    picture = args.out / "digits.png"
    draw(picture, losses, x_test, probabilities, y_test)
    print(f"loss curve and the hardest digits: {picture}")


if __name__ == "__main__":
    main()
