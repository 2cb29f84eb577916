"""What users do with mlx-lm, on the small model: each scenario returns what can be compared between two libraries.

python -m tests.compat.client.scenarios mlx OUT.json [NAMES]       # MLX itself
python -m tests.compat.client.scenarios funcnn OUT.json [NAMES]    # the shim
python -m tests.compat.client.scenarios compare MLX.json FUNCNN.json
"""

import json
import pathlib
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from tests.compat.client import tiny_model

__all__ = ["SCENARIOS", "differences", "load", "scenario"]

SCENARIOS: dict[str, Callable[[pathlib.Path], Any]] = {}
PROMPT = "the fox eats grapes and the dog eats"


def scenario(function: Callable[[pathlib.Path], Any]) -> Callable[[pathlib.Path], Any]:
    """Enter a scenario in the table."""
    SCENARIOS[function.__name__] = function
    return function


def load(folder: pathlib.Path, name: str = "model", **options: Any) -> Any:
    """Return model and tokenizer, made where they are not there."""
    import mlx_lm

    if name in ("model", "draft") and not (folder / name).exists():
        layers, seed = (2, 0) if name == "model" else (1, 1)
        tiny_model.save_model(folder / name, seed=seed, layers=layers)
    return mlx_lm.load(str(folder / name), **options)


def differences(ours: Any, theirs: Any, tolerance: float = 1e-4, at: str = "") -> Iterator[str]:
    """Yield where two results differ: numbers by more than the tolerance, anything else at all."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and ours.keys() == theirs.keys():
        for key in theirs:
            yield from differences(ours[key], theirs[key], tolerance, f"{at}/{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(mine, other, tolerance, f"{at}/{i}")
    elif isinstance(theirs, float) and isinstance(ours, float):
        if not (ours == theirs or abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))):
            yield f"{at}: {ours}, in MLX {theirs}"
    elif type(ours) is not type(theirs) or ours != theirs:
        yield f"{at}: {ours!r}, in MLX {theirs!r}"


def main(arguments: list[str]) -> None:
    """Carry out the command line."""
    if arguments[0] == "compare":
        theirs, ours = (json.loads(pathlib.Path(path).read_text()) for path in arguments[1:])
        for name in theirs:
            found = list(differences(ours.get(name), theirs[name]))
            print(f"{name:20} {f'{len(found)} differences' if found else 'same'}")
            print(*(f"    {line[:200]}\n" for line in found[:8]), sep="", end="")
        return
    if arguments[0] == "funcnn":
        import funcnn.compat

        funcnn.compat.install()
    from tests.compat.client import chatting, generation, learning, quantising, serving, tuning  # noqa: F401  they fill the table

    results: dict[str, Any] = {}
    for name in arguments[2:] or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                results[name] = SCENARIOS[name](pathlib.Path(folder))
                print("ran   ", name)
            except Exception as error:
                traceback.print_exc()
                results[name] = f"{type(error).__name__}: {error}"
                print("failed", name, results[name])
        sys.stdout.flush()
    pathlib.Path(arguments[1]).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    # Under its own name, so that the other modules fill this table.
    from tests.compat.client import scenarios

    scenarios.main(sys.argv[1:])
