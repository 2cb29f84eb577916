"""`python -m tests.compat.programs [NAMES]`: run them and print what they return as JSON."""

import importlib
import json
import pathlib
import sys

names = sys.argv[1:] or sorted(file.stem for file in pathlib.Path(__file__).parent.glob("[!_]*.py"))
results = {}
for name in names:
    try:
        results[name] = importlib.import_module(f"{__package__}.{name}").main()
    except Exception as error:
        error.add_note(f"in {name}") if hasattr(error, "add_note") else None
        raise
print(json.dumps({"mlx": sys.modules["mlx"].__name__, **results}))
