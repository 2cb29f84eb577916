"""Settings for the whole suite."""

import collections
import gc
import os
import re
import zlib

import pytest
from hypothesis import HealthCheck, settings

# As an oracle JAX computes on the host; on a GPU it would take most of the memory for itself.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Workers of the GPU in software, as many as there are processors for each process of the tests.
if processes := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("SOFTWARE_METAL_WORKERS", str(max(2, (os.cpu_count() or 1) // int(processes))))

# Timing says nothing about correctness, and a first call plans.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("default"), max_examples=10)
# The same examples every time: a submission is judged by its change, not by its luck.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
# Every example may bring kernels that have to be compiled.
settings.register_profile("compiled", settings.get_profile("default"), max_examples=8, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the arrays of the tests live, for example: reference")
    parser.addoption("--most", type=int, help="of each test at most so many cases: some, and always the same ones")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "immediate: measures memory, or errors of eval, of a device that computes at once"
    )
    config.addinivalue_line("markers", "quick: of many cases of a kind, the one to run where there is little time")
    config.addinivalue_line("markers", "whole: each case runs code of its own, and --most leaves none out")
    config.addinivalue_line("markers", "on_cpu: of arrays in the memory of the host, whatever device the tests run on")
    if (device := config.getoption("--device")) != "cpu":
        import funcnn

        funcnn.set_default_device(device)
        if device.startswith("gpu"):
            settings.load_profile("compiled")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What is collected here stays: or each collection of garbage would go through tens of thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if most := config.getoption("--most"):
        keep_some(config, items, most)
    if config.getoption("--device") != "cpu":
        late = pytest.mark.skip(reason="the device computes later")
        for item in items:
            if "immediate" in item.keywords:
                item.add_marker(late)


def keep_some(config, items, most):
    """Deselect all but `most` cases of each test. Their names decide by a hash: in an order of the parameters the ones
    kept might share a dtype or a layout."""
    cases = collections.defaultdict(list)
    for item in items:
        if "whole" not in item.keywords:
            cases[item.nodeid.partition("[")[0]].append((zlib.crc32(item.nodeid.encode()), item.nodeid))
    beyond = {name for named in cases.values() for _, name in sorted(named)[most:]}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in beyond])
    items[:] = [item for item in items if item.nodeid not in beyond]


@pytest.fixture(autouse=True)
def device_of_the_test(request):
    asked = request.config.getoption("--device")
    if asked == "cpu":
        yield
        return
    import funcnn

    on_cpu = "on_cpu" in request.keywords or "instruction_set" in request.fixturenames
    funcnn.set_default_device("cpu" if on_cpu else asked)
    yield
    funcnn.set_default_device(asked)  # the test may have set another
    # All that follow would compute elsewhere.
    assert str(funcnn.default_device()).startswith(asked.partition(":")[0]), "a stream was entered and never left"


@pytest.fixture
def cpu_by_default():
    """For tests that say themselves where things are."""
    import funcnn

    before = funcnn.set_default_device("cpu")
    yield
    funcnn.set_default_device(before)


@pytest.fixture(params=[True, False], ids=["fused", "unfused"])
def either_fusion(request):
    import funcnn

    before = funcnn.set_fusion(request.param)
    yield
    funcnn.set_fusion(before)


LACKING = re.compile(r"the device \S+ has no float64")


def lacks_float64(error):
    """Whether this error, or what it was raised from, says that the device has no float64."""
    if isinstance(group := getattr(error, "exceptions", None), tuple):
        return all(map(lacks_float64, group))
    while error is not None:
        if LACKING.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that needs float64 is skipped on a device without it, and counted."""
    report = yield
    elsewhere = item.config.getoption("--device") != "cpu"
    if elsewhere and report.failed and call.excinfo and lacks_float64(call.excinfo.value):
        report.outcome = "skipped"
        inner = call.excinfo.traceback[-1]  # of Python: whether a test asked for it, or the library did on its own
        where = f"{inner.path.name}:{inner.lineno + 1}"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: the device has no float64 ({where})")
        report.user_properties.append(("lacks", "float64"))
    return report


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    lacking = [r for r in skipped if ("lacks", "float64") in map(tuple, getattr(r, "user_properties", ()))]
    if lacking:
        terminalreporter.write_line(f"{len(lacking)} of the skipped tests need float64, which the device does not have")
