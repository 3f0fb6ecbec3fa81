"""What hooks receive and reports show: jobs, evaluations with their rows and findings, sections of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from advplug.lazy import lazily

if TYPE_CHECKING:
    from advplug.records.evaluation import Evaluation, Row
    from advplug.records.finding import Finding
    from advplug.records.job import Job
    from advplug.records.section import Section

__all__ = ["Evaluation", "Finding", "Job", "Row", "Section"]

__getattr__ = lazily(
    __name__,
    {"Evaluation": ".evaluation", "Finding": ".finding", "Job": ".job", "Row": ".evaluation", "Section": ".section"},
)


def __dir__() -> list[str]:
    return __all__
