"""Settings for the whole suite."""

import os

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
    if (device := config.getoption("--device")) != "cpu":
        import funcnn

        funcnn.set_default_device(device)
