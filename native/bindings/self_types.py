"""Let the methods of arrays in the generated stubs return arrays of their own class: what a mutable array gives is mutable.

Usage: python self_types.py STUB. The signatures of the extension module cannot say it.
"""

import pathlib
import re
import sys

stub = pathlib.Path(sys.argv[1])
text = stub.read_text()


def block(header: str) -> "re.Match[str]":
    found = re.search(rf"^class {header}\n(?:[ \t].*\n|\n)+", text, re.MULTILINE)
    assert found, f"{stub} has no class {header}"
    return found


def returning(signatures: str, names: "dict[str, str]") -> str:
    return re.sub(r"-> .*", lambda result: re.sub(r"\b\w+\b", lambda n: names.get(n[0], n[0]), result[0]), signatures)


# The parts of a mutable array, whose updates are mutable.
parts = returning(block("ArrayAt:")[0], {"array": "mutable_array", "ArrayAt": "_MutableAt"})
text += "\n" + parts.replace("class ArrayAt:", "class _MutableAt(ArrayAt):").rstrip() + "\n"

own = block("array:")
text = text[: own.start()] + returning(own[0], {"array": "Self"}) + text[own.end() :]

init = block(r"mutable_array\(array\):").start()
init = text.index("    def __init__", init)
text = text[:init] + "    @property\n    def at(self) -> _MutableAt: ...\n\n" + text[init:]

stub.write_text(text.replace("\nimport numpy\n", "\nfrom typing_extensions import Self\nimport numpy\n", 1))
