"""Where the chains of a job are worked on. Every executor gives the same pieces, in another order."""

from advplug.evaluation.executors.base import Answer, Executor, Given, Labour
from advplug.evaluation.executors.inline import Inline
from advplug.evaluation.executors.processes import Processes
from advplug.evaluation.executors.ray import Ray

__all__ = ["Answer", "Executor", "Given", "Inline", "Labour", "Processes", "Ray"]
