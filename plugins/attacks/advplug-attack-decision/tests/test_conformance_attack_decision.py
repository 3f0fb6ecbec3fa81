"""The contract of the attacks on decisions."""

from __future__ import annotations

import pytest
from advplug_attack_decision import Boundary, GeoDA, HopSkipJump, RayS, SignOPT

from advplug.testing import conformance

test_boundary = conformance("attack:boundary")
test_geoda = conformance("attack:geoda")
test_hopskipjump = conformance("attack:hopskipjump")
test_rays = conformance("attack:rays")
test_sign_opt = conformance("attack:sign-opt")


@pytest.fixture(autouse=True)
def fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on their number: `advplug check` has the defaults."""
    for attack, queries in ((Boundary, 300), (GeoDA, 600), (HopSkipJump, 300), (RayS, 300), (SignOPT, 500)):
        monkeypatch.setitem(attack.__init__.__kwdefaults__, "queries", queries)  # type: ignore[misc]
