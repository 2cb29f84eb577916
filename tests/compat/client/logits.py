"""Build every model of mlx-lm from its tiny configuration, run it, and save what comes out.

    python -m tests.compat.client.logits mlx OUT.npz [NAMES]       # MLX itself
    python -m tests.compat.client.logits funcnn OUT.npz [NAMES]    # the shim
    python -m tests.compat.client.logits compare MLX.npz FUNCNN.npz
    python -m tests.compat.client.logits freeze MLX.npz                # write logits.json, what the tests hold the shim to
    python -m tests.compat.client.logits document                      # write the table of docs/mlx_lm.md from it

For each model: a digest of the weights that seed 0 gives, the logits of a prompt without a cache, with one, and of three steps of
decoding, and the messages of what failed. The weights are then changed by a fixed noise, so that none is zero or one as its layer
starts it.
"""

import importlib
import json
import pathlib
import sys
import traceback
import zlib
from typing import Any

import numpy as np
from tests.compat.client.architectures import NEEDS, configuration, names

FROZEN = pathlib.Path(__file__).with_name("logits.json")
PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "mlx_lm.md"
PROMPT, STEPS = 7, 3
TOLERANCE = 1e-4


def run(name: str) -> dict[str, np.ndarray]:
    """Return what the model called `name` computes."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.models.cache import make_prompt_cache

    module = importlib.import_module(f"mlx_lm.models.{name}")
    mx.random.seed(0)
    model: Any = module.Model(module.ModelArgs.from_dict(configuration(name)))
    weights = sorted(tree_flatten(model.parameters()))
    host = {key: np.array(value.astype(mx.float32)) for key, value in weights}
    result = {"names": np.array([f"{key} {w.shape} {str(w.dtype).split('.')[-1]}" for key, w in weights])}
    result["weights"] = np.array([[float(w.sum()), float(np.abs(w).sum())] for w in host.values()])

    noise = np.random.default_rng(0)
    changed = []
    for key, value in weights:
        if mx.issubdtype(value.dtype, mx.floating):
            noisy = host[key] + 0.1 * noise.standard_normal(value.shape, np.float32)
            changed.append((key, mx.array(noisy).astype(value.dtype)))
        elif value.dtype == mx.uint32:  # packed
            changed.append((key, mx.array(noise.integers(0, 1 << 32, value.shape, np.uint32))))
    model.update(tree_unflatten(changed))
    model.eval()

    def values(array: Any) -> np.ndarray:
        return np.array(array.astype(mx.float32))

    tokens = np.random.default_rng(1).integers(0, 90, (2, PROMPT + STEPS))
    result["plain"] = values(model(mx.array(tokens[:, :PROMPT])))
    cache = make_prompt_cache(model)
    result["prefill"] = values(model(mx.array(tokens[:, :PROMPT]), cache=cache))
    steps = [values(model(mx.array(tokens[:, i : i + 1]), cache=cache)) for i in range(PROMPT, PROMPT + STEPS)]
    result["steps"] = np.stack(steps)
    return result


def collect(target: str, wanted: list[str]) -> None:
    """Run the models and save their results."""
    out: dict[str, np.ndarray] = {}
    for name in wanted or names():
        if name in NEEDS:
            out[f"{name}/error"] = np.array(f"needs {NEEDS[name]}")
            continue
        try:
            for key, value in run(name).items():
                out[f"{name}/{key}"] = value
            print("ran   ", name)
        except Exception as error:
            out[f"{name}/error"] = np.array(f"{type(error).__name__}: {error}")
            last = traceback.extract_tb(error.__traceback__)[-1]
            print("failed", name, f"{type(error).__name__}: {str(error)[:300]}", f"({last.filename}:{last.lineno})")
        sys.stdout.flush()
    np.savez(target, **out)


def digest(found: Any) -> dict[str, Any]:
    """Return what the tests hold of each model's results: a few numbers, and their largest."""
    short: dict[str, Any] = {}
    for name in sorted({key.split("/")[0] for key in found.files}):
        if f"{name}/error" in found:
            short[name] = str(found[f"{name}/error"])
            continue
        names, weights = found[f"{name}/names"], found[f"{name}/weights"]
        short[name] = {"names": zlib.crc32("\n".join(names.tolist()).encode()), "weights": _short(weights.sum(axis=0))}
        for key in ("plain", "prefill", "steps"):
            values = found[f"{name}/{key}"]
            values = values[np.isfinite(values)]
            short[name][key] = _short([*values[:: values.size // 5 + 1], np.abs(values).mean(), np.abs(values).max()])
    return short


def _short(values: Any) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def table(ours: Any, theirs: Any) -> dict[str, str]:
    """Return what became of each model: "same", or how the first is unlike the second."""
    found: dict[str, str] = {}
    for name in sorted({key.split("/")[0] for key in theirs.files}):
        if f"{name}/error" in theirs:
            found[name] = f"MLX: {theirs[f'{name}/error']}"
        elif f"{name}/error" in ours:
            found[name] = f"funcnn: {ours[f'{name}/error']}"
        elif f"{name}/names" not in ours:
            found[name] = "not run"
        else:
            found[name] = difference(name, ours, theirs)
    return found


def page() -> str:
    """Return the text of docs/mlx_lm.md with the table of the architectures as logits.json has it."""
    frozen = json.loads(FROZEN.read_text())
    same = ", ".join(f"`{name}`" for name, state in frozen.items() if isinstance(state, dict))
    rows = [
        "| state | architectures |",
        "|---|---|",
        f"| build, and give the same logits | {same} |",
        *(
            f"| do not run on MLX's CPU either ({state.split(': ')[-1].rstrip('.')}) | `{name}` |"
            for name, state in frozen.items()
            if isinstance(state, str)
        ),
    ]
    before, _, after = PAGE.read_text().partition("<!-- architectures -->")
    return f"{before}<!-- architectures -->\n{chr(10).join(rows)}\n<!-- end -->{after.partition('<!-- end -->')[2]}"


def difference(name: str, ours: Any, theirs: Any) -> str:
    """Compare the results of one model."""
    mine, other = ours[f"{name}/names"].tolist(), theirs[f"{name}/names"].tolist()
    if mine != other:
        return f"other weights: {sorted(set(mine) ^ set(other))[:4]}"
    for key, bound in (("weights", 1e-3), ("plain", TOLERANCE), ("prefill", TOLERANCE), ("steps", TOLERANCE)):
        a, b = ours[f"{name}/{key}"], theirs[f"{name}/{key}"]
        if np.isnan(b).any():
            return f"MLX: {key} are not numbers"
        finite = np.isfinite(b)
        if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite]):
            return f"{key} differ in shape or infinities"
        off = np.abs(a[finite] - b[finite]).max() / max(1.0, float(np.abs(b[finite]).max()))
        if not off <= bound:
            return f"{key} off by {off:.2g}"
    return "same"


def main(arguments: list[str]) -> None:
    """Carry out the command line."""
    if arguments[0] == "compare":
        theirs, ours = np.load(arguments[1]), np.load(arguments[2])
        found = table(ours, theirs)
        for name, state in found.items():
            if state != "same":
                print(f"{name:24} {state}")
        print(f"{sum(state == 'same' for state in found.values())} of {len(found)} the same")
        return
    if arguments[0] == "freeze":
        lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in digest(np.load(arguments[1])).items()]
        FROZEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return
    if arguments[0] == "document":
        PAGE.write_text(page())
        return
    if arguments[0] == "funcnn":
        import funcnn.compat

        funcnn.compat.install()
    collect(arguments[1], arguments[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
