"""Hypothesis for every test of the repository: no test fails because a machine is slow, or by the luck of a draw."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("advplug", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("advplug")
