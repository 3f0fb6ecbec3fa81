"""The smaller budgets of ``--epsilons`` and ``--sweep``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.cli._counts import BUDGETS, LARGEST
from advplug.errors import InvalidInput

if TYPE_CHECKING:
    from advplug.threat import ThreatModel


def smaller_budgets(threat: ThreatModel, epsilons: str | None, sweep: int | None) -> tuple[float, ...]:
    """The budgets below that of ``threat``, ascending; a minimum-norm run answers for any."""
    if epsilons is None and sweep is None:
        return ()
    if epsilons is not None and sweep is not None:
        raise InvalidInput("--epsilons and --sweep say the same thing: give one of them")
    if sweep is not None:
        if threat.epsilon is None:
            raise InvalidInput(f"--sweep needs a budget, the threat model is {threat}: name them with --epsilons")
        return tuple(threat.epsilon * share / sweep for share in range(1, sweep))
    texts = str(epsilons).split(",")
    if len(texts) > BUDGETS:
        raise InvalidInput(f"--epsilons names {len(texts)} budgets: give at most {BUDGETS}")
    from advplug.numerics.written_numbers import number_in, written

    try:
        budgets = sorted({number_in(text) for text in texts})
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InvalidInput(f"--epsilons {epsilons}: write numbers or fractions, such as 2/255,4/255") from None
    highest = LARGEST if threat.epsilon is None else threat.epsilon
    if not all(0 < budget <= highest for budget in budgets):
        raise InvalidInput(f"--epsilons {epsilons}: give budgets above 0 and at most {written(highest)}")
    return tuple(budget for budget in budgets if budget < highest)
