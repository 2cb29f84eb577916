"""Teach the transformer of `chars.py` to write Python instead of English, by training 5 % of it.

    python examples/chars.py    # once: the model to start from
    python examples/lora.py

LoRA (Hu et al., "LoRA: low-rank adaptation of large language models", 2021) leaves the weights as they are and adds to each
a product of two thin matrices, which alone are trained: here those of all linear maps, to the source of Python's standard library.
What has been learnt is a small file beside the large one; merged into the weights, it costs nothing when the model is used.

The picture, out/lora/lora.png, shows the loss on held-out source and on the documentation, and the same beginnings continued by both
models. Training resumes where it was interrupted. If there are no parameters of chars.py, the start is a model that knows nothing.
"""

import argparse
import ast
import pathlib

import chars
import matplotlib
import numpy as np
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, optim, random, tree

RANK = 4


def sources():
    """The text of modules of the standard library, with indentation but without what is not of the alphabet."""
    names = [
        "argparse",
        "ast",
        "configparser",
        "dataclasses",
        "inspect",
        "logging/__init__",
        "pathlib",
        "shutil",
        "tarfile",
    ]
    library = pathlib.Path(ast.__file__).parent
    files = [library / f"{name}.py" for name in names]
    return chars.encode("\n\n".join(file.read_text(encoding="utf-8") for file in files if file.exists()))


def whole_pieces(text, every):
    rows = text[: len(text) // (chars.CONTEXT + 1) * (chars.CONTEXT + 1)].reshape(-1, chars.CONTEXT + 1)
    return fn.array(rows[::every])


def train(adapted, params, text, tests, steps, seed, checkpoints):
    trained, frozen = tree.partition(params, nn.trainable(adapted))
    opt = optim.adam(optim.schedules.warmup_cosine(5e-3, warmup_steps=max(1, steps // 20), steps=steps))

    def loss_fn(trained, text):
        return chars.loss_fn(tree.merge(trained, frozen), text, adapted)

    @fn.compile(donate=("trained", "opt_state"))
    def step(trained, opt_state, text, key):
        """Only the adapters are differentiated, so they alone have gradients and an optimiser's state."""
        loss, grads = fn.value_and_grad(loss_fn)(trained, chars.pieces(key, text))
        delta, opt_state = opt.update(grads, opt_state, trained)
        return optim.apply_updates(trained, delta), opt_state, loss

    test_loss = fn.compile(loss_fn)
    trained = tree.map(lambda p: p + 0, trained)  # a copy: the first is donated
    losses = np.full((steps + 1, 2), np.nan, np.float32)
    losses[0] = [test_loss(trained, test).item() for test in tests]
    state = {"trained": trained, "opt": opt.init(trained), "losses": losses}
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state).tree
    trained, opt_state, losses = state["trained"], state["opt"], np.array(state["losses"])
    progress = tqdm(range(start, steps), desc="fine-tuning", unit="step", initial=start, total=steps)
    for i in progress:
        trained, opt_state, _ = step(trained, opt_state, text, random.fold_in(random.key(seed), i))
        if (i + 1) % max(1, steps // 10) == 0 or i + 1 == steps:
            losses[i + 1] = [test_loss(trained, test).item() for test in tests]
            progress.set_postfix(source=f"{losses[i + 1, 0]:.3f}", documentation=f"{losses[i + 1, 1]:.3f}")
            checkpoints.save(i + 1, {"trained": trained, "opt": opt_state, "losses": losses})
    return trained, frozen, losses


def draw(path, losses, samples):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained", width_ratios=(1, 1, 1))
    seen = np.flatnonzero(np.isfinite(losses[:, 0]))
    panels[0].plot(seen, losses[seen, 0], "o-", markersize=4, label="held-out source")
    panels[0].plot(seen, losses[seen, 1], "s--", markersize=4, color="0.6", label="documentation")
    panels[0].set(xlabel="step", ylabel="loss per character, nats", title="Fine-tuning", ylim=(0, None))
    panels[0].legend(frameon=False)
    for panel, (name, text) in zip(panels[1:], samples.items(), strict=True):
        panel.axis("off")
        panel.set_title(name, loc="left")
        panel.text(
            0,
            0.97,
            chars.wrapped(text, 58),
            va="top",
            family="monospace",
            fontsize=8,
            transform=panel.transAxes,
            parse_math=False,
            clip_on=True,
        )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=pathlib.Path, default=pathlib.Path("out/chars/chars.safetensors"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/lora"))
    args = parser.parse_args(arguments)

    base = chars.model.init(random.key(args.seed))
    if args.start.exists():
        base = fn.io.load(args.start, like=base)
    else:
        print(f"{args.start} is not there: run chars.py first to start from what it has learnt")
    adapted, params = nn.lora(chars.model, base, "body.**", rank=RANK, scale=4.0, key=random.key(args.seed + 1))

    text = sources()
    cut = len(text) * 9 // 10
    tests = whole_pieces(text[cut:], 4), whole_pieces(chars.documentation(), 40)
    checkpoints = fn.io.CheckpointManager(args.out / f"checkpoints-{args.steps}-{args.seed}", keep_last=2)
    trained, frozen, losses = train(adapted, params, fn.array(text[:cut]), tests, args.steps, args.seed, checkpoints)
    print(f"trained {tree.count(trained):,} of {tree.count(params):,} parameters")
    print(f"loss on held-out source: {losses[0, 0]:.3f} before, {losses[-1, 0]:.3f} after")
    fn.io.save(args.out / "adapters.safetensors", trained)

    plain, merged = nn.merge_lora(adapted, tree.merge(trained, frozen))
    if plain != chars.model:
        raise SystemExit("merging has to give back the layers of chars.py")
    samples = {}
    for name, weights in [("Before", base), ("After", merged)]:
        written = [
            chars.decode(np.asarray(chars.write(weights, fn.array(chars.encode(prompt)), random.key(7)[None], 0.5))[0])
            for prompt in ("\ndef ", "\nclass ", "\n    if ", "\n    return ", "\nimport ", "\n# ")
        ]
        samples[name] = "\n[...]\n".join(piece.strip() for piece in written)
        print(f"\n{name}:\n{samples[name]}")
    picture = args.out / "lora.png"
    draw(picture, losses, samples)
    print(f"\npicture: {picture}")


if __name__ == "__main__":
    main()
