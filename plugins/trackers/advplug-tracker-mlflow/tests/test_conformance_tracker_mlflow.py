"""The contract of tracker:mlflow."""

from advplug.testing import conformance

test_conformance = conformance("tracker:mlflow")
