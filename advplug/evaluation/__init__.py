"""Evaluations: attacks in, verified records out."""

from advplug.evaluation.diagnostics.binarisation import binarisation
from advplug.evaluation.diagnostics.preflight import preflight
from advplug.evaluation.diagnostics.signs import CLEARLY, percent
from advplug.evaluation.jobs import case_job, model_job
from advplug.evaluation.optimality import local_optimality
from advplug.evaluation.runner import conclude, evaluate, work_on_share
from advplug.records import Evaluation, Finding, Job, Row

__all__ = [
    "CLEARLY",
    "Evaluation",
    "Finding",
    "Job",
    "Row",
    "binarisation",
    "case_job",
    "conclude",
    "evaluate",
    "local_optimality",
    "model_job",
    "percent",
    "preflight",
    "work_on_share",
]
