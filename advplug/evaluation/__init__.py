"""Evaluations: attacks in, verified records out."""

from advplug.evaluation.job import Job, case_job, model_job
from advplug.evaluation.records import Evaluation, Row
from advplug.evaluation.runner import evaluate

__all__ = ["Evaluation", "Job", "Row", "case_job", "evaluate", "model_job"]
