"""Running a program as ``python`` would, with ``mlx`` naming the shim."""

from __future__ import annotations

import io
import os
import pathlib
import pkgutil
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from types import CodeType, TracebackType
from typing import Any, NoReturn

from ._install import install

USAGE = """\
usage: python -m funcnn.compat SCRIPT [ARGS...]
       python -m funcnn.compat -m MODULE [ARGS...]
       python -m funcnn.compat -c CODE [ARGS...]

Run a program written for MLX on funcnn: as python runs it, with the modules of mlx being those of funcnn.compat.
SCRIPT may be a file, a folder or an archive with a __main__.py, or - for the standard input.
"""


def main(arguments: list[str]) -> NoReturn:
    """Run what the arguments say; an exception ends the process as it would end one of ``python``."""
    if not arguments or (arguments[0] in {"-m", "-c"} and len(arguments) < 2):
        sys.stderr.write(USAGE)
        sys.exit(2)
    if arguments[0] in {"-h", "--help"}:
        sys.stdout.write(USAGE)
        sys.exit(0)
    if arguments[0].startswith("-") and arguments[0] not in {"-", "-m", "-c"}:
        sys.stderr.write(f"python -m funcnn.compat: unknown option {arguments[0]}\n{USAGE}")
        sys.exit(2)
    install()
    _tell_children()
    try:
        _run(arguments)
    except (SystemExit, KeyboardInterrupt):
        raise  # The interpreter's business: exit codes, and dying of the signal.
    except BaseException as error:
        _report(error)
        sys.exit(1)
    sys.exit(0)


def _tell_children() -> None:
    """Let Python processes that the program starts find, as ``mlx``, a package that installs the shim there."""
    paths = [str(pathlib.Path(__file__).parent / "_children")]
    if inherited := os.environ.get("PYTHONPATH"):
        paths += [path for path in inherited.split(os.pathsep) if path != paths[0]]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _run(arguments: list[str]) -> None:
    what, *rest = arguments
    if what == "-m":
        sys.argv = ["-m", *rest[1:]]
        _fresh_main()
        runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]
    elif what == "-c":
        sys.argv = ["-c", *rest[1:]]
        _first_on_path("")
        _execute(compile(rest[0] + "\n", "<string>", "exec", dont_inherit=True), _fresh_main())
    elif what == "-":
        sys.argv = ["-", *rest]
        _first_on_path("")
        _execute(
            compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True),
            _fresh_main(__file__="<stdin>", __cached__=None),
        )
    else:
        sys.argv = arguments
        _run_script(what)


def _run_script(script: str) -> None:
    if pkgutil.get_importer(script) is not None:  # a folder or an archive
        if _safe_path():
            sys.path.insert(0, "")
        sys.path[0] = _absolute(script)
        _fresh_main()
        runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
        return
    path = _absolute(script)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n")
        sys.exit(2)
    _first_on_path(os.path.dirname(os.path.realpath(path)))
    if path.endswith(".pyc"):
        loader: Any = SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        loader = SourceFileLoader("__main__", path)
        code = compile(source, path, "exec", dont_inherit=True)
    _execute(code, _fresh_main(__file__=path, __loader__=loader, __cached__=None))


def _absolute(path: str) -> str:
    return os.path.join(os.getcwd(), path)  # not normalised, which may lead past a link


def _safe_path() -> bool:
    return bool(getattr(sys.flags, "safe_path", False) or sys.flags.isolated)


def _first_on_path(entry: str) -> None:
    """Replace the current folder, which ``python -m`` has put first unless it was told not to."""
    if not _safe_path():
        sys.path[0] = entry


def _fresh_main(**names: Any) -> dict[str, Any]:
    """The name space of ``__main__`` as the interpreter makes it, without what the shim's own start has put there."""
    main = vars(sys.modules["__main__"])
    for name in list(main):
        if name not in {"__name__", "__builtins__", "__annotations__"}:
            del main[name]
    # The interpreter gives __main__ this loader before it knows what will run.
    main.update({"__doc__": None, "__package__": None, "__loader__": BuiltinImporter, "__spec__": None, **names})
    return main


def _execute(code: CodeType, main: dict[str, Any]) -> None:
    exec(code, main)


def _report(error: BaseException) -> None:
    """Print the traceback from the program's first frame on."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    error.__traceback__ = trace
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    sys.excepthook(type(error), error, trace)
