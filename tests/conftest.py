"""What all tests share: property tests that are repeatable and that a loaded machine cannot fail.

`pytest --hypothesis-profile=explore` looks further, with new examples each time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("gate"), derandomize=False, max_examples=1000, print_blob=True)
settings.load_profile("gate")
