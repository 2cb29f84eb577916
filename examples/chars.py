"""Train a transformer on the text of Python's own documentation, character by character, and let it write.

    python examples/chars.py

The text is what `help()` prints about the language, about 460,000 characters that come with every Python. The model predicts each
character from up to 127 before it; after a minute of training 97 % of the words that it writes cautiously are words of the
documentation, and some lines could be taken for it. Writing goes character by character through a cache of keys and values: a `scan`
whose carry is the cache.

The picture, out/chars/chars.png, shows the losses on the text and on a held-out tenth of it, and what the model writes when it is
cautious and when it is not. The sample is in out/chars/sample.txt. Training resumes where it was interrupted; the parameters are the
start of `lora.py`.
"""

import argparse
import pathlib
import re
import textwrap
from pydoc_data.topics import topics

import matplotlib
import numpy as np
from tqdm import tqdm

import funcnn as fn
from funcnn import nn, optim, random, tree

ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
CONTEXT = 128
BATCH = 16


class Writer(nn.Layer):
    """Scores for the next character at each place; with a cache, also the new cache."""

    tokens: nn.Layer
    places: nn.Layer
    body: nn.Layer
    head: nn.Layer

    def __call__(self, params, text, cache=None):
        start = 0 if cache is None else cache[0].offset
        places = start + fn.arange(text.shape[1])
        x = self.tokens(params["tokens"], text) + self.places(params["places"], places)
        if cache is None:
            return self.head(params["head"], self.body(params["body"], x, "causal"))
        x, cache = self.body(params["body"], x, "causal", cache)
        return self.head(params["head"], x), cache


def writer(width=96, depth=3, heads=4):
    return Writer(
        tokens=nn.Embedding(len(ALPHABET), width),
        places=nn.Embedding(CONTEXT, width),
        body=nn.TransformerEncoder(depth, width, heads, activation=nn.gelu),
        head=nn.Linear(width, len(ALPHABET)),
    )


model = writer()


def encode(text):
    """The characters of the alphabet in a text, as numbers."""
    codes = {character: i for i, character in enumerate(ALPHABET)}
    return np.array([codes[c] for c in text if c in codes], np.int32)


def decode(numbers):
    return "".join(ALPHABET[i] for i in numbers)


def documentation():
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return encode(re.sub(r"\n{3,}", "\n\n", text))


def loss_fn(params, text, model=model):
    """The mean loss of each character given those before it; `text` has one character more than the model reads."""
    return nn.losses.cross_entropy(model(params, text[:, :-1]), text[:, 1:], reduction="mean")


def pieces(key, text):
    """A batch of pieces of the text that begin anywhere."""
    starts = random.randint(key, 0, len(text) - CONTEXT, (BATCH,))
    return text[starts[:, None] + fn.arange(CONTEXT + 1)]


def make_step(opt, model=model):
    @fn.compile(donate=("params", "opt_state"))
    def step(params, opt_state, text, key):
        loss, grads = fn.value_and_grad(loss_fn)(params, pieces(key, text), model)
        delta, opt_state = opt.update(grads, opt_state, params)
        return optim.apply_updates(params, delta), opt_state, loss

    return step


held_out_loss = fn.compile(loss_fn)


@fn.compile
def write(params, prompt, keys, temperature):
    """Continue a prompt, once for each key, until the context is full: characters as numbers, (len(keys), CONTEXT)."""

    def step(carry, at):
        token, cache = carry
        given, place = at
        scores, cache = model(params, token[:, None], cache)
        drawn = fn.vmap(lambda key, s: random.categorical(random.fold_in(key, place), s))(
            keys, scores[:, 0] / temperature
        )
        token = fn.where(given >= 0, given, drawn.astype(fn.int32))
        return (token, cache), token

    first = fn.broadcast_to(prompt[0], (len(keys),))
    given = fn.concatenate([prompt[1:], fn.full((CONTEXT - len(prompt),), -1, fn.int32)])
    cache = model.body.init_cache(len(keys), CONTEXT)
    _, tokens = fn.scan(step, (first, cache), (given, fn.arange(CONTEXT - 1)))
    return fn.concatenate([first[:, None], tokens.T], axis=1)


