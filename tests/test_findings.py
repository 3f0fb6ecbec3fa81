"""The record of a finding: what it holds, and what is read back."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from advplug.records import Finding

OLD = {"name": "chance", "status": "warn", "message": "Guessing does as well.", "advice": "Normalise."}


def test_a_finding_of_an_earlier_version_is_read_with_nothing_in_its_new_fields() -> None:
    found = Finding.from_figures(OLD)
    assert found == Finding(**OLD)
    assert (found.id, found.figure, found.threshold, found.samples) == ("", None, None, ())


@pytest.mark.parametrize("samples", [(), (3, 17)])
def test_a_finding_comes_back_from_json_as_it_was(samples: tuple[int, ...]) -> None:
    found = Finding(**OLD, id="G10", figure=0.1, threshold=0.25, samples=samples)
    assert Finding.from_figures(json.loads(json.dumps(asdict(found)))) == found
