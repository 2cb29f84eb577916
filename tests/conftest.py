"""Settings for the whole suite."""

from hypothesis import HealthCheck, settings

# Timing says nothing about correctness, and a first call plans.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("default"), max_examples=10)
settings.load_profile("default")
