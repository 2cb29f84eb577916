"""docs/compat.md says of every name of MLX whether the shim has it as MLX does."""

import importlib.util
import json
import pathlib
import re
import sys

import pytest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"

if not (TOOLS / "compat_page.py").exists():
    pytest.skip("the tools are in the repository only", allow_module_level=True)


def tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    path, sys.path = sys.path, [str(TOOLS), *sys.path]
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path = path
    return module


@pytest.fixture(scope="module")
def frozen():
    return json.loads((TOOLS / "compat_names.json").read_text())


def test_page_is_up_to_date(frozen):
    compat_page = tool("compat_page")
    assert compat_page.PAGE.read_text() == compat_page.page(frozen), "run: .venv/bin/python tools/compat_page.py"


def test_no_name_has_two_differences():
    keys = re.findall(r'^    "([\w.]+)":', (TOOLS / "compat_differences.py").read_text(), re.MULTILINE)
    assert len(keys) == len({*keys})


def test_names_are_there(frozen):
    names = {group: members for group, members in frozen.items() if group != "version"}
    # Which every class has since Python 3.11.
    known = {"core.array.__getstate__"} if sys.version_info < (3, 11) else set()
    assert {*tool("compat_page").missing(names)} == known


def test_names_are_those_of_mlx(frozen):
    mlx = pytest.importorskip("mlx.core")
    if mlx.__version__ != frozen["version"]:
        pytest.skip(f"the names are those of mlx {frozen['version']}")
    names = {group: members for group, members in frozen.items() if group != "version"}
    assert names == tool("compat_names").names()
