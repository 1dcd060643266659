"""Measures what it costs to validate a resource: structure, bindings, references, invariants, extensions, profiles.

    .venv/bin/python bench/validate.py --rounds 300

Prints microseconds of one resource, the best of five rounds, for the resources that the API's benchmark writes and for
examples of HL7's own package, as they are and without their narrative (whose XHTML is checked too).
"""

from __future__ import annotations

import argparse
import sys
import timeit
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.fhir_data import observation, patient

from varde.fhir.validate import faults_of

EXAMPLES = Path("node_modules/hl7.fhir.r4.examples")
NAMES = (
    "Patient-example", "Patient-f001", "Observation-example", "Observation-f001", "Observation-blood-pressure",
    "Condition-example", "Encounter-example", "Appointment-example", "Communication-example", "Task-example1",
    "ServiceRequest-example", "DiagnosticReport-ultrasound", "DocumentReference-example", "CarePlan-example",
    "QuestionnaireResponse-3141", "Questionnaire-3141", "Consent-consent-example-basic", "AuditEvent-example",
    "Bundle-bundle-example", "StructureDefinition-Patient",
)  # fmt: skip


def resources() -> dict[str, dict[str, Any]]:
    """What is measured, by name."""
    found = {"Patient of the benchmark": patient(5), "Observation of the benchmark": observation("Patient/5", 7)}
    for name in NAMES:
        file = EXAMPLES / f"{name}.json"
        if file.exists():
            found[name] = orjson.loads(file.read_bytes())
    return found


def cost(resource: dict[str, Any], rounds: int) -> float:
    """Microseconds of one validation."""
    rounds = max(1, min(rounds, 2_000_000 // len(orjson.dumps(resource))))
    return min(timeit.repeat(lambda: faults_of(resource), number=rounds, repeat=5)) / rounds * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    print(f"{'resource':32}{'bytes':>8}{'µs':>10}{'without text':>14}")
    for name, resource in resources().items():
        faults_of(resource)
        bare = {k: v for k, v in resource.items() if k != "text"}
        size = len(orjson.dumps(resource))
        text = orjson.dumps(resource).decode()
        named = text.count('"extension":'), text.count('"profile":')
        more = f"{named[0]} extensions, {named[1]} profiles"
        print(f"{name:32}{size:8}{cost(resource, rounds):10.1f}{cost(bare, rounds):14.1f}  {more}")


if __name__ == "__main__":
    main()
