import pytest

import funcnn as fn


@pytest.fixture
def cpu_by_default():
    """For tests that say themselves where things are."""
    with fn.default_device("cpu"):
        yield
