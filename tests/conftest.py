"""Settings for the whole suite."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Timing says nothing about correctness, and a first call plans.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("default"), max_examples=10)
# The same examples every time: a submission is judged by its change, not by its luck.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the arrays of the tests live, for example: reference")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "immediate: measures memory, or errors of eval, of a device that computes at once"
    )
    if (device := config.getoption("--device")) != "cpu":
        import funcnn

        funcnn.set_default_device(device)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") != "cpu":
        late = pytest.mark.skip(reason="the device computes later")
        for item in items:
            if "immediate" in item.keywords:
                item.add_marker(late)
