"""The software device under test, in the state that a test asks for."""

import os
import pathlib

import pytest
from metal_host import LIBRARY, Host


@pytest.fixture(scope="session")
def shared_host():
    if not LIBRARY.exists():
        pytest.skip("`make metal` builds the software Metal device")
    here = pathlib.Path(__file__).parent
    newest = max(file.stat().st_mtime for kind in ("cpp", "h") for file in here.glob(f"*/*.{kind}"))
    if LIBRARY.stat().st_mtime < newest:
        pytest.fail("the software Metal device is older than its sources, which it reads in part: run `make metal`")
    return Host()


@pytest.fixture
def host(shared_host, monkeypatch):
    """As a program finds it."""
    for name in [name for name in os.environ if name.startswith("SOFTWARE_METAL_")]:
        if name not in ("SOFTWARE_METAL_CACHE", "SOFTWARE_METAL_CLANG"):
            monkeypatch.delenv(name)
    read = shared_host.runtime.library.software_metal_read_options
    read()
    shared_host.set_options = lambda **options: (
        [monkeypatch.setenv(f"SOFTWARE_METAL_{name.upper()}", str(value)) for name, value in options.items()],
        read(),
    )
    yield shared_host
    monkeypatch.undo()
    read()


@pytest.fixture
def checked(host):
    """With the checker on."""
    host.set_options(check=1, strict=1)
    return host
