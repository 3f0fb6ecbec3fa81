"""Findings in the forms that build servers show: SARIF 2.1.0 and JUnit XML."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree

from advplug.records.evaluation import Evaluation
from advplug.records.finding import Finding

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"pass": "none", "warn": "warning", "fail": "error", "not-run": "none"}
_KINDS = {"pass": "pass", "warn": "fail", "fail": "fail", "not-run": "notApplicable"}


def as_sarif(evaluation: Evaluation) -> str:
    """One SARIF run, with a rule for each kind of finding and a result for each finding."""
    names = list(dict.fromkeys(_rule(finding) for finding in evaluation.findings))
    rules = [{"id": name, "shortDescription": {"text": name.replace("/", ": ")}} for name in names]
    results = [_result(finding, names, evaluation) for finding in evaluation.findings]
    driver = {"name": "advplug", "version": version("advplug"), "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def as_junit(evaluation: Evaluation) -> str:
    """One test suite, with a case for each finding: ``fail`` is a failure, ``not-run`` skipped, ``warn`` a failure of
    type warn."""
    findings = evaluation.findings
    suite = ElementTree.Element(
        "testsuite",
        name=_printable(f"advplug {evaluation.case}"),
        tests=str(len(findings)),
        failures=str(sum(finding.status in ("warn", "fail") for finding in findings)),
        errors="0",
        skipped=str(sum(finding.status == "not-run" for finding in findings)),
    )
    for finding in findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_printable(f"advplug.{finding.id or 'plugin'}"), name=_printable(finding.name)
        )
        text = _printable(f"{finding.message} {finding.advice}".rstrip())
        if finding.status in ("warn", "fail"):
            ElementTree.SubElement(case, "failure", type=finding.status, message=text)
        elif finding.status == "not-run":
            ElementTree.SubElement(case, "skipped", message=text)
        else:
            ElementTree.SubElement(case, "system-out").text = text
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _rule(finding: Finding) -> str:
    return f"{finding.id}/{finding.name}" if finding.id else finding.name


def _result(finding: Finding, names: list[str], evaluation: Evaluation) -> dict[str, Any]:
    properties = {
        "status": finding.status,
        "figure": _number(finding.figure),
        "threshold": _number(finding.threshold),
        "samples": list(finding.samples),
        "advice": finding.advice,
    }
    return {
        "ruleId": _rule(finding),
        "ruleIndex": names.index(_rule(finding)),
        "kind": _KINDS[finding.status],
        "level": _LEVELS[finding.status],
        "message": {"text": f"{finding.message} {finding.advice}".rstrip()},
        "locations": [{"logicalLocations": [{"name": evaluation.case, "kind": "module"}]}],
        "properties": properties,
    }


def _number(figure: float | None) -> float | None:
    """``figure``, None for what JSON has no number for."""
    return figure if figure is not None and math.isfinite(figure) else None


def _printable(text: str) -> str:
    """``text`` without the characters that XML 1.0 knows not."""
    return "".join(one for one in text if one in "\t\n\r" or " " <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd")
