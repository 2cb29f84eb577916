"""The house stands: includes and imports run downward only."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"
PACKAGE = ROOT / "src" / "funcnn"

# What each folder may include besides itself.
BELOW = {
    "base": set(),
    "graph": {"base"},
    "ops": {"base", "graph"},
    "transforms": {"base", "graph", "ops"},
    "plan": {"base", "graph"},
    # Opaque primitives (dot, sort, ...) hand their parameters to kernels, hence ops.
    "backends": {"base", "graph", "plan", "ops"},
    "pytree": {"base", "graph", "ops", "transforms", "plan", "backends"},
    "bindings": {"base", "graph", "ops", "transforms", "plan", "backends", "pytree"},
}
KNOWS_PYTHON = {"pytree", "bindings"}

# Layers of the package, lowest first; a module imports from its own layer or below.
LAYERS = [
    ["_core", "_dll", "_arguments", "_hints"],
    ["tree", "checkpoint_policies"],
    ["__init__"],
    ["random", "linalg", "fft", "fast", "io", "debug", "metal"],
    ["nn", "optim"],
    ["testing"],
    ["compat"],
]

# A folder exists only once its first file has been written.
NATIVE_FILES = sorted(p for p in NATIVE.rglob("*") if p.suffix in {".h", ".cpp"})
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))


def name(path):
    return str(path.relative_to(ROOT))


def includes(path):
    """The (opening character, target) pairs of a file's includes."""
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def is_python_header(target):
    return target.startswith("nanobind/") or target in {"Python.h", "structmember.h"}


def test_includes_run_downward():
    for path in NATIVE_FILES:
        folder = path.relative_to(NATIVE).parts[0]
        assert folder in BELOW, f"{folder}/ is not a room of the house"
        for quote, target in includes(path):
            if is_python_header(target):
                assert folder in KNOWS_PYTHON, f"{name(path)} includes {target}: only bindings/ and pytree/ know Python"
            elif quote == '"':
                # Every include is written from native/, except of generated or neighbouring files.
                other = target.split("/")[0] if (NATIVE / target).exists() else folder
                assert other == folder or other in BELOW[folder], (
                    f"{name(path)} includes {target}: {folder} stands below {other}"
                )


def test_backends_do_not_know_each_other():
    for path in NATIVE_FILES:
        parts = path.relative_to(NATIVE).parts
        if parts[0] == "backends" and len(parts) > 2:
            own = parts[1]
            shared = {own, "gpu"} if own in {"metal", "cuda"} else {own}
            for _, target in includes(path):
                if target.startswith("backends/"):
                    assert target.split("/")[1] in shared, f"{name(path)} includes {target}"


def module_of(path):
    """The first component below funcnn: `nn` for src/funcnn/nn/_linear.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(module):
    """The layer's index. Private modules directly in the package make up `funcnn` itself."""
    for index, modules in enumerate(LAYERS):
        if module in modules:
            return index
    if module.startswith("_"):
        return 2
    raise AssertionError(f"funcnn.{module} has no layer: add it to LAYERS")


def imports(path):
    """The first components below funcnn that a file imports when it is itself imported (not within functions)."""
    package = ["funcnn", *path.relative_to(PACKAGE).parts[:-1]]

    def statements(body):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            yield node
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from statements(getattr(node, field, []))

    for node in statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            dotted = [".".join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for target in dotted:
            parts = target.split(".")
            if parts[0] != "funcnn" or len(parts) == 1:
                continue
            is_module = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists() or parts[1] == "_core"
            yield parts[1] if is_module else "__init__"


def test_imports_run_downward():
    for path in PYTHON_FILES:
        own = module_of(path)
        if own == "__init__":
            continue  # The face of the package lists every room.
        for target in imports(path):
            assert layer_of(target) <= layer_of(own), (
                f"{name(path)} imports funcnn.{target}, which stands above funcnn.{own}"
            )


def test_only_compat_creates_rebindable_arrays():
    """The mutable API is the shim's alone: what opens a handle is called by nothing else of the package."""
    opens = re.compile(r"with_rebindable\(.*, true\)")
    openers = {path.relative_to(NATIVE).as_posix() for path in NATIVE_FILES if opens.search(path.read_text())}
    assert openers and all(re.match(r"bindings/(mutable|shim|compiled_entry\.cpp)", f) for f in openers), openers
    for path in PYTHON_FILES:
        if module_of(path) != "compat":
            assert not re.search(r"_core\.(_mutable|_shim|_point|mutable_array)\b", path.read_text()), name(path)


def test_bindings_keep_to_the_stable_abi():
    """The wheel for CPython >= 3.12 is built without these; pytree/container.h has one version for each ABI."""
    for path in NATIVE_FILES:
        if path.relative_to(NATIVE) != pathlib.PurePath("pytree", "container.h"):
            beyond = re.findall(
                r"\bPy\w+_(?:GET|SET|AS)_[A-Z]+\b|\bPyGILState_Check\b|->(?:tp|ob)_\w+", path.read_text()
            )
            assert not beyond, f"{name(path)} uses {', '.join(beyond)}"


COMMENT_OR_TEXT = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL
)
SCOPE = re.compile(
    r"\bnamespace\b(?P<namespace>[\w:\s]*)\{"
    r"|\b(?:class|struct|union|enum(?:\s+class)?)\s+(?:\[\[\w+\]\]\s*|alignas\([^)]*\)\s*)?(?P<type>[\w:]+(?:<[^{};()]*>)?)"
    r"\s*(?:final\s*)?(?::[^;{}()]*)?\{"
    r"|[{}]"
)


def types_defined(text: str) -> set[str]:
    """The qualified names of types in namespaces that have names."""
    names, scopes = set(), []
    for found in SCOPE.finditer(COMMENT_OR_TEXT.sub(" ", text)):
        if found[0] == "}":
            scopes.pop()
        elif found["namespace"] is not None:
            scopes.append(found["namespace"].strip() or None)
        else:
            if found["type"] and None not in scopes:
                names.add("::".join([*scopes, found["type"]]))
            scopes.append(None)  # what is inside a type or a function has a name of its own
    return names


def test_types_of_one_name_are_one():
    """Linkers keep one destructor for all types of a name, and say nothing where there are two types."""
    defined: dict[str, set[str]] = {}
    for path in NATIVE_FILES:
        for name in types_defined(path.read_text()):
            defined.setdefault(name, set()).add(str(path.relative_to(NATIVE)))
    assert len(defined) > 500
    assert {name: sorted(places) for name, places in defined.items() if len(places) > 1} == {}
