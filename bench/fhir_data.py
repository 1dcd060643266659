"""The synthetic resources that bench/fhir.py and bench/fhir_growth.py fill stores with. Knows no server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

LOINC = "http://loinc.org"
CODES = [("718-7", "Hemoglobin", "g/dL"), ("2160-0", "Kreatinin", "umol/L"), ("8867-4", "Puls", "/min"),
         ("8480-6", "Systolisk blodtrykk", "mm[Hg]"), ("2823-3", "Kalium", "mmol/L")]  # fmt: skip
FAMILIES = ["Hansen", "Johansen", "Olsen", "Hætta", "Nilsen", "Somby", "Åsen", "Bakke", "Eira", "Myrvang"]
MRN = "https://example.org/mrn"
ICPC = "urn:oid:2.16.578.1.12.4.1.1.7170"


def patient(number: int) -> dict[str, Any]:
    """A synthetic patient of the size that the peers were measured with."""
    drawn = random.Random(number)
    return {
        "resourceType": "Patient",
        "identifier": [
            {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": f"{number:011d}", "use": "official"},
            {"system": MRN, "value": f"MRN-{number}"},
        ],
        "active": True,
        "name": [{"use": "official", "family": drawn.choice(FAMILIES), "given": [f"Navn{number % 97}", "Marie"]}],
        "telecom": [{"system": "phone", "value": f"+47 9{number % 10**7:07d}", "use": "mobile"},
                    {"system": "email", "value": f"p{number}@example.org"}],
        "gender": drawn.choice(["female", "male"]),
        "birthDate": f"{1930 + number % 90}-{1 + number % 12:02}-{1 + number % 28:02}",
        "address": [{"use": "home", "line": [f"Storgata {number % 200}"], "city": "Tromsø", "postalCode": "9008",
                     "country": "NO"}],
    }  # fmt: skip


def observation(reference: str, number: int) -> dict[str, Any]:
    """A synthetic measurement."""
    code, display, unit = CODES[number % len(CODES)]
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory"}]}],
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}], "text": display},
        "subject": {"reference": reference},
        "effectiveDateTime": f"{2016 + number % 10}-{1 + number % 12:02}-{1 + number % 28:02}T10:{number % 60:02}:00Z",
        "issued": "2026-11-01T10:00:00.000Z",
        "valueQuantity": {"value": 50 + number % 100 / 10, "unit": unit, "system": "http://unitsofmeasure.org",
                          "code": unit},
    }  # fmt: skip


def transaction(number: int, observations: int) -> dict[str, Any]:
    """A new patient with observations that refer to it."""
    full = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
    entries = [{"fullUrl": full, "resource": patient(number), "request": {"method": "POST", "url": "Patient"}}]
    entries += [
        {"resource": observation(full, number + n), "request": {"method": "POST", "url": "Observation"}}
        for n in range(observations)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def history(number: int, observations: int) -> Iterator[dict[str, Any]]:
    """A patient with what a region's store holds of one: stays, measurements, problems, times, messages, documents.
    Ids are given, so that the resources can refer to each other."""
    name = f"p{number}"
    reference = f"Patient/{name}"
    yield {**patient(number), "id": name}
    day = f"{2017 + number % 9}-{1 + number % 12:02}-{1 + number % 28:02}"
    for n in range(2):
        yield {
            "resourceType": "Encounter", "id": f"e{number}-{n}", "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": reference}, "serviceProvider": {"reference": f"Organization/unit-{number % 40}"},
            "period": {"start": f"{day}T0{8 + n}:00:00+01:00", "end": f"{day}T{10 + n}:30:00+01:00"},
        }  # fmt: skip
    for n in range(observations):
        yield {**observation(reference, number + n), "id": f"o{number}-{n}"}
    yield {
        "resourceType": "Condition", "id": f"c{number}", "subject": {"reference": reference},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                       "code": "active"}]},
        "code": {"coding": [{"system": ICPC, "code": f"K{number % 90:02}", "display": "Hypertensjon"}]},
        "onsetDateTime": day,
    }  # fmt: skip
    yield {
        "resourceType": "Appointment", "id": f"a{number}", "status": "booked", "description": "Kontroll",
        "start": f"{day}T12:00:00+01:00", "end": f"{day}T12:30:00+01:00", "created": day,
        "participant": [{"actor": {"reference": reference}, "status": "accepted"}],
    }  # fmt: skip
    yield {
        "resourceType": "Communication", "id": f"m{number}", "status": "completed",
        "subject": {"reference": reference}, "recipient": [{"reference": reference}], "sent": f"{day}T13:00:00+01:00",
        "payload": [{"contentString": "Du er innkalt til kontroll. " * 8}],
    }  # fmt: skip
    yield {
        "resourceType": "DocumentReference", "id": f"d{number}", "status": "current",
        "type": {"coding": [{"system": LOINC, "code": "11488-4", "display": "Epikrise"}]},
        "subject": {"reference": reference}, "date": f"{day}T14:00:00+01:00",
        "content": [
            {"attachment": {"contentType": "application/pdf", "url": f"Binary/b{number}", "title": "Epikrise"}}
        ],
    }  # fmt: skip