def known_words(written, text):
    """The share of the words (of three letters or more) that occur in a text."""
    words = re.findall(r"[A-Za-z]{3,}", written)
    known = set(re.findall(r"[A-Za-z]{3,}", decode(text)))
    return np.mean([word in known for word in words]) if words else 0.0


def train(text, held_out, steps, seed, checkpoints):
    rate = optim.schedules.warmup_cosine(3e-3, warmup_steps=max(1, steps // 20), steps=steps)
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate))
    step = make_step(opt)
    init_key, train_key = random.split(random.key(seed))
    params = model.init(init_key)
    state = {"params": params, "opt": opt.init(params), "losses": fn.full((steps, 2), fn.nan)}
    start = checkpoints.latest() or 0
    if start:
        state = checkpoints.restore(state).tree
    params, opt_state, losses = state["params"], state["opt"], np.array(state["losses"])
    test = held_out[: len(held_out) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)[::4]
    progress = tqdm(range(start, steps), desc="training", unit="step", initial=start, total=steps)
    for i in progress:
        params, opt_state, loss = step(params, opt_state, text, random.fold_in(train_key, i))
        losses[i, 0] = loss.item()
        if (i + 1) % max(1, steps // 15) == 0 or i + 1 == steps:
            losses[i, 1] = held_out_loss(params, test).item()
            progress.set_postfix(loss=f"{losses[i, 0]:.3f}", held_out=f"{losses[i, 1]:.3f}")
            checkpoints.save(i + 1, {"params": params, "opt": opt_state, "losses": losses})
    return params, losses


def wrapped(text, width=76):
    return "\n".join(part for line in text.strip().splitlines() for part in textwrap.wrap(line, width) or [""])


def draw(path, losses, samples):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", width_ratios=(1, 1.3))
    seen = np.flatnonzero(np.isfinite(losses[:, 1]))
    window = min(25, len(losses))
    smooth = np.convolve(losses[:, 0], np.ones(window) / window, "valid")
    left.plot(losses[:, 0], color="0.85", linewidth=0.8)
    left.plot(np.arange(len(smooth)) + window - 1, smooth, label="text")
    left.plot(seen, losses[seen, 1], "o-", markersize=4, label="held-out text")
    left.set(xlabel="step", ylabel="loss per character, nats", title="Learning to write", ylim=(0, 4.7))
    left.legend(frameon=False)
    right.axis("off")
    text = "\n\n".join(f"temperature {temperature}:\n\n{wrapped(sample)}" for temperature, sample in samples)
    right.text(0, 1, text, va="top", family="monospace", fontsize=8.5, transform=right.transAxes, parse_math=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/chars"))
    args = parser.parse_args(arguments)

    text = documentation()
    cut = len(text) * 9 // 10
    print(f"{len(text):,} characters; {tree.count(fn.eval_shape(model.init, random.key(0))):,} parameters")
    checkpoints = fn.io.CheckpointManager(args.out / f"checkpoints-{args.steps}-{args.seed}", keep_last=2)
    params, losses = train(fn.array(text[:cut]), fn.array(text[cut:]), args.steps, args.seed, checkpoints)
    fn.io.save(args.out / "chars.safetensors", params)

    prompt, samples = fn.array(encode("\nThe ")), []
    for temperature in (0.5, 0.8):
        keys = random.split(random.key(args.seed + 1), 20)
        written = [decode(row) for row in np.asarray(write(params, prompt, keys, temperature))]
        samples.append((temperature, "\n[...]".join(written[:3])))
        share = known_words(" ".join(written), text)
        print(f"temperature {temperature}: {share:.0%} of the words it writes occur in the documentation")
    sample = "\n\n".join(f"temperature {t}:\n{s}" for t, s in samples)
    (args.out / "sample.txt").write_text(sample)
    print(f"\n{sample}\n")
    picture = args.out / "chars.png"
    draw(picture, losses, samples)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
