"""Let parameters in the generated stubs take what functions take for dtypes and shapes, which their texts call by one name."""

import pathlib
import re
import sys


def widened(definition: re.Match[str]) -> str:
    name, parameters, result = definition.groups()
    parameters = re.sub(r"\bDtype\b", "DtypeLike", parameters)
    return name + re.sub(r"\bshape: int \| Sequence\[int\]", "shape: ShapeLike", parameters) + result


stub = pathlib.Path(sys.argv[1])
stub.write_text(re.sub(r"^( *def \w+)(\(.*\))( -> .*)$", widened, stub.read_text(), flags=re.MULTILINE))
