"""What the documentation shows is what happens: its Python blocks run, and so do the examples of all docstrings."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import pytest

import funcnn as fn
from funcnn import compat

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page):
    """The (language, line, text) of a page's code blocks."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        yield match[1], text.count("\n", 0, match.start()) + 2, match[2]


def run_examples(text, name, filename, line, namespace):
    test = doctest.DocTestParser().get_doctest(text, namespace, name, filename, line)
    test.globs = namespace  # not the copy that the parser made: later blocks see the names
    report = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)


@pytest.fixture
def names_of_mlx():
    """A page may install the shim; the tests after it do without."""
    yield
    compat.uninstall()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page, tmp_path, monkeypatch, capsys, names_of_mlx):
    """The Python blocks of a page run in order and share their names; a text block after one is what it prints."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    before = None
    for language, line, text in blocks(page):
        if language == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), namespace)
            printed = capsys.readouterr().out
        elif language == "pycon":
            run_examples(text, page.name, str(page), line, namespace)
        elif language == "text" and before == "python":
            # How much memory a product takes beside its result depends on the machine.
            shown, printed = (re.sub(r"peak [\d.]+ \w+", "peak", t) for t in (text, printed))
            assert doctest.OutputChecker().check_output(shown, printed, FLAGS), (
                f"{page}, line {line}, prints\n{printed}"
            )
        before = language


def public_modules():
    yield fn
    for info in pkgutil.walk_packages(fn.__path__, "funcnn."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            yield importlib.import_module(info.name)


def documented():
    """Every public object with an example, by its public name; nanobind's functions are invisible to doctest's finder."""
    seen = set()

    def visit(name, value):
        doc = getattr(value, "__doc__", None)
        if id(value) in seen or isinstance(value, (int, float, str, bytes, tuple, list, dict)):
            return
        seen.add(id(value))
        if isinstance(doc, str) and ">>>" in doc:
            yield name, doc
        if inspect.isclass(value):
            for member, child in vars(value).items():
                if not member.startswith("_") or member in {"__call__", "__init__"}:
                    yield from visit(f"{name}.{member}", child)

    for module in public_modules():
        yield from visit(module.__name__, module)
        for name in getattr(module, "__all__", [n for n in dir(module) if not n.startswith("_")]):
            value = getattr(module, name)
            if not inspect.ismodule(value) and str(getattr(value, "__module__", "funcnn")).startswith("funcnn"):
                yield from visit(f"{module.__name__}.{name}", value)


DOCUMENTED = list(documented())


@pytest.mark.parametrize("name, doc", DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_docstring(name, doc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"fn": fn}
    for info in pkgutil.iter_modules(fn.__path__):
        if not info.name.startswith("_"):
            namespace[info.name] = importlib.import_module(f"funcnn.{info.name}")
    run_examples(inspect.cleandoc(doc), name, name, 0, namespace)
