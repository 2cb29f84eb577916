"""Programs of a line and what they come to, the same on funcnn.compat and on MLX.

A case is ``program -> outcome``: statements separated by ``; ``, the last an expression. The outcomes were printed by MLX,

    FUNCNN_COMPAT_LIBRARY=mlx python -m tests.compat.core.expressions < PROGRAMS

and are compared with what the library under test gives: dtype, shape and elements of arrays, `repr` of anything else, the
class of an error.
"""

import sys
from typing import Any

import numpy as np
from tests.compat.library import mx

ERROR = "!"


def namespace() -> dict[str, Any]:
    return {
        "mx": mx,
        "np": np,
        "x": mx.arange(6).reshape(2, 3),
        "y": mx.arange(24).reshape(2, 3, 4),
        "v": mx.arange(5),
        "f": mx.array([1.0, 2.0, 3.0]),
        "s": mx.array(3),
        "b": mx.array([True, False]),
        "u": mx.array([1, 2], mx.uint8),
        "h": mx.array([1, 2], mx.float16),
        "c": mx.array([1 + 2j]),
        "e": mx.zeros((0, 3)),
    }


def shown(value: Any) -> str:
    if isinstance(value, mx.array):
        assert type(value) is mx.array
        return f"{str(value.dtype).rpartition('.')[2]} {list(value.shape)} {value.tolist()}"
    if type(value) in (tuple, list):
        inner = ", ".join(shown(item) for item in value)
        return f"[{inner}]" if type(value) is list else f"({inner},)"
    return repr(value).replace("\n", "\\n")


def run(program: str) -> Any:
    *statements, expression = program.split("; ")
    names = namespace()
    exec("\n".join(statements), names)
    value = eval(expression, names)
    if isinstance(value, mx.array):
        mx.eval(value)
    return value


def outcome(program: str) -> tuple[str, BaseException | None]:
    try:
        return shown(run(program)), None
    except Exception as error:
        return f"{ERROR} {type(error).__name__}", error


def cases(text: str) -> list[tuple[str, str]]:
    """Read the cases of a table."""
    found = []
    for line in text.strip().splitlines():
        program, arrow, expected = line.partition(" -> ")
        assert arrow, line
        found.append((program.strip(), expected.strip()))
    assert len({program for program, _ in found}) == len(found)
    return found


def check(program: str, expected: str) -> None:
    got, error = outcome(program)
    if not expected.startswith(ERROR):
        assert got == expected, f"{program} -> {got}, expected {expected}" + (f" ({error!r})" if error else "")
        return
    # An error may be of a class that derives from MLX's.
    names = [cls.__name__ for cls in type(error).__mro__]
    assert expected[len(ERROR) :].strip() in names, f"{program} -> {got}, expected {expected} ({error!r})"


if __name__ == "__main__":
    for line in sys.stdin.read().splitlines():
        if program := line.partition(" -> ")[0].strip():
            print(f"{program} -> {outcome(program)[0]}")
