"""python -m benchmarks.plan_memory: how near plans come to the least memory that their order allows.

Each training step runs in a process of its own. `planned` is the peak of its plan, beyond the arguments, which it may overwrite where
they are donated; `alive` is the largest set of values that are alive at once between two kernels, below which no
placement can go, `held` the largest while a kernel runs, which has what it reads last beside what it writes; `measured` is what the pool handed out beyond what was in use before the step.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

ROWS = {
    "mlp_train": "mlp_train",
    "cnn_train": "cnn_train",
    "lm_train": "lm_train",
    "lstm_train": "lstm_train",
    "checkpoint_train": "checkpoint_train",
    "no_checkpoint_train": "checkpoint_train",
    "per_example_grad": "per_example_grad",
    "adamw_update": "adamw_update",
}
PLANNED = re.compile(
    r"compiled graph of \d+ nodes: \d+ kernels, (\d+) bytes, (\d+) alive at once, (\d+) held by a step"
)


def measure(row: str) -> tuple[int, int, int, int]:
    """Bytes planned, alive at once, held by a kernel and measured, of the step of a workload."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.plan_memory", "--step", row],
        env={**os.environ, "FUNCNN_LOG": "plan"},
        capture_output=True,
        text=True,
        check=True,
    )
    planned = [tuple(map(int, found)) for found in PLANNED.findall(ran.stderr)]
    return *planned[-1], int(ran.stdout)


def step(row: str) -> None:
    """Run a workload's step and print what it takes beyond what is in use before."""
    import funcnn as fn

    run = importlib.import_module(f".{ROWS[row]}", __package__).build(row, "funcnn").step
    for _ in range(3):
        run()
    before = fn.get_active_memory()
    fn.reset_peak_memory()
    run()
    print(fn.get_peak_memory() - before)


def main() -> None:
    if "--step" in sys.argv:
        step(sys.argv[-1])
        return
    columns = ("alive, MB", "held, MB", "planned, MB", "measured, MB", "planned / alive", "planned / held")
    print(f"{'':20}" + "".join(f"{column:>17}" for column in columns))
    for row in ROWS:
        planned, alive, held, measured = measure(row)
        amounts = "".join(f"{n / 1e6:17.2f}" for n in (alive, held, planned, measured))
        print(f"{row:20}{amounts}" + "".join(f"{planned / n if n else 1.0:17.3f}" for n in (alive, held)))


if __name__ == "__main__":
    main()
