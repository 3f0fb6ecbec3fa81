"""Evaluations: attacks in, verified records out."""

from advplug.evaluation.diagnostics import CLEARLY, percent
from advplug.evaluation.jobs import case_job, model_job
from advplug.evaluation.preflight import preflight
from advplug.evaluation.runner import evaluate
from advplug.records import Evaluation, Finding, Job, Row

__all__ = [
    "CLEARLY",
    "Evaluation",
    "Finding",
    "Job",
    "Row",
    "case_job",
    "evaluate",
    "model_job",
    "percent",
    "preflight",
]
