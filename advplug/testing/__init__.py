"""Tools for testing plugins: the contract of each kind, checked by one line.

``test_conformance = conformance("attack:pgd")`` in a test file is the whole contract test of a plugin, and
``advplug check attack:pgd`` runs the same checks without pytest. Importing this package imports neither torch nor
pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from advplug.errors import InvalidInput
from advplug.testing.checks import Check, NotApplicable, Outcome, checks_for, run_check, run_checks
from advplug.testing.subject import Subject

__all__ = [
    "Check",
    "NotApplicable",
    "Outcome",
    "Subject",
    "checks_for",
    "conformance",
    "run_check",
    "run_checks",
]


def conformance(
    name: str, *, expected_failures: Mapping[str, str] | None = None, quick: bool = False
) -> Callable[..., None]:
    """A pytest function with one case for each check of the plugin ``name``, such as ``attack:pgd-respects_epsilon``.

    Parameters
    ----------
    name: ``kind:name``, or ``distribution:kind:name``; looked up when the test runs.
    expected_failures: reason by name of a check that is known to fail. The case is a strict xfail: a check that passes
        although a failure was expected fails the test.
    quick: leave out the slow checks.

    Raises
    ------
    InvalidInput: ``expected_failures`` names a check that there is not, or gives no reason.
    UnknownPlugin: there is no such kind of plugin.
    """
    import pytest

    expected = dict(expected_failures or {})
    checks = [check for check in checks_for(name) if not (quick and check.slow)]
    unknown = expected.keys() - {check.name for check in checks}
    if unknown:
        raise InvalidInput(f"no check {', '.join(sorted(unknown))}: advplug check {name} lists them")
    if not all(reason.strip() for reason in expected.values()):
        raise InvalidInput("expected_failures: give the reason of each")
    subject = cache(lambda: Subject(name, quick=quick))  # one for all cases, so that a defense is built once

    def case(check: Check) -> Any:
        known = check.name in expected
        marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if known else []
        return pytest.param(check, id=f"{name}-{check.name}", marks=marks)

    @pytest.mark.parametrize("check", [case(check) for check in checks])
    def test_conformance(check: Check) -> None:
        try:
            check(subject())
        except NotApplicable as reason:
            pytest.skip(str(reason))

    test_conformance.__doc__ = f"The contract of {name}."
    return test_conformance
