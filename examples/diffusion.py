"""Draw handwritten digits from noise: a small diffusion model of scikit-learn's 1,797 images of 8 x 8 pixels.

    python examples/diffusion.py

A network learns to tell the noise from the digit in a mixture of both (Ho et al., "Denoising diffusion probabilistic models", 2020),
given the mixture, how far it is from a digit, and which digit to draw. Starting from nothing but noise, 100 small steps then lead to
a digit: a `scan` whose carry is the image and whose elements are times and keys.

The picture, out/diffusion/diffusion.png, shows ten drawings of every digit and how some of them emerge. The samples are judged by
their nearest neighbours among the real images. Training resumes where it was interrupted.
"""

import argparse
import math
import pathlib

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, optim, random, tree

TIMES = 100
BATCH = 128
# The share of signal that is left at each time falls like a squared cosine (Nichol and Dhariwal, 2021).
SIGNAL = np.cos(np.linspace(0.02, 0.98, TIMES) * math.pi / 2).astype(np.float32) ** 2


class Block(nn.Layer):
    norm: nn.Layer
    body: nn.Layer

    def __call__(self, params, x, condition):
        return x + self.body(params["body"], self.norm(params["norm"], x) + condition)


class Denoiser(nn.Layer):
    """Predict the noise in an image, given the time and the class."""

    enter: nn.Layer
    time: nn.Layer
    label: nn.Layer
    blocks: tuple
    leave: nn.Layer

    def __call__(self, params, x, t, label):
        condition = self.time(params["time"], t) + self.label(params["label"], label)
        x = self.enter(params["enter"], x)
        for block, part in zip(self.blocks, params["blocks"], strict=True):
            x = block(part, x, condition)
        return self.leave(params["leave"], x)


def denoiser(width=256, depth=3):
    return Denoiser(
        enter=nn.Linear(64, width),
        time=nn.Embedding(TIMES, width),
        label=nn.Embedding(10, width),
        blocks=[
            Block(nn.LayerNorm(width), nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)))
            for _ in range(depth)
        ],
        leave=nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64)),
    )


model = denoiser()


def loss_fn(params, x, label, key):
    """How well the noise is told from the images, at times drawn at random."""
    time_key, noise_key = random.split(key)
    t = random.randint(time_key, 0, TIMES, (len(x),))
    noise = random.normal(noise_key, x.shape)
    signal = fn.array(SIGNAL)[t][:, None]
    mixture = fn.sqrt(signal) * x + fn.sqrt(1 - signal) * noise
    return nn.losses.mse_loss(model(params, mixture, t, label), noise)


def make_step(opt):
    @fn.compile(donate=("state",))
    def step(state, images, labels, key):
        batch_key, loss_key = random.split(key)
        chosen = random.randint(batch_key, 0, len(images), (BATCH,))
        loss, grads = fn.value_and_grad(loss_fn)(state["params"], images[chosen], labels[chosen], loss_key)
        delta, opt_state = opt.update(grads, state["opt"], state["params"])
        params = optim.apply_updates(state["params"], delta)
        average = tree.map(lambda a, p: 0.995 * a + 0.005 * p, state["average"], params)
        return {"params": params, "opt": opt_state, "average": average}, loss

    return step


@fn.compile
def sample(params, labels, key):
    """Lead noise to digits; also returns every image on the way, of shape (TIMES, n, 64)."""
    start_key, steps_key = random.split(key)
    signal = fn.array(SIGNAL)
    before = fn.concatenate([fn.ones(1), signal[:-1]])  # the share of signal one step nearer to a digit

    def step(x, at):
        t, key = at
        kept = signal[t] / before[t]
        noise = model(params, x, fn.broadcast_to(t, labels.shape), labels)
        digit = (x - fn.sqrt(1 - signal[t]) * noise) / fn.sqrt(signal[t])
        digit = fn.clip(digit, -1.0, 1.0)
        mean = (fn.sqrt(before[t]) * (1 - kept) * digit + fn.sqrt(kept) * (1 - before[t]) * x) / (1 - signal[t])
        spread = fn.sqrt((1 - kept) * (1 - before[t]) / (1 - signal[t]))
        x = mean + spread * random.normal(key, x.shape)
        return x, x

    x = random.normal(start_key, (len(labels), 64))
    return fn.scan(step, x, (fn.arange(TIMES), random.split(steps_key, TIMES)), reverse=True)


def train(images, labels, steps, seed, checkpoints):
    opt = optim.chain(
        optim.clip_by_global_norm(1.0),
        optim.adamw(optim.schedules.warmup_cosine(2e-3, warmup_steps=steps // 50, steps=steps)),
    )
    step = make_step(opt)
    init_key, train_key = random.split(random.key(seed))
    params = model.init(init_key)
    state = {"params": params, "opt": opt.init(params), "average": params}
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state).tree
    progress = tqdm(range(start, steps), desc="training", unit="step", initial=start, total=steps)
    for i in progress:
        state, loss = step(state, images, labels, random.fold_in(train_key, i))
        if i % 50 == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")
        if (i + 1) % max(1, steps // 10) == 0 or i + 1 == steps:
            checkpoints.save(i + 1, state)
    return state["average"]


def judge(drawn, asked, images, labels):
    """How many drawings their nearest real image takes for the digit asked for, and how near that is."""
    distances = np.linalg.norm(drawn[:, None] - images, axis=-1)
    return np.mean(labels[distances.argmin(1)] == asked), np.median(distances.min(1))


def draw(path, drawn, way):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    stages = np.linspace(TIMES - 1, 0, 10).round().astype(int)
    figure, panels = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
    for panel, title, images in [
        (panels[0], "Ten drawings of every digit", drawn.reshape(10, 10, 8, 8)),
        (panels[1], "From noise to digit", way[stages, ::10].swapaxes(0, 1).reshape(10, 10, 8, 8)),
    ]:
        framed = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-1)
        panel.imshow(framed.swapaxes(1, 2).reshape(100, 100), cmap="gray_r", vmin=-1, vmax=1)
        panel.set_title(title)
        panel.axis("off")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/diffusion"))
    args = parser.parse_args(arguments)

    digits = load_digits()
    images = (digits.data / 8.0 - 1.0).astype(np.float32)
    labels = digits.target.astype(np.int32)
    print(f"{tree.count(fn.eval_shape(model.init, random.key(0))):,} parameters")
    checkpoints = fn.io.CheckpointManager(args.out / f"checkpoints-{args.steps}-{args.seed}", keep_last=2)
    params = train(fn.array(images), fn.array(labels), args.steps, args.seed, checkpoints)

    asked = np.arange(10).repeat(10).astype(np.int32)
    drawn, way = sample(params, fn.array(asked), random.key(args.seed + 1))
    right, near = judge(np.asarray(drawn), asked, images, labels)
    _, apart = judge(
        images[::9], labels[::9], images[np.arange(len(images)) % 9 > 0], labels[np.arange(len(images)) % 9 > 0]
    )
    print(f"{right:.0%} of 100 drawings are nearest to a real image of the digit asked for")
    print(f"distance to the nearest real image: {near:.2f}; of real images to the next: {apart:.2f}")

    picture = args.out / "diffusion.png"
    draw(picture, np.asarray(drawn), np.asarray(way))
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
