"""Whole trainings, step by step and compiled, with the losses that MLX has."""

import pytest
from tests.compat.training_jobs import JOBS, LOSSES, train


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("job", JOBS)
def test_losses(job, way):
    """The optimiser's state is made in the first step, of the compiled function too; the last step has another shape."""
    assert train(job, way) == pytest.approx(LOSSES[job], rel=2e-4)
