"""A journey's run as FHIR TestReport, both ways. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from varde.work.journey import Run, Step

JOURNEY = "https://varde.no/fhir/NamingSystem/journey"
EXTENSION = "https://varde.no/fhir/StructureDefinition/journey-"


def to_fhir(run: Run) -> dict[str, Any]:
    """The TestReport of a run: one test a step, one assertion in each, with the time it took (IMP-10)."""
    passed = sum(step.passed for step in run.steps)
    return {
        "resourceType": "TestReport",
        "extension": [{"url": f"{EXTENSION}service", "valueString": run.service}],
        "name": run.journey,
        "status": "completed",
        "testScript": {"identifier": {"system": JOURNEY, "value": run.journey}},
        "result": "pass" if run.passed else "fail",
        "score": round(100 * passed / len(run.steps), 1) if run.steps else 0,
        "tester": f"Varde {run.version}",
        "issued": run.at.isoformat(),
        "test": [_test(step) for step in run.steps],
    }


def _test(step: Step) -> dict[str, Any]:
    assertion: dict[str, Any] = {"result": ("warning" if step.slow else "pass") if step.passed else "fail"}
    if not step.passed:
        assertion["message"] = f"Expected: {step.expected}. Seen: {step.seen}."
    return {
        "extension": [
            {"url": f"{EXTENSION}took", "valueDuration": _duration(step.took)},
            {"url": f"{EXTENSION}within", "valueDuration": _duration(step.within)},
            *(
                {"url": f"{EXTENSION}{name}", "valueString": text}
                for name, text in (("expected", step.expected), ("seen", step.seen))
                if text
            ),
        ],
        "name": step.text,
        "action": [{"assert": assertion}],
    }


def _duration(took: timedelta) -> dict[str, Any]:
    milliseconds = took // timedelta(milliseconds=1)
    return {"value": milliseconds, "unit": "ms", "system": "http://unitsofmeasure.org", "code": "ms"}


def from_fhir(report: Mapping[str, Any]) -> Run:
    """The run that a TestReport tells of. Raises KeyError for a report that no journey left."""
    return Run(
        journey=str(report["testScript"]["identifier"]["value"]),
        service=str(_extension(report, "service")["valueString"]),
        at=datetime.fromisoformat(report["issued"]),
        version=str(report.get("tester", "")).removeprefix("Varde "),
        steps=tuple(_step(test) for test in report.get("test", ())),
    )


def outcome_of(report: Mapping[str, Any]) -> tuple[str, datetime, bool] | None:
    """(journey, when, whether it passed) of a TestReport that a journey left; None for another's."""
    if report.get("testScript", {}).get("identifier", {}).get("system") != JOURNEY:
        return None
    try:
        run = from_fhir(report)
    except (LookupError, TypeError, ValueError):
        return None
    return (run.journey, run.at, run.passed) if run.at.tzinfo is not None else None


def _step(test: Mapping[str, Any]) -> Step:
    return Step(
        text=str(test.get("name", "")),
        took=_timedelta(_extension(test, "took")),
        within=_timedelta(_extension(test, "within")),
        passed=test["action"][0]["assert"]["result"] != "fail",
        expected=str(_extension(test, "expected").get("valueString", "")),
        seen=str(_extension(test, "seen").get("valueString", "")),
    )


def _timedelta(extension: Mapping[str, Any]) -> timedelta:
    return timedelta(milliseconds=int(extension["valueDuration"]["value"]))


def _extension(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    url = f"{EXTENSION}{name}"
    found: Mapping[str, Any] = next((one for one in holder.get("extension", ()) if one["url"] == url), {})
    return found
